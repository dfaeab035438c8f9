// Pairs that threads find, in bounded memory, whatever the join.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>

#include "hamming/pairs.h"

namespace udsph {

enum : size_t { KEPT_PAIRS = 1 << 12 };  // that a thread keeps to itself

// A pair before it is in a result.
struct Pair {
  uint32_t left, right, distance;
  bool operator<(const Pair &other) const { return left != other.left ? left < other.left : right < other.right; }
};

// Pairs of all threads. Where they are too many those of the last left rows are given up.
class Collector {
 public:
  Collector(size_t begin, size_t end, size_t capacity) : begin_(begin), capacity_(capacity), most_(2 * capacity), limit_(end) {}

  size_t limit() const { return limit_.load(std::memory_order_relaxed); }  // left rows from here on are not wanted any more

  void take(std::vector<Pair> &own) {
    const std::lock_guard<std::mutex> lock(mutex_);
    pairs_.insert(pairs_.end(), own.begin(), own.end());
    own.clear();
    if (pairs_.size() < most_) return;
    std::nth_element(pairs_.begin(), pairs_.begin() + static_cast<std::ptrdiff_t>(capacity_), pairs_.end());
    keep(std::min(limit(), size_t{pairs_[capacity_].left} + 1));  // more than the capacity stay, so that finish() can tell
    most_ = 2 * std::max(capacity_, pairs_.size());
  }

  // The pairs of whole left rows, sorted, and where these end: the same however the pairs came.
  Pairs finish() {
    keep(limit());
    sort();
    if (pairs_.size() > capacity_) keep(std::max<size_t>(begin_ + 1, pairs_[capacity_].left));
    Pairs result;
    result.end = limit();
    result.left.reserve(pairs_.size());
    result.right.reserve(pairs_.size());
    result.distances.reserve(pairs_.size());
    for (const Pair &pair : pairs_) {
      result.left.push_back(pair.left);
      result.right.push_back(pair.right);
      result.distances.push_back(static_cast<int32_t>(pair.distance));
    }
    return result;
  }

 private:
  // By parts of the left rows that have a few pairs each, then each part.
  void sort() {
    const size_t range = limit() - begin_;
    size_t shift = 0;
    while (range >> shift > pairs_.size() / 4) shift++;
    std::vector<size_t> starts((range >> shift) + 2, 0);
    const auto part = [&](const Pair &pair) { return (pair.left - begin_) >> shift; };
    for (const Pair &pair : pairs_) starts[part(pair) + 1]++;
    for (size_t p = 1; p < starts.size(); p++) starts[p] += starts[p - 1];
    std::vector<Pair> sorted(pairs_.size());
    for (const Pair &pair : pairs_) sorted[starts[part(pair)]++] = pair;
    auto first = sorted.begin();
    for (const size_t end : starts) {  // each is now where its part ends
      const auto last = sorted.begin() + static_cast<std::ptrdiff_t>(end);
      std::sort(first, last);
      first = last;
    }
    pairs_.swap(sorted);
  }

  void keep(size_t limit) {
    limit_ = limit;
    pairs_.erase(std::remove_if(pairs_.begin(), pairs_.end(), [&](const Pair &pair) { return pair.left >= limit; }), pairs_.end());
  }

  const size_t begin_, capacity_;
  size_t most_;
  std::atomic<size_t> limit_;
  std::mutex mutex_;
  std::vector<Pair> pairs_;
};

}  // namespace udsph
