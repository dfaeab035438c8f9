// The codes most similar to a query as sets of bits, by the ratio model of Tversky (1977), exactly:
//     shared / (shared + alpha (|query| - shared) + beta (|code| - shared)),  0 where that is 0 / 0
// Tanimoto (Jaccard) is alpha = beta = 1, Dice alpha = beta = 1/2, the share of the query's bits alpha = 1, beta = 0.
//
// Codes lie in the order of their number of bits, so that a block has codes of nearly one size: whole blocks cannot be similar enough
// (Swamidass and Baldi 2007), and in the others a similarity is a least number of shared bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/parallel.h"
#include "hamming/segment.h"

namespace udsph {

struct SimilarityJob {
  const Segment &codes;        // in ascending order of size
  const uint32_t *sizes;       // [n]: bits that are set
  const int64_t *positions;    // [n]: what decides between equally similar ones, the lowest first; below 2**34
  const uint64_t *allowed;     // as for udsph::search, or null
  const uint8_t *queries;      // packed
  size_t n_queries;
  double alpha, beta, threshold;  // not negative; what is less similar than the threshold is left out
  size_t threads;
  Poll poll;
};

// The k most similar of every query, (n_queries, k) each, sorted by (similarity as float descending, position), padded with -1.
void most_similar(const SimilarityJob &job, size_t k, float *similarities, int64_t *positions);

struct SimilarityResult {
  std::vector<int64_t> offsets;
  std::vector<float> similarities;
  std::vector<int64_t> positions;
};

// All that are at least as similar as the threshold, per query in the same order.
SimilarityResult all_similar(const SimilarityJob &job);

}  // namespace udsph
