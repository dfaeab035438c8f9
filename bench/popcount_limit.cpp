// The popcount limit: xor + VPOPCNTQ + compare over codes in the L1 cache, eight queries per load, no top-k at all. Prints Gpairs/s
// per width. Needs a CPU with AVX512_VPOPCNTDQ:  g++ -O3 -mavx512f -mavx512vpopcntdq popcount_limit.cpp
#include <immintrin.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

namespace {

constexpr int QUERIES = 8;

// Words of a code are interleaved by eight codes, so that no sum goes across a vector.
template <int Words>
double gigapairs() {
  constexpr int GROUPS = Words < 16 ? 128 / Words : 8;
  static __m512i codes[GROUPS * Words], queries[QUERIES * Words];
  for (auto &v : codes) v = _mm512_set1_epi64(0x123456789abcdef);
  for (auto &v : queries) v = _mm512_set1_epi64(-1);
  double best = 0;
  unsigned hits = 0;
  for (int repeat = 0; repeat < 20; repeat++) {
    const auto start = std::chrono::steady_clock::now();
    constexpr int ROUNDS = 200;
    for (int round = 0; round < ROUNDS; round++)
      for (int g = 0; g < GROUPS; g++)
        for (int q = 0; q < QUERIES; q++) {
          __m512i sum = _mm512_setzero_si512();
          for (int w = 0; w < Words; w++)
            sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(_mm512_xor_si512(codes[g * Words + w], queries[q * Words + w])));
          hits += _mm512_cmplt_epi64_mask(sum, _mm512_set1_epi64(round & 1));
        }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const double rate = 8.0 * ROUNDS * GROUPS * QUERIES / seconds.count() / 1e9;
    if (rate > best) best = rate;
  }
  return hits == 1 ? 0 : best;
}

}  // namespace

int main() {
  std::printf("{\"64\": %.2f, \"128\": %.2f, \"256\": %.2f, \"512\": %.2f, \"1024\": %.2f}\n", gigapairs<1>(), gigapairs<2>(),
              gigapairs<4>(), gigapairs<8>(), gigapairs<16>());
}
