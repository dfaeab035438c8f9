// The CUDA kernels and the C interface. The algorithm is in block.h, the division of the work in layout.h.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "attention/cuda/block.h"
#include "attention/cuda/cross_attention.h"

namespace udsph::attention::block {
namespace {

struct DeviceTeam {
  __device__ static int rank() { return threadIdx.x; }
  __device__ static constexpr int size() { return kThreads; }
  __device__ static int lane() { return threadIdx.x % 32; }
  __device__ static constexpr int lanes() { return 32; }
  __device__ static int row() { return threadIdx.x / 32; }
  __device__ static constexpr int rows() { return kThreads / 32; }
  __device__ static void sync() { __syncthreads(); }
};

template <class E, class T, bool Backward>
__global__ void __launch_bounds__(kThreads) attention_kernel(const __grid_constant__ UdsphAttention problem) {
  extern __shared__ __align__(128) unsigned char shared[];
  const DeviceTeam team;
  Block<E, T, Backward, DeviceTeam>(problem, team, shared, blockIdx.x).run();
}

template <class E, class T, bool Backward>
cudaError_t launch(const UdsphAttention &problem, cudaStream_t stream) {
  const auto kernel = attention_kernel<E, T, Backward>;
  const size_t bytes = Shared<T>::bytes(Layout(problem.max_queries, problem.gram_width), Backward);
  // More than 48 KiB must be asked for: always as much as there is, for other threads launch the same kernel with other
  // sizes meanwhile. More than the GPU has is refused here.
  int device = 0, most = 0;
  cudaError_t code = cudaGetDevice(&device);
  if (code == cudaSuccess) code = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  if (code == cudaSuccess && bytes > static_cast<size_t>(most)) code = cudaErrorInvalidValue;
  if (code == cudaSuccess) code = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most);
  if (code == cudaSuccess) {
    const int64_t blocks = problem.chunks * problem.context_items;
    kernel<<<static_cast<unsigned>(blocks), kThreads, bytes, stream>>>(problem);
    return cudaGetLastError();
  }
  cudaGetLastError();  // the error is reported once, here
  return code;
}

template <bool Backward>
cudaError_t launch_type(const UdsphAttention &problem, cudaStream_t stream) {
  if (problem.chunks != chunk_count(problem.query_items, problem.context_items) || problem.queries > INT32_MAX ||
      problem.chunks * problem.context_items > INT32_MAX)
    return cudaErrorInvalidValue;
  switch (problem.type) {
    case kUdsphFloat32:
      return launch<float, float, Backward>(problem, stream);
    case kUdsphFloat64:
      return launch<double, double, Backward>(problem, stream);
    case kUdsphBFloat16:
      return launch<__nv_bfloat16, float, Backward>(problem, stream);
    case kUdsphFloat16:
      return launch<__half, float, Backward>(problem, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace
}  // namespace udsph::attention::block

using namespace udsph::attention::block;

extern "C" {

int64_t udsph_attention_struct_size(void) { return sizeof(UdsphAttention); }

int64_t udsph_attention_chunks(int64_t query_items, int64_t context_items) {
  return chunk_count(query_items, context_items);
}

int64_t udsph_attention_shared_bytes(int64_t type, int64_t max_queries, int64_t gram_width, int backward) {
  const Layout layout(max_queries, gram_width);
  return type == kUdsphFloat64 ? Shared<double>::bytes(layout, backward) : Shared<float>::bytes(layout, backward);
}

int udsph_attention_forward(const UdsphAttention *problem, void *stream) {
  return launch_type<false>(*problem, static_cast<cudaStream_t>(stream));
}

int udsph_attention_backward(const UdsphAttention *problem, void *stream) {
  return launch_type<true>(*problem, static_cast<cudaStream_t>(stream));
}

int udsph_attention_check(void) {
  cudaFuncAttributes attributes;
  const cudaError_t code = cudaFuncGetAttributes(&attributes, attention_kernel<float, float, false>);
  cudaGetLastError();  // reported once, here
  return code;
}

}  // extern "C"
