#include "hamming/capi.h"

#include "hamming/levels.h"
#include "hamming/search.h"

namespace udsph {
namespace {

constexpr size_t MAX_BITS = 8192;

bool in_range(size_t bits, size_t threads) { return bits >= 1 && bits <= MAX_BITS && threads >= 1; }

int raw_distances(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
                  int32_t *out) noexcept try {
  if (!in_range(bits, threads)) return -1;
  distances(kernels(), queries, n_queries, codes, n, (bits + 7) / 8, threads, nullptr, out);
  return 0;
} catch (...) {
  return -1;
}

int raw_search(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t k, size_t threads,
              int32_t *near, int64_t *positions) noexcept try {
  if (!in_range(bits, threads) || k < 1) return -1;
  search(Segment(bits).extended(codes, n), queries, n_queries, k, nullptr, threads, nullptr, near, positions);
  return 0;
} catch (...) {
  return -1;
}

}  // namespace

const CApi c_api = {raw_distances, raw_search};

}  // namespace udsph
