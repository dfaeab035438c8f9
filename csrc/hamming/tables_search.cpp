// Searches of tables as a whole: queries shared out to threads, and what lookups and the scan of the rest bring put together.
#include <algorithm>
#include <atomic>
#include <limits>

#include "common/parallel.h"
#include "hamming/lookup.h"

namespace udsph {
namespace {

constexpr uint64_t POSITION = (uint64_t{1} << POSITION_BITS) - 1;
constexpr double SHARED = 3;  // queries that a scan for one costs before it pays to share out what it makes of a block

void add_to(uint64_t *met, const uint64_t *more) {
  if (met == nullptr) return;
  for (size_t i = 0; i < 4; i++) __atomic_fetch_add(&met[i], more[i], __ATOMIC_RELAXED);
}

// Rows of some queries, one after the other.
std::vector<uint8_t> rows_of(const uint8_t *queries, const std::vector<size_t> &which, size_t bytes) {
  std::vector<uint8_t> rows(which.size() * bytes);
  for (size_t i = 0; i < which.size(); i++) std::copy_n(queries + which[i] * bytes, bytes, rows.data() + i * bytes);
  return rows;
}

// The radius that limits stand for, for a forecast.
size_t mean_of(const uint32_t *limits, size_t n) {
  size_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += limits[i];
  return n == 0 || sum < n ? 0 : sum / n - 1;
}

// Run batches of queries in threads; every thread has its own Lookup, made by `make`. Returns the queries handed over, in order.
template <class Make, class Give>
std::vector<size_t> look_up(size_t n_queries, size_t threads, Poll poll, uint64_t *met, const Make &make, const Give &give) {
  const size_t batches = (n_queries + LOOKUP_BATCH - 1) / LOOKUP_BATCH;
  Workers workers(std::max<size_t>(1, std::min(threads, batches)), poll);
  std::atomic<size_t> next{0};
  std::vector<char> handed(n_queries, 0);
  workers.run([&](size_t worker) {
    auto lookup = make();
    for (size_t b; (b = next++) < batches && workers.proceed(worker);)
      lookup.run(b * LOOKUP_BATCH, std::min(n_queries, (b + 1) * LOOKUP_BATCH), give, [&](size_t query) { handed[query] = 1; });
    add_to(met, lookup.met);
  });
  std::vector<size_t> rest;
  for (size_t q = 0; q < n_queries; q++)
    if (handed[q] != 0) rest.push_back(q);
  return rest;
}

}  // namespace

// One search: how it goes, and what is learnt from it.
class Tables::Asked {
 public:
  Asked(const Tables &tables, size_t task, size_t n_queries, size_t threads, bool learns)
      : kind(Forecast::kind_of(task, n_queries, threads)),
        choice(learns ? tables.forecast_.choose(kind, n_queries, tables.scan_cost(static_cast<double>(n_queries)) / static_cast<double>(n_queries))
                      : Forecast::Choice()),
        forecast_(tables.forecast_), n_queries_(n_queries), learns_(learns), timer_(choice.timed, threads) {}

  void scanned(uint64_t *met) {
    const uint64_t more[4] = {0, 0, 0, n_queries_};
    add_to(met, more);
    add_time();
  }
  void looked_up(size_t handed) {
    if (learns_) forecast_.add_handed_over(kind, handed, n_queries_);
    add_time();
  }

  const size_t kind;
  const Forecast::Choice choice;

 private:
  void add_time() {
    if (choice.timed) forecast_.add_time(kind, n_queries_, choice, timer_.nanoseconds());
  }

  Forecast &forecast_;
  const size_t n_queries_;
  const bool learns_;
  const Timer timer_;
};

// Nanoseconds that a scan takes for so many queries, by the costs: one by one, or through tables that are made once for all.
double Tables::scan_cost(double queries) const {
  return static_cast<double>(n_codes_) *
         std::min(queries * costs_.scan_one, SHARED * costs_.scan_one + queries * std::min(costs_.scan_many, costs_.scan_one));
}

// And by what scans for all of `n_queries` have taken.
double Tables::scan_cost(size_t kind, double n_queries, double queries) const {
  const double timed = forecast_.scan(kind), cost = scan_cost(queries);
  return timed > 0 ? cost * timed * n_queries / scan_cost(n_queries) : cost;
}

void Tables::search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
                    Poll poll, int32_t *distances, int64_t *positions, uint64_t *met, const uint32_t *limits) const {
  if (n_queries == 0 || k == 0) return;
  const size_t kind_of = limits == nullptr ? Forecast::nearest(k) : Forecast::closer(mean_of(limits, n_queries));
  Asked asked(*this, kind_of, n_queries, threads, allowed == nullptr);
  const auto scan = [&](const uint8_t *rows, size_t n, const uint32_t *closer, int32_t *near, int64_t *places) {
    udsph::search(codes, rows, n, k, allowed, threads, poll, near, places, closer);
    for (size_t q = 0; allowed == nullptr && limits == nullptr && q < n; q += 1 + n / LOOKUP_BATCH)
      forecast_.add_distance(kind_of, std::min(static_cast<size_t>(near[q * k + k - 1]), bits_));
  };
  if (asked.choice.scan) {
    scan(queries, n_queries, limits, distances, positions);
    return asked.scanned(met);
  }
  const Lookup::Task task{queries, n_queries, k, bits_, limits, kind_of, asked.kind, threads, asked.choice, allowed};
  const std::vector<size_t> rest = look_up(
      n_queries, threads, poll, met, [&] { return Lookup(*this, task); },
      [&](size_t query, std::vector<uint64_t> &keys) {
        for (size_t i = 0; i < k; i++) {
          distances[query * k + i] = i < keys.size() ? static_cast<int32_t>(keys[i] >> POSITION_BITS) : INT32_MAX;
          positions[query * k + i] = i < keys.size() ? static_cast<int64_t>(keys[i] & POSITION) : -1;
        }
      });
  if (rest.size() == n_queries) {
    scan(queries, n_queries, limits, distances, positions);
  } else if (!rest.empty()) {
    const std::vector<uint8_t> rows = rows_of(queries, rest, (bits_ + 7) / 8);
    std::vector<int32_t> near(rest.size() * k);
    std::vector<int64_t> places(rest.size() * k);
    std::vector<uint32_t> closer;
    for (size_t i = 0; limits != nullptr && i < rest.size(); i++) closer.push_back(limits[rest[i]]);
    scan(rows.data(), rest.size(), limits == nullptr ? nullptr : closer.data(), near.data(), places.data());
    for (size_t i = 0; i < rest.size(); i++) {
      std::copy_n(near.data() + i * k, k, distances + rest[i] * k);
      std::copy_n(places.data() + i * k, k, positions + rest[i] * k);
    }
  }
  asked.looked_up(rest.size());
}

RangeResult Tables::range_search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t radius,
                                 const uint64_t *allowed, size_t threads, Poll poll, uint64_t *met) const {
  const auto scan = [&](const uint8_t *rows, size_t n) { return udsph::range_search(codes, rows, n, radius, allowed, threads, poll); };
  if (n_queries == 0) return scan(queries, 0);
  Asked asked(*this, Forecast::within(radius), n_queries, threads, allowed == nullptr);
  RangeResult scanned;
  if (asked.choice.scan) {
    scanned = scan(queries, n_queries);
    asked.scanned(met);
    return scanned;
  }
  std::vector<std::vector<uint64_t>> found(n_queries);
  const Lookup::Task task{queries,    n_queries, 0,           std::min(radius, bits_), nullptr, Forecast::within(radius),
                          asked.kind, threads,   asked.choice, allowed};
  const std::vector<size_t> rest = look_up(
      n_queries, threads, poll, met, [&] { return Lookup(*this, task); },
      [&](size_t query, std::vector<uint64_t> &keys) { found[query].swap(keys); });
  if (rest.size() == n_queries) {  // they may be very many: a copy would take half as long again
    scanned = scan(queries, n_queries);
    asked.looked_up(n_queries);
    return scanned;
  }
  if (!rest.empty()) scanned = scan(rows_of(queries, rest, (bits_ + 7) / 8).data(), rest.size());
  RangeResult result;
  result.offsets.assign(n_queries + 1, 0);
  for (size_t q = 0; q < n_queries; q++) result.offsets[q + 1] = static_cast<int64_t>(found[q].size());
  for (size_t i = 0; i < rest.size(); i++) result.offsets[rest[i] + 1] = scanned.offsets[i + 1] - scanned.offsets[i];
  for (size_t q = 0; q < n_queries; q++) result.offsets[q + 1] += result.offsets[q];
  result.distances.resize(static_cast<size_t>(result.offsets[n_queries]));
  result.positions.resize(static_cast<size_t>(result.offsets[n_queries]));
  for (size_t q = 0; q < n_queries; q++)
    for (size_t i = 0; i < found[q].size(); i++) {
      result.distances[static_cast<size_t>(result.offsets[q]) + i] = static_cast<int32_t>(found[q][i] >> POSITION_BITS);
      result.positions[static_cast<size_t>(result.offsets[q]) + i] = static_cast<int64_t>(found[q][i] & POSITION);
    }
  for (size_t i = 0; i < rest.size(); i++) {
    const auto from = static_cast<std::ptrdiff_t>(scanned.offsets[i]), to = static_cast<std::ptrdiff_t>(scanned.offsets[i + 1]);
    std::copy(scanned.distances.begin() + from, scanned.distances.begin() + to, result.distances.begin() + result.offsets[rest[i]]);
    std::copy(scanned.positions.begin() + from, scanned.positions.begin() + to, result.positions.begin() + result.offsets[rest[i]]);
  }
  asked.looked_up(rest.size());
  return result;
}

}  // namespace udsph
