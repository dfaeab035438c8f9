#include "hamming/scores.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "hamming/levels.h"

namespace udsph {
namespace {

constexpr size_t AHEAD = 8;                       // rows that are fetched before they are needed
constexpr size_t CANDIDATES_AT_ONCE = 1 << 14;     // between two looks at Ctrl-C
constexpr size_t DIMENSIONS_PER_THREAD = 1 << 22;  // that are worth starting a thread

size_t size_of(RowKind kind) { return kind == RowKind::FLOAT ? 4 : kind == RowKind::HALF ? 2 : 1; }

ScoreKernels::Score kernel(RowKind kind) {
  const ScoreKernels &scores = kernels().scores;
  switch (kind) {
    case RowKind::BITS: return scores.bits;
    case RowKind::INT8: return scores.int8;
    case RowKind::UINT8: return scores.uint8;
    case RowKind::HALF: return scores.half;
    default: return scores.real;
  }
}

}  // namespace

void score_rows(const ScoreJob &job, RowKind kind, float *scores) {
  const ScoreKernels::Score score = kernel(kind);
  const size_t stride = job.stride * size_of(kind), bytes = job.length * size_of(kind), dimensions = 64 * job.words;
  const size_t step = std::max<size_t>(1, CANDIDATES_AT_ONCE / std::max<size_t>(1, job.candidates));
  const size_t worth = 1 + job.n_queries * job.candidates * dimensions / DIMENSIONS_PER_THREAD;
  Workers workers(std::min(job.threads, worth), job.poll);
  std::atomic<size_t> next{0};
  const char *rows = static_cast<const char *>(job.rows);
  workers.run([&](size_t worker) {
    for (size_t begin; (begin = step * next++) < job.n_queries && workers.proceed(worker);) {
      for (size_t q = begin; q < std::min(job.n_queries, begin + step); q++) {
        const int64_t *positions = job.positions + q * job.candidates;
        for (size_t i = 0; i < job.candidates; i++) {
          if (i + AHEAD < job.candidates && positions[i + AHEAD] >= 0)
            for (size_t b = 0; b < bytes; b += 64) __builtin_prefetch(rows + static_cast<size_t>(positions[i + AHEAD]) * stride + b);
          scores[q * job.candidates + i] =
              positions[i] < 0 ? -std::numeric_limits<float>::infinity()
                               : static_cast<float>(score(job.queries + q * dimensions, rows + static_cast<size_t>(positions[i]) * stride, job.length));
        }
      }
    }
  });
}

}  // namespace udsph
