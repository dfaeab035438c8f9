// What every CUDA kernel of the library needs beside itself, as plain C: udsph/cuda.py is its other side.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Number of GPUs that this process sees. Returns a cudaError_t, as the next two do; touches no GPU.
int udsph_cuda_device_count(int *count);

// The most shared memory that the current device gives to a block: 99 KiB for compute capability 8.6 and 8.9, 163 KiB for 8.0,
// 227 KiB for 9.0.
int udsph_cuda_shared_limit(int *bytes);

// Name (cut to `size` bytes with its end) and compute capability of the current device.
int udsph_cuda_describe(char *name, int size, int *major, int *minor);

// Versions of CUDA that the driver serves (0 without a driver) and that the library was built with, as 1000 major + 10 minor.
int udsph_cuda_versions(int *driver, int *library);

// The current device of this thread, and another one in its place.
int udsph_cuda_current(int *device);
int udsph_cuda_use(int device);

// Memory of the current device, of any content. Freeing it waits for what the device does.
int udsph_cuda_allocate(void **memory, int64_t bytes);
int udsph_cuda_free(void *memory);

// The same from a pool, in the order of a stream: neither waits for anything. The pool keeps up to 256 MiB for the next.
int udsph_cuda_borrow(void **memory, int64_t bytes, void *stream);
int udsph_cuda_give_back(void *memory, void *stream);

// What is free on the current device, and all there is.
int udsph_cuda_memory(int64_t *free, int64_t *total);

// The device whose memory a pointer is in, -1 for the host's.
int udsph_cuda_device_of(const void *pointer, int *device);

// Copies between host and device or within the device, and zeros, in the order of a stream; and waiting for it.
int udsph_cuda_copy(void *to, const void *from, int64_t bytes, void *stream);
int udsph_cuda_clear(void *memory, int64_t bytes, void *stream);
int udsph_cuda_wait(void *stream);

// Name and description of a code that a function of the library returned.
const char *udsph_cuda_error_name(int code);
const char *udsph_cuda_error_text(int code);

#ifdef __cplusplus
}
#endif
