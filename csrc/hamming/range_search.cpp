#include <algorithm>
#include <atomic>
#include <mutex>

#include "hamming/job.h"
#include "hamming/search.h"

namespace udsph {
namespace {

constexpr size_t KEPT = size_t{1} << 20;  // pairs that all threads together keep

// What one thread of a range search finds. Few pairs are kept until all are known; of very many only the numbers per query are, and a
// second scan puts each pair in its place, so that memory beside the result stays bounded.
struct Pairs {
  std::vector<Found::Pair> all;
  std::vector<int64_t> counts;           // by query
  size_t first_query = 0;                // of the tile at hand
  std::atomic<size_t> *total = nullptr;  // pairs of all threads
  int64_t *places = nullptr;             // by query: where its next key goes, in a second scan
  uint64_t *keys = nullptr;

  static void flush(Found *found) {
    Pairs &to = *static_cast<Pairs *>(found->owner);
    if (to.keys != nullptr) {
      to.place(found->pairs, found->n);
    } else {
      to.count(found->pairs, found->n);
    }
    found->n = 0;
  }

  void place(const Found::Pair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) keys[places[first_query + pairs[i].query]++] = pairs[i].key;
  }

  void count(const Found::Pair *pairs, size_t n) {
    const bool few = (*total += n) <= KEPT;
    if (!few) std::vector<Found::Pair>().swap(all);
    for (size_t i = 0; i < n; i++) {
      counts[first_query + pairs[i].query]++;
      if (few) all.push_back({pairs[i].key, static_cast<uint32_t>(first_query + pairs[i].query)});
    }
  }
};

// One range search: scan, count, place, and where the pairs were too many to keep, scan again; then sort each row.
class RangeSearch {
 public:
  RangeSearch(const Job &job, size_t radius, Poll poll)
      : job_(job), limit_(std::min(radius, job.codes.bits()) + 1), poll_(poll), shared_(job.splits_queries()), pairs_(job.threads) {
    for (Pairs &part : pairs_) {
      part.total = &total_;
      part.counts.assign(job.n_queries, 0);
    }
  }

  RangeResult run() {
    scan();
    count();
    // A row of the result first holds keys, then what they stand for.
    keys_ = reinterpret_cast<uint64_t *>(result_.positions.data());
    if (total_ <= KEPT) {
      place_kept();
    } else {
      assign_places();
      scan();
    }
    sort();
    return std::move(result_);
  }

 private:
  // Every thread takes tiles of queries, or every thread takes its part of the blocks for all tiles.
  void scan() {
    if (job_.codes.size() == 0 || job_.n_queries == 0) return;
    Workers workers(job_.threads, poll_);
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      TileMemory memory(job_.codes.bits(), job_.tile, 0);
      memory.found().flush = Pairs::flush;
      memory.found().owner = &pairs_[worker];
      const size_t begin = shared_ ? 0 : job_.first_block(worker);
      const size_t end = shared_ ? job_.codes.block_count() : job_.first_block(worker + 1);
      for (size_t own = 0, i; (i = shared_ ? next++ : own++) < job_.tiles() && workers.proceed(worker);) {
        pairs_[worker].first_query = i * job_.tile;
        memory.load(job_.tile_queries(i), job_.tile_size(i), limit_);
        job_.scan(memory, begin, end, workers, worker);
        Pairs::flush(&memory.found());
      }
    });
  }

  void count() {
    result_.offsets.assign(job_.n_queries + 1, 0);
    for (size_t q = 0; q < job_.n_queries; q++) {
      result_.offsets[q + 1] = result_.offsets[q];
      for (const Pairs &part : pairs_) result_.offsets[q + 1] += part.counts[q];
    }
    result_.distances.resize(total_);
    result_.positions.resize(total_);
    places_ = result_.offsets;
  }

  void place_kept() {
    for (Pairs &part : pairs_) {
      for (const Found::Pair &pair : part.all) keys_[places_[pair.query]++] = pair.key;
      std::vector<Found::Pair>().swap(part.all);
    }
  }

  // Where each thread writes in a second scan, which meets the same pairs in the same parts.
  void assign_places() {
    for (Pairs &part : pairs_) {
      std::vector<Found::Pair>().swap(part.all);
      part.keys = keys_;
      part.places = places_.data();
      if (shared_) continue;  // a query belongs to one thread
      for (size_t q = 0; q < job_.n_queries; q++) {
        const int64_t count = part.counts[q];
        part.counts[q] = places_[q];
        places_[q] += count;
      }
      part.places = part.counts.data();
    }
  }

  void sort() {
    std::vector<uint64_t> row;
    Workers caller(1, poll_);
    for (size_t q = 0; q < job_.n_queries; q++) {
      caller.proceed(0);
      const size_t first = static_cast<size_t>(result_.offsets[q]), count = static_cast<size_t>(result_.offsets[q + 1]) - first;
      if (count > KEPT) {
        sort_in_place(first, count);
        continue;
      }
      row.assign(keys_ + first, keys_ + first + count);
      sort_keys(row, job_.codes.bits(), count, result_.distances.data() + first, result_.positions.data() + first);
    }
  }

  // A row so long that a copy of its keys would be felt.
  void sort_in_place(size_t first, size_t count) {
    std::sort(keys_ + first, keys_ + first + count);
    for (size_t i = first; i < first + count; i++) {
      const uint64_t key = keys_[i];
      result_.distances[i] = static_cast<int32_t>(key >> POSITION_BITS);
      result_.positions[i] = static_cast<int64_t>(key & ((uint64_t{1} << POSITION_BITS) - 1));
    }
  }

  const Job &job_;
  const size_t limit_;
  Poll poll_;
  const bool shared_;  // threads share the queries out, else the blocks
  std::vector<Pairs> pairs_;
  std::atomic<size_t> total_{0};
  std::vector<int64_t> places_;
  uint64_t *keys_ = nullptr;
  RangeResult result_;
};

}  // namespace

RangeResult range_search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed,
                         size_t threads, Poll poll) {
  const Job job(codes, queries, n_queries, 0, allowed, threads);
  return RangeSearch(job, radius, poll).run();
}

}  // namespace udsph
