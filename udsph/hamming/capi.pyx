"""The C-level door for other Cython projects; ``capi.pxd`` says what the functions do."""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from udsph.hamming import _native


cdef extern from "hamming/capi.h" namespace "udsph" nogil:
    ctypedef struct CApi:
        int (*distances)(const uint8_t *, size_t, const uint8_t *, size_t, size_t, size_t, int32_t *) noexcept nogil
        int (*search)(const uint8_t *, size_t, const uint8_t *, size_t, size_t, size_t, size_t, int32_t *,
                     int64_t *) noexcept nogil
    const char *C_API_NAME


cdef extern from "udsph.h" nogil:
    ctypedef struct udsph_view:
        pass
    ctypedef struct udsph_range:
        pass
    ctypedef struct udsph_api:
        uint32_t struct_size
        const char *(*message)() noexcept nogil
        int (*open)(const char *, udsph_view **) noexcept nogil
        int (*from_codes)(const uint8_t *, size_t, size_t, const int64_t *, udsph_view **) noexcept nogil
        int (*snapshot)(void *, udsph_view **) noexcept nogil
        void (*close)(udsph_view *) noexcept nogil
        size_t (*count)(const udsph_view *) noexcept nogil
        size_t (*bits)(const udsph_view *) noexcept nogil
        int (*search)(const udsph_view *, const uint8_t *, size_t, size_t, const uint8_t *, size_t, int32_t *,
                      int64_t *) noexcept nogil
        int (*range_search)(const udsph_view *, const uint8_t *, size_t, size_t, const uint8_t *, size_t,
                            udsph_range *) noexcept nogil
        void (*release)(udsph_range *) noexcept nogil
        int (*text)(const udsph_view *, int64_t, const char **, size_t *) noexcept nogil
        int (*nearest)(const uint8_t *, const uint8_t *, size_t, size_t, size_t, int32_t *, int64_t *) noexcept nogil
        int (*within)(const uint8_t *, const uint8_t *, size_t, size_t, size_t, size_t, int32_t *, int64_t *,
                      size_t *) noexcept nogil
    const char *UDSPH_API_NAME


cdef const CApi *kernels = <const CApi *>PyCapsule_GetPointer(_native.c_api, C_API_NAME)
cdef const udsph_api *api = <const udsph_api *>PyCapsule_GetPointer(_native.api, UDSPH_API_NAME)
if api.struct_size < sizeof(udsph_api):
    raise ImportError("udsph.hamming.capi and udsph.hamming._native are of different releases; install udsph anew")


cdef int distances(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
                   int32_t *out) noexcept nogil:
    return kernels.distances(queries, n_queries, codes, n, bits, threads, out)


cdef int search(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t k, size_t threads,
               int32_t *near, int64_t *positions) noexcept nogil:
    return kernels.search(queries, n_queries, codes, n, bits, k, threads, near, positions)


cdef const char *message() noexcept nogil:
    return api.message()


cdef int view_open(const char *path, View **view) noexcept nogil:
    return api.open(path, <udsph_view **>view)


cdef int view_from_codes(const uint8_t *codes, size_t n, size_t bits, const int64_t *ids, View **view) noexcept nogil:
    return api.from_codes(codes, n, bits, ids, <udsph_view **>view)


cdef int view_snapshot(object index, View **view) noexcept:
    return api.snapshot(<void *>index, <udsph_view **>view)


cdef void view_close(View *view) noexcept nogil:
    api.close(<udsph_view *>view)


cdef size_t view_count(const View *view) noexcept nogil:
    return api.count(<const udsph_view *>view)


cdef size_t view_bits(const View *view) noexcept nogil:
    return api.bits(<const udsph_view *>view)


cdef int view_search(const View *view, const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads,
                     int32_t *near, int64_t *ids) noexcept nogil:
    return api.search(<const udsph_view *>view, queries, n_queries, k, where, threads, near, ids)


cdef int view_range_search(const View *view, const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where,
                           size_t threads, Range *found) noexcept nogil:
    return api.range_search(<const udsph_view *>view, queries, n_queries, radius, where, threads, <udsph_range *>found)


cdef void view_release(Range *found) noexcept nogil:
    api.release(<udsph_range *>found)


cdef int view_text(const View *view, int64_t id, const char **utf8, size_t *length) noexcept nogil:
    return api.text(<const udsph_view *>view, id, utf8, length)


cdef int nearest(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t k, int32_t *near,
                 int64_t *rows) noexcept nogil:
    return api.nearest(query, codes, n, bits, k, near, rows)


cdef int within(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t radius, size_t room, int32_t *near,
                int64_t *rows, size_t *found) noexcept nogil:
    return api.within(query, codes, n, bits, radius, room, near, rows, found)
