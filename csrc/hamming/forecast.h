// What searches through tables have met so far: how far the k-th code was, what lookups and scans took. The base of a forecast, never of a
// result. Threads add and read without a lock: an update that another one overwrites costs accuracy alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>

namespace udsph {

class Forecast {
 public:
  // What is asked, as far as searches are like each other: about as many neighbours, the same radius, neighbours closer than a limit.
  static size_t nearest(size_t k) { return std::min<size_t>(63 - static_cast<size_t>(__builtin_clzll(std::max<size_t>(k, 1))), 31); }
  static size_t within(size_t radius) { return 32 + std::min<size_t>(radius, 47); }
  static size_t closer(size_t limit) { return 80 + std::min<size_t>(limit, 47); }

  // Those that take about as long: a task for about as many queries, by one thread or several.
  static size_t kind_of(size_t task, size_t n_queries, size_t threads) {
    const size_t size = (n_queries > 1) + (n_queries >= MANY) + (n_queries >= 32) + (n_queries >= 128);
    return (size * 2 + (threads > 1)) * TASKS + task;
  }

  // Every distance of a k-th code by its share; those that no lookups reach are one.
  struct Distances {
    float share[128] = {};
    bool known = false;
  };
  enum : size_t { FARTHEST = 127 };

  Distances distances(size_t task) const {
    Distances all;
    if (task >= NEAREST) return all;
    const Seen &seen = seen_[task];
    float sum = 0;
    for (size_t d = 0; d <= FARTHEST; d++) sum += all.share[d] = seen.counts[d].load(RELAXED);
    all.known = sum >= ENOUGH;
    for (float &share : all.share) share /= std::max(sum, 1.0f);
    return all;
  }
  void add_distance(size_t task, size_t distance) {
    Seen &seen = seen_[task];
    if (seen.sum.load(RELAXED) >= MEMORY) {  // old ones fade
      for (std::atomic<float> &count : seen.counts) count.store(count.load(RELAXED) / 2, RELAXED);
      seen.sum.store(MEMORY / 2, RELAXED);
    }
    std::atomic<float> &count = seen.counts[std::min<size_t>(distance, FARTHEST)];
    count.store(count.load(RELAXED) + 1, RELAXED);
    seen.sum.store(seen.sum.load(RELAXED) + 1, RELAXED);
  }

  // How a search goes: all is scanned, or looked up (a query that is too dear is scanned after all); whether its time is to be told; and
  // whether lookups that seem too dear are done all the same, so that a forecast can be found wrong.
  struct Choice {
    bool scan = false, timed = false, bold = false, trial = false;
  };

  // Whichever took less. The other one is tried at first, where its guess does not exclude it, and then whenever what that may cost is small
  // beside what was spent since. `guess`: nanoseconds of a query that is scanned among so many, by the costs.
  Choice choose(size_t kind, size_t n_queries, double guess) {
    Slot &slot = slots_[kind];
    const bool many = n_queries >= MANY;
    const float tables = slot.tables.load(RELAXED), timed_scan = slot.scan.load(RELAXED);
    const auto scan = static_cast<float>(timed_scan > 0 ? timed_scan : guess);
    const uint32_t looked_up = slot.looked_up.load(RELAXED), scanned = slot.scanned.load(RELAXED);
    if (looked_up == 0) return {false, true, true, true};
    if (scanned < 2 && scan < EAGER * tables) return {true, true, false, true};
    if (looked_up < (tables < CLOSE * scan ? 8 : 3) && tables < MOST_COLD * scan) return {false, true, false, many};
    const bool scan_is_faster = timed_scan > 0 && scan < tables;
    const float least = std::min(scan, tables), most = std::max(scan, tables), since = slot.since.load(RELAXED) + least;
    const uint32_t calls = slot.calls.fetch_add(1, RELAXED) + 1;
    if (calls % TRIES == 0 && (most - least) * TRIES < since) {
      slot.since.store(0, RELAXED);
      return {!scan_is_faster, true, calls / TRIES % 2 == 0, true};
    }
    slot.since.store(since, RELAXED);
    return {scan_is_faster, many || calls % TIMED == 0, false, false};
  }
  void add_time(size_t kind, size_t n_queries, const Choice &choice, double nanoseconds) {
    Slot &slot = slots_[kind];
    std::atomic<float> &mean = choice.scan ? slot.scan : slot.tables;
    const auto one = std::max(1.0f, static_cast<float>(nanoseconds / static_cast<double>(n_queries))), before = mean.load(RELAXED);
    const uint32_t seen = (choice.scan ? slot.scanned : slot.looked_up).fetch_add(1, RELAXED);
    if (seen == 0 || (choice.trial && one < before)) return mean.store(one, RELAXED);  // memory that was not met for long is slow
    const float weight = std::max(n_queries >= MANY ? 0.25f : 0.0625f, 1.0f / static_cast<float>(seen));
    mean.store(before + weight * (std::min(one, OUTLIER * before) - before), RELAXED);
  }

  // Nanoseconds of a scanned query of this kind, or 0 where none was timed.
  double scan(size_t kind) const { return slots_[kind].scan.load(RELAXED); }

  // Share of queries that a scan took over, which costs each the less the more they are; all of them before any is known.
  double handed_over(size_t kind) const { return slots_[kind].handed.load(RELAXED); }
  void add_handed_over(size_t kind, size_t handed, size_t queries) {
    const auto n = static_cast<float>(queries);
    move(slots_[kind].handed, static_cast<float>(handed) / n, n / 64);
  }

  // What was made of the distances for one query, kept for the next few: up to which guarantee lookups are worth it, and the nanoseconds of
  // the scan beyond it.
  struct Plan {
    int32_t stop;
    float scan;
  };
  bool has_plan(size_t kind, Plan &plan) {
    Slot &slot = slots_[kind];
    if (slot.plans.fetch_add(1, RELAXED) % PLANNED == 0) return false;
    plan = {slot.stop.load(RELAXED), slot.beyond.load(RELAXED)};
    return plan.scan > 0;
  }
  void keep_plan(size_t kind, const Plan &plan) {
    slots_[kind].stop.store(plan.stop, RELAXED);
    slots_[kind].beyond.store(plan.scan, RELAXED);
  }

  // By what the costs of lookups are wrong for these searches: time over forecast.
  double correction(size_t kind) const { return slots_[kind].correction.load(RELAXED); }
  void add_correction(size_t kind, double factor) {
    move(slots_[kind].correction, static_cast<float>(std::min(8.0, std::max(0.125, factor))), 0.25f);
  }

  // Other costs, or the same anew: what was met by others says nothing.
  void forget() {
    for (Slot &slot : slots_) {
      for (std::atomic<float> *value : {&slot.tables, &slot.scan, &slot.since, &slot.beyond}) value->store(0, RELAXED);
      for (std::atomic<float> *value : {&slot.handed, &slot.correction}) value->store(1, RELAXED);
      for (std::atomic<uint32_t> *count : {&slot.looked_up, &slot.scanned, &slot.calls, &slot.plans}) count->store(0, RELAXED);
    }
    for (Seen &seen : seen_) {
      for (std::atomic<float> &count : seen.counts) count.store(0, RELAXED);
      seen.sum.store(0, RELAXED);
    }
  }

 private:
  static constexpr std::memory_order RELAXED = std::memory_order_relaxed;
  static constexpr float MEMORY = 512;  // distances
  static constexpr float ENOUGH = 16;   // of them
  static constexpr float EAGER = 4;     // times the other way, beyond which a way is not tried at first
  static constexpr float CLOSE = 2;      // times it, within which more is seen of the lookups
  static constexpr float MOST_COLD = 16; // likewise, for one that has met its memory once
  static constexpr float OUTLIER = 4;   // times what was usual: more tells of other work
  enum : uint32_t { TRIES = 16, MANY = 8, TIMED = 8, PLANNED = 16 };
  enum : size_t { TASKS = 128, NEAREST = 32, SIZES = 5 };

  struct Slot {
    std::atomic<float> tables{0}, scan{0};           // nanoseconds of a query
    std::atomic<uint32_t> looked_up{0}, scanned{0};  // times of them
    std::atomic<float> since{0};                     // spent since the slower way was tried
    std::atomic<uint32_t> calls{0}, plans{0};
    std::atomic<int32_t> stop{-1};
    std::atomic<float> beyond{0};
    std::atomic<float> handed{1}, correction{1};
  };
  struct Seen {
    std::atomic<float> counts[FARTHEST + 1] = {};
    std::atomic<float> sum{0};
  };

  static void move(std::atomic<float> &mean, float value, float weight) {
    const float before = mean.load(RELAXED);
    mean.store(before + std::min(1.0f, weight) * (value - before), RELAXED);
  }

  Slot slots_[SIZES * 2 * TASKS];
  Seen seen_[NEAREST];
};

// How long something takes: processor time of this thread, where it does all; Windows counts that in steps of milliseconds, the clock on the
// wall serves there.
class Timer {
 public:
  Timer(bool needed, size_t threads) : alone_(threads == 1), began_(needed ? now() : 0) {}
  double nanoseconds() const { return now() - began_; }

 private:
  double now() const {
#if !defined(_WIN32)
    if (alone_) {
      timespec time;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
    }
#endif
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }

  bool alone_;
  double began_;
};

}  // namespace udsph
