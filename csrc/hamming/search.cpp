#include "hamming/search.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "hamming/levels.h"
#include "hamming/tile.h"

namespace udsph {
namespace {

constexpr size_t MEMORY = size_t{60} << 20;        // of all tiles of a search
constexpr size_t LEAST_MEMORY = size_t{4} << 20;   // of one tile
constexpr size_t BITS_PER_THREAD = size_t{1} << 27;  // code bits compared that are worth starting a thread
constexpr size_t BITS_PER_STEP = size_t{1} << 33;  // and that are compared between two looks at Ctrl-C: some milliseconds

// Codes that pass the filter.
size_t allowed_codes(const Blocks &codes, const uint64_t *allowed) {
  if (allowed == nullptr) return codes.size();
  size_t count = 0;
  for (size_t first = 0; first < codes.size(); first += 64) {
    const size_t left = codes.size() - first;
    const uint64_t lanes = left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
    count += static_cast<size_t>(__builtin_popcountll(allowed[first / 64] & lanes));
  }
  return count;
}

// What is searched, and by how many threads.
struct Job {
  const Blocks &codes;
  const Kernels &level;
  const uint8_t *queries;
  size_t n_queries, wanted, k;  // neighbours wanted, and no more than there are codes
  const uint64_t *allowed;
  size_t threads, tile;

  Job(const Blocks &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t wanted)
      : codes(codes), level(kernels()), queries(queries), n_queries(n_queries), wanted(k),
        k(std::min(k, allowed_codes(codes, allowed))), allowed(allowed) {
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

// Where the k-th distance of each query will probably lie, from evenly spaced blocks: with a limit from the start, a search for many
// neighbours meets a fraction of the candidates. A guess that leaves fewer than k is noticed, and that query is searched again.
class Guess {
 public:
  explicit Guess(const Job &job) : job_(job) {
    const size_t count = job.codes.block_count(), step = count / BLOCKS;
    if (job.k < LEAST_K || step < 2) return;
    for (size_t i = 0; i < BLOCKS; i++) {
      blocks_.push_back(job.codes.block(i * step));
      if (job.allowed == nullptr) continue;
      const uint64_t *lanes = job.allowed + i * step * BLOCK_WORDS;
      allowed_.insert(allowed_.end(), lanes, lanes + BLOCK_WORDS);
    }
    // The rank in the sample that corresponds to k, and three standard deviations.
    const double rank = static_cast<double>(job.k) * (BLOCKS * BLOCK) / static_cast<double>(job.codes.size());
    memory_ = std::make_unique<TileMemory>(job.codes.bits(), job.tile, static_cast<size_t>(rank + 3 * std::sqrt(rank) + 3));
  }

  explicit operator bool() const { return memory_ != nullptr; }

  // Limits for n packed queries: the distance at that rank counts, what lies beyond does not.
  std::vector<uint32_t> limits(const uint8_t *queries, size_t n) {
    const uint32_t none = static_cast<uint32_t>(job_.codes.bits() + 1);
    Tile &tile = memory_->load(queries, n, none);
    const uint64_t *allowed = allowed_.empty() ? nullptr : allowed_.data();
    job_.level.scan({blocks_.data(), BLOCKS * BLOCK, job_.codes.bits(), allowed}, 0, BLOCKS, tile);
    std::vector<uint32_t> limits(tile.limits, tile.limits + n);
    for (uint32_t &limit : limits) limit = std::min(limit + 1, none);
    return limits;
  }

 private:
  enum : size_t { BLOCKS = 32, LEAST_K = 20 };

  const Job &job_;
  std::vector<const uint64_t *> blocks_;
  std::vector<uint64_t> allowed_;
  std::unique_ptr<TileMemory> memory_;
};

// What one thread of a range search finds. Few pairs are kept until all are known; of very many only the numbers per query are, and a
// second scan puts each pair in its place, so that memory beside the result stays bounded.
struct Pairs {
  static constexpr size_t KEPT = size_t{1} << 20;  // of all threads

  std::vector<Found::Pair> all;
  std::vector<int64_t> counts;  // by query
  size_t first_query = 0;
  std::atomic<size_t> *total = nullptr;  // pairs of all threads
  int64_t *places = nullptr;             // by query: where its next key goes, in a second scan
  uint64_t *keys = nullptr;

  static void flush(Found *found) {
    Pairs &to = *static_cast<Pairs *>(found->owner);
    const Found::Pair *pair = found->pairs, *end = pair + found->n;
    if (to.keys != nullptr) {
      for (; pair < end; pair++) to.keys[to.places[to.first_query + pair->query]++] = pair->key;
    } else {
      const bool few = (*to.total += found->n) <= KEPT;
      if (!few) std::vector<Found::Pair>().swap(to.all);
      for (; pair < end; pair++) {
        to.counts[to.first_query + pair->query]++;
        if (few) to.all.push_back({pair->key, static_cast<uint32_t>(to.first_query + pair->query)});
      }
    }
    found->n = 0;
  }
};

// One tile of a top-k search: `memory` has a part per range of blocks, and scan(memory) fills them all.
template <class Scan>
void search_tile(const Job &job, size_t i, std::vector<TileMemory> &memory, Guess &guess, int32_t *distances, int64_t *positions,
                 const Scan &scan) {
  const size_t bits = job.codes.bits(), bytes = job.bytes(), k = job.wanted;
  const uint8_t *queries = job.tile_queries(i);
  std::vector<uint64_t> keys;
  std::vector<size_t> again;
  const auto collect = [&](size_t q) {
    keys.clear();
    for (const TileMemory &part : memory) keys.insert(keys.end(), part.best(q).keys, part.best(q).keys + part.best(q).n);
  };
  const auto finish = [&](size_t q) {
    finish_top_k(keys, bits, k, distances + (i * job.tile + q) * k, positions + (i * job.tile + q) * k);
  };
  const auto start = [&](const uint8_t *from, size_t n, const std::vector<uint32_t> &limits) {
    for (TileMemory &part : memory) std::copy(limits.begin(), limits.end(), part.load(from, n, bits + 1).limits);
    scan(memory);
  };
  start(queries, job.tile_size(i), guess ? guess.limits(queries, job.tile_size(i)) : std::vector<uint32_t>());
  for (size_t q = 0; q < job.tile_size(i); q++) {
    collect(q);
    if (guess && keys.size() < job.k) {
      again.push_back(q);
    } else {
      finish(q);
    }
  }
  if (again.empty()) return;
  std::vector<uint8_t> rows(again.size() * bytes);
  for (size_t j = 0; j < again.size(); j++) std::copy_n(queries + again[j] * bytes, bytes, rows.data() + j * bytes);
  start(rows.data(), again.size(), {});
  for (size_t j = 0; j < again.size(); j++) {
    collect(j);
    finish(again[j]);
  }
}

}  // namespace

void search(const Blocks &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
            const Poll &poll, int32_t *distances, int64_t *positions) {
  const Job job(codes, queries, n_queries, k, allowed, threads);
  if (job.k == 0 || n_queries == 0) {
    std::fill_n(distances, n_queries * k, INT32_MAX);
    std::fill_n(positions, n_queries * k, int64_t{-1});
    return;
  }
  Workers workers(job.threads, poll);
  if (job.splits_queries()) {
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      std::vector<TileMemory> memory;
      memory.emplace_back(codes.bits(), job.tile, job.k);
      Guess guess(job);
      for (size_t i; (i = next++) < job.tiles() && workers.proceed(worker);)
        search_tile(job, i, memory, guess, distances, positions,
                    [&](std::vector<TileMemory> &parts) { job.scan(parts[0], 0, codes.block_count(), workers, worker); });
    });
    return;
  }
  std::vector<TileMemory> memory;
  for (size_t worker = 0; worker < job.threads; worker++) memory.emplace_back(codes.bits(), job.tile, job.k);
  Guess guess(job);
  for (size_t i = 0; i < job.tiles(); i++)
    search_tile(job, i, memory, guess, distances, positions, [&](std::vector<TileMemory> &parts) {
      workers.run([&](size_t worker) {
        job.scan(parts[worker], job.first_block(worker), job.first_block(worker + 1), workers, worker);
      });
    });
}

RangeResult range_search(const Blocks &codes, const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed,
                         size_t threads, const Poll &poll) {
  const Job job(codes, queries, n_queries, 0, allowed, threads);
  const size_t limit = std::min(radius, codes.bits()) + 1;
  const bool shared = job.splits_queries();
  std::atomic<size_t> total{0};
  std::vector<Pairs> pairs(job.threads);
  for (Pairs &part : pairs) part.total = &total, part.counts.assign(n_queries, 0);
  const auto scan = [&] {
    if (codes.size() == 0 || n_queries == 0) return;
    for (Pairs &part : pairs) part.first_query = 0;
    Workers workers(job.threads, poll);
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      TileMemory memory(codes.bits(), job.tile, 0);
      memory.found().flush = Pairs::flush;
      memory.found().owner = &pairs[worker];
      for (size_t i; (i = shared ? next++ : pairs[worker].first_query / job.tile) < job.tiles() && workers.proceed(worker);) {
        pairs[worker].first_query = i * job.tile;
        memory.load(job.tile_queries(i), job.tile_size(i), limit);
        job.scan(memory, shared ? 0 : job.first_block(worker), shared ? codes.block_count() : job.first_block(worker + 1), workers,
                 worker);
        Pairs::flush(&memory.found());
        if (!shared) pairs[worker].first_query += job.tile;
      }
    });
  };
  scan();
  RangeResult result;
  result.offsets.assign(n_queries + 1, 0);
  for (size_t q = 0; q < n_queries; q++) {
    result.offsets[q + 1] = result.offsets[q];
    for (const Pairs &part : pairs) result.offsets[q + 1] += part.counts[q];
  }
  result.distances.resize(total);
  result.positions.resize(total);
  uint64_t *keys = reinterpret_cast<uint64_t *>(result.positions.data());  // each row: keys first, then what they stand for
  std::vector<int64_t> places(result.offsets);
  if (total <= Pairs::KEPT) {
    for (Pairs &part : pairs) {
      for (const Found::Pair &pair : part.all) keys[places[pair.query]++] = pair.key;
      std::vector<Found::Pair>().swap(part.all);
    }
  } else {
    for (Pairs &part : pairs) {
      std::vector<Found::Pair>().swap(part.all);
      part.keys = keys;
      if (shared) {  // a query belongs to one thread
        part.places = places.data();
        continue;
      }
      for (size_t q = 0; q < n_queries; q++) {  // threads part the blocks, the same way in both scans
        const int64_t count = part.counts[q];
        part.counts[q] = places[q];
        places[q] += count;
      }
      part.places = part.counts.data();
    }
    scan();
  }
  std::vector<uint64_t> row;
  Workers caller(1, poll);
  for (size_t q = 0; q < n_queries; q++) {
    caller.proceed(0);
    const size_t first = static_cast<size_t>(result.offsets[q]), count = static_cast<size_t>(result.offsets[q + 1]) - first;
    if (count <= Pairs::KEPT) {
      row.assign(keys + first, keys + first + count);
      finish_top_k(row, codes.bits(), count, result.distances.data() + first, result.positions.data() + first);
      continue;
    }
    std::sort(keys + first, keys + first + count);
    for (size_t i = first; i < first + count; i++) {
      const uint64_t key = keys[i];
      result.distances[i] = static_cast<int32_t>(key >> POSITION_BITS);
      result.positions[i] = static_cast<int64_t>(key & ((uint64_t{1} << POSITION_BITS) - 1));
    }
  }
  return result;
}

uint64_t sum_words(const Blocks &codes, size_t threads) {
  const Kernels &level = kernels();
  const Poll never = [] {};
  Workers workers(threads, never);
  std::atomic<uint64_t> total{0};
  workers.run([&](size_t worker) {
    const size_t begin = codes.block_count() * worker / threads, end = codes.block_count() * (worker + 1) / threads;
    uint64_t sum = 0;
    for (size_t b = begin; b < end; b++) sum += level.sum_words(codes.block(b), codes.block_words());
    total += sum;
  });
  return total;
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
