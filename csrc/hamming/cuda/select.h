// From candidates to the k nearest: limits between the stages of a search, and sorted results at its end. A block has one query.
#pragma once

#include "hamming/cuda/layout.h"

namespace udsph::gpu {

// The k-th distance that was found is the limit from now on, for a code that comes later loses the tie; what is farther is dropped.
struct Tighten {
  Candidates found;
  int64_t n, k;
  int bits;

  static int64_t shared_bytes(int64_t bits) { return (bits + 1 + 3) * 4; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    for (int64_t q = block; q < n; q += blocks)
      if (found.limits[q] != 0) tighten(team, static_cast<uint32_t *>(shared), q);
  }

 private:
  template <class Team>
  UDSPH_HD void tighten(const Team &team, uint32_t *shared, int64_t q) const {
    uint32_t *const kth = shared, *const kept = shared + 1, *const histogram = shared + 3;
    uint64_t *keys = found.keys + q * found.capacity;
    const int64_t count = found.counts[q], stored = smaller(count, found.capacity);
    if (stored < k && count == stored) return;  // the same for all threads; nobody has written yet
    team.sync();                                // nobody reads the query before any more
    for (int d = team.rank(); d <= bits; d += team.size()) histogram[d] = 0;
    team.sync();
    for (int64_t i = team.rank(); i < stored; i += team.size()) team.add(histogram + (keys[i] >> POSITION_BITS), 1u);
    team.sync();
    if (team.rank() == 0) {
      int64_t closer = 0;
      int d = 0;
      while (d < bits && closer + histogram[d] < k) closer += histogram[d++];
      *kth = static_cast<uint32_t>(closer + histogram[d] < k ? bits + 1 : d);
      *kept = 0;
    }
    team.sync();
    const uint32_t limit = *kth;
    if (count > stored) {
      if (team.rank() == 0) {
        found.bounds[q] = static_cast<uint32_t>(smaller(limit + 1, bits + 1));
        found.limits[q] = 0;
      }
      return;
    }
    // In place: a step writes where it, or one before it, has read.
    for (int64_t first = 0; first < stored; first += team.size()) {
      const int64_t i = first + team.rank();
      const uint64_t key = i < stored ? keys[i] : ~uint64_t{0};
      team.sync();
      if (i < stored && key >> POSITION_BITS <= limit) keys[team.add(kept, 1u)] = key;
      team.sync();
    }
    if (team.rank() == 0) {
      found.counts[q] = *kept;
      found.limits[q] = limit;
    }
  }
};

enum : int { SORTED_IN_SHARED = 4096 };

// Sorts n keys; the room is of a power of two, and what is beyond them in it gets lost.
template <class Team>
UDSPH_HD inline void sort_keys(const Team &team, uint64_t *keys, int64_t n) {
  int64_t room = 1;
  while (room < n) room *= 2;
  for (int64_t i = n + team.rank(); i < room; i += team.size()) keys[i] = ~uint64_t{0};
  for (int64_t run = 2; run <= room; run *= 2)
    for (int64_t step = run / 2; step > 0; step /= 2) {
      team.sync();
      for (int64_t i = team.rank(); i < room / 2; i += team.size()) {
        const int64_t a = i / step * 2 * step + i % step, b = a + step;
        const uint64_t low = keys[a], high = keys[b];
        if ((low > high) != ((a & run) != 0)) {
          keys[a] = high;
          keys[b] = low;
        }
      }
    }
  team.sync();
}

// Sorted results. `offsets` has a place per query and the end of the last (range search), or is null: k places each, padded.
struct Finish {
  Candidates found;
  int64_t n, k;
  const int64_t *offsets;
  int32_t *distances;
  int64_t *positions;

  static int64_t shared_bytes() { return SORTED_IN_SHARED * 8; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    for (int64_t q = block; q < n; q += blocks) {
      const int64_t count = found.counts[q];
      if (found.bounds[q] != 0 || count > found.capacity) continue;  // the ordered walk writes these
      uint64_t *keys = found.keys + q * found.capacity;
      team.sync();
      if (count <= SORTED_IN_SHARED) {
        uint64_t *here = static_cast<uint64_t *>(shared);
        for (int64_t i = team.rank(); i < count; i += team.size()) here[i] = keys[i];
        keys = here;
      }
      sort_keys(team, keys, count);
      const int64_t first = offsets == nullptr ? q * k : offsets[q], wanted = offsets == nullptr ? k : count;
      for (int64_t i = team.rank(); i < wanted; i += team.size()) {
        distances[first + i] = i < count ? static_cast<int32_t>(keys[i] >> POSITION_BITS) : INT32_MAX;
        positions[first + i] = i < count ? static_cast<int64_t>(keys[i] & ((uint64_t{1} << POSITION_BITS) - 1)) : -1;
      }
    }
  }
};

}  // namespace udsph::gpu
