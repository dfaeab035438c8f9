#include <algorithm>
#include <atomic>

#include "hamming/levels.h"
#include "hamming/search.h"

namespace udsph {

uint64_t sum_words(const Segment &codes, size_t threads) {
  const Kernels &level = kernels();
  Workers workers(threads);
  std::atomic<uint64_t> total{0};
  workers.run([&](size_t worker) {
    const size_t begin = codes.block_count() * worker / threads, end = codes.block_count() * (worker + 1) / threads;
    uint64_t sum = 0;
    for (size_t b = begin; b < end; b++) sum += level.sum_words(codes.block(b), codes.block_words());
    total += sum;
  });
  return total;
}

void distances(const Kernels &level, const uint8_t *queries, size_t n_queries, const uint8_t *rows, size_t n, size_t bytes,
               size_t threads, Poll poll, int32_t *out) {
  constexpr size_t STEP = 1 << 16;  // rows per piece of work
  const size_t steps = (n + STEP - 1) / STEP, pieces = steps * n_queries;
  Workers workers(std::max<size_t>(1, std::min(threads, pieces / 16)), poll);
  std::atomic<size_t> next{0};
  workers.run([&](size_t worker) {
    for (size_t i; (i = next++) < pieces && workers.proceed(worker);) {
      const size_t query = i / steps, begin = i % steps * STEP, count = std::min(STEP, n - begin);
      level.row_distances(queries + query * bytes, rows + begin * bytes, count, bytes, out + query * n + begin);
    }
  });
}

}  // namespace udsph
