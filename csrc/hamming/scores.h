// Dot products of queries with rows that candidates name: rescoring. Queries are in double precision, in which every product with a bit, a
// byte or a half is exact; the 64 partial sums of a dot product are added in one order at every level.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/parallel.h"

namespace udsph {

struct ScoreJob {
  const double *queries;     // [n_queries][words * 64], padded with 0
  size_t n_queries, words;   // 64 dimensions each
  const void *rows;          // [n_rows], `stride` numbers or bytes apart, of `length` numbers or bytes
  size_t stride, length;
  const int64_t *positions;  // [n_queries][candidates]: of rows; negative: none
  size_t candidates;
  size_t threads;
  Poll poll;
};

enum class RowKind { BITS, INT8, UINT8, HALF, FLOAT };

// scores[q * candidates + i], -infinity where there is no row.
void score_rows(const ScoreJob &job, RowKind kind, float *scores);

}  // namespace udsph
