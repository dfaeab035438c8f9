// Searches through tables: queries go in batches, all lookups of a step of a batch in one stream that announces to the cache what it will
// read; each query grows the radius of the chunk that is cheapest next, and is handed to a scan where that would be faster.
#include "hamming/lookup.h"

#include <algorithm>
#include <cstring>

namespace udsph {
namespace {

constexpr size_t RING = 64, OFFSETS_AHEAD = 24, ROWS_AHEAD = 12;  // lookups under way
constexpr size_t LINES_AHEAD = 12;          // of a bucket that are announced; the hardware follows by itself
constexpr size_t MANY_KEYS = 2048;          // that are sorted by digits
constexpr unsigned DIGIT = 11;              // bits: three make a position, one a distance
constexpr size_t RUN = 128;                 // candidates compared at a time
constexpr double WORTH_CORRECTING = 1e4;    // ns: less is what a query costs by itself

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

Lookup::Lookup(const Tables &tables, const Task &task)
    : tables_(tables), level_(kernels()), task_(task), bytes_((tables.bits_ + 7) / 8), k_(task.k), kind_(task.kind), allowed_(task.allowed),
      open_(task.k > 0 && task.limits == nullptr),
      correction_(task.allowed == nullptr ? tables.forecast_.correction(task.kind) : 1), states_(std::min(LOOKUP_BATCH, task.n_queries)),
      near_(RUN) {
  expect();
}

void Lookup::run(size_t begin, size_t end, const Give &give, const Hand &hand) {
  if (known_ && stop_ < 0) {
    for (size_t q = begin; q < end; q++) hand(q);
    met[3] += end - begin;
    return;
  }
  active_.clear();
  for (size_t q = begin; q < end; q++) {
    start(states_[q - begin], q);
    active_.push_back(&states_[q - begin]);
  }
  const Timer timer(task_.choice.timed, 1);
  spent_ = 0;
  while (!active_.empty()) {
    steps_.clear();
    for (State *state : active_) {
      if (state->limit <= state->guarantee) {
        if (k_ > 0) drop(*state);
        sort_found(state->keys, spare_);
        spent_ += state->spent + state->found;
        if (open_ && allowed_ == nullptr) tables_.forecast_.add_distance(task_.task, static_cast<size_t>(state->limit));
        give(state->query, state->keys);
        continue;
      }
      size_t t = 0;
      const bool far = known_ && state->total < k_ && state->guarantee >= stop_;
      if (far || too_dear(*state, t = cheapest(*state))) {
        met[3]++;
        spent_ += state->spent + state->found;
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
  if (task_.choice.timed && spent_ > WORTH_CORRECTING)
    tables_.forecast_.add_correction(kind_, correction_ * timer.nanoseconds() / spent_);
}

// All lookups of all steps, one after the other: bucket limits are announced first, then rows, then the rows are compared.
void Lookup::stream() {
  Probe ring[RING];
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
bool Lookup::next_step(size_t step, uint64_t &mask, uint64_t &left, uint64_t &key) const {
  if (step >= steps_.size()) return false;
  const State &state = *steps_[step].state;
  const Tables::Table &table = tables_.tables_[steps_[step].t];
  const size_t radius = static_cast<size_t>(state.done[steps_[step].t] + 1);
  mask = radius == 0 ? 0 : radius == 64 ? ~uint64_t{0} : (uint64_t{1} << radius) - 1;
  left = static_cast<uint64_t>(choose_of(table.length, radius) + 0.5);
  key = table.key(state.row.data());
  return true;
}

void Lookup::open(Probe &probe) const {
  const Tables::Table &table = tables_.tables_[probe.step->t];
  probe.end = std::min(table.offsets[probe.bucket + 1], static_cast<uint32_t>(tables_.n_));  // of a file, perhaps a damaged one
  probe.begin = std::min(table.offsets[probe.bucket], probe.end);
  if (probe.begin == probe.end) return;
  if (!tables_.beside_) return __builtin_prefetch(&table.items[probe.begin]);
  const char *at = reinterpret_cast<const char *>(&table.rows[probe.begin * tables_.words_]);
  const char *end = reinterpret_cast<const char *>(&table.rows[probe.end * tables_.words_]);
  for (size_t line = 0; at < end && line < LINES_AHEAD; at += 64, line++) __builtin_prefetch(at);
}

void Lookup::compare(State &state, size_t t, uint64_t key, uint32_t begin, uint32_t end) {
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
        level_.row_distances(query, reinterpret_cast<const uint8_t *>(tables_.row_of(table.items[first + i])), 1, bytes, &near_[i]);
    }
    for (uint32_t i = 0; i < count; i++)
      if (near_[i] <= state.limit) hit(state, t, key, static_cast<uint32_t>(near_[i]), first + i);
  }
}

// A candidate of chunk t is new exactly if it differs in more bits of every other chunk than have been looked up there.
void Lookup::hit(State &state, size_t t, uint64_t key, uint32_t distance, uint32_t at) {
  const Tables::Table &table = tables_.tables_[t];
  const uint64_t *row = tables_.beside_ ? &table.rows[at * tables_.words_] : tables_.row_of(table.items[at]);
  if (table.length > table.width && table.key(row) != key) return;  // shares the bucket
  for (size_t j = 0; j < state.done.size(); j++) {
    if (j == t || state.done[j] < 0) continue;
    const Tables::Table &other = tables_.tables_[j];
    if (__builtin_popcountll(other.key(row) ^ other.key(state.row.data())) <= state.done[j]) return;
  }
  met[2]++;
  if (allowed_ == nullptr) count(state, distance);  // tightens the limit at once
  state.hits.push_back({distance, static_cast<uint32_t>(t), at});
  if (k_ > 0 && state.hits.size() >= k_ + 64) read_positions(state);
}

// A code at this distance exists: the limit is where k are known.
void Lookup::count(State &state, uint32_t distance) const {
  if (k_ == 0 || distance > state.limit) return;
  state.counts[distance]++;
  state.total++;
  const auto at_limit = [&] { return state.counts[static_cast<size_t>(state.limit)]; };
  for (; state.total - at_limit() >= k_; state.limit--) state.total -= at_limit();
}

void Lookup::keep(State &state, uint32_t distance, uint32_t position) const {
  const uint64_t key = static_cast<uint64_t>(distance) << POSITION_BITS | position;
  if (key < state.worst) state.keys.push_back(key);
}

// Positions of the hits that are still wanted. They lie far from each other, so each pass announces what the next one reads.
void Lookup::read_positions(State &state) const {
  std::vector<Hit> &hits = state.hits;
  const uint32_t *first = tables_.first_.get(), *postings = tables_.postings_.get();
  hits.erase(std::remove_if(hits.begin(), hits.end(), [&](const Hit &hit) { return hit.distance > state.limit; }), hits.end());
  for (const Hit &hit : hits) __builtin_prefetch(&tables_.tables_[hit.chunk].items[hit.place]);
  for (Hit &hit : hits) {
    hit.place = std::min(tables_.tables_[hit.chunk].items[hit.place], static_cast<uint32_t>(tables_.n_ - 1));
    __builtin_prefetch(first == nullptr ? nullptr : &first[hit.place]);
  }
  if (first != nullptr)
    for (const Hit &hit : hits) __builtin_prefetch(&postings[first[hit.place]]);
  const size_t before = state.keys.size();
  for (const Hit &hit : hits) {
    if (hit.distance > state.limit) continue;
    if (first == nullptr) {
      take(state, hit.distance, hit.place, 0);
      continue;
    }
    size_t taken = 0;  // the first k of equal codes are enough
    const uint32_t end = std::min(first[hit.place + 1], static_cast<uint32_t>(tables_.n_codes_));
    for (uint32_t i = first[hit.place]; i < end && (k_ == 0 || taken < k_); i++)
      taken += take(state, hit.distance, std::min(postings[i], static_cast<uint32_t>(tables_.n_codes_ - 1)), taken);
  }
  state.found += static_cast<double>(state.keys.size() - before) * tables_.costs_.hit * correction_;
  hits.clear();
  if (k_ > 0 && state.keys.size() >= 8 * (k_ + 64)) drop(state);
}

// Keep a position if the filter allows it. The first one of a hit without a filter has been counted.
bool Lookup::take(State &state, uint32_t distance, uint32_t position, size_t taken) const {
  if (!is_allowed(position)) return false;
  if (allowed_ != nullptr || taken > 0) count(state, distance);
  keep(state, distance, position);
  return true;
}

// Forget all but the k smallest keys.
void Lookup::drop(State &state) const {
  if (state.keys.size() <= k_) return;
  std::nth_element(state.keys.begin(), state.keys.begin() + static_cast<std::ptrdiff_t>(k_) - 1, state.keys.end());
  state.keys.resize(k_);
  state.worst = state.keys[k_ - 1] + 1;
}

}  // namespace udsph
