#include "hamming/pairs.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <numeric>
#include <stdexcept>

#include "common/memory.h"
#include "hamming/levels.h"
#include "hamming/pairs_collect.h"

namespace udsph {
namespace {

constexpr size_t PART_BITS = 11, BUCKET_BITS = 11;  // of a bucket's number: places that a pass writes to are few enough for the TLB
constexpr size_t PER_BUCKET = 4;                     // codes on average, where the bits of a choice are many enough
constexpr size_t GIANT = 1 << 13;                    // codes of a bucket that threads share
constexpr size_t PER_THREAD = 1 << 15;               // codes that are worth starting a thread
constexpr size_t SHARE = 1 << 9;                     // of which so many are compared between two looks at Ctrl-C

// Codes that agree in the chunks of a choice, or in a hash of them; positions ascend.
struct Bucket {
  const uint32_t *positions;
  const uint64_t *rows;  // of one word, beside the positions; null: they are gathered
  size_t n;
};

// One code of a bucket before it is in its place.
struct Narrow {
  uint64_t row;
  uint32_t position, hash;
};
struct Wide {
  uint32_t position, hash;
};

inline void set_row(Narrow &item, const uint64_t *row) { item.row = *row; }
inline void set_row(Wide &, const uint64_t *) {}

// What a thread needs, kept from bucket to bucket.
struct Scratch {
  std::vector<uint64_t> rows, gathered;
  std::vector<uint32_t> positions, offsets, hashes, order, near;
  std::vector<Pair> found;
};

// A bucket that threads share, with memory of its own.
struct Giant {
  std::vector<uint32_t> positions;
  std::vector<uint64_t> rows;
};

class Join {
 public:
  explicit Join(const PairJob &job)
      : job_(job), near_(kernels().words.near), collector_(job.begin, job.end, job.capacity), mask_(job.words) {
    const size_t others = job.first_right == 0 ? 0 : job.n - job.first_right;
    count_ = (job.first_right == 0 ? job.n : job.end) - job.begin + others;
    own_ = count_ - others;
    job_.threads = std::min(job.threads, 1 + count_ / PER_THREAD);
    scratch_.resize(job_.threads);
    while (bucket_bits_ < PART_BITS + BUCKET_BITS && (PER_BUCKET << bucket_bits_) < count_) bucket_bits_++;
    part_bits_ = std::min(bucket_bits_, PART_BITS);
  }

  Pairs run() {
    const size_t choose = job_.chunks - job_.radius;
    // All choices of chunks, as sets of bits, in lexical order of their members.
    std::vector<size_t> members(choose);
    std::iota(members.begin(), members.end(), size_t{0});
    while (collector_.limit() > job_.begin) {
      if (job_.words == 1) {
        join<Narrow>(members);
      } else {
        join<Wide>(members);
      }
      size_t last = choose;
      while (last > 0 && members[last - 1] == job_.chunks - choose + last - 1) last--;
      if (last == 0) break;
      members[last - 1]++;
      for (size_t i = last; i < choose; i++) members[i] = members[i - 1] + 1;
    }
    return collector_.finish();
  }

 private:
  size_t position(size_t item) const { return item < own_ ? job_.begin + item : job_.first_right + item - own_; }
  const uint64_t *row(size_t position) const { return job_.rows + position * job_.words; }

  uint32_t hash(const uint64_t *row) const {
    uint64_t hash = 0;
    for (size_t w = 0; w < job_.words; w++) {
      hash = (hash ^ (row[w] & mask_[w])) * 0x9e3779b97f4a7c15u;
      if (job_.words > 1) hash ^= hash >> 32;
    }
    return static_cast<uint32_t>(job_.words > 1 ? hash : hash >> 32);
  }

  // Every pair of one choice: parts by the highest bits of the hash, then each part in buckets, which are compared while it is in the
  // cache.
  template <class Item>
  void join(const std::vector<size_t> &members) {
    choice_ = 0;
    std::fill(mask_.begin(), mask_.end(), 0);
    for (size_t chunk : members) {
      choice_ |= uint32_t{1} << chunk;
      for (size_t w = 0; w < job_.words; w++) mask_[w] |= job_.masks[chunk * job_.words + w];
    }
    const size_t parts = size_t{1} << part_bits_;
    std::vector<size_t> starts;
    const Memory<Item> items = scatter<Item>(parts, starts);
    Workers workers(job_.threads, job_.poll);
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      for (size_t p; (p = next++) < parts && workers.proceed(worker);)
        join_part(items.get() + starts[p], starts[p + 1] - starts[p], workers, worker);
      collector_.take(scratch_[worker].found);
    });
    share_giants();
  }

  // Codes by part, in the order of their positions; starts[p] to starts[p + 1] is part p.
  template <class Item>
  Memory<Item> scatter(size_t parts, std::vector<size_t> &starts) {
    const size_t threads = job_.threads;
    Memory<Item> items = allocate<Item>(count_);
    std::vector<std::vector<size_t>> places(threads, std::vector<size_t>(parts, 0));
    const auto each = [&](size_t worker, Workers &workers, const auto &act) {
      const size_t begin = count_ * worker / threads, end = count_ * (worker + 1) / threads;
      for (size_t i = begin; i < end; i++) {
        if (i % (1 << 16) == 0 && !workers.proceed(worker)) return;
        const size_t at = position(i);
        const uint32_t key = hash(row(at));
        act(places[worker][part_of(key)], at, key);
      }
    };
    Workers counting(threads, job_.poll);
    counting.run([&](size_t worker) { each(worker, counting, [](size_t &place, size_t, uint32_t) { place++; }); });
    starts.assign(parts + 1, 0);
    for (size_t p = 0; p < parts; p++) {
      size_t place = starts[p];
      for (size_t worker = 0; worker < threads; worker++) {
        const size_t count = places[worker][p];
        places[worker][p] = place;
        place += count;
      }
      starts[p + 1] = place;
    }
    Workers placing(threads, job_.poll);
    placing.run([&](size_t worker) {
      each(worker, placing, [&](size_t &place, size_t at, uint32_t key) {
        Item &item = items[place++];
        item.position = static_cast<uint32_t>(at);
        item.hash = key;
        set_row(item, row(at));
      });
    });
    return items;
  }

  size_t part_of(uint32_t hash) const { return part_bits_ == 0 ? 0 : hash >> (32 - part_bits_); }
  size_t bucket_of(uint32_t hash) const {
    const size_t bits = bucket_bits_ - part_bits_;
    return bits == 0 ? 0 : hash >> (32 - bucket_bits_) & ((size_t{1} << bits) - 1);
  }

  template <class Item>
  void join_part(const Item *items, size_t n, Workers &workers, size_t worker) {
    if (n < 2) return;
    Scratch &own = scratch_[worker];
    const size_t buckets = size_t{1} << (bucket_bits_ - part_bits_);
    own.offsets.assign(buckets + 1, 0);
    for (size_t i = 0; i < n; i++) own.offsets[bucket_of(items[i].hash) + 1]++;
    for (size_t b = 0; b < buckets; b++) own.offsets[b + 1] += own.offsets[b];
    own.positions.resize(n);
    own.rows.resize(n);
    own.hashes.resize(n);
    for (size_t i = 0; i < n; i++) {
      const size_t to = own.offsets[bucket_of(items[i].hash)]++;
      own.positions[to] = items[i].position;
      if constexpr (sizeof(Item) == sizeof(Narrow)) {
        own.rows[to] = items[i].row;
      } else {
        own.hashes[to] = items[i].hash;
      }
    }
    for (size_t b = 0, begin = 0; b < buckets; begin = own.offsets[b++]) {
      if (!workers.proceed(worker)) return;
      const size_t size = own.offsets[b] - begin;
      if (size < 2) continue;
      if constexpr (sizeof(Item) == sizeof(Narrow)) {
        compare({own.positions.data() + begin, own.rows.data() + begin, size}, own);
      } else {
        compare_alike(own.positions.data() + begin, own.hashes.data() + begin, size, own);
      }
    }
  }

  // Wide codes of a bucket: only those whose hashes agree are compared, since that takes their rows from all over the memory.
  void compare_alike(const uint32_t *positions, const uint32_t *hashes, size_t n, Scratch &own) {
    own.order.resize(n);
    std::iota(own.order.begin(), own.order.end(), 0u);
    std::sort(own.order.begin(), own.order.end(),
              [&](uint32_t a, uint32_t b) { return hashes[a] != hashes[b] ? hashes[a] < hashes[b] : a < b; });
    std::vector<uint32_t> alike;
    for (size_t begin = 0, end; begin < n; begin = end) {
      for (end = begin + 1; end < n && hashes[own.order[end]] == hashes[own.order[begin]];) end++;
      if (end - begin < 2) continue;
      alike.clear();
      for (size_t i = begin; i < end; i++) alike.push_back(positions[own.order[i]]);
      compare({alike.data(), nullptr, alike.size()}, own);
    }
  }

  void compare(Bucket bucket, Scratch &own) {
    if (bucket.rows == nullptr) {
      own.gathered.resize(bucket.n * job_.words);
      for (size_t i = 0; i < bucket.n; i++) std::copy_n(row(bucket.positions[i]), job_.words, own.gathered.data() + i * job_.words);
      bucket.rows = own.gathered.data();
    }
    if (bucket.n >= GIANT) {
      Giant giant{{bucket.positions, bucket.positions + bucket.n}, {bucket.rows, bucket.rows + bucket.n * job_.words}};
      const std::lock_guard<std::mutex> lock(giants_mutex_);
      giants_.push_back(std::move(giant));
      return;
    }
    compare_range(bucket, 0, bucket.n, own);
  }

  // The codes [begin, end) of a bucket with all later ones.
  void compare_range(const Bucket &bucket, size_t begin, size_t end, Scratch &own) {
    const auto first = [&](size_t position) {
      return static_cast<size_t>(std::lower_bound(bucket.positions, bucket.positions + bucket.n, position) - bucket.positions);
    };
    own.near.resize(bucket.n);
    const size_t right = job_.first_right == 0 ? 0 : first(job_.first_right);
    end = std::min(end, first(collector_.limit()));
    for (size_t i = begin; i < end; i++) {
      const size_t from = std::max(i + 1, right);
      const uint64_t *query = bucket.rows + i * job_.words;
      const size_t count = near_(query, bucket.rows + from * job_.words, bucket.n - from, job_.words, job_.radius, own.near.data());
      for (size_t j = 0; j < count; j++) {
        const size_t other = from + own.near[j];
        const uint32_t distance = reported(query, bucket.rows + other * job_.words);
        if (distance == OTHERS) continue;
        own.found.push_back({bucket.positions[i], bucket.positions[other], distance});
      }
      if (own.found.size() >= KEPT_PAIRS) collector_.take(own.found);
    }
  }

  // The distance of a pair if this choice is the first of those that find it.
  uint32_t reported(const uint64_t *a, const uint64_t *b) const {
    uint32_t first = 0;
    size_t missing = job_.chunks - job_.radius;
    for (size_t c = 0; c < job_.chunks && missing > 0; c++) {
      uint64_t differ = 0;
      for (size_t w = 0; w < job_.words; w++) differ |= (a[w] ^ b[w]) & job_.masks[c * job_.words + w];
      if (differ != 0) continue;
      first |= uint32_t{1} << c;
      missing--;
    }
    if (first != choice_) return OTHERS;
    uint32_t distance = 0;
    for (size_t w = 0; w < job_.words; w++) distance += static_cast<uint32_t>(__builtin_popcountll(a[w] ^ b[w]));
    return distance;
  }

  void share_giants() {
    for (const Giant &giant : giants_) {
      const Bucket bucket{giant.positions.data(), giant.rows.data(), giant.positions.size()};
      Workers workers(job_.threads, job_.poll);
      std::atomic<size_t> next{0};
      workers.run([&](size_t worker) {
        for (size_t begin; (begin = SHARE * next++) < bucket.n && workers.proceed(worker);)
          compare_range(bucket, begin, std::min(bucket.n, begin + SHARE), scratch_[worker]);
        collector_.take(scratch_[worker].found);
      });
    }
    giants_.clear();
  }

  static constexpr uint32_t OTHERS = UINT32_MAX;

  PairJob job_;
  size_t (*const near_)(const uint64_t *, const uint64_t *, size_t, size_t, size_t, uint32_t *);
  Collector collector_;
  std::vector<Scratch> scratch_;
  std::vector<uint64_t> mask_;  // of the choice at hand
  uint32_t choice_ = 0;
  size_t count_, own_;          // codes in tables; those of the left set, which come first
  size_t bucket_bits_ = 0, part_bits_;
  std::mutex giants_mutex_;
  std::vector<Giant> giants_;
};

}  // namespace

Pairs join_pairs(const PairJob &job) { return Join(job).run(); }

Components::Components(size_t n) : parents_(n) { std::iota(parents_.begin(), parents_.end(), uint64_t{0}); }

size_t Components::root(size_t member) {
  while (parents_[member] != member) member = parents_[member] = parents_[parents_[member]];
  return member;
}

void Components::link(const int64_t *left, const int64_t *right, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const size_t a = static_cast<size_t>(left[i]), b = static_cast<size_t>(right[i]);
    if (a >= parents_.size() || b >= parents_.size()) throw std::out_of_range("a member is beyond the set");
    const size_t x = root(a), y = root(b);
    parents_[std::max(x, y)] = std::min(x, y);
  }
}

void Components::labels(int64_t *labels) const {
  int64_t next = 0;
  for (size_t i = 0; i < parents_.size(); i++)
    labels[i] = parents_[i] == i ? next++ : labels[parents_[i]];  // a parent comes earlier
}

}  // namespace udsph
