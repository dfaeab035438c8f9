// Searches of tables as a whole: queries shared out to threads, and what lookups and the scan of the rest bring put together.
#include <algorithm>
#include <atomic>
#include <limits>

#include "common/parallel.h"
#include "hamming/lookup.h"

namespace udsph {
namespace {

constexpr uint64_t POSITION = (uint64_t{1} << POSITION_BITS) - 1;

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

// Nanoseconds that a scan takes for each of so many queries: the codes are read once for all.
double Tables::scan_cost(double queries) const {
  return static_cast<double>(n_codes_) * std::min(costs_.scan_one, costs_.scan_many + costs_.scan_one / std::max(1.0, queries));
}

void Tables::search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
                    Poll poll, int32_t *distances, int64_t *positions, uint64_t *met, const uint32_t *limits) const {
  const size_t kind = limits == nullptr ? Forecast::kind_of(n_queries, k, 0) : Forecast::kind_of(n_queries, 0, mean_of(limits, n_queries));
  const double scan = scan_cost(forecast_.handed_over(kind) * static_cast<double>(n_queries));
  const double all = scan_cost(static_cast<double>(n_queries));
  const Lookup::Task task{queries, n_queries, k, bits_, limits, kind, allowed};
  const std::vector<size_t> rest = look_up(
      n_queries, threads, poll, met, [&] { return Lookup(*this, task, scan, all); },
      [&](size_t query, const std::vector<uint64_t> &keys) {
        for (size_t i = 0; i < k; i++) {
          distances[query * k + i] = i < keys.size() ? static_cast<int32_t>(keys[i] >> POSITION_BITS) : INT32_MAX;
          positions[query * k + i] = i < keys.size() ? static_cast<int64_t>(keys[i] & POSITION) : -1;
        }
      });
  if (allowed == nullptr && n_queries > 0) forecast_.add_handed_over(kind, rest.size(), n_queries);
  if (rest.empty()) return;
  const std::vector<uint8_t> rows = rows_of(queries, rest, (bits_ + 7) / 8);
  std::vector<int32_t> near(rest.size() * k);
  std::vector<int64_t> places(rest.size() * k);
  const bool timed = allowed == nullptr && threads == 1 && forecast_.times(rest.size());
  const double began = timed ? thread_nanoseconds() : 0;
  std::vector<uint32_t> closer;
  for (size_t i = 0; limits != nullptr && i < rest.size(); i++) closer.push_back(limits[rest[i]]);
  udsph::search(codes, rows.data(), rest.size(), k, allowed, threads, poll, near.data(), places.data(),
                limits == nullptr ? nullptr : closer.data());
  if (timed) forecast_.add_scans(kind, rest.size(), thread_nanoseconds() - began);
  for (size_t i = 0; i < rest.size(); i++) {
    std::copy_n(near.data() + i * k, k, distances + rest[i] * k);
    std::copy_n(places.data() + i * k, k, positions + rest[i] * k);
    if (allowed == nullptr && limits == nullptr) forecast_.add_distance(kind, std::min(static_cast<size_t>(near[i * k + k - 1]), bits_));
  }
}

RangeResult Tables::range_search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t radius,
                                 const uint64_t *allowed, size_t threads, Poll poll, uint64_t *met) const {
  const size_t kind = Forecast::kind_of(n_queries, 0, radius);
  const double scan = scan_cost(forecast_.handed_over(kind) * static_cast<double>(n_queries));
  const double all = scan_cost(static_cast<double>(n_queries));
  std::vector<std::vector<uint64_t>> found(n_queries);
  const Lookup::Task task{queries, n_queries, 0, std::min(radius, bits_), nullptr, kind, allowed};
  const std::vector<size_t> rest = look_up(
      n_queries, threads, poll, met, [&] { return Lookup(*this, task, scan, all); },
      [&](size_t query, const std::vector<uint64_t> &keys) { found[query] = keys; });
  if (allowed == nullptr && n_queries > 0) forecast_.add_handed_over(kind, rest.size(), n_queries);
  RangeResult scanned;
  if (!rest.empty()) {
    const std::vector<uint8_t> rows = rows_of(queries, rest, (bits_ + 7) / 8);
    const bool timed = allowed == nullptr && threads == 1 && forecast_.times(rest.size());
    const double began = timed ? thread_nanoseconds() : 0;
    scanned = udsph::range_search(codes, rows.data(), rest.size(), radius, allowed, threads, poll);
    if (timed) forecast_.add_scans(kind, rest.size(), thread_nanoseconds() - began);
    if (rest.size() == n_queries) return scanned;  // they may be very many: a copy would take half as long again
  }
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
  return result;
}

}  // namespace udsph
