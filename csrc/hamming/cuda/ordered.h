// A walk through all codes in order, one block a query, for the queries whose candidates found no room: exact for any number of results.
#pragma once

#include "hamming/cuda/scan.h"

namespace udsph::gpu {

// The first pass counts by distance, which gives every distance its places among the results; the second fills them in order. In a step
// each thread takes a word of lanes; the hits of a step are listed in order, and each thread writes those of its own distances.
template <int Planes>
struct Ordered {
  enum : int { MOST_THREADS = 256, LISTED = MOST_THREADS * LANES };

  Codes codes;
  Queries queries;
  const uint32_t *allowed;
  Candidates found;
  int64_t k;               // of a search
  const int64_t *offsets;  // of a range search, else null
  int32_t *distances;
  int64_t *positions;

  static int64_t shared_bytes(int64_t bits) { return (bits + 2) * 8 + LISTED * 4 + (MOST_THREADS + 2) * 4; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    int64_t *places = static_cast<int64_t *>(shared);
    uint32_t *list = reinterpret_cast<uint32_t *>(places + codes.bits + 2);
    uint32_t *before = list + LISTED;  // hits of the threads before; behind them the hits of all
    for (int64_t q = block; q < queries.n; q += blocks) {
      const bool by_range = offsets != nullptr;
      if (by_range ? found.counts[q] <= found.capacity : found.bounds[q] == 0) continue;
      walk(team, static_cast<int>(q), by_range ? found.limits[q] : found.bounds[q], places, list, before);
    }
  }

 private:
  template <class Team>
  UDSPH_HD void walk(const Team &team, int q, uint32_t limit, int64_t *places, uint32_t *list, uint32_t *before) const {
    const int bits = codes.bits;
    const int64_t first = offsets == nullptr ? q * k : offsets[q];
    int64_t end = first + k;
    team.sync();
    for (int d = team.rank(); d <= bits; d += team.size()) places[d] = 0;
    team.sync();
    for (int64_t word = team.rank(); word < codes.words(); word += team.size())
      each_hit(q, limit, word, [&](int distance, int) { team.add(places + distance, int64_t{1}); });
    team.sync();
    if (team.rank() == 0) {
      int64_t place = first;
      for (int d = 0; d <= bits; d++) {
        const int64_t count = places[d];
        places[d] = place;
        place += count;
      }
      places[bits + 1] = place;
    }
    team.sync();
    if (offsets != nullptr) end = places[bits + 1];
    for (int64_t i = places[bits + 1] + team.rank(); i < end; i += team.size()) {
      distances[i] = INT32_MAX;
      positions[i] = -1;
    }
    team.sync();  // places change from here on
    for (int64_t step = 0; step < codes.words(); step += team.size()) fill(team, q, limit, step, end, places, list, before);
  }

  template <class Team>
  UDSPH_HD void fill(const Team &team, int q, uint32_t limit, int64_t step, int64_t end, int64_t *places, uint32_t *list,
                     uint32_t *before) const {
    const int64_t word = step + team.rank();
    uint32_t hits = 0;
    if (word < codes.words()) each_hit(q, limit, word, [&](int, int) { hits++; });
    before[team.rank()] = hits;
    team.sync();
    if (team.rank() == 0) {
      uint32_t sum = 0;
      for (int i = 0; i < team.size(); i++) {
        const uint32_t count = before[i];
        before[i] = sum;
        sum += count;
      }
      before[team.size()] = sum;
    }
    team.sync();
    const uint32_t listed = before[team.size()];
    if (hits != 0) {
      uint32_t *to = list + before[team.rank()];
      const uint32_t lane = static_cast<uint32_t>(team.rank()) * LANES;
      each_hit(q, limit, word, [&](int distance, int at) { *to++ = static_cast<uint32_t>(distance) << 16 | (lane + static_cast<uint32_t>(at)); });
    }
    team.sync();
    for (uint32_t i = 0; i < listed; i++) {
      const int distance = static_cast<int>(list[i] >> 16);
      if (distance % team.size() != team.rank()) continue;
      const int64_t place = places[distance]++;
      if (place >= end) continue;
      distances[place] = distance;
      positions[place] = step * LANES + (list[i] & 0xffff);
    }
    team.sync();
  }

  template <class Hit>
  UDSPH_HD void each_hit(int q, uint32_t limit, int64_t word, const Hit &hit) const {
    const uint32_t wanted = lanes_within(word, 0, codes.n, allowed);
    if (wanted == 0) return;
    const QueryInfo info = queries.info[q];
    const TileSlices<1, 4 * TILE_WORDS> slices(codes.word(word));
    Distances<Planes, 1> sums(codes, info, limit);
    sums.add(info, queries.lists + static_cast<int64_t>(q) * queries.width, slices);
    for (uint32_t left = sums.near(slices).v[0] & wanted; left != 0; left &= left - 1) {
      const int lane = lowest_bit(left);
      hit(sums.distance(0, lane, slices), lane);
    }
  }
};

}  // namespace udsph::gpu
