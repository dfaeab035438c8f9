// The k nearest of a stream of candidates that arrive in insertion order.
//
// Distances are small integers, so candidates are counted per distance: the k-th smallest distance is known at any time without
// sorting. A later candidate at that distance loses the tie, so only closer ones are taken from then on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace udsph {

constexpr int64_t NO_ID = -1;
constexpr int32_t NO_DISTANCE = INT32_MAX;

class TopK {
 public:
  TopK(size_t k, size_t bits) : k_(k), limit_(bits + 1), counts_(bits + 1, 0) {}

  // Only candidates closer than this can enter.
  size_t limit() const { return limit_; }

  void add(size_t distance, int64_t position) {
    if (distance >= limit_) return;
    kept_.push_back({static_cast<int32_t>(distance), position});
    counts_[distance]++;
    closer_++;
    // The limit is the smallest distance within which there are k candidates.
    while (closer_ >= k_) closer_ -= counts_[--limit_];
    if (kept_.size() >= 4 * k_ + 1024) drop_losers();
  }

  // Write k results in order of (distance, position), padded.
  void finish(int32_t *distances, int64_t *positions) {
    std::stable_sort(kept_.begin(), kept_.end(), [](const Entry &a, const Entry &b) { return a.distance < b.distance; });
    const size_t found = std::min(k_, kept_.size());
    for (size_t i = 0; i < found; i++) {
      distances[i] = kept_[i].distance;
      positions[i] = kept_[i].position;
    }
    std::fill(distances + found, distances + k_, NO_DISTANCE);
    std::fill(positions + found, positions + k_, NO_ID);
  }

 private:
  struct Entry {
    int32_t distance;
    int64_t position;
  };

  void drop_losers() {
    const auto beyond = [this](const Entry &entry) { return static_cast<size_t>(entry.distance) > limit_; };
    kept_.erase(std::remove_if(kept_.begin(), kept_.end(), beyond), kept_.end());
    // Of those at the limit itself only the first few can still be among the k.
    size_t wanted = k_ - closer_;
    const auto late = [&](const Entry &entry) {
      if (static_cast<size_t>(entry.distance) != limit_) return false;
      if (wanted == 0) return true;
      wanted--;
      return false;
    };
    kept_.erase(std::remove_if(kept_.begin(), kept_.end(), late), kept_.end());
  }

  size_t k_;
  size_t limit_;       // candidates at this distance or beyond are not taken
  size_t closer_ = 0;  // candidates taken that are closer than the limit
  std::vector<size_t> counts_;
  std::vector<Entry> kept_;
};

}  // namespace udsph
