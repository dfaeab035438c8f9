#include "hamming/search.h"

#include <algorithm>
#include <vector>

#include "hamming/dispatch.h"
#include "hamming/topk.h"

namespace udsph {

void search_rows(const uint8_t *queries, size_t n_queries, const uint8_t *rows, size_t n, size_t bytes, size_t k,
                 int32_t *distances, int64_t *positions) {
  constexpr size_t CHUNK = 4096;  // distances of a chunk stay in the L1 cache between the two loops
  const Kernels &level = kernels();
  std::vector<int32_t> chunk(CHUNK);
  for (size_t q = 0; q < n_queries; q++) {
    TopK best(k, bytes * 8);
    for (size_t begin = 0; begin < n; begin += CHUNK) {
      const size_t count = std::min(CHUNK, n - begin);
      level.row_distances(queries + q * bytes, rows + begin * bytes, count, bytes, chunk.data());
      for (size_t i = 0; i < count; i++)
        if (static_cast<size_t>(chunk[i]) < best.limit()) best.add(chunk[i], static_cast<int64_t>(begin + i));
    }
    best.finish(distances + q * k, positions + q * k);
  }
}

}  // namespace udsph
