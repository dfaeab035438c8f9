// What searches through tables have met so far: how far the k-th code was. The base of a forecast, never of a result.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace udsph {

class Forecast {
 public:
  // Distances of the k-th codes of earlier queries: their mean and mean deviation, of few or many.
  struct Likely {
    float mean = 0, deviation = 0;
    uint32_t seen = 0;

    bool known() const { return seen >= ENOUGH; }
    size_t least() const { return static_cast<size_t>(std::max(0.0f, std::round(mean - deviation))); }
    size_t middle() const { return static_cast<size_t>(std::round(mean)); }
  };

  Likely of(size_t k) const {
    const Slot &slot = slots_[slot_of(k)];
    return {slot.mean.load(RELAXED), slot.deviation.load(RELAXED), slot.seen.load(RELAXED)};
  }

  // Threads add without a lock: an update that another one overwrites costs accuracy alone.
  void add(size_t k, size_t distance) {
    Slot &slot = slots_[slot_of(k)];
    const uint32_t seen = slot.seen.fetch_add(1, RELAXED);
    const float share = 1.0f / static_cast<float>(seen < MEMORY ? seen + 1 : MEMORY), mean = slot.mean.load(RELAXED);
    const float off = static_cast<float>(distance) - mean, deviation = slot.deviation.load(RELAXED);
    slot.mean.store(mean + share * off, RELAXED);
    slot.deviation.store(seen == 0 ? 0 : deviation + share * (std::abs(off) - deviation), RELAXED);
  }

  // Share of queries that a scan took over, which costs each the less the more they are; all of them before any is known.
  float handed_over(size_t k) const { return slots_[slot_of(k)].handed.load(RELAXED); }
  void add_handed_over(size_t k, size_t handed, size_t queries) {
    const auto n = static_cast<float>(queries);
    move(slots_[slot_of(k)].handed, static_cast<float>(handed) / n, n / MEMORY);
  }

  // What queries that were looked up took, in nanoseconds, and the share of them that a scan had to take over after all.
  void add_lookups(size_t k, size_t queries, size_t handed, double nanoseconds) {
    Slot &slot = slots_[slot_of(k)];
    const auto n = static_cast<float>(queries);
    move(slot.lookup, static_cast<float>(nanoseconds) / n, n / MEMORY);
    move(slot.gave_up, static_cast<float>(handed) / n, n / MEMORY);
  }
  // The mean cost of looking up, where a query that is given up costs `scan` besides; 0 until some are known.
  double lookup_cost(size_t k, double scan) const {
    const Slot &slot = slots_[slot_of(k)];
    return slot.lookup.load(RELAXED) + slot.gave_up.load(RELAXED) * scan;
  }

  // Whether it is the turn of one of the few queries that are looked up all the same, so that a forecast can be found wrong.
  bool tries() { return asked_.fetch_add(1, RELAXED) % TRIES == 0; }

 private:
  static constexpr std::memory_order RELAXED = std::memory_order_relaxed;
  enum : uint32_t { ENOUGH = 16, MEMORY = 64, TRIES = 32, SLOTS = 64 };

  struct Slot {
    std::atomic<float> mean{0}, deviation{0}, handed{1}, lookup{0}, gave_up{0};
    std::atomic<uint32_t> seen{0};
  };

  static void move(std::atomic<float> &mean, float value, float weight) {
    const float before = mean.load(RELAXED);
    mean.store(before + std::min(1.0f, weight) * (value - before), RELAXED);
  }

  static size_t slot_of(size_t k) { return 63 - static_cast<size_t>(__builtin_clzll(k | 1)); }  // powers of two

  Slot slots_[SLOTS];
  std::atomic<uint32_t> asked_{0};
};

}  // namespace udsph
