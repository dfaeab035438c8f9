// Distances and search over raw memory, without exceptions: what capi.pyx passes on to other Cython projects.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udsph {

// The extension module holds one of these in a capsule, so that the kernels are compiled once. Every function returns 0, or -1 where
// memory ran out, an argument is out of range or UDSPH_SIMD is wrong. udsph/hamming/capi.pxd describes the arguments.
struct CApi {
  int (*distances)(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
                   int32_t *out) noexcept;
  int (*search)(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t k, size_t threads,
               int32_t *near, int64_t *positions) noexcept;
};

constexpr const char *C_API_NAME = "udsph.hamming._native.c_api";

extern const CApi c_api;

}  // namespace udsph
