# Distances and exact search over raw memory, without the interpreter: `from udsph.hamming.capi cimport distances, search`.
#
# Codes are packed rows of (bits + 7) // 8 bytes, bit i of a code in bit i % 8 of byte i // 8, unused bits 0.
# Each function returns 0, or -1 where memory ran out, an argument is out of range or UDSPH_SIMD names a level that is not there.

from libc.stdint cimport int32_t, int64_t, uint8_t

# out[q * n + i] = distance of query q and code i.
cdef int distances(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
                   int32_t *out) noexcept nogil

# The k nearest of every query, sorted by (distance, position), padded with 2**31 - 1 and -1; near and positions have
# n_queries * k entries.
cdef int search(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t k, size_t threads,
               int32_t *near, int64_t *positions) noexcept nogil
