// Kernels on rows: what pairs and rescoring need of every level.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udsph {

struct WordKernels {
  // Which of n rows of `words` words are within `radius` of the row `query`: their numbers go to `out`; returns how many.
  size_t (*near)(const uint64_t *query, const uint64_t *rows, size_t n, size_t words, size_t radius, uint32_t *out);
};

struct ScoreKernels {
  // Dot product of a query with a row of so many bytes of bits, or of numbers; the query is padded with 0 to a multiple of 64.
  typedef double (*Score)(const double *query, const void *row, size_t length);
  Score bits, int8, uint8, half, real;
};

extern const WordKernels avx512_popcount_words;  // x86-64 only

}  // namespace udsph
