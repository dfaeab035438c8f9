// Which chunk a lookup turns to next, and when a scan would be faster.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "hamming/lookup.h"

namespace udsph {
namespace {

constexpr double TRIED = 0.25;  // of a scan's cost that is spent before a forecast without experience is believed

}  // namespace

double choose_of(size_t n, size_t k) {
  double count = 1;
  for (size_t i = 0; i < k; i++) count *= static_cast<double>(n - i) / static_cast<double>(i + 1);
  return count;
}

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

// What earlier queries say of these, before a bucket is read.
void Lookup::expect(double all_scanned) {
  scanned_ = tables_.forecast_.scan_is_faster(kind_, all_scanned);
  const Forecast::Likely likely = tables_.forecast_.likely(kind_);
  if (!open_ || !likely.known()) return;
  likely_ = static_cast<int64_t>(likely.middle());
  State &state = states_[0];
  start(state, 0);
  state.measured = true;  // buckets of the mean size will do
  scanned_ = scanned_ || cost_up_to(state, static_cast<int64_t>(likely.least())) > scan_cost_;
}

// Whether the steps that are left would take longer than a scan. How far the k-th code is shows as codes are found, so a part of a scan's
// cost is spent before a forecast is believed; until k are found it is as far as those of earlier queries.
bool Lookup::too_dear(State &state, size_t t) const {
  if (open_ && state.spent + cost(state, t, static_cast<size_t>(state.done[t] + 1)) < TRIED * scan_cost_) return false;
  if (state.found > scan_cost_) return true;  // a scan counts very many results faster
  const int64_t reached = state.guarantee + 1;  // the limit that the next step serves
  if (open_ && state.total < k_) return reached > likely_ || state.spent + cost_up_to(state, likely_) > scan_cost_;
  return cost_up_to(state, open_ && reached <= likely_ ? std::min(state.limit, likely_) : state.limit) > scan_cost_;
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
