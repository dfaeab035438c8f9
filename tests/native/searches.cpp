// Searches and distance matrices of udsph.hamming; see check.h.
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "common/cpu.h"
#include "hamming/levels.h"
#include "hamming/search.h"

namespace {

typedef std::vector<uint8_t> Bytes;

int plain_distance(const uint8_t *a, const uint8_t *b, size_t bytes) {
  int count = 0;
  for (size_t i = 0; i < 8 * bytes; i++) count += (a[i / 8] ^ b[i / 8]) >> (i % 8) & 1;
  return count;
}

Bytes random_codes(std::mt19937_64 &random, size_t n, size_t bits) {
  const size_t bytes = (bits + 7) / 8;
  Bytes codes(n * bytes);
  for (uint8_t &byte : codes) byte = static_cast<uint8_t>(random());
  if (bits % 8 != 0)
    for (size_t i = 0; i < n; i++) codes[i * bytes + bytes - 1] &= static_cast<uint8_t>((1 << (bits % 8)) - 1);
  return codes;
}

// Number of wrong results of a top-k search and a distance matrix.
size_t wrong_results(size_t bits, size_t n, size_t n_queries, size_t k, size_t threads) {
  std::mt19937_64 random(bits);
  const size_t bytes = (bits + 7) / 8;
  const Bytes codes = random_codes(random, n, bits), queries = random_codes(random, n_queries, bits);
  const udsph::Segment blocks = udsph::Segment(bits).extended(codes.data(), n / 3).extended(codes.data() + n / 3 * bytes, n - n / 3);
  std::vector<int32_t> near(n_queries * k), matrix(n_queries * n);
  std::vector<int64_t> positions(n_queries * k);
  const udsph::Poll poll = nullptr;
  udsph::search(blocks, queries.data(), n_queries, k, nullptr, threads, poll, near.data(), positions.data());
  udsph::distances(udsph::kernels(), queries.data(), n_queries, codes.data(), n, bytes, threads, poll, matrix.data());
  size_t wrong = 0;
  for (size_t q = 0; q < n_queries; q++) {
    std::vector<std::vector<int64_t>> by_distance(bits + 1);
    for (size_t i = 0; i < n; i++) {
      const int distance = plain_distance(&queries[q * bytes], &codes[i * bytes], bytes);
      wrong += matrix[q * n + i] != distance;
      by_distance[distance].push_back(static_cast<int64_t>(i));
    }
    size_t place = 0;
    for (size_t d = 0; d <= bits && place < k; d++)
      for (size_t i = 0; i < by_distance[d].size() && place < k; i++, place++)
        wrong += near[q * k + place] != static_cast<int32_t>(d) || positions[q * k + place] != by_distance[d][i];
  }
  return wrong;
}

}  // namespace

int main(int argc, char **argv) {
#if UDSPH_X86 && !defined(_MSC_VER)
  const udsph::CpuFeatures asked = udsph::features_by_cpuid();
  if (asked.avx2 != udsph::cpu_has_avx2() || asked.avx512 != udsph::cpu_has_avx512() ||
      asked.avx512_popcount != udsph::cpu_has_avx512_popcount()) {
    std::printf("searches: CPUID says %d %d %d, the compiler's library another thing\n", asked.avx2, asked.avx512, asked.avx512_popcount);
    return 1;
  }
#endif
  return check_levels("searches", udsph::levels().names(), argc, argv, [](const std::string &name) {
    udsph::levels().set(name);
    size_t wrong = 0;
    for (size_t bits : {1, 16, 31, 64, 100, 128, 250, 512, 1024, 1100})
      wrong += wrong_results(bits, 1300, 3, 9, 2) + wrong_results(bits, 700, 25, 60, 1);
    return wrong;
  });
}
