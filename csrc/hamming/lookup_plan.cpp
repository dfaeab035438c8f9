// Which chunk a lookup turns to next, and when a scan would be faster.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "hamming/lookup.h"

namespace udsph {
namespace {

constexpr double TRIED = 0.25;    // of a scan's cost that is spent before a forecast without experience is believed
constexpr double IN_VAIN = 0.15;  // of it that may be lost by a query of itself, where most are expected to lose it
constexpr double BOLD = 3;        // times the scan's cost, where a forecast shall be found wrong

// Rows of Pascal's triangle up to the length of a chunk.
struct Choices {
  double of[65][65];

  Choices() : of{} {
    for (size_t n = 0; n <= 64; n++) {
      of[n][0] = 1;
      for (size_t k = 1; k <= n; k++) of[n][k] = of[n - 1][k - 1] + of[n - 1][k];
    }
  }
};
const Choices choices;

}  // namespace

double choose_of(size_t n, size_t k) { return k <= n ? choices.of[n][k] : 0; }

void Lookup::start(State &state, size_t query) const {
  const size_t chunks = tables_.tables_.size();
  state.query = query;
  state.row.assign(tables_.words_, 0);
  std::memcpy(state.row.data(), task_.queries + query * bytes_, bytes_);
  state.done.assign(chunks, -1);
  state.expected.resize(chunks);
  for (size_t t = 0; t < chunks; t++)
    state.expected[t] = static_cast<double>(tables_.n_) / static_cast<double>(size_t{1} << tables_.tables_[t].width);
  state.keys.clear();
  state.hits.clear();
  state.counts.assign(tables_.bits_ + 1, 0);
  state.limit = task_.limits == nullptr ? static_cast<int64_t>(task_.radius) : static_cast<int64_t>(task_.limits[query]) - 1;
  state.total = 0;
  state.worst = std::numeric_limits<uint64_t>::max();
  state.guarantee = -1;
  state.spent = 0;
  state.found = 0;
  state.measured = false;
}

double Lookup::cost(const State &state, size_t t, size_t radius) const {
  const size_t length = tables_.tables_[t].length;
  if (radius > length) return std::numeric_limits<double>::infinity();
  return correction_ * choose_of(length, radius) * (tables_.costs_.lookup + state.expected[t] * tables_.costs_.candidate);
}

// Every chunk in turn at first; once radius 0 is done everywhere, the one whose next radius costs least.
size_t Lookup::cheapest(State &state) const {
  const size_t chunks = state.done.size();
  size_t best = 0;
  if (state.guarantee + 1 < static_cast<int64_t>(chunks)) {
    for (size_t t = 1; t < chunks; t++)
      if (state.done[t] < state.done[best]) best = t;
    return best;
  }
  if (!state.measured) measure(state);
  double least = std::numeric_limits<double>::infinity();
  for (size_t t = 0; t < chunks; t++) {
    const double dear = cost(state, t, static_cast<size_t>(state.done[t] + 1));
    if (dear < least) {
      least = dear;
      best = t;
    }
  }
  return best;
}

// Sizes of the buckets within one bit of the query.
void Lookup::measure(State &state) const {
  for (size_t t = 0; t < state.done.size(); t++) {
    const Tables::Table &table = tables_.tables_[t];
    const uint64_t key = table.key(state.row.data());
    const auto size_of = [&](uint64_t value) {
      const size_t bucket = table.bucket(value);
      return static_cast<double>(table.offsets[bucket + 1] - table.offsets[bucket]);
    };
    double near = size_of(key);
    for (size_t b = 0; b < table.length; b++) near += size_of(key ^ uint64_t{1} << b);
    state.expected[t] = std::max(state.expected[t] / 2, near / static_cast<double>(table.length + 1));
  }
  state.measured = true;
}

// What earlier queries say of these, before a bucket is read: what the scan of one that is handed over costs, and up to which guarantee the
// k-th code is worth waiting for, so that the sum of lookups and scans is least.
void Lookup::expect() {
  Forecast &forecast = tables_.forecast_;
  const auto n = static_cast<double>(task_.n_queries), bold = task_.choice.bold ? BOLD : 1;
  const auto scan = [&](double queries) { return bold * tables_.scan_cost(kind_, n, std::max(1.0, queries)); };
  const double handed = std::max(1.0, n * forecast.handed_over(kind_));
  scan_cost_ = scan(handed) / handed;
  if (!open_ || allowed_ != nullptr) return;
  Forecast::Plan plan;
  if (task_.n_queries == 1 && !task_.choice.bold && forecast.has_plan(kind_, plan)) {
    known_ = true;
    stop_ = plan.stop;
    scan_cost_ = plan.scan;
    return;
  }
  const Forecast::Distances distances = forecast.distances(task_.task);
  if (!distances.known) return;
  known_ = true;
  State &state = states_[0];
  start(state, 0);
  state.measured = true;  // buckets of the mean size will do
  double least = scan(n) / n, left = 1, spent = 0, sum = 0;
  const double one = scan(1);
  scan_cost_ = least;
  for (size_t guarantee = 0; guarantee <= Forecast::FARTHEST && guarantee < tables_.bits_; guarantee++) {
    const size_t t = cheapest(state);
    spent += cost(state, t, static_cast<size_t>(state.done[t] + 1));
    if (spent > one) break;
    state.done[t]++;
    state.guarantee++;
    const double share = distances.share[guarantee], rest = left - share;
    sum += share * spent;
    const double total = sum + rest * spent + scan(rest * n) / n * std::min(1.0, rest * n);
    if (total < least && (task_.n_queries > 1 || spent < IN_VAIN * one || rest < 0.5)) {
      least = total;
      stop_ = static_cast<int64_t>(guarantee);
      scan_cost_ = scan(rest * n) / std::max(1.0, rest * n);
    }
    left = rest;
  }
  if (task_.n_queries == 1 && !task_.choice.bold)
    forecast.keep_plan(kind_, {static_cast<int32_t>(stop_), static_cast<float>(scan_cost_)});
}

// Whether the steps that are left would take longer than a scan. Where no earlier queries tell how far the k-th code is, that shows as codes are
// found, so a part of a scan's cost is spent before a forecast is believed.
bool Lookup::too_dear(State &state, size_t t) const {
  if (state.found > scan_cost_) return true;  // a scan counts very many results faster
  const double next = cost(state, t, static_cast<size_t>(state.done[t] + 1));
  if (open_ && !known_ && state.spent + next < TRIED * scan_cost_) return false;
  if (open_ && state.total < k_) return next > scan_cost_;
  const int64_t limit = known_ && state.guarantee < stop_ ? std::min(state.limit, stop_) : state.limit;
  return cost_up_to(state, limit) > scan_cost_;
}

// The cost of the steps up to a guarantee of `limit`, or more than a scan costs.
double Lookup::cost_up_to(State &state, int64_t limit) const {
  const std::vector<int> saved = state.done;
  const int64_t guarantee = state.guarantee;
  double sum = 0;
  for (; state.guarantee < limit && sum <= scan_cost_; state.guarantee++) {
    const size_t next = cheapest(state);
    sum += cost(state, next, static_cast<size_t>(state.done[next] + 1));
    state.done[next]++;
  }
  state.done = saved;
  state.guarantee = guarantee;
  return sum;
}

}  // namespace udsph
