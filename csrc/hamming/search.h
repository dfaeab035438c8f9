// Search over packed rows, one query after the other, for the callers that have no index.
#pragma once

#include <cstddef>
#include <cstdint>

namespace udsph {

// distances, positions: (queries, k), each row sorted by (distance, position) and padded.
void search_rows(const uint8_t *queries, size_t n_queries, const uint8_t *rows, size_t n, size_t bytes, size_t k,
                 int32_t *distances, int64_t *positions);

}  // namespace udsph
