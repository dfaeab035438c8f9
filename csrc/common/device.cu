#include "common/device.h"

#include <cuda_runtime.h>

#include <cstdio>
#include <mutex>

// An error that can be got over is told once: CUDA would tell it again after the next launch.
static cudaError_t reported(cudaError_t code) {
  if (code != cudaSuccess) cudaGetLastError();
  return code;
}

// The pool of the current device, made when it is first asked for. It is the library's own: others keep theirs as they set it.
static cudaError_t pool_of_device(cudaMemPool_t *pool) {
  enum : int { MOST_DEVICES = 64 };
  static std::mutex mutex;
  static cudaMemPool_t pools[MOST_DEVICES];
  int device = 0;
  if (const cudaError_t code = cudaGetDevice(&device)) return code;
  if (device >= MOST_DEVICES) return cudaErrorInvalidDevice;
  const std::lock_guard<std::mutex> lock(mutex);
  if (pools[device] == nullptr) {
    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    properties.location.id = device;
    if (const cudaError_t code = cudaMemPoolCreate(&pools[device], &properties)) return code;
    uint64_t kept = uint64_t{256} << 20;
    if (const cudaError_t code = cudaMemPoolSetAttribute(pools[device], cudaMemPoolAttrReleaseThreshold, &kept)) return code;
  }
  *pool = pools[device];
  return cudaSuccess;
}

extern "C" {

int udsph_cuda_device_count(int *count) {
  *count = 0;  // left as it was where there is no driver
  return reported(cudaGetDeviceCount(count));
}

int udsph_cuda_shared_limit(int *bytes) {
  int device = 0;
  *bytes = 0;
  const cudaError_t code = cudaGetDevice(&device);
  return reported(code ? code : cudaDeviceGetAttribute(bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
}

int udsph_cuda_describe(char *name, int size, int *major, int *minor) {
  int device = 0;
  cudaDeviceProp properties;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) code = cudaGetDeviceProperties(&properties, device);
  if (code != cudaSuccess) return reported(code);
  std::snprintf(name, static_cast<size_t>(size), "%s", properties.name);
  *major = properties.major;
  *minor = properties.minor;
  return code;
}

int udsph_cuda_versions(int *driver, int *library) {
  *driver = *library = 0;
  const cudaError_t code = cudaDriverGetVersion(driver);
  return reported(code ? code : cudaRuntimeGetVersion(library));
}

int udsph_cuda_current(int *device) { return reported(cudaGetDevice(device)); }
int udsph_cuda_use(int device) { return reported(cudaSetDevice(device)); }

int udsph_cuda_allocate(void **memory, int64_t bytes) { return reported(cudaMalloc(memory, static_cast<size_t>(bytes))); }
int udsph_cuda_free(void *memory) { return reported(cudaFree(memory)); }

int udsph_cuda_borrow(void **memory, int64_t bytes, void *stream) {
  cudaMemPool_t pool = nullptr;
  cudaError_t code = pool_of_device(&pool);
  if (code == cudaSuccess)
    code = cudaMallocFromPoolAsync(memory, static_cast<size_t>(bytes), pool, static_cast<cudaStream_t>(stream));
  return reported(code);
}
int udsph_cuda_give_back(void *memory, void *stream) { return reported(cudaFreeAsync(memory, static_cast<cudaStream_t>(stream))); }

int udsph_cuda_memory(int64_t *free, int64_t *total) {
  size_t left = 0, all = 0;
  const cudaError_t code = cudaMemGetInfo(&left, &all);
  *free = static_cast<int64_t>(left);
  *total = static_cast<int64_t>(all);
  return reported(code);
}

int udsph_cuda_device_of(const void *pointer, int *device) {
  cudaPointerAttributes attributes;
  const cudaError_t code = cudaPointerGetAttributes(&attributes, pointer);
  *device = code == cudaSuccess && attributes.type == cudaMemoryTypeDevice ? attributes.device : -1;
  return reported(code);
}

int udsph_cuda_copy(void *to, const void *from, int64_t bytes, void *stream) {
  return reported(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, static_cast<cudaStream_t>(stream)));
}
int udsph_cuda_clear(void *memory, int64_t bytes, void *stream) {
  return reported(cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)));
}
int udsph_cuda_wait(void *stream) { return reported(cudaStreamSynchronize(static_cast<cudaStream_t>(stream))); }

const char *udsph_cuda_error_name(int code) { return cudaGetErrorName(static_cast<cudaError_t>(code)); }
const char *udsph_cuda_error_text(int code) { return cudaGetErrorString(static_cast<cudaError_t>(code)); }

}  // extern "C"
