// The C interface of the CUDA library (cuda/cross_attention.h), served by the host. For tests.
#pragma once

#include "cuda/cross_attention.h"

namespace udsph::attention {

void emulate(const UdsphAttention &problem, bool backward, int threads);
int64_t emulated_chunks(int64_t query_items, int64_t context_items);
int64_t emulated_shared_bytes(int64_t type, int64_t max_queries, int64_t gram_width, bool backward);

}  // namespace udsph::attention
