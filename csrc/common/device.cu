#include "common/device.h"

#include <cuda_runtime.h>

#include <cstdio>

extern "C" {

int udsph_cuda_device_count(int *count) {
  *count = 0;  // left as it was where there is no driver
  return cudaGetDeviceCount(count);
}

int udsph_cuda_shared_limit(int *bytes) {
  int device = 0;
  *bytes = 0;
  const cudaError_t code = cudaGetDevice(&device);
  return code ? code : cudaDeviceGetAttribute(bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
}

int udsph_cuda_describe(char *name, int size, int *major, int *minor) {
  int device = 0;
  cudaDeviceProp properties;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) code = cudaGetDeviceProperties(&properties, device);
  if (code != cudaSuccess) return code;
  std::snprintf(name, static_cast<size_t>(size), "%s", properties.name);
  *major = properties.major;
  *minor = properties.minor;
  return code;
}

const char *udsph_cuda_error_name(int code) { return cudaGetErrorName(static_cast<cudaError_t>(code)); }
const char *udsph_cuda_error_text(int code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }

}  // extern "C"
