"""The C-level door for other Cython projects; ``capi.pxd`` says what the functions do."""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.stdint cimport int32_t, int64_t, uint8_t

from udsph.hamming import _native


cdef extern from "hamming/capi.h" namespace "udsph" nogil:
    ctypedef struct CApi:
        int (*distances)(const uint8_t *, size_t, const uint8_t *, size_t, size_t, size_t, int32_t *) noexcept nogil
        int (*search)(const uint8_t *, size_t, const uint8_t *, size_t, size_t, size_t, size_t, int32_t *,
                     int64_t *) noexcept nogil
    const char *C_API_NAME


cdef const CApi *kernels = <const CApi *>PyCapsule_GetPointer(_native.c_api, C_API_NAME)


cdef int distances(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
                   int32_t *out) noexcept nogil:
    return kernels.distances(queries, n_queries, codes, n, bits, threads, out)


cdef int search(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t k, size_t threads,
               int32_t *near, int64_t *positions) noexcept nogil:
    return kernels.search(queries, n_queries, codes, n, bits, k, threads, near, positions)
