#include "hamming/similarity.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>

#include "hamming/levels.h"

namespace udsph {
namespace {

constexpr size_t TILE = 32;           // queries that meet a block while it is in the cache
constexpr size_t PER_THREAD = 1 << 10;  // times that a query meets a block, that are worth starting a thread
constexpr size_t BLOCKS_AT_ONCE = 64;  // between two looks at Ctrl-C
constexpr unsigned PLACE_BITS = 34;    // of a position in a key
constexpr uint32_t ONE = 0x3f800000;   // 1 as float, the highest similarity

// Keys compare as results are ordered.
inline uint64_t key_of(float similarity, int64_t position) {
  uint32_t bits;
  std::memcpy(&bits, &similarity, sizeof bits);
  return uint64_t{ONE - bits} << PLACE_BITS | static_cast<uint64_t>(position);
}
inline float similarity_of(uint64_t key) {
  const uint32_t bits = ONE - static_cast<uint32_t>(key >> PLACE_BITS);
  float similarity;
  std::memcpy(&similarity, &bits, sizeof similarity);
  return similarity;
}
inline int64_t position_of(uint64_t key) { return static_cast<int64_t>(key & ((uint64_t{1} << PLACE_BITS) - 1)); }

// What one query has found so far: its best k, or all.
struct Query {
  Query(const SimilarityJob &job, size_t k) : job(&job), k(k) {}

  const SimilarityJob *job;
  size_t k;  // 0: all
  uint32_t size = 0;
  std::vector<uint32_t> offsets;  // of the slices of its bits
  std::vector<uint64_t> keys;     // of the best k a heap, the worst on top
  float worst = -1;               // similarity below which nothing is wanted any more
  uint32_t limit_size = UINT32_MAX, limit_value = 0;
  float limit_worst = -2;
  bool done[2] = {false, false};  // nothing more to find downwards, upwards

  double value(size_t shared, size_t other) const {
    const double c = static_cast<double>(shared), whole = c + job->alpha * (size - c) + job->beta * (static_cast<double>(other) - c);
    return whole > 0 ? c / whole : 0;
  }
  bool wanted(double value) const { return value >= job->threshold && static_cast<float>(value) >= worst; }

  // The least number of shared bits with which a code of `smallest` bits or more may be wanted; more than there can be if none may.
  uint32_t limit(uint32_t smallest) {
    if (smallest == limit_size && worst == limit_worst) return limit_value;
    const double least = std::max<double>(job->threshold, worst);
    const double rise = 1 - least * (1 - job->alpha - job->beta);
    const double estimate = rise > 0 ? least * (job->alpha * size + job->beta * smallest) / rise : 0;
    const uint32_t most = std::min(size, static_cast<uint32_t>(job->codes.bits()));
    // Rounding may have put the estimate on either side.
    uint32_t shared = static_cast<uint32_t>(std::min<double>(most, std::max(0.0, estimate)));
    while (shared > 0 && wanted(value(shared - 1, std::max(shared - 1, smallest)))) shared--;
    while (shared <= most && !wanted(value(shared, std::max(shared, smallest)))) shared++;
    limit_size = smallest;
    limit_worst = worst;
    return limit_value = shared;
  }

  void take(uint32_t shared, uint32_t other, int64_t position) {
    const double similarity = value(shared, other);
    if (!wanted(similarity)) return;
    const uint64_t key = key_of(static_cast<float>(similarity), position);
    if (k == 0 || keys.size() < k) {
      keys.push_back(key);
      if (keys.size() != k) return;
      std::make_heap(keys.begin(), keys.end());
    } else {
      if (key > keys.front()) return;
      std::pop_heap(keys.begin(), keys.end());
      keys.back() = key;
      std::push_heap(keys.begin(), keys.end());
    }
    worst = similarity_of(keys.front());
  }
};

class SimilaritySearch {
 public:
  SimilaritySearch(const SimilarityJob &job, size_t k) : job_(job), shared_(kernels().shared), k_(k), order_(job.n_queries), sizes_(job.n_queries) {
    const size_t bytes = (job.codes.bits() + 7) / 8;
    for (size_t q = 0; q < job.n_queries; q++)
      for (size_t i = 0; i < bytes; i++) sizes_[q] += static_cast<uint32_t>(__builtin_popcount(job.queries[q * bytes + i]));
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) { return sizes_[a] < sizes_[b]; });
  }

  // finish(query, keys) gets every query's keys, sorted; from any thread, each once.
  template <class Finish>
  void run(const Finish &finish) {
    const size_t n = job_.n_queries, tiles = (n + TILE - 1) / TILE;
    const size_t threads = std::min(job_.threads, 1 + n * job_.codes.block_count() / PER_THREAD);
    if (tiles >= 2 * threads || threads == 1) {
      Workers workers(threads, job_.poll);
      std::atomic<size_t> next{0};
      workers.run([&](size_t worker) {
        for (size_t t; (t = next++) < tiles && workers.proceed(worker);) {
          std::vector<Query> tile = load(t * TILE, std::min(n, (t + 1) * TILE));
          scan(tile, 0, 1, workers, worker);
          for (size_t i = 0; i < tile.size(); i++) {
            std::sort(tile[i].keys.begin(), tile[i].keys.end());
            finish(order_[t * TILE + i], tile[i].keys);
          }
        }
      });
      return;
    }
    for (size_t t = 0; t < tiles; t++) {  // few queries: threads take every so many-th block
      std::vector<std::vector<Query>> parts(threads, load(t * TILE, std::min(n, (t + 1) * TILE)));
      Workers workers(threads, job_.poll);
      workers.run([&](size_t worker) { scan(parts[worker], worker, threads, workers, worker); });
      for (size_t i = 0; i < parts[0].size(); i++) {
        std::vector<uint64_t> &keys = parts[0][i].keys;
        for (size_t p = 1; p < parts.size(); p++) keys.insert(keys.end(), parts[p][i].keys.begin(), parts[p][i].keys.end());
        std::sort(keys.begin(), keys.end());
        if (k_ != 0 && keys.size() > k_) keys.resize(k_);
        finish(order_[t * TILE + i], keys);
      }
    }
  }

 private:
  std::vector<Query> load(size_t begin, size_t end) const {
    const size_t bits = job_.codes.bits(), bytes = (bits + 7) / 8;
    std::vector<Query> tile;
    for (size_t i = begin; i < end; i++) {
      Query query(job_, k_);
      query.size = sizes_[order_[i]];
      const uint8_t *row = job_.queries + order_[i] * bytes;
      for (size_t bit = 0; bit < bits; bit++)
        if (row[bit / 8] >> (bit % 8) & 1) query.offsets.push_back(static_cast<uint32_t>(bit * BLOCK_WORDS));
      tile.push_back(std::move(query));
    }
    return tile;
  }

  uint32_t smallest(size_t block) const { return job_.sizes[block * BLOCK]; }
  uint32_t largest(size_t block) const { return job_.sizes[std::min(job_.codes.size(), (block + 1) * BLOCK) - 1]; }

  // Blocks from those of the queries' own size outwards, every `step`-th of them from `first` on.
  void scan(std::vector<Query> &tile, size_t first, size_t step, Workers &workers, size_t worker) const {
    const size_t blocks = job_.codes.block_count();
    const uint32_t middle = tile[tile.size() / 2].size;
    const size_t start = static_cast<size_t>(std::lower_bound(job_.sizes, job_.sizes + job_.codes.size(), middle) - job_.sizes) / BLOCK;
    size_t up = start + first, down = start + first, since = 0;
    bool rising = true, falling = true;
    while (rising || falling) {
      if (++since % BLOCKS_AT_ONCE == 0 && !workers.proceed(worker)) return;
      rising = rising && up < blocks && meet(tile, up, true);
      up += step;
      falling = falling && down >= step && meet(tile, down - step, false);
      down = down >= step ? down - step : 0;
    }
  }

  // All queries of a tile meet a block; returns whether any may find something further on.
  bool meet(std::vector<Query> &tile, size_t block, bool up) const {
    const uint32_t small = smallest(block), large = largest(block);
    alignas(64) uint64_t near[BLOCK_WORDS], counts[SHARED_PLANES * BLOCK_WORDS];
    bool more = false;
    for (Query &query : tile) {
      if (query.done[up]) continue;
      const uint32_t nearest = std::min(std::max(query.size, small), large);
      if (!query.wanted(query.value(std::min(query.size, nearest), nearest))) {
        query.done[up] = up ? small >= query.size : large <= query.size;
        more = more || !query.done[up];
        continue;
      }
      more = true;
      const size_t planes =
          shared_(job_.codes.block(block), query.offsets.data(), query.offsets.size(), query.limit(small), near, counts);
      if (planes > 0) take(query, block, near, counts, planes);
    }
    return more;
  }

  void take(Query &query, size_t block, const uint64_t *near, const uint64_t *counts, size_t planes) const {
    const size_t n = job_.codes.size() - block * BLOCK;
    for (size_t word = 0; word < BLOCK_WORDS && word * 64 < n; word++) {
      uint64_t lanes = near[word];
      if (n - word * 64 < 64) lanes &= (uint64_t{1} << (n - word * 64)) - 1;
      if (job_.allowed != nullptr) lanes &= job_.allowed[block * BLOCK_WORDS + word];
      for (; lanes != 0; lanes &= lanes - 1) {
        const size_t bit = static_cast<size_t>(__builtin_ctzll(lanes)), lane = block * BLOCK + word * 64 + bit;
        uint32_t shared = 0;
        for (size_t w = 0; w < planes; w++) shared |= static_cast<uint32_t>(counts[w * BLOCK_WORDS + word] >> bit & 1) << w;
        query.take(shared, job_.sizes[lane], job_.positions[lane]);
      }
    }
  }

  const SimilarityJob &job_;
  size_t (*const shared_)(const uint64_t *, const uint32_t *, size_t, size_t, uint64_t *, uint64_t *);
  const size_t k_;
  std::vector<size_t> order_;  // queries by size
  std::vector<uint32_t> sizes_;
};

}  // namespace

void most_similar(const SimilarityJob &job, size_t k, float *similarities, int64_t *positions) {
  std::fill_n(similarities, job.n_queries * k, -1.0f);
  std::fill_n(positions, job.n_queries * k, int64_t{-1});
  if (job.codes.size() == 0 || job.n_queries == 0) return;
  SimilaritySearch(job, k).run([&](size_t query, const std::vector<uint64_t> &keys) {
    for (size_t i = 0; i < keys.size(); i++) {
      similarities[query * k + i] = similarity_of(keys[i]);
      positions[query * k + i] = position_of(keys[i]);
    }
  });
}

SimilarityResult all_similar(const SimilarityJob &job) {
  SimilarityResult result;
  result.offsets.assign(job.n_queries + 1, 0);
  if (job.codes.size() == 0 || job.n_queries == 0) return result;
  std::vector<std::vector<uint64_t>> found(job.n_queries);
  SimilaritySearch(job, 0).run([&](size_t query, std::vector<uint64_t> &keys) { found[query].swap(keys); });
  for (size_t q = 0; q < job.n_queries; q++) result.offsets[q + 1] = result.offsets[q] + static_cast<int64_t>(found[q].size());
  result.similarities.reserve(static_cast<size_t>(result.offsets.back()));
  result.positions.reserve(static_cast<size_t>(result.offsets.back()));
  for (std::vector<uint64_t> &keys : found) {
    for (const uint64_t key : keys) {
      result.similarities.push_back(similarity_of(key));
      result.positions.push_back(position_of(key));
    }
    std::vector<uint64_t>().swap(keys);
  }
  return result;
}

}  // namespace udsph
