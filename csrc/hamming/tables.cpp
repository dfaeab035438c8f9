#include "hamming/tables.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "hamming/levels.h"

namespace udsph {
namespace {

constexpr size_t DIRECT_BITS = 26;        // of a chunk whose value is its own bucket
constexpr double WORTH_DISTINCT = 0.8;    // share of distinct codes below which each is kept once
constexpr size_t FEW = 65536;              // codes that need no sample
constexpr size_t STEP = size_t{1} << 19;   // codes between two looks at Ctrl-C
constexpr size_t PASSES = 3;               // over all codes, for a table
constexpr uint64_t SAMPLE = 63;           // hashes whose lowest bits are 0 are a sample that meets all copies of a code or none

// Bits of a code, and codes, tell how many chunks suit and how wide a directory may be.
size_t suitable_chunks(size_t n, size_t bits) {
  const double log = std::max(1.0, std::log2(static_cast<double>(n)));
  return std::min(bits, std::max((bits + 63) / 64, static_cast<size_t>(static_cast<double>(bits) / log + 0.5)));
}

size_t directory_width(size_t n, size_t length) {
  const size_t most = std::max<size_t>(8, static_cast<size_t>(std::max(1.0, std::log2(static_cast<double>(n)))));
  return length <= DIRECT_BITS && length <= most + 2 ? length : std::min(length, most);
}

}  // namespace

// How far the building has come: every thread adds what it did, the calling one tells it.
class Tables::Course {
 public:
  Course(Workers &workers, const Tell &tell, size_t whole) : workers_(workers), tell_(tell), whole_(static_cast<double>(whole)) {}

  // False: give up.
  bool add(size_t worker, size_t codes) {
    using namespace std::chrono;
    done_ += codes;
    if (worker == 0 && tell_ && steady_clock::now() - last_ > milliseconds(50)) {
      tell_(std::min(1.0, static_cast<double>(done_) / whole_));
      last_ = steady_clock::now();
    }
    return workers_.proceed(worker);
  }

 private:
  Workers &workers_;
  const Tell &tell_;
  const double whole_;
  std::atomic<size_t> done_{0};
  std::chrono::steady_clock::time_point last_;
};

uint64_t Tables::Table::key(const uint64_t *row) const {
  const size_t word = start / 64, shift = start % 64;
  uint64_t value = row[word] >> shift;
  if (shift > 0 && shift + length > 64) value |= row[word + 1] << (64 - shift);
  return length == 64 ? value : value & ((uint64_t{1} << length) - 1);
}

Tables::Tables(const Segment &codes, size_t chunks, size_t threads, Poll poll, const Tell &tell)
    : bits_(codes.bits()), words_((codes.bits() + 63) / 64), n_codes_(codes.size()), beside_(words_ <= 2) {
  if (codes.size() == 0 || codes.size() > UINT32_MAX) throw std::invalid_argument("tables need from 1 to 2**32 - 1 codes");
  if (chunks != 0 && (chunks < (bits_ + 63) / 64 || chunks > bits_)) throw std::invalid_argument("chunks must have from 1 to 64 bits");
  Workers workers(std::min(threads, chunks == 0 ? suitable_chunks(n_codes_, bits_) : chunks), poll);
  Course course(workers, tell, n_codes_ * (1 + PASSES * (chunks == 0 ? suitable_chunks(n_codes_, bits_) : chunks)));
  take_rows(codes, course);
  if (distinct_share() < WORTH_DISTINCT) make_distinct();
  if (chunks == 0) chunks = suitable_chunks(n_, bits_);
  for (size_t t = 0; t < chunks; t++) {
    const size_t start = bits_ * t / chunks, length = bits_ * (t + 1) / chunks - start;
    tables_.push_back({start, length, directory_width(n_, length), {}, {}, {}});
  }
  std::atomic<size_t> next{0};
  workers.run([&](size_t worker) {
    for (size_t t; (t = next++) < chunks && course.add(worker, 0);) build(tables_[t], course, worker);
  });
  if (beside_) rows_.reset();
}

Tables::Size Tables::size_of(size_t n, size_t bits, size_t chunks, size_t threads) {
  if (chunks == 0) chunks = suitable_chunks(n, bits);
  const size_t words = (bits + 63) / 64, row = words * sizeof(uint64_t);
  size_t bytes = words <= 2 ? 0 : n * row;
  for (size_t t = 0; t < chunks; t++) {
    const size_t length = bits * (t + 1) / chunks - bits * t / chunks;
    bytes += ((size_t{1} << directory_width(n, length)) + 1 + n) * sizeof(uint32_t) + (words <= 2 ? n * row : 0);
  }
  // While they are built: the rows that are given up, and the order of the codes in each thread.
  return {chunks, bytes, bytes + (words <= 2 ? n * row : 0) + std::min(threads, chunks) * n * sizeof(uint32_t)};
}

size_t Tables::bytes() const {
  const auto n_postings = postings_ == nullptr ? size_t{0} : n_codes_ + n_ + 1;
  size_t sum = n_postings * sizeof(uint32_t) + (beside_ ? 0 : n_ * words_ * sizeof(uint64_t));
  for (const Table &table : tables_)
    sum += ((size_t{1} << table.width) + 1 + n_) * sizeof(uint32_t) + (beside_ ? n_ * words_ * sizeof(uint64_t) : 0);
  return sum;
}

// The codes as rows of whole words.
void Tables::take_rows(const Segment &codes, Course &course) {
  n_ = codes.size();
  rows_ = allocate<uint64_t>(n_ * words_);
  const Words block = allocate<uint64_t>(words_ * BLOCK);
  for (size_t b = 0; b < codes.block_count(); b++) {
    kernels().unslice(codes.block(b), bits_, block.get());
    const size_t lanes = std::min<size_t>(BLOCK, n_ - b * BLOCK);
    for (size_t lane = 0; lane < lanes; lane++)
      for (size_t w = 0; w < words_; w++)
        rows_[(b * BLOCK + lane) * words_ + w] = block[w * BLOCK + lane % 64 * BLOCK_WORDS + lane / 64];
    if ((b + 1) * BLOCK % STEP == 0) course.add(0, STEP);
  }
}

// Distinct codes among all, estimated.
double Tables::distinct_share() const {
  const uint64_t left_out = n_ <= FEW ? 0 : SAMPLE;
  std::vector<uint64_t> hashes;
  for (size_t i = 0; i < n_; i++) {
    uint64_t hash = 0;
    for (size_t w = 0; w < words_; w++) {
      hash = (hash ^ rows_[i * words_ + w]) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 32;
    }
    if ((hash & left_out) == 0) hashes.push_back(hash);
  }
  if (hashes.empty()) return n_ == 0 ? 1 : 0;  // so few distinct ones that the sample missed them all
  std::sort(hashes.begin(), hashes.end());
  const auto distinct = std::unique(hashes.begin(), hashes.end()) - hashes.begin();
  return static_cast<double>(distinct) / static_cast<double>(hashes.size());
}

// Sort the codes, keep each once, and list its positions.
void Tables::make_distinct() {
  const size_t n = n_, words = words_;
  const uint64_t *rows = rows_.get();
  postings_ = allocate<uint32_t>(n);
  for (size_t i = 0; i < n; i++) postings_[i] = static_cast<uint32_t>(i);
  if (words == 1) {  // the usual width, without a jump to the row at every comparison
    std::vector<std::pair<uint64_t, uint32_t>> pairs(n);
    for (size_t i = 0; i < n; i++) pairs[i] = {rows[i], static_cast<uint32_t>(i)};
    std::sort(pairs.begin(), pairs.end());
    for (size_t i = 0; i < n; i++) postings_[i] = pairs[i].second;
  } else {
    std::sort(postings_.get(), postings_.get() + n, [&](uint32_t a, uint32_t b) {
      const int order = std::memcmp(rows + a * words, rows + b * words, words * sizeof(uint64_t));
      return order == 0 ? a < b : order < 0;
    });
  }
  const auto same = [&](size_t i) {
    return i > 0 && std::memcmp(rows + postings_[i] * words, rows + postings_[i - 1] * words, words * sizeof(uint64_t)) == 0;
  };
  size_t count = 0;
  for (size_t i = 0; i < n; i++) count += !same(i);
  Words own = allocate<uint64_t>(count * words);
  first_ = allocate<uint32_t>(count + 1);
  n_ = 0;
  for (size_t i = 0; i < n; i++) {
    if (same(i)) continue;
    std::copy_n(rows + postings_[i] * words, words, own.get() + n_ * words);
    first_[n_++] = static_cast<uint32_t>(i);
  }
  first_[n_] = static_cast<uint32_t>(n);
  rows_ = std::move(own);
}

// Two passes, so that neither writes to more places than the caches and the TLB hold: parts by the high bits of the bucket, then each
// part by itself.
void Tables::build(Table &table, Course &course, size_t worker) const {
  const size_t n = n_, buckets = size_t{1} << table.width, low = table.width / 2 + 1, inside = size_t{1} << low;
  const size_t parts = (buckets + inside - 1) / inside;
  const auto bucket_of = [&](size_t item) { return table.bucket(table.key(rows_.get() + item * words_)); };
  table.offsets = allocate<uint32_t>(buckets + 1);
  table.items = allocate<uint32_t>(n);
  if (beside_) table.rows = allocate<uint64_t>(n * words_);
  std::vector<size_t> starts(parts + 1, 0);
  // Work in steps; false: give up.
  const auto pass = [&](const auto &work) {
    for (size_t first = 0; first < n; first += STEP) {
      const size_t end = std::min(n, first + STEP);
      for (size_t i = first; i < end; i++) work(i);
      if (!course.add(worker, end - first)) return false;
    }
    return true;
  };
  if (!pass([&](size_t i) { starts[(bucket_of(i) >> low) + 1]++; })) return;
  for (size_t p = 0; p < parts; p++) starts[p + 1] += starts[p];
  Memory<uint32_t> order = allocate<uint32_t>(n);
  std::vector<size_t> place(starts.begin(), starts.end() - 1);
  if (!pass([&](size_t i) { order[place[bucket_of(i) >> low]++] = static_cast<uint32_t>(i); })) return;
  std::vector<uint32_t> counts(inside + 1);
  size_t added = 0;
  for (size_t p = 0; p < parts; p++) {
    const size_t first = p << low, last = std::min(buckets, first + inside);
    std::fill(counts.begin(), counts.end(), 0);
    for (size_t i = starts[p]; i < starts[p + 1]; i++) counts[(bucket_of(order[i]) & (inside - 1)) + 1]++;
    counts[0] = static_cast<uint32_t>(starts[p]);
    for (size_t b = first; b < last; b++) {
      table.offsets[b] = counts[b - first];
      counts[b - first + 1] += counts[b - first];
    }
    for (size_t i = starts[p]; i < starts[p + 1]; i++) {
      const uint32_t item = order[i], to = counts[bucket_of(item) & (inside - 1)]++;
      table.items[to] = item;
      if (beside_) std::copy_n(rows_.get() + item * words_, words_, table.rows.get() + to * words_);
    }
    if (starts[p + 1] - added < STEP) continue;
    if (!course.add(worker, starts[p + 1] - added)) return;
    added = starts[p + 1];
  }
  table.offsets[buckets] = static_cast<uint32_t>(n);
}

}  // namespace udsph
