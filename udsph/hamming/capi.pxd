# Exact Hamming search without the interpreter, for other Cython projects: `cimport udsph.hamming.capi as udsph`.
#
# Codes are packed rows of (bits + 7) // 8 bytes, bit i of a code in bit i % 8 of byte i // 8, unused bits 0. Every function may be
# called from any thread with or without the GIL. Nothing beside this file is needed to compile a client.

from libc.stdint cimport int32_t, int64_t, uint8_t

# -- Packed rows in memory. These two return 0, or -1 where memory ran out, an argument is out of range or UDSPH_SIMD is wrong. --

# out[q * n + i] = distance of query q and code i.
cdef int distances(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
                   int32_t *out) noexcept nogil

# The k nearest of every query, sorted by (distance, position), padded with 2**31 - 1 and -1; near and positions have
# n_queries * k entries.
cdef int search(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t k, size_t threads,
               int32_t *near, int64_t *positions) noexcept nogil

# -- The functions of udsph.h, which describes them. They return 0 or an udsph_status, and message() says what was wrong. --

cdef struct View:
    void *hidden

cdef struct Range:
    const int64_t *offsets
    const int32_t *distances
    const int64_t *ids
    void *memory

cdef const char *message() noexcept nogil

cdef int view_open(const char *path, View **view) noexcept nogil
cdef int view_from_codes(const uint8_t *codes, size_t n, size_t bits, const int64_t *ids, View **view) noexcept nogil
cdef int view_snapshot(object index, View **view) noexcept
cdef void view_close(View *view) noexcept nogil
cdef size_t view_count(const View *view) noexcept nogil
cdef size_t view_bits(const View *view) noexcept nogil
cdef int view_search(const View *view, const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads,
                     int32_t *near, int64_t *ids) noexcept nogil
cdef int view_range_search(const View *view, const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where,
                           size_t threads, Range *found) noexcept nogil
cdef void view_release(Range *found) noexcept nogil
cdef int view_text(const View *view, int64_t id, const char **utf8, size_t *length) noexcept nogil

# The k nearest rows of one query, and all within a radius; without a thread of their own.
cdef int nearest(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t k, int32_t *near,
                 int64_t *rows) noexcept nogil
cdef int within(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t radius, size_t room, int32_t *near,
                int64_t *rows, size_t *found) noexcept nogil
