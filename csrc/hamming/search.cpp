#include "hamming/search.h"

#include <algorithm>

#include "hamming/dispatch.h"
#include "hamming/tile.h"

namespace udsph {
namespace {

constexpr size_t MEMORY = size_t{60} << 20;        // of all tiles of a search
constexpr size_t LEAST_MEMORY = size_t{4} << 20;   // of one tile
constexpr size_t BITS_PER_THREAD = size_t{1} << 27;  // code bits compared that are worth starting a thread
constexpr size_t BITS_PER_STEP = size_t{1} << 33;  // and that are compared between two looks at Ctrl-C: some milliseconds

// What is searched, and by how many threads.
struct Job {
  const Blocks &codes;
  const Kernels &level;
  const uint8_t *queries;
  size_t n_queries, k;
  const uint64_t *allowed;
  size_t threads, tile;

  Job(const Blocks &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t wanted)
      : codes(codes), level(kernels()), queries(queries), n_queries(n_queries), k(std::min(k, codes.size())), allowed(allowed) {
    const double work = static_cast<double>(n_queries) * codes.size() * codes.bits();
    threads = std::max<size_t>(1, std::min<size_t>(wanted, static_cast<size_t>(work / BITS_PER_THREAD)));
    const size_t memory = std::max(MEMORY / threads, LEAST_MEMORY);
    tile = std::min<size_t>(MAX_TILE, std::max<size_t>(1, memory / tile_bytes_per_query(codes.bits(), this->k)));
    if (splits_queries()) tile = std::min(tile, (n_queries + threads - 1) / threads);
    tile = std::max<size_t>(1, std::min(tile, n_queries));
  }

  // A table is worth building for a hundred queries; with fewer per thread the blocks are shared out instead.
  bool splits_queries() const { return n_queries >= 128 * threads || codes.block_count() < 2 * threads; }

  size_t bytes() const { return (codes.bits() + 7) / 8; }
  size_t tiles() const { return (n_queries + tile - 1) / tile; }
  const uint8_t *tile_queries(size_t i) const { return queries + i * tile * bytes(); }
  size_t tile_size(size_t i) const { return std::min(tile, n_queries - i * tile); }
  size_t first_block(size_t part) const { return codes.block_count() * part / threads; }

  // Scan in steps, so that the search can be stopped.
  void scan(TileMemory &memory, size_t begin, size_t end, Workers &workers, size_t worker) const {
    const size_t step = std::max<size_t>(1, BITS_PER_STEP / (memory.tile().n * BLOCK * codes.bits()));
    const BlockView view = codes.view(allowed);
    for (; begin < end && workers.proceed(worker); begin += step)
      level.scan(view, begin, std::min(end, begin + step), memory.tile());
  }
};

void keep_best(const Best &best, std::vector<uint64_t> &keys) { keys.insert(keys.end(), best.keys, best.keys + best.n); }

// Pairs found by one thread, on their way to the result.
struct Pairs {
  std::vector<Found::Pair> all;
  size_t first_query = 0;

  static void flush(Found *found) {
    Pairs &to = *static_cast<Pairs *>(found->owner);
    for (size_t i = 0; i < found->n; i++) {
      to.all.push_back(found->pairs[i]);
      to.all.back().query += static_cast<uint32_t>(to.first_query);
    }
    found->n = 0;
  }
};

}  // namespace

void search(const Blocks &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
            const Poll &poll, int32_t *distances, int64_t *positions) {
  const Job job(codes, queries, n_queries, k, allowed, threads);
  if (codes.size() == 0 || n_queries == 0) {
    std::fill_n(distances, n_queries * k, INT32_MAX);
    std::fill_n(positions, n_queries * k, int64_t{-1});
    return;
  }
  Workers workers(job.threads, poll);
  const auto finish = [&](size_t query, std::vector<uint64_t> &keys) {
    finish_top_k(keys, codes.bits(), k, distances + query * k, positions + query * k);
    keys.clear();
  };
  if (job.splits_queries()) {
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      TileMemory memory(codes.bits(), job.tile, job.k);
      std::vector<uint64_t> keys;
      for (size_t i; (i = next++) < job.tiles() && workers.proceed(worker);) {
        const Tile &tile = memory.load(job.tile_queries(i), job.tile_size(i), codes.bits() + 1);
        job.scan(memory, 0, codes.block_count(), workers, worker);
        for (size_t q = 0; q < tile.n; q++) {
          keep_best(tile.best[q], keys);
          finish(i * job.tile + q, keys);
        }
      }
    });
    return;
  }
  std::vector<TileMemory> parts;
  for (size_t worker = 0; worker < job.threads; worker++) parts.emplace_back(codes.bits(), job.tile, job.k);
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < job.tiles(); i++) {
    workers.run([&](size_t worker) {
      parts[worker].load(job.tile_queries(i), job.tile_size(i), codes.bits() + 1);
      job.scan(parts[worker], job.first_block(worker), job.first_block(worker + 1), workers, worker);
    });
    for (size_t q = 0; q < job.tile_size(i); q++) {
      for (TileMemory &part : parts) keep_best(part.tile().best[q], keys);
      finish(i * job.tile + q, keys);
    }
  }
}

RangeResult range_search(const Blocks &codes, const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed,
                         size_t threads, const Poll &poll) {
  const Job job(codes, queries, n_queries, 0, allowed, threads);
  const size_t limit = std::min(radius, codes.bits()) + 1;
  std::vector<Pairs> pairs(job.threads);
  if (codes.size() > 0 && n_queries > 0) {
    Workers workers(job.threads, poll);
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      TileMemory memory(codes.bits(), job.tile, 0);
      memory.found().flush = Pairs::flush;
      memory.found().owner = &pairs[worker];
      const bool shared = job.splits_queries();
      for (size_t i; (i = shared ? next++ : pairs[worker].first_query / job.tile) < job.tiles() && workers.proceed(worker);) {
        pairs[worker].first_query = i * job.tile;
        memory.load(job.tile_queries(i), job.tile_size(i), limit);
        job.scan(memory, shared ? 0 : job.first_block(worker), shared ? codes.block_count() : job.first_block(worker + 1), workers,
                 worker);
        Pairs::flush(&memory.found());
        if (!shared) pairs[worker].first_query += job.tile;
      }
    });
  }
  RangeResult result;
  result.offsets.assign(n_queries + 1, 0);
  for (const Pairs &part : pairs)
    for (const Found::Pair &pair : part.all) result.offsets[pair.query + 1]++;
  for (size_t q = 0; q < n_queries; q++) result.offsets[q + 1] += result.offsets[q];
  const size_t total = static_cast<size_t>(result.offsets[n_queries]);
  std::vector<uint64_t> keys(total);
  std::vector<int64_t> place(result.offsets);
  for (Pairs &part : pairs) {
    for (const Found::Pair &pair : part.all) keys[place[pair.query]++] = pair.key;
    std::vector<Found::Pair>().swap(part.all);
  }
  result.distances.resize(total);
  result.positions.resize(total);
  for (size_t q = 0; q < n_queries; q++) {
    const size_t first = result.offsets[q], last = result.offsets[q + 1];
    std::sort(keys.begin() + first, keys.begin() + last);
    for (size_t i = first; i < last; i++) {
      result.distances[i] = static_cast<int32_t>(keys[i] >> POSITION_BITS);
      result.positions[i] = static_cast<int64_t>(keys[i] & ((uint64_t{1} << POSITION_BITS) - 1));
    }
  }
  return result;
}

void distances(const Kernels &level, const uint8_t *queries, size_t n_queries, const uint8_t *rows, size_t n, size_t bytes,
               size_t threads, const Poll &poll, int32_t *out) {
  constexpr size_t STEP = 1 << 16;  // rows per piece of work
  const size_t steps = (n + STEP - 1) / STEP, pieces = steps * n_queries;
  Workers workers(std::max<size_t>(1, std::min(threads, pieces / 16)), poll);
  std::atomic<size_t> next{0};
  workers.run([&](size_t worker) {
    for (size_t i; (i = next++) < pieces && workers.proceed(worker);) {
      const size_t query = i / steps, begin = i % steps * STEP, count = std::min(STEP, n - begin);
      level.row_distances(queries + query * bytes, rows + begin * bytes, count, bytes, out + query * n + begin);
    }
  });
}

}  // namespace udsph
