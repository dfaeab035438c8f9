// Searches through tables: queries go in batches, all lookups of a step of a batch in one stream that announces to the cache what it will
// read; each query grows the radius of the chunk that is cheapest next, and is handed to a scan where that would be faster.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/parallel.h"
#include "hamming/levels.h"
#include "hamming/tables.h"

namespace udsph {
namespace {

constexpr size_t BATCH = 64;                // queries whose lookups share a stream
constexpr double TRIED = 0.25;              // of a scan's cost that is spent before a forecast is believed
constexpr size_t RING = 64, OFFSETS_AHEAD = 40, ROWS_AHEAD = 20;  // lookups under way
constexpr size_t LINES_AHEAD = 12;          // of a bucket that are announced; the hardware follows by itself
constexpr size_t MANY_KEYS = 2048;          // that are sorted by digits
constexpr unsigned DIGIT = 11;              // bits: three make a position, one a distance
constexpr size_t RUN = 128;                 // candidates compared at a time

double choose_of(size_t n, size_t k) {
  double count = 1;
  for (size_t i = 0; i < k; i++) count *= static_cast<double>(n - i) / static_cast<double>(i + 1);
  return count;
}

// Sort keys distance << 48 | position with positions below 2**32: very many by digits.
void sort_found(std::vector<uint64_t> &keys, std::vector<uint64_t> &spare) {
  if (keys.size() < MANY_KEYS) return std::sort(keys.begin(), keys.end());
  spare.resize(keys.size());
  for (unsigned shift : {0u, DIGIT, 2 * DIGIT, unsigned{POSITION_BITS}}) {
    size_t places[size_t{1} << DIGIT] = {};
    const auto digit = [&](uint64_t key) { return key >> shift & ((uint64_t{1} << DIGIT) - 1); };
    for (uint64_t key : keys) places[digit(key)]++;
    size_t sum = 0;
    for (size_t &place : places) {
      const size_t count = place;
      place = sum;
      sum += count;
    }
    for (uint64_t key : keys) spare[places[digit(key)]++] = key;
    keys.swap(spare);
  }
}

// The next number with as many bits set.
uint64_t next_mask(uint64_t x) {
  const uint64_t low = x & (0 - x), ripple = x + low;
  return ripple | ((x ^ ripple) >> (__builtin_ctzll(x) + 2));
}

}  // namespace

// One thread's part of a search.
class Lookup {
 public:
  Lookup(const Tables &tables, const uint8_t *queries, size_t n_queries, size_t k, size_t limit, const uint64_t *allowed,
         double scan_cost)
      : tables_(tables), level_(kernels()), queries_(queries), bytes_((tables.bits_ + 7) / 8), k_(k), limit_(limit),
        allowed_(allowed), scan_cost_(scan_cost), states_(std::min(BATCH, n_queries)), near_(RUN) {}

  // Look up queries [begin, end), at most BATCH; give(query, keys) gets the keys of each in ascending order, hand(query) those that a
  // scan shall take.
  template <class Give, class Hand>
  void run(size_t begin, size_t end, const Give &give, const Hand &hand) {
    active_.clear();
    for (size_t q = begin; q < end; q++) {
      start(states_[q - begin], q);
      active_.push_back(&states_[q - begin]);
    }
    while (!active_.empty()) {
      steps_.clear();
      for (State *state : active_) {
        if (static_cast<int64_t>(state->limit) <= state->guarantee) {
          finish(*state);
          give(state->query, state->keys);
          continue;
        }
        const size_t t = cheapest(*state);
        if (too_dear(*state, t)) {
          met[3]++;
          hand(state->query);
          continue;
        }
        state->spent += cost(*state, t, static_cast<size_t>(state->done[t] + 1));
        steps_.push_back({state, t});
      }
      stream();
      active_.clear();
      for (const Step &step : steps_) {
        read_positions(*step.state);
        step.state->done[step.t]++;
        step.state->guarantee++;
        active_.push_back(step.state);
      }
    }
  }

  uint64_t met[4] = {0, 0, 0, 0};  // lookups, candidates, hits, queries handed over

 private:
  struct Hit {
    uint32_t distance, item;
  };
  struct State {
    size_t query;
    std::vector<uint64_t> row;      // the query in words
    std::vector<int> done;          // radius looked up per chunk, -1 at first
    std::vector<double> expected;   // items of a bucket near the query, per chunk
    std::vector<uint64_t> keys;     // distance << 48 | position
    std::vector<uint32_t> counts;   // of the hits so far by distance
    std::vector<Hit> hits;          // whose positions are still to be read
    size_t limit, total;            // wanted are distances up to the limit; hits counted
    uint64_t worst;                 // keys from here on are not among the k
    int64_t guarantee;
    double spent;                   // on steps, by the costs
    double found;                   // on positions, likewise
    bool measured;
  };
  struct Step {
    State *state;
    size_t t;
  };

  void start(State &state, size_t query) const {
    const size_t chunks = tables_.tables_.size();
    state.query = query;
    state.row.assign(tables_.words_, 0);
    std::memcpy(state.row.data(), queries_ + query * bytes_, bytes_);
    state.done.assign(chunks, -1);
    state.expected.resize(chunks);
    for (size_t t = 0; t < chunks; t++)
      state.expected[t] = static_cast<double>(tables_.n_) / static_cast<double>(size_t{1} << tables_.tables_[t].width);
    state.keys.clear();
    state.hits.clear();
    state.counts.assign(tables_.bits_ + 1, 0);
    state.limit = limit_;
    state.total = 0;
    state.worst = std::numeric_limits<uint64_t>::max();
    state.guarantee = -1;
    state.spent = 0;
    state.found = 0;
    state.measured = false;
  }

  double cost(const State &state, size_t t, size_t radius) const {
    const size_t length = tables_.tables_[t].length;
    if (radius > length) return std::numeric_limits<double>::infinity();
    return choose_of(length, radius) * (tables_.costs_.lookup + state.expected[t] * tables_.costs_.candidate);
  }

  // Every chunk in turn at first; once radius 0 is done everywhere, the one whose next radius costs least.
  size_t cheapest(State &state) const {
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
  void measure(State &state) const {
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

  // Whether the steps that are left, by the limit known so far, would take longer than a scan. The limit may still fall, so a part of a
  // scan's cost is spent before the forecast is believed.
  bool too_dear(State &state, size_t t) const {
    if (k_ > 0 && state.spent + cost(state, t, static_cast<size_t>(state.done[t] + 1)) < TRIED * scan_cost_) return false;
    if (k_ > 0 && state.total < k_) return true;
    if (state.found > TRIED * scan_cost_) return true;  // a scan counts very many results faster
    const std::vector<int> saved = state.done;
    const int64_t guarantee = state.guarantee;
    double sum = 0;
    for (; state.guarantee < static_cast<int64_t>(state.limit) && sum <= scan_cost_; state.guarantee++) {
      const size_t next = cheapest(state);
      sum += cost(state, next, static_cast<size_t>(state.done[next] + 1));
      state.done[next]++;
    }
    state.done = saved;
    state.guarantee = guarantee;
    return sum > scan_cost_;
  }

  // All lookups of all steps, one after the other: bucket limits are announced first, then rows, then the rows are compared.
  void stream() {
    struct Probe {
      const Step *step;
      uint64_t key;
      size_t bucket;
      uint32_t begin, end;
    } ring[RING];
    size_t made = 0, opened = 0, done = 0, step = 0;
    uint64_t mask = 0, left = 0, key = 0;
    bool more = next_step(step, mask, left, key);
    while (more || done < made) {
      if (more) {
        const Tables::Table &table = tables_.tables_[steps_[step].t];
        Probe &probe = ring[made++ % RING];
        probe.step = &steps_[step];
        probe.key = key ^ mask;
        probe.bucket = table.bucket(probe.key);
        __builtin_prefetch(&table.offsets[probe.bucket]);
        if (--left == 0) {
          step++;
          more = next_step(step, mask, left, key);
        } else {
          mask = next_mask(mask);
        }
      }
      if (opened < made && (made - opened > OFFSETS_AHEAD - ROWS_AHEAD || !more)) open(ring[opened++ % RING]);
      if (done < opened && (made - done > OFFSETS_AHEAD || !more)) {
        const Probe &probe = ring[done++ % RING];
        if (probe.begin != probe.end) compare(*probe.step->state, probe.step->t, probe.key, probe.begin, probe.end);
      }
    }
    met[0] += made;
  }

  // The first mask of a step and how many it has.
  bool next_step(size_t step, uint64_t &mask, uint64_t &left, uint64_t &key) const {
    if (step >= steps_.size()) return false;
    const State &state = *steps_[step].state;
    const Tables::Table &table = tables_.tables_[steps_[step].t];
    const size_t radius = static_cast<size_t>(state.done[steps_[step].t] + 1);
    mask = radius == 0 ? 0 : radius == 64 ? ~uint64_t{0} : (uint64_t{1} << radius) - 1;
    left = static_cast<uint64_t>(choose_of(table.length, radius) + 0.5);
    key = table.key(state.row.data());
    return true;
  }

  template <class Probe>
  void open(Probe &probe) const {
    const Tables::Table &table = tables_.tables_[probe.step->t];
    probe.begin = table.offsets[probe.bucket];
    probe.end = table.offsets[probe.bucket + 1];
    if (probe.begin == probe.end) return;
    if (!tables_.beside_) return __builtin_prefetch(&table.items[probe.begin]);
    const char *at = reinterpret_cast<const char *>(&table.rows[probe.begin * tables_.words_]);
    const char *end = reinterpret_cast<const char *>(&table.rows[probe.end * tables_.words_]);
    for (size_t line = 0; at < end && line < LINES_AHEAD; at += 64, line++) __builtin_prefetch(at);
  }

  void compare(State &state, size_t t, uint64_t key, uint32_t begin, uint32_t end) {
    const Tables::Table &table = tables_.tables_[t];
    const size_t words = tables_.words_, bytes = words * sizeof(uint64_t);
    const auto *query = reinterpret_cast<const uint8_t *>(state.row.data());
    met[1] += end - begin;
    for (uint32_t first = begin; first < end; first += RUN) {
      const uint32_t count = std::min<uint32_t>(RUN, end - first);
      if (tables_.beside_) {
        level_.row_distances(query, reinterpret_cast<const uint8_t *>(&table.rows[first * words]), count, bytes, near_.data());
      } else {
        for (uint32_t i = 0; i < count; i++) __builtin_prefetch(&tables_.rows_[table.items[first + i] * words]);
        for (uint32_t i = 0; i < count; i++)
          level_.row_distances(query, reinterpret_cast<const uint8_t *>(&tables_.rows_[table.items[first + i] * words]), 1, bytes,
                               &near_[i]);
      }
      for (uint32_t i = 0; i < count; i++)
        if (static_cast<size_t>(near_[i]) <= state.limit) hit(state, t, key, static_cast<uint32_t>(near_[i]), first + i);
    }
  }

  // A candidate of chunk t is new exactly if it differs in more bits of every other chunk than have been looked up there.
  void hit(State &state, size_t t, uint64_t key, uint32_t distance, uint32_t at) {
    const Tables::Table &table = tables_.tables_[t];
    const uint32_t item = table.items[at];
    const uint64_t *row = tables_.beside_ ? &table.rows[at * tables_.words_] : &tables_.rows_[item * tables_.words_];
    if (table.length > table.width && table.key(row) != key) return;  // shares the bucket
    for (size_t j = 0; j < state.done.size(); j++) {
      if (j == t || state.done[j] < 0) continue;
      const Tables::Table &other = tables_.tables_[j];
      if (__builtin_popcountll(other.key(row) ^ other.key(state.row.data())) <= state.done[j]) return;
    }
    met[2]++;
    if (allowed_ == nullptr && tables_.first_ == nullptr) count(state, distance);  // tightens the limit at once
    state.hits.push_back({distance, item});
    if (k_ > 0 && state.hits.size() >= k_ + 64) read_positions(state);
  }

  // A code at this distance exists: the limit is where k are known.
  void count(State &state, uint32_t distance) const {
    if (k_ == 0 || distance > state.limit) return;
    state.counts[distance]++;
    state.total++;
    while (state.total - state.counts[state.limit] >= k_) state.total -= state.counts[state.limit--];
  }

  void keep(State &state, uint32_t distance, uint32_t position) const {
    const uint64_t key = static_cast<uint64_t>(distance) << POSITION_BITS | position;
    if (key < state.worst) state.keys.push_back(key);
  }

  // Positions of the hits that are still wanted.
  void read_positions(State &state) const {
    const size_t before = state.keys.size();
    for (const Hit &hit : state.hits) {
      if (hit.distance > state.limit) continue;
      if (tables_.first_ == nullptr) {
        if (!is_allowed(hit.item)) continue;
        if (allowed_ != nullptr) count(state, hit.distance);
        keep(state, hit.distance, hit.item);
        continue;
      }
      size_t taken = 0;  // the first k of equal codes are enough
      for (uint32_t i = tables_.first_[hit.item]; i < tables_.first_[hit.item + 1] && (k_ == 0 || taken < k_); i++) {
        if (!is_allowed(tables_.postings_[i])) continue;
        taken++;
        count(state, hit.distance);
        keep(state, hit.distance, tables_.postings_[i]);
      }
    }
    state.found += static_cast<double>(state.keys.size() - before) * tables_.costs_.hit;
    state.hits.clear();
    if (k_ > 0 && state.keys.size() >= 8 * (k_ + 64)) drop(state);
  }

  bool is_allowed(uint32_t position) const { return allowed_ == nullptr || (allowed_[position / 64] >> (position % 64) & 1) != 0; }

  // Forget all but the k smallest keys.
  void drop(State &state) const {
    if (state.keys.size() <= k_) return;
    std::nth_element(state.keys.begin(), state.keys.begin() + static_cast<std::ptrdiff_t>(k_) - 1, state.keys.end());
    state.keys.resize(k_);
    state.worst = state.keys[k_ - 1] + 1;
  }

  void finish(State &state) {
    if (k_ > 0) drop(state);
    sort_found(state.keys, spare_);
  }

  const Tables &tables_;
  const Kernels &level_;
  const uint8_t *queries_;
  const size_t bytes_, k_, limit_;
  const uint64_t *allowed_;
  const double scan_cost_;
  std::vector<State> states_;
  std::vector<State *> active_;
  std::vector<Step> steps_;
  std::vector<int32_t> near_;
  std::vector<uint64_t> spare_;
};

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

// Run batches of queries in threads; every thread has its own Lookup, made by `make`. Returns the queries handed over, in order.
template <class Make, class Give>
std::vector<size_t> look_up(size_t n_queries, size_t threads, Poll poll, uint64_t *met, const Make &make, const Give &give) {
  const size_t batches = (n_queries + BATCH - 1) / BATCH;
  Workers workers(std::max<size_t>(1, std::min(threads, batches)), poll);
  std::atomic<size_t> next{0};
  std::vector<char> handed(n_queries, 0);
  workers.run([&](size_t worker) {
    auto lookup = make();
    for (size_t b; (b = next++) < batches && workers.proceed(worker);)
      lookup.run(b * BATCH, std::min(n_queries, (b + 1) * BATCH), give, [&](size_t query) { handed[query] = 1; });
    add_to(met, lookup.met);
  });
  std::vector<size_t> rest;
  for (size_t q = 0; q < n_queries; q++)
    if (handed[q] != 0) rest.push_back(q);
  return rest;
}

}  // namespace

void Tables::search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
                    Poll poll, int32_t *distances, int64_t *positions, uint64_t *met) const {
  const double scan = (n_queries < 8 ? costs_.scan_one : costs_.scan_many) * static_cast<double>(n_codes_);
  const std::vector<size_t> rest = look_up(
      n_queries, threads, poll, met, [&] { return Lookup(*this, queries, n_queries, k, bits_, allowed, scan); },
      [&](size_t query, const std::vector<uint64_t> &keys) {
        for (size_t i = 0; i < k; i++) {
          distances[query * k + i] = i < keys.size() ? static_cast<int32_t>(keys[i] >> POSITION_BITS) : INT32_MAX;
          positions[query * k + i] = i < keys.size() ? static_cast<int64_t>(keys[i] & POSITION) : -1;
        }
      });
  if (rest.empty()) return;
  const std::vector<uint8_t> rows = rows_of(queries, rest, (bits_ + 7) / 8);
  std::vector<int32_t> near(rest.size() * k);
  std::vector<int64_t> places(rest.size() * k);
  udsph::search(codes, rows.data(), rest.size(), k, allowed, threads, poll, near.data(), places.data());
  for (size_t i = 0; i < rest.size(); i++) {
    std::copy_n(near.data() + i * k, k, distances + rest[i] * k);
    std::copy_n(places.data() + i * k, k, positions + rest[i] * k);
  }
}

RangeResult Tables::range_search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t radius,
                                 const uint64_t *allowed, size_t threads, Poll poll, uint64_t *met) const {
  const double scan = (n_queries < 8 ? costs_.scan_one : costs_.scan_many) * static_cast<double>(n_codes_);
  std::vector<std::vector<uint64_t>> found(n_queries);
  const std::vector<size_t> rest = look_up(
      n_queries, threads, poll, met, [&] { return Lookup(*this, queries, n_queries, 0, std::min(radius, bits_), allowed, scan); },
      [&](size_t query, const std::vector<uint64_t> &keys) { found[query] = keys; });
  RangeResult scanned;
  if (!rest.empty()) {
    const std::vector<uint8_t> rows = rows_of(queries, rest, (bits_ + 7) / 8);
    scanned = udsph::range_search(codes, rows.data(), rest.size(), radius, allowed, threads, poll);
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
