// What one GPU does at most: logic, counting of bits, shared memory, products of bits, reading of memory. One line of JSON.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>

#include "gpu_seconds.h"

namespace {

constexpr int kThreads = 256, kBlocksPerProcessor = 8, kRounds = 512, kChains = 16, kRuns = 7;

struct Logic {  // LOP3, in chains that do not wait for each other
  static constexpr double kOperations = kChains;
  uint32_t x[kChains], a, b;
  __device__ explicit Logic(uint32_t seed) : a(seed * 3), b(seed * 5) {
    for (int i = 0; i < kChains; i++) x[i] = seed + i;
  }
  __device__ void round(const uint32_t *) {
#pragma unroll
    for (int i = 0; i < kChains; i++) asm volatile("lop3.b32 %0, %0, %1, %2, 0x96;" : "+r"(x[i]) : "r"(a), "r"(b));
  }
  __device__ uint32_t result() const {
    uint32_t sum = 0;
    for (int i = 0; i < kChains; i++) sum ^= x[i];
    return sum;
  }
};

struct Counting : Logic {  // POPC
  using Logic::Logic;
  __device__ void round(const uint32_t *) {
#pragma unroll
    for (int i = 0; i < kChains; i++) asm volatile("popc.b32 %0, %0;" : "+r"(x[i]));
  }
};

struct Shared : Logic {  // words of shared memory, 4 a load
  static constexpr double kOperations = 4 * kChains;
  using Logic::Logic;
  __device__ void round(const uint32_t *shared) {
    const uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(shared)) + threadIdx.x % 32 * 16;
#pragma unroll
    for (int i = 0; i < kChains; i++) {
      uint32_t w, y, z, v;  // all are used, or a narrower load is made of it
      asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(w), "=r"(y), "=r"(z), "=r"(v) : "r"(at + i * 512));
      x[i] ^= (w ^ y) ^ (z ^ v);
    }
  }
};

struct Products : Logic {  // products of bits by tensor cores: 16 x 8 pairs of 256 bits for 32 threads
  static constexpr double kOperations = 4 * 16.0 * 8 * 256 / 32;
  int32_t d[4][4] = {};
  using Logic::Logic;
  __device__ void round(const uint32_t *) {
#pragma unroll
    for (int i = 0; i < 4; i++)
      asm volatile(
          "mma.sync.aligned.m16n8k256.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
          : "+r"(d[i][0]), "+r"(d[i][1]), "+r"(d[i][2]), "+r"(d[i][3])
          : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(a), "r"(b));
  }
  __device__ uint32_t result() const {
    uint32_t sum = 0;
    for (int i = 0; i < 16; i++) sum += static_cast<uint32_t>(d[i / 4][i % 4]);
    return sum;
  }
};

template <class Work>
__global__ void __launch_bounds__(kThreads) work(uint32_t *out) {
  __shared__ alignas(16) uint32_t shared[4 * 32 * kChains];
  for (int i = threadIdx.x; i < 4 * 32 * kChains; i += kThreads) shared[i] = i;
  __syncthreads();
  Work state(threadIdx.x + blockIdx.x * kThreads);
  for (int i = 0; i < kRounds; i++) state.round(shared);
  out[blockIdx.x * kThreads + threadIdx.x] = state.result();
}

__global__ void read(const uint4 *from, int64_t n, uint32_t *out) {
  uint32_t sum = 0;
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n; i += int64_t{gridDim.x} * blockDim.x) {
    const uint4 x = from[i];
    sum ^= x.x ^ x.y ^ x.z ^ x.w;
  }
  if (sum == 0x12345678) out[0] = sum;
}

template <class Work>
double rate(int blocks, uint32_t *out) {
  const double operations = Work::kOperations * kRounds * kThreads * blocks;
  return operations / seconds([&] { work<Work><<<blocks, kThreads>>>(out); }, kRuns);
}

}  // namespace

int main() {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));
  const int blocks = properties.multiProcessorCount * kBlocksPerProcessor;
  uint32_t *out;
  check(cudaMalloc(&out, sizeof(uint32_t) * kThreads * blocks));
  const int64_t bytes = int64_t{2} << 30;
  uint4 *memory;
  check(cudaMalloc(&memory, bytes));
  check(cudaMemset(memory, 1, bytes));
  std::printf("{\"name\": \"%s\", \"processors\": %d, \"logic\": %.4g, ", properties.name, properties.multiProcessorCount,
              rate<Logic>(blocks, out));
  std::printf("\"popc\": %.4g, \"shared_words\": %.4g, \"bit_products\": %.4g, ", rate<Counting>(blocks, out),
              rate<Shared>(blocks, out), rate<Products>(blocks, out));
  std::printf("\"read_bytes\": %.4g}\n", bytes / seconds([&] { read<<<blocks, kThreads>>>(memory, bytes / 16, out); }, kRuns));
  return 0;
}
