#include <cstring>
#include <numeric>

#include "common/memory.h"
#include "hamming/levels.h"
#include "hamming/pairs_collect.h"

namespace udsph {
namespace {

constexpr size_t PIECE = 1 << 10;  // codes that a thread takes at a time
constexpr size_t FEW = 64;         // codes that are compared whatever their positions: finding the later ones would take longer

// Where a chunk lies, and which keys are close to another: as what is to be xored with it.
struct Chunk {
  size_t start, length;
  int radius;  // bits in which it may differ; below 0: the chunk is not needed
  std::vector<uint32_t> probes;

  uint32_t key(const uint64_t *row) const {
    const size_t word = start / 64, shift = start % 64;
    uint64_t value = row[word] >> shift;
    if (shift + length > 64) value |= row[word + 1] << (64 - shift);
    return static_cast<uint32_t>(value) & ((uint32_t{1} << length) - 1);
  }

  int distance(const uint64_t *a, const uint64_t *b) const { return __builtin_popcount(key(a) ^ key(b)); }
};

// All numbers below 2**length with so many bits at most, by their number of bits.
std::vector<uint32_t> numbers_near(size_t length, int bits) {
  std::vector<uint32_t> numbers{0};
  for (size_t begin = 0, end = 1; bits > 0; bits--) {
    for (size_t i = begin; i < end; i++)
      for (size_t bit = 0; bit < length; bit++)
        if (uint32_t{1} << bit > numbers[i]) numbers.push_back(numbers[i] | uint32_t{1} << bit);
    begin = end;
    end = numbers.size();
  }
  return numbers;
}

class ProbeJoin {
 public:
  explicit ProbeJoin(const PairJob &job)
      : job_(job), near_(kernels().words.near), collector_(job.begin, job.end, job.capacity) {
    const size_t others = job.first_right == 0 ? 0 : job.n - job.first_right;
    own_ = (job.first_right == 0 ? job.n : job.end) - job.begin;
    count_ = own_ + others;
    job_.threads = std::min(job.threads, 1 + count_ / PIECE);
    found_.resize(job_.threads);
    for (size_t c = 0; c < job.chunks; c++) chunks_.push_back(chunk(c));
  }

  Pairs run() {
    positions_ = allocate<uint32_t>(count_);
    rows_ = allocate<uint64_t>(count_ * job_.words);
    for (size_t c = 0; c < chunks_.size() && collector_.limit() > job_.begin; c++) {
      if (chunks_[c].radius < 0) continue;
      place(chunks_[c]);
      Workers workers(job_.threads, job_.poll);
      std::atomic<size_t> next{0};
      workers.run([&](size_t worker) {
        for (size_t begin; (begin = PIECE * next++) < count_ && workers.proceed(worker);)
          probe(c, begin, std::min(count_, begin + PIECE), found_[worker]);
        collector_.take(found_[worker].pairs);
      });
    }
    return collector_.finish();
  }

 private:
  struct Own {
    std::vector<Pair> pairs;
    std::vector<uint32_t> near;
  };

  Chunk chunk(size_t c) const {
    const uint64_t *mask = job_.masks + c * job_.words;
    Chunk chunk{0, 0, 0, {}};
    bool found = false;
    for (size_t w = 0; w < job_.words; w++) {
      if (mask[w] == 0) continue;
      if (!found) chunk.start = 64 * w + static_cast<size_t>(__builtin_ctzll(mask[w]));
      found = true;
      chunk.length += static_cast<size_t>(__builtin_popcountll(mask[w]));
    }
    chunk.radius = static_cast<int>(job_.radius / job_.chunks) - (c > job_.radius % job_.chunks);
    chunk.probes = numbers_near(chunk.length, std::max(0, chunk.radius));
    return chunk;
  }

  size_t position(size_t item) const { return item < own_ ? job_.begin + item : job_.first_right + item - own_; }

  // Codes in the order of a chunk's key, those of one key by position.
  void place(const Chunk &chunk) {
    Workers caller(1, job_.poll);
    offsets_.assign((size_t{1} << chunk.length) + 1, 0);
    std::vector<uint32_t> places(offsets_.size());
    for (size_t i = 0; i < count_; i++) places[chunk.key(job_.rows + position(i) * job_.words)]++;
    uint32_t sum = 0;
    for (size_t b = 0; b < places.size(); b++) {
      offsets_[b] = sum;
      sum += places[b];
      places[b] = offsets_[b];
    }
    for (size_t i = 0; i < count_; i++) {
      if (i % (1 << 16) == 0) caller.proceed(0);
      const uint64_t *row = job_.rows + position(i) * job_.words;
      const uint32_t to = places[chunk.key(row)]++;
      positions_[to] = static_cast<uint32_t>(position(i));
      std::copy_n(row, job_.words, rows_.get() + to * job_.words);
    }
  }

  const uint64_t *row(size_t at) const { return rows_.get() + at * job_.words; }

  // First of the places [begin, end) whose position is not below.
  size_t first(size_t begin, size_t end, size_t position) const {
    return static_cast<size_t>(std::lower_bound(positions_.get() + begin, positions_.get() + end, position) - positions_.get());
  }

  // The left codes at places [begin, end), bucket by bucket, with the buckets that are close.
  void probe(size_t c, size_t begin, size_t end, Own &own) {
    const Chunk &chunk = chunks_[c];
    while (begin < end) {
      const uint32_t bucket = chunk.key(row(begin));
      const size_t last = std::min<size_t>(end, offsets_[bucket + 1]), left_end = first(begin, last, collector_.limit());
      for (size_t p = 0; p < chunk.probes.size() && begin < left_end; p++) {
        if (p + 1 < chunk.probes.size()) {
          const uint32_t ahead = offsets_[bucket ^ chunk.probes[p + 1]];
          __builtin_prefetch(row(ahead));
          __builtin_prefetch(positions_.get() + ahead);
        }
        const uint32_t other = bucket ^ chunk.probes[p];
        compare(c, begin, left_end, offsets_[other], offsets_[other + 1], own);
      }
      begin = last;
    }
    if (own.pairs.size() >= KEPT_PAIRS) collector_.take(own.pairs);
  }

  void compare(size_t c, size_t begin, size_t end, size_t right, size_t right_end, Own &own) {
    const bool few = right_end - right <= FEW;
    if (!few && job_.first_right != 0) right = first(right, right_end, job_.first_right);
    own.near.resize(std::max(own.near.size(), right_end - right));
    for (size_t i = begin; i < end && right < right_end; i++) {
      const uint32_t least = static_cast<uint32_t>(std::max<size_t>(size_t{positions_[i]} + 1, job_.first_right));
      if (!few && positions_[right] < least) right = first(right, right_end, least);
      const size_t count = near_(row(i), row(right), right_end - right, job_.words, job_.radius, own.near.data());
      for (size_t j = 0; j < count; j++) {
        const size_t other = right + own.near[j];
        if (positions_[other] < least || !is_first(c, row(i), row(other))) continue;
        uint32_t distance = 0;
        for (size_t w = 0; w < job_.words; w++) distance += static_cast<uint32_t>(__builtin_popcountll(row(i)[w] ^ row(other)[w]));
        own.pairs.push_back({positions_[i], positions_[other], distance});
      }
    }
  }

  // Whether no earlier chunk finds a pair.
  bool is_first(size_t c, const uint64_t *a, const uint64_t *b) const {
    for (size_t earlier = 0; earlier < c; earlier++)
      if (chunks_[earlier].distance(a, b) <= chunks_[earlier].radius) return false;
    return true;
  }

  PairJob job_;
  size_t (*const near_)(const uint64_t *, const uint64_t *, size_t, size_t, size_t, uint32_t *);
  Collector collector_;
  std::vector<Own> found_;
  std::vector<Chunk> chunks_;
  size_t count_, own_;  // codes in tables; those of the left set, which come first
  Memory<uint32_t> positions_;
  Words rows_;  // beside the positions
  std::vector<uint32_t> offsets_;
};

}  // namespace

Pairs probe_pairs(const PairJob &job) { return ProbeJoin(job).run(); }

}  // namespace udsph
