// One thread's part of a search through tables.
#pragma once

#include <functional>
#include <vector>

#include "hamming/levels.h"
#include "hamming/tables.h"

namespace udsph {

constexpr size_t LOOKUP_BATCH = 64;  // queries whose lookups share a stream

class Lookup {
 public:
  // What is asked: the k nearest, or, where k is 0, all codes within `radius`; of the k nearest those closer than `limits` of each query,
  // where they are not null. `task` and `kind` are those of Forecast, which says in `choice` how it goes.
  struct Task {
    const uint8_t *queries;
    size_t n_queries, k, radius;
    const uint32_t *limits;
    size_t task, kind, threads;
    Forecast::Choice choice;
    const uint64_t *allowed;
  };
  Lookup(const Tables &tables, const Task &task);

  // Look up queries [begin, end), at most LOOKUP_BATCH; give(query, keys) gets the keys (distance << 48 | position) of each in ascending
  // order, which it may keep, hand(query) those that a scan shall take.
  typedef std::function<void(size_t, std::vector<uint64_t> &)> Give;
  typedef std::function<void(size_t)> Hand;
  void run(size_t begin, size_t end, const Give &give, const Hand &hand);

  uint64_t met[4] = {0, 0, 0, 0};  // lookups, candidates, hits, queries handed over

 private:
  struct Hit {
    uint32_t distance, chunk, place;  // in the chunk's order
  };
  struct State {
    size_t query;
    std::vector<uint64_t> row;      // the query in words
    std::vector<int> done;          // radius looked up per chunk, -1 at first
    std::vector<double> expected;   // items of a bucket near the query, per chunk
    std::vector<uint64_t> keys;     // distance << 48 | position
    std::vector<uint32_t> counts;   // of the hits so far by distance
    std::vector<Hit> hits;          // whose positions are still to be read
    int64_t limit;                  // wanted are distances up to it; -1: none
    size_t total;                   // hits counted
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
  struct Probe {
    const Step *step;
    uint64_t key;
    size_t bucket;
    uint32_t begin, end;
  };

  // lookup_plan.cpp: which chunk is next, and whether a scan would be faster.
  void expect();
  void start(State &state, size_t query) const;
  double cost(const State &state, size_t t, size_t radius) const;
  size_t cheapest(State &state) const;
  void measure(State &state) const;
  bool too_dear(State &state, size_t t) const;
  double cost_up_to(State &state, int64_t limit) const;

  // lookup.cpp: looking up, comparing, collecting.
  void stream();
  bool next_step(size_t step, uint64_t &mask, uint64_t &left, uint64_t &key) const;
  void open(Probe &probe) const;
  void compare(State &state, size_t t, uint64_t key, uint32_t begin, uint32_t end);
  void hit(State &state, size_t t, uint64_t key, uint32_t distance, uint32_t at);
  void count(State &state, uint32_t distance) const;
  void keep(State &state, uint32_t distance, uint32_t position) const;
  void read_positions(State &state) const;
  bool take(State &state, uint32_t distance, uint32_t position, size_t taken) const;
  void drop(State &state) const;
  bool is_allowed(uint32_t position) const { return allowed_ == nullptr || (allowed_[position / 64] >> (position % 64) & 1) != 0; }

  const Tables &tables_;
  const Kernels &level_;
  const Task task_;
  const size_t bytes_, k_, kind_;
  const uint64_t *allowed_;
  const bool open_;  // no query has a limit from the start
  const double correction_;  // of the costs, by earlier queries' times
  double scan_cost_;         // of a query that is handed over
  double spent_ = 0;         // by the queries of a run
  bool known_ = false;  // whether earlier queries say how far the k-th code is:
  int64_t stop_ = -1;   // who has not found k codes by this guarantee is handed over
  std::vector<State> states_;
  std::vector<State *> active_;
  std::vector<Step> steps_;
  std::vector<int32_t> near_;
  std::vector<uint64_t> spare_;
};

// Ways to choose k of n.
double choose_of(size_t n, size_t k);

}  // namespace udsph
