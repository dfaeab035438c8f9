// The kernels, one for each program, and the C interface. What is launched is in calls.h.
#include <cuda_runtime.h>

#include "hamming/cuda/calls.h"

namespace udsph::gpu {
namespace {

struct DeviceTeam {
  __device__ static int rank() { return threadIdx.x; }
  __device__ static int size() { return blockDim.x; }
  __device__ static int lane() { return threadIdx.x % LANES; }
  __device__ static constexpr int lanes() { return LANES; }
  __device__ static int row() { return threadIdx.x / LANES; }
  __device__ static int rows() { return blockDim.x / LANES; }
  __device__ static void sync() { __syncthreads(); }
  __device__ static uint32_t add(uint32_t *to, uint32_t n) { return atomicAdd(to, n); }
  __device__ static int64_t add(int64_t *to, int64_t n) {
    return static_cast<int64_t>(atomicAdd(reinterpret_cast<unsigned long long *>(to), static_cast<unsigned long long>(n)));
  }
};

template <class Program>
__global__ void __launch_bounds__(threads_of<Program>) kernel(const Program program) {
  extern __shared__ __align__(128) unsigned char shared[];
  program(DeviceTeam(), shared, blockIdx.x, gridDim.x);
}

class Launcher {
 public:
  explicit Launcher(void *stream) : stream_(static_cast<cudaStream_t>(stream)) {
    int device = 0;
    code_ = cudaGetDevice(&device);
    if (!code_) code_ = cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, device);
    if (!code_) code_ = cudaDeviceGetAttribute(&shared_limit_, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (code_) cudaGetLastError();  // reported once, by run
  }

  int shared_limit() const { return shared_limit_; }

  template <class Program>
  int run(const Program &program, int64_t items, int64_t shared_bytes) {
    if (code_) return code_;
    const auto run = kernel<Program>;
    constexpr int threads = threads_of<Program>;
    const int bytes = static_cast<int>(shared_bytes);
    // Always as much as there is: other threads launch the same kernel with other sizes meanwhile.
    if (bytes > 48 << 10) code_ = cudaFuncSetAttribute(run, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_limit_);
    int held = 1;
    if (!code_) code_ = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&held, run, threads, static_cast<size_t>(bytes));
    if (code_) {
      cudaGetLastError();
      return code_;
    }
    const int64_t blocks = smaller(larger(items, 1), static_cast<int64_t>(larger(held, 1)) * processors_);
    run<<<static_cast<unsigned>(blocks), threads, static_cast<size_t>(bytes), stream_>>>(program);
    return code_ = cudaGetLastError();
  }

 private:
  cudaStream_t stream_;
  cudaError_t code_ = cudaSuccess;
  int processors_ = 1, shared_limit_ = 0;
};

}  // namespace
}  // namespace udsph::gpu

#include "hamming/cuda/interface.inc"

extern "C" int udsph_hamming_check(void) {
  cudaFuncAttributes attributes;
  const cudaError_t code = cudaFuncGetAttributes(&attributes, udsph::gpu::kernel<udsph::gpu::CopyCounts>);
  cudaGetLastError();  // reported once, here
  return code;
}
