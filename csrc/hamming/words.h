// Kernels on rows of whole words, and on slices of single bits: what pairs and similarities need of every level.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udsph {

struct WordKernels {
  // Which of n rows of `words` words are within `radius` of the row `query`: their numbers go to `out`; returns how many.
  size_t (*near)(const uint64_t *query, const uint64_t *rows, size_t n, size_t words, size_t radius, uint32_t *out);
};

extern const WordKernels avx512_popcount_words;  // x86-64 only

}  // namespace udsph
