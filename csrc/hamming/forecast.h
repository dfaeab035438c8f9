// What searches through tables have met so far: how far the k-th code was, what lookups and scans took. The base of a forecast, never of a
// result. Threads add and read without a lock: an update that another one overwrites costs accuracy alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <ctime>

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

  // The searches that are like each other: of many queries or few, for about as many neighbours (k > 0) or within the same radius.
  static size_t kind_of(size_t n_queries, size_t k, size_t radius) {
    const size_t task = k > 0 ? 63 - static_cast<size_t>(__builtin_clzll(k)) : 64 + std::min<size_t>(radius, 63);
    return (n_queries < MANY ? 128 : 0) + task;
  }
  // Whether to time searches of so many: always many queries, now and then few, for which the clock is slow.
  bool times(size_t n_queries) { return n_queries >= MANY || timed_.fetch_add(1, RELAXED) % TIMED == 0; }

  Likely likely(size_t kind) const {
    const Slot &slot = slots_[kind];
    return {slot.mean.load(RELAXED), slot.deviation.load(RELAXED), slot.seen.load(RELAXED)};
  }
  void add_distance(size_t kind, size_t distance) {
    Slot &slot = slots_[kind];
    const float mean = slot.mean.load(RELAXED), seen = static_cast<float>(slot.seen.fetch_add(1, RELAXED)) + 1;
    move(slot.mean, static_cast<float>(distance), 1 / std::min(seen, MEMORY));
    move(slot.deviation, seen == 1 ? 0 : std::abs(static_cast<float>(distance) - mean), 1 / std::min(seen, MEMORY));
  }

  // Share of queries that a scan took over, which costs each the less the more they are; all of them before any is known.
  double handed_over(size_t kind) const { return slots_[kind].handed.load(RELAXED); }
  void add_handed_over(size_t kind, size_t handed, size_t queries) {
    const auto n = static_cast<float>(queries);
    move(slots_[kind].handed, static_cast<float>(handed) / n, n / MEMORY);
  }

  // By what the costs are wrong for these searches: time over forecast.
  double correction(size_t kind) const { return slots_[kind].correction.load(RELAXED); }
  void add_correction(size_t kind, double factor) {
    move(slots_[kind].correction, static_cast<float>(std::min(8.0, std::max(0.125, factor))), 0.25f);
  }

  // Nanoseconds that a query took which was looked up, and the share of them that were given up for a scan after all.
  void add_lookups(size_t kind, size_t queries, size_t given_up, double nanoseconds) {
    Slot &slot = slots_[kind];
    const auto n = static_cast<float>(queries);
    move(slot.lookup, static_cast<float>(nanoseconds) / n, slot.lookup.load(RELAXED) == 0 ? 1 : std::max<float>(n, TIMED) / MEMORY);
    move(slot.given_up, static_cast<float>(given_up) / n, std::max<float>(n, TIMED) / MEMORY);
  }
  // Nanoseconds that one took which was scanned.
  void add_scans(size_t kind, size_t queries, double nanoseconds) {
    Slot &slot = slots_[kind];
    const auto n = static_cast<float>(queries), one = static_cast<float>(nanoseconds) / n;
    move(slot.scan, one, slot.scan.load(RELAXED) == 0 ? 1 : std::max<float>(n, TIMED) / MEMORY);
  }

  // Whether lookups took longer than scanning everything: `scan` by the costs, where none was timed. False until some were looked up.
  bool scan_is_faster(size_t kind, double scan) const {
    const Slot &slot = slots_[kind];
    const float timed = slot.scan.load(RELAXED);
    if (timed > 0) scan = timed;
    return slot.lookup.load(RELAXED) + slot.given_up.load(RELAXED) * scan > scan;
  }

  // Whether it is the turn of the few queries that are looked up all the same, so that a forecast can be found wrong.
  bool tries() { return asked_.fetch_add(1, RELAXED) % TRIES == 0; }

 private:
  static constexpr std::memory_order RELAXED = std::memory_order_relaxed;
  static constexpr float MEMORY = 64;  // queries
  enum : uint32_t { ENOUGH = 16, TRIES = 16, MANY = 8, TIMED = 8, KINDS = 256 };

  struct Slot {
    std::atomic<float> mean{0}, deviation{0}, handed{1}, lookup{0}, given_up{0}, scan{0}, correction{1};
    std::atomic<uint32_t> seen{0};
  };

  static void move(std::atomic<float> &mean, float value, float weight) {
    const float before = mean.load(RELAXED);
    mean.store(before + std::min(1.0f, weight) * (value - before), RELAXED);
  }

  Slot slots_[KINDS];
  std::atomic<uint32_t> asked_{0}, timed_{0};
};

// Processor time of this thread; Windows counts that in steps of milliseconds, the clock on the wall serves there.
inline double thread_nanoseconds() {
#if defined(_WIN32)
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
#else
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
#endif
}

}  // namespace udsph
