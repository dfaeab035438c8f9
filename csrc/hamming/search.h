// Searches: how queries and blocks are shared out to threads, and how results come together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/parallel.h"
#include "hamming/segment.h"

namespace udsph {

// The k nearest codes of every query. `allowed` has a bit per code (padded to whole blocks) or is null. distances and positions are
// (n_queries, k), each row sorted by (distance, position) and padded with INT32_MAX and -1. `limits` are null, or one per query: only codes
// closer than that are wanted.
void search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
            Poll poll, int32_t *distances, int64_t *positions, const uint32_t *limits = nullptr);

struct RangeResult {
  std::vector<int64_t> offsets;  // results of query q are at offsets[q] to offsets[q + 1], sorted by (distance, position)
  std::vector<int32_t> distances;
  std::vector<int64_t> positions;
};

// Every code at a distance of `radius` or less.
RangeResult range_search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed,
                         size_t threads, Poll poll);

// The sum of all words of the codes: a plain read of the same memory, with which the speed of a search for one query is compared.
uint64_t sum_words(const Segment &codes, size_t threads);

// out[q * n + i] = distance of query q and row i of packed rows, `bytes` long each.
void distances(const Kernels &level, const uint8_t *queries, size_t n_queries, const uint8_t *rows, size_t n, size_t bytes,
               size_t threads, Poll poll, int32_t *out);

}  // namespace udsph
