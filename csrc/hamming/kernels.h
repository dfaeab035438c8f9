// The contract: what every instruction-set level provides. One translation unit per level fills one table.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udsph {

struct Kernels {
  const char *name;

  // out[i] = Hamming distance of `query` and row i of `rows`; rows are packed, `bytes` long each.
  void (*row_distances)(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, int32_t *out);
};

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;    // x86-64 only
extern const Kernels avx512_kernels;  // x86-64 only
extern const Kernels neon_kernels;    // aarch64 only

}  // namespace udsph
