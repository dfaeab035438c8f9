// One query and packed rows that nothing was built for.
#include <algorithm>
#include <climits>
#include <vector>

#include "hamming/levels.h"
#include "hamming/view.h"

namespace udsph {
namespace {

constexpr size_t STEP = 1024;  // rows whose distances stay in the nearest cache

// Hand the distance and number of every row to `take`, in order.
template <class Take>
void each_row(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, const Take &take) {
  const Kernels &level = kernels();
  int32_t row[STEP];
  for (size_t begin = 0; begin < n; begin += STEP) {
    const size_t count = std::min(STEP, n - begin);
    level.row_distances(query, rows + begin * bytes, count, bytes, row);
    for (size_t i = 0; i < count; i++) take(row[i], begin + i);
  }
}

uint64_t key_of(int32_t distance, size_t row) { return static_cast<uint64_t>(distance) << POSITION_BITS | row; }

void write(const std::vector<uint64_t> &keys, size_t count, int32_t *distances, int64_t *positions) {
  for (size_t i = 0; i < count; i++) {
    distances[i] = static_cast<int32_t>(keys[i] >> POSITION_BITS);
    positions[i] = static_cast<int64_t>(keys[i] & ((uint64_t{1} << POSITION_BITS) - 1));
  }
}

}  // namespace

void nearest_rows(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t k, int32_t *distances, int64_t *positions) {
  const size_t most = std::min(k, n);
  std::vector<uint64_t> heap;  // of the nearest so far, the farthest on top
  heap.reserve(most);
  int32_t limit = INT32_MAX;
  each_row(query, rows, n, bytes, [&](int32_t distance, size_t row) {
    if (distance >= limit) return;
    if (heap.size() == most) {
      std::pop_heap(heap.begin(), heap.end());
      heap.pop_back();
    }
    heap.push_back(key_of(distance, row));
    std::push_heap(heap.begin(), heap.end());
    if (heap.size() == most) limit = static_cast<int32_t>(heap.front() >> POSITION_BITS);
  });
  std::sort_heap(heap.begin(), heap.end());
  write(heap, most, distances, positions);
  std::fill(distances + most, distances + k, INT32_MAX);
  std::fill(positions + most, positions + k, -1);
}

size_t rows_within(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t radius, size_t room, int32_t *distances,
                   int64_t *positions) {
  std::vector<uint64_t> keys;
  each_row(query, rows, n, bytes, [&](int32_t distance, size_t row) {
    if (static_cast<size_t>(distance) <= radius) keys.push_back(key_of(distance, row));
  });
  std::sort(keys.begin(), keys.end());
  write(keys, std::min(room, keys.size()), distances, positions);
  return keys.size();
}

}  // namespace udsph
