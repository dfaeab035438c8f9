// What every CUDA kernel of the library needs beside itself, as plain C: udsph/cuda.py is its other side.
#pragma once

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

// Name and description of a code that a function of the library returned.
const char *udsph_cuda_error_name(int code);
const char *udsph_cuda_error_text(int code);

#ifdef __cplusplus
}
#endif
