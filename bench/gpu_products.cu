// Would tensor cores scan faster? Counts the pairs that are nearer than a limit, by POPC and by products of bits, checks that both find the
// same, and prints pairs a second. Only a scan: no selection. One line of JSON for each width; docs/gpu.md says what the answer decides.
//
// A bit is stored beside its complement: popcount([a, ~a] & [q, ~q]) = bits - distance(a, q). Accumulators begin at limit - 1 - bits, so a
// pair is nearer than the limit where its sum is not negative.
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>

#include "gpu_seconds.h"

namespace {

enum : int { kThreads = 256, kQueries = 8192, kRuns = 5, kGroups = 8 };  // kGroups: eights of queries that a warp holds

__global__ void fill(uint32_t *words, int64_t n, uint32_t seed) {
  for (int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x; i < n; i += int64_t{gridDim.x} * blockDim.x) {
    uint32_t x = static_cast<uint32_t>(i) * 2654435761u + seed * 40503u;
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    words[i] = x ^ (x >> 16);
  }
}

// One code a thread, all queries of a group of 1024.
template <int Words>
__global__ void __launch_bounds__(kThreads) by_popc(const uint32_t *codes, int64_t n, const uint32_t *queries, int limit,
                                                    unsigned long long *near) {
  const uint32_t *group = queries + blockIdx.y * 1024 * Words;
  unsigned found = 0;
  for (int64_t i = blockIdx.x * int64_t{kThreads} + threadIdx.x; i < n; i += int64_t{gridDim.x} * kThreads) {
    uint32_t code[Words];
    for (int w = 0; w < Words; w++) code[w] = codes[i * Words + w];
    for (int q = 0; q < 1024; q++) {
      int distance = 0;
#pragma unroll
      for (int w = 0; w < Words; w++) distance += __popc(code[w] ^ group[q * Words + w]);
      found += distance < limit;
    }
  }
  if (found != 0) atomicAdd(near, found);
}

__device__ void multiply(int32_t (&d)[4], const uint32_t (&a)[2], uint32_t b, const int32_t (&c)[4]) {
  asm volatile("mma.sync.aligned.m16n8k128.row.col.s32.b1.b1.s32.and.popc {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
               : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(b), "r"(c[0]), "r"(c[1]), "r"(c[2]), "r"(c[3]));
}

// A warp holds 8 kGroups queries and goes through codes, 16 at a time. A thread has word lane % 4 of a step of 128 bits: 64 bits of a code
// and their complement.
template <int Words>
__global__ void __launch_bounds__(kThreads) by_products(const uint32_t *codes, int64_t n, const uint32_t *queries, int limit,
                                                        unsigned long long *near) {
  enum : int { STEPS = Words / 2 };
  const int lane = threadIdx.x % 32, row = lane / 4, place = lane % 4, word = place % 2;
  const uint32_t flip = place / 2 ? ~0u : 0u;
  const uint32_t *group = queries + (blockIdx.y * (kThreads / 32) + threadIdx.x / 32) * 8 * kGroups * Words;
  uint32_t b[kGroups][STEPS];
#pragma unroll
  for (int g = 0; g < kGroups; g++)
#pragma unroll
    for (int s = 0; s < STEPS; s++) b[g][s] = group[(8 * g + row) * Words + 2 * s + word] ^ flip;
  const int32_t start[4] = {limit - 1 - 32 * Words, limit - 1 - 32 * Words, limit - 1 - 32 * Words, limit - 1 - 32 * Words};
  unsigned found = 0;
  for (int64_t first = blockIdx.x * int64_t{16}; first < n; first += int64_t{gridDim.x} * 16) {
    uint32_t a[STEPS][2];
#pragma unroll
    for (int s = 0; s < STEPS; s++)
#pragma unroll
      for (int half = 0; half < 2; half++) a[s][half] = codes[(first + row + 8 * half) * Words + 2 * s + word] ^ flip;
    int32_t negative = -1, sums[kGroups][4];
#pragma unroll
    for (int g = 0; g < kGroups; g++) {
      multiply(sums[g], a[0], b[g][0], start);
#pragma unroll
      for (int s = 1; s < STEPS; s++) {
        const int32_t before[4] = {sums[g][0], sums[g][1], sums[g][2], sums[g][3]};
        multiply(sums[g], a[s], b[g][s], before);
      }
      negative &= sums[g][0] & sums[g][1] & sums[g][2] & sums[g][3];
    }
    if (negative >= 0) {
      asm volatile("" ::: "memory");  // a branch, and no predicates: it is rare
#pragma unroll
      for (int g = 0; g < kGroups; g++)
#pragma unroll
        for (int i = 0; i < 4; i++) found += sums[g][i] >= 0;
    }
  }
  if (found != 0) atomicAdd(near, found);
}

template <int Words>
void compare(int64_t n, int limit, int processors) {
  uint32_t *codes, *queries;
  unsigned long long *near, found[2];
  check(cudaMalloc(&codes, n * Words * 4));
  check(cudaMalloc(&queries, kQueries * Words * 4));
  check(cudaMalloc(&near, sizeof *near));
  fill<<<processors * 4, kThreads>>>(codes, n * Words, 1);
  fill<<<processors * 4, kThreads>>>(queries, kQueries * Words, 2);
  const dim3 groups(static_cast<unsigned>(processors), kQueries / 1024);
  const dim3 parts(static_cast<unsigned>(processors), kQueries / (8 * kGroups) / (kThreads / 32));
  double time[2];
  for (int form = 0; form < 2; form++) {
    const auto launch = [&] {
      check(cudaMemsetAsync(near, 0, sizeof *near));
      if (form == 0) {
        by_popc<Words><<<groups, kThreads>>>(codes, n, queries, limit, near);
      } else {
        by_products<Words><<<parts, kThreads>>>(codes, n, queries, limit, near);
      }
    };
    time[form] = seconds(launch, kRuns);
    check(cudaMemcpy(&found[form], near, sizeof *near, cudaMemcpyDeviceToHost));
  }
  const double pairs = static_cast<double>(n) * kQueries;
  std::printf("{\"bits\": %d, \"popc\": %.4g, \"products\": %.4g, \"near\": [%llu, %llu]}\n", 32 * Words, pairs / time[0], pairs / time[1],
              found[0], found[1]);
  check(cudaFree(codes));
  check(cudaFree(queries));
  check(cudaFree(near));
}

}  // namespace

int main() {
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, 0));
  const int64_t n = int64_t{16} << 16;  // a multiple of 16
  compare<2>(n * 4, 13, properties.multiProcessorCount);
  compare<4>(n * 2, 38, properties.multiProcessorCount);
  compare<8>(n, 92, properties.multiProcessorCount);
  return 0;
}
