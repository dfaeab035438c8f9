// Which codes are closer to a query than its limit: one pass over codes in slices.
//
// For a query of `ones` set bits a lane's code is near if |a| + ones - 2 S < limit, S the sum of the query's slices. With K = limit - ones
// that is 2 (S + K / 2) + K % 2 > |a|: S starts at K / 2 + 2^P, whose plane P stays set unless the sum is negative, and one majority for
// each plane compares it with |a|.
#pragma once

#include <type_traits>

#include "hamming/cuda/layout.h"

namespace udsph::gpu {

// Words of lanes that a thread takes together, at most: the more, the fewer instructions go into addresses. Slices of codes of up to 2^planes
// bits take 132 KiB of shared memory then, or less; half as much with half as many words, where a GPU has only 99 KiB.
constexpr int words_per_thread(int planes) { return planes <= 8 ? 4 : planes == 9 ? 2 : 1; }

struct alignas(16) EightSlices {
  uint16_t v[8];
};

// A query's sum over W words of lanes.
template <int Planes, int W>
struct Distances {
  Sum<Planes + 1, W> sum;
  int start, ones, bits;
  bool flipped, odd;

  UDSPH_HD Distances(const Codes &codes, const QueryInfo &info, uint32_t limit)
      : ones(info.ones), bits(codes.bits), flipped(info.flipped != 0) {
    const int wanted = flipped ? codes.bits + 1 - static_cast<int>(limit) : static_cast<int>(limit);
    const int difference = wanted - ones;
    odd = (difference & 1) != 0;
    start = (difference - odd) / 2 + (1 << Planes);
    sum.fill(start);
  }

  // `slices` gives the lanes' words of a slice, by its number.
  template <class Slices>
  UDSPH_HD void add(const QueryInfo &info, const uint16_t *list, const Slices &slices) {
    sum.add_slices(info.slices, [=](int first) {
      const EightSlices eight = *reinterpret_cast<const EightSlices *>(list + first);
      return [=](int i) { return slices(eight.v[i]); };
    });
  }

  // The lanes that are closer than the limit.
  template <class Slices>
  UDSPH_HD Lanes<W> near(const Slices &slices) const {
    Lanes<W> larger = slices(static_cast<uint32_t>(bits));
    UDSPH_UNROLL
    for (int w = 0; w < W; w++) larger.v[w] = odd ? ~larger.v[w] : 0;
    UDSPH_UNROLL
    for (int p = 1; p <= Planes; p++) {
      const Lanes<W> a = slices(static_cast<uint32_t>(bits + p));
      UDSPH_UNROLL
      for (int w = 0; w < W; w++) larger.v[w] = majority(sum.plane[p - 1].v[w], ~a.v[w], larger.v[w]);
    }
    const uint32_t flip = flipped ? ~0u : 0u;
    UDSPH_UNROLL
    for (int w = 0; w < W; w++) larger.v[w] = (larger.v[w] & sum.plane[Planes].v[w]) ^ flip;
    return larger;
  }

  // The distance in one lane of word w, w a constant.
  template <class Slices>
  UDSPH_HD int distance(int w, int lane, const Slices &slices) const {
    int a = 0;
    UDSPH_UNROLL
    for (int p = 0; p <= Planes; p++) a |= static_cast<int>(slices(static_cast<uint32_t>(bits + p)).v[w] >> lane & 1u) << p;
    const int between = a + ones - 2 * (sum.number(w, lane) - start);
    return flipped ? bits - between : between;
  }
};

UDSPH_HD inline uint64_t key_of(int distance, int64_t position) {
  return static_cast<uint64_t>(distance) << POSITION_BITS | static_cast<uint64_t>(position);
}

// A stage of a search: keys of the codes in [stages[stage], stages[stage + 1]) that are closer than each query's limit.
//
// Many queries share codes in shared memory: a block takes a piece of GROUP lanes x W words and a group of queries, each row of its
// threads one query after the other. Few queries go without (Staged false): each row takes a piece, and reads of it what they need.
template <int Planes, int W, bool Staged>
struct Scan {
  enum : int { PIECE_WORDS = LANES * W, PIECES = TILE_WORDS / PIECE_WORDS };
  enum : int { GROUP = 1024 };  // queries
  typedef std::conditional_t<Staged, SharedSlices<W, 4 * PIECE_WORDS>, TileSlices<W, 4 * TILE_WORDS>> Slices;

  Codes codes;
  Queries queries;
  const uint32_t *allowed;
  Candidates found;
  const int64_t *stages;
  int stage;

  static int64_t shared_bytes(int64_t bits) { return Staged ? slices_of(bits) * PIECE_WORDS * 4 : 0; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    const int64_t begin = stages[stage], end = stages[stage + 1];
    if (begin >= end) return;
    const int64_t first = begin / (LANES * PIECE_WORDS), pieces = up(end, LANES * PIECE_WORDS) - first;
    if constexpr (Staged) {
      uint32_t *staged = static_cast<uint32_t *>(shared);
      const int groups = static_cast<int>(up(queries.n, GROUP));
      for (int64_t item = block; item < pieces * groups; item += blocks) {
        const int64_t piece = first + item / groups;
        const int query = static_cast<int>(item % groups) * GROUP;
        stage_piece(team, codes.word(piece * PIECE_WORDS), staged);
        scan_piece(team, piece, begin, end, query + team.row(), static_cast<int>(smaller(queries.n, query + GROUP)), team.rows(), staged);
      }
    } else {
      for (int64_t i = block * team.rows() + team.row(); i < pieces; i += blocks * team.rows())
        scan_piece(team, first + i, begin, end, 0, queries.n, 1, codes.word((first + i) * PIECE_WORDS));
    }
  }

 private:
  template <class Team>
  UDSPH_HD void stage_piece(const Team &team, const uint32_t *from, uint32_t *to) const {
    enum : int { QUADS = PIECE_WORDS / 4 };
    team.sync();  // nobody reads the piece before any more
    const int n = static_cast<int>(slices_of(codes.bits)) * QUADS;
    for (int i = team.rank(); i < n; i += team.size())
      *reinterpret_cast<Lanes<4> *>(to + i * 4) = load_lanes<4>(from + i / QUADS * TILE_WORDS + i % QUADS * 4);
    team.sync();
  }

  template <class Team>
  UDSPH_HD void scan_piece(const Team &team, int64_t piece, int64_t begin, int64_t end, int query, int last, int step,
                           const uint32_t *from) const {
    for (int column = team.lane(); column < LANES; column += team.lanes()) {
      const int64_t word = piece * PIECE_WORDS + column * W;
      Lanes<W> wanted;
      uint32_t any = 0;
      UDSPH_UNROLL
      for (int w = 0; w < W; w++) any |= wanted.v[w] = lanes_within(word + w, begin, end, allowed);
      if (any == 0) continue;
      const Slices slices(from + column * W);
      for (int q = query; q < last; q += step) {
        const uint32_t limit = found.limits[q];
        if (limit == 0) continue;
        const QueryInfo info = queries.info[q];
        Distances<Planes, W> distances(codes, info, limit);
        distances.add(info, queries.lists + static_cast<int64_t>(q) * queries.width, slices);
        Lanes<W> near = distances.near(slices);
        any = 0;
        UDSPH_UNROLL
        for (int w = 0; w < W; w++) any |= near.v[w] &= wanted.v[w];
        if (any != 0) take(team, q, word, near, distances, slices);
      }
    }
  }

  template <class Team>
  UDSPH_HD void take(const Team &team, int q, int64_t word, const Lanes<W> &near, const Distances<Planes, W> &distances,
                     const Slices &slices) const {
    int n = 0;
    UDSPH_UNROLL
    for (int w = 0; w < W; w++) n += popcount(near.v[w]);
    int64_t slot = team.add(found.counts + q, int64_t{n});
    uint64_t *keys = found.keys + q * found.capacity;
    UDSPH_UNROLL
    for (int w = 0; w < W; w++)
      for (uint32_t left = near.v[w]; left != 0; left &= left - 1, slot++) {
        if (slot >= found.capacity) break;
        const int lane = lowest_bit(left);
        keys[slot] = key_of(distances.distance(w, lane, slices), (word + w) * LANES + lane);
      }
  }
};

}  // namespace udsph::gpu
