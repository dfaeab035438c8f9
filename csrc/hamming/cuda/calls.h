// What the functions of hamming.h launch, one after the other. A launcher runs programs: on a GPU, or on the host in tests. It has
//   int run(program, items, shared_bytes)   with as many blocks as items, or as the GPU holds, whichever is less; threads_of them each
//   int shared_limit()                      bytes of shared memory that a block can have
#pragma once

#include <type_traits>

#include "hamming/cuda/hamming.h"
#include "hamming/cuda/ordered.h"
#include "hamming/cuda/rows.h"
#include "hamming/cuda/scan.h"
#include "hamming/cuda/select.h"

namespace udsph::gpu {

enum : int { THREADS = 256, NOT_SHARED = 2 };  // up to NOT_SHARED queries read codes where they are

// Threads of a block. Where a piece of codes takes more than half of the shared memory there is one block to a multiprocessor, of
// twice as many.
template <class Program>
constexpr int threads_of = THREADS;
template <int Planes, int W>
constexpr int threads_of<Scan<Planes, W, true>> = W << Planes >= 1024 ? 2 * THREADS : THREADS;

// Calls f with a constant: the planes of codes of so many bits.
template <class F>
int with_planes(int64_t bits, const F &f) {
  switch (planes_of(bits)) {
    case 6: return f(std::integral_constant<int, 6>());
    case 7: return f(std::integral_constant<int, 7>());
    case 8: return f(std::integral_constant<int, 8>());
    case 9: return f(std::integral_constant<int, 9>());
    case 10: return f(std::integral_constant<int, 10>());
    default: return f(std::integral_constant<int, 13>());
  }
}

template <class F>
int with_row_words(int64_t bytes, const F &f) {
  switch (row_words(bytes)) {
    case 2: return f(std::integral_constant<int, 2>());
    case 4: return f(std::integral_constant<int, 4>());
    case 8: return f(std::integral_constant<int, 8>());
    case 16: return f(std::integral_constant<int, 16>());
    case 32: return f(std::integral_constant<int, 32>());
    default: return f(std::integral_constant<int, 0>());
  }
}

// The codes of a search, a batch of its queries, and where it works.
struct Batch {
  Codes codes;
  const uint8_t *rows;
  int64_t n;
  const uint32_t *allowed;
  Scratch scratch;

  Queries queries() const { return {scratch.info, scratch.lists, list_width(codes.bits), static_cast<int>(n)}; }
};

inline Codes codes_of(const UdsphCodes &codes) {
  return {static_cast<const uint32_t *>(codes.tiles), codes.n, static_cast<int>(codes.bits)};
}

inline Batch batch_of(const UdsphCodes &codes, const UdsphQueries &queries, const Division &division, int64_t first) {
  const int64_t n = smaller(division.batch, queries.n - first);
  return {codes_of(codes), queries.rows + first * up(codes.bits, 8), n, queries.allowed,
          Scratch(queries.scratch, codes.bits, division.batch, division.capacity)};
}

template <class Launcher>
int describe(const Batch &batch, uint32_t limit, bool lost, Launcher &launcher) {
  const int bits = batch.codes.bits;
  const Describe program = {batch.rows, batch.scratch.info, batch.scratch.lists, batch.scratch.candidates, batch.n,
                            bits,       batch.codes.zeros(), limit,              lost};
  return launcher.run(program, up(program.items(), THREADS), 0);
}

template <class Launcher>
int plan(const Batch &batch, int64_t first, int64_t growth, int stages, Launcher &launcher) {
  if (batch.allowed != nullptr && stages > 1) {
    const CountAllowed count = {batch.allowed, batch.scratch.allowed_parts, batch.codes.n};
    if (const int code = launcher.run(count, FILTER_PARTS, 4)) return code;
  }
  const PlanStages program = {batch.allowed, batch.scratch.allowed_parts, batch.scratch.stages, batch.codes.n, first, growth, stages};
  return launcher.run(program, 1, 0);
}

template <int Planes, int W, bool Staged, class Launcher>
int scan_with(const Batch &batch, int stage, Launcher &launcher) {
  typedef Scan<Planes, W, Staged> Program;
  const Program program = {batch.codes, batch.queries(), batch.allowed, batch.scratch.candidates, batch.scratch.stages, stage};
  const int64_t pieces = up(batch.codes.n, TILE) * Program::PIECES;
  const int64_t items = Staged ? pieces * up(batch.n, Program::GROUP) : up(pieces, THREADS / LANES);
  return launcher.run(program, items, Program::shared_bytes(batch.codes.bits));
}

template <class Launcher>
int scan(const Batch &batch, int stage, Launcher &launcher) {
  return with_planes(batch.codes.bits, [&](auto planes) {
    constexpr int W = words_per_thread(planes), HALF = W == 1 ? 1 : W / 2;
    const int64_t limit = batch.n > NOT_SHARED ? launcher.shared_limit() : 0, bits = batch.codes.bits;
    if (Scan<planes, W, true>::shared_bytes(bits) <= limit) return scan_with<planes, W, true>(batch, stage, launcher);
    if constexpr (planes >= 8)
      if (Scan<planes, HALF, true>::shared_bytes(bits) <= limit) return scan_with<planes, HALF, true>(batch, stage, launcher);
    return scan_with<planes, W, false>(batch, stage, launcher);
  });
}

template <class Launcher>
int walk_in_order(const Batch &batch, int64_t k, const int64_t *offsets, int32_t *distances, int64_t *positions, Launcher &launcher) {
  return with_planes(batch.codes.bits, [&](auto planes) {
    typedef Ordered<planes> Program;
    const Program program = {batch.codes, batch.queries(), batch.allowed, batch.scratch.candidates, k, offsets, distances, positions};
    return launcher.run(program, batch.n, Program::shared_bytes(batch.codes.bits));
  });
}

template <class Launcher>
int search(const UdsphCodes &codes, const UdsphQueries &queries, int64_t k, int32_t *distances, int64_t *positions, Launcher &launcher) {
  const Division division(codes.n, codes.bits, queries.n, k, queries.scratch_bytes);
  const bool lost = k > division.capacity;
  const uint32_t none = static_cast<uint32_t>(codes.bits + 1);
  for (int64_t first = 0; first < queries.n; first += division.batch) {
    const Batch batch = batch_of(codes, queries, division, first);
    int code = describe(batch, none, lost, launcher);
    if (!code && !lost) code = plan(batch, division.first, division.growth, division.stages, launcher);
    for (int stage = 0; stage < division.stages && !code && !lost; stage++) {
      code = scan(batch, stage, launcher);
      const Tighten tighten = {batch.scratch.candidates, batch.n, k, batch.codes.bits};
      if (!code) code = launcher.run(tighten, batch.n, Tighten::shared_bytes(codes.bits));
    }
    int32_t *to_distances = distances + first * k;
    int64_t *to_positions = positions + first * k;
    const Finish finish = {batch.scratch.candidates, batch.n, k, nullptr, to_distances, to_positions};
    if (!code) code = launcher.run(finish, batch.n, Finish::shared_bytes());
    if (!code) code = walk_in_order(batch, k, nullptr, to_distances, to_positions, launcher);
    if (code) return code;
  }
  return 0;
}

// A range search of a batch is a search of one stage, whose limit stays.
inline Division range_division(const UdsphCodes &codes, int64_t n_queries, int64_t scratch_bytes) {
  return Division(codes.n, codes.bits, n_queries, 1, scratch_bytes);
}

struct CopyCounts {
  const int64_t *from;
  int64_t *to;
  int64_t n;

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    for (int64_t i = block * team.size() + team.rank(); i < n; i += blocks * team.size()) to[i] = from[i];
  }
};

// The queries [first, first + n) of a batch.
inline Batch part_of(Batch batch, int64_t first, int64_t n) {
  Scratch &scratch = batch.scratch;
  batch.rows += first * up(batch.codes.bits, 8);
  batch.n = n;
  scratch.info += first;
  scratch.lists += first * list_width(batch.codes.bits);
  scratch.candidates.keys += first * scratch.candidates.capacity;
  scratch.candidates.counts += first;
  scratch.candidates.limits += first;
  scratch.candidates.bounds += first;
  return batch;
}

template <class Launcher>
int range_count(const UdsphCodes &codes, const UdsphQueries &queries, int64_t radius, int64_t *counts, Launcher &launcher) {
  const Division division = range_division(codes, queries.n, queries.scratch_bytes);
  const Batch batch = batch_of(codes, queries, division, 0);
  if (batch.n != queries.n) return 1;  // cudaErrorInvalidValue: more than udsph_hamming_range_batch
  int code = describe(batch, static_cast<uint32_t>(smaller(radius, codes.bits) + 1), false, launcher);
  if (!code) code = plan(batch, codes.n, 1, 1, launcher);
  if (!code) code = scan(batch, 0, launcher);
  const CopyCounts copy = {batch.scratch.candidates.counts, counts, batch.n};
  return code ? code : launcher.run(copy, up(batch.n, THREADS), 0);
}

template <class Launcher>
int range_fetch(const UdsphCodes &codes, const UdsphQueries &queries, int64_t first, int64_t n, const int64_t *offsets, int32_t *distances,
                int64_t *positions, Launcher &launcher) {
  const Division division = range_division(codes, queries.n, queries.scratch_bytes);
  const Batch batch = part_of(batch_of(codes, queries, division, 0), first, n);
  const Finish finish = {batch.scratch.candidates, batch.n, 0, offsets, distances, positions};
  const int code = launcher.run(finish, batch.n, Finish::shared_bytes());
  return code ? code : walk_in_order(batch, 0, offsets, distances, positions, launcher);
}

template <class Launcher>
int add_rows(uint32_t *tiles, int64_t bits, int64_t first, const uint8_t *rows, int64_t n, Launcher &launcher) {
  const SliceRows slice = {rows, tiles, first, n, static_cast<int>(bits)};
  if (n == 0) return 0;
  if (const int code = launcher.run(slice, up(slice.items(), THREADS), 0)) return code;
  return with_planes(bits, [&](auto planes) {
    const CountSetBits<planes> count = {tiles, first / LANES, first + n, static_cast<int>(bits)};
    return launcher.run(count, up(count.items(), THREADS), 0);
  });
}

template <class Launcher>
int read_rows(const UdsphCodes &codes, const int64_t *positions, int64_t n, uint8_t *rows, Launcher &launcher) {
  const ReadRows program = {codes_of(codes), positions, n, rows};
  return n == 0 ? 0 : launcher.run(program, up(program.items(), THREADS), 0);
}

template <class Launcher>
int name_positions(const int64_t *ids, int64_t *positions, int64_t n, Launcher &launcher) {
  const NamePositions program = {ids, positions, n};
  return n == 0 ? 0 : launcher.run(program, up(program.items(), THREADS), 0);
}

template <class Launcher>
int pack_mask(const uint8_t *mask, int64_t n, const uint32_t *alive, const int64_t *before, uint32_t *allowed, Launcher &launcher) {
  const PackMask program = {mask, allowed, n, alive, before};
  return n == 0 ? 0 : launcher.run(program, up(program.items(), THREADS), 0);
}

template <class Launcher>
int distance_matrix(const uint8_t *queries, int64_t n_queries, const uint8_t *codes, int64_t n, int64_t bytes, int32_t *out,
                    Launcher &launcher) {
  if (n_queries == 0 || n == 0) return 0;
  return with_row_words(bytes, [&](auto words) {
    const DistanceMatrix<words> program = {queries, codes, n_queries, n, bytes, out};
    return launcher.run(program, up(program.items(), THREADS), program.shared_bytes(bytes));
  });
}

template <class Launcher>
int count(const UdsphCounting &given, Launcher &launcher) {
  if (given.n_queries == 0 || given.n == 0) return 0;
  return with_row_words(given.bytes, [&](auto words) {
    typedef JointCounts<words> Program;
    Counting job = {given.queries,      given.codes,   given.n_queries, given.n,     given.bytes, given.labels, given.label_begin,
                    given.label_slices, given.classes, given.levels,    given.table, 1,           true};
    job.in_shared = Program::shared_bytes(job) <= launcher.shared_limit();
    const int64_t each = Program::shared_bytes(job);
    // Two blocks to a multiprocessor, where the counts of a query leave room.
    job.group = larger(1, smaller(smaller(given.n_queries, 64), launcher.shared_limit() / 2 / each));
    const int64_t items = up(given.n_queries, job.group) * larger(1, up(given.n, int64_t{1} << 16));
    return launcher.run(Program{job}, items, Program::shared_bytes(job));
  });
}

}  // namespace udsph::gpu
