// Results of parts that lie one behind the other, merged: by distance, then by position.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udsph {

// Sorted distances and positions, `n` of them; missing ones are INT32_MAX and -1 at the end.
struct Sorted {
  const int32_t *distances;
  const int64_t *positions;
  size_t n;
};

// The first `count` of two parts; positions of the second count from `base` on, and those of the first come first among equal distances.
inline void merge(const Sorted &first, const Sorted &second, int64_t base, size_t count, int32_t *distances, int64_t *positions) {
  size_t a = 0, b = 0;
  for (size_t i = 0; i < count; i++) {
    if (a < first.n && (b >= second.n || first.distances[a] <= second.distances[b])) {
      distances[i] = first.distances[a];
      positions[i] = first.positions[a++];
    } else {
      distances[i] = second.distances[b];
      positions[i] = second.positions[b] < 0 ? -1 : second.positions[b] + base;
      b++;
    }
  }
}

}  // namespace udsph
