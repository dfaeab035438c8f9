// The C interface of the CUDA library: plain pointers and sizes, no torch. udsph/attention/cuda.py mirrors the struct.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Type of the affinities and of their gradient. Everything else is double for kUdsphFloat64 and float for the others.
enum UdsphType { kUdsphFloat32 = 0, kUdsphFloat64 = 1, kUdsphBFloat16 = 2, kUdsphFloat16 = 3 };

// Queries attend to context items. Both come packed: item g of a side owns the rows offsets[g] .. offsets[g + 1] of it.
// All pointers are device memory, contiguous, row-major.
typedef struct UdsphAttention {
  double smooth, pool_temperature;
  int64_t type, pool, normalize;  // UdsphType; Pool and Normalize of attention/formula.h
  int64_t query_items, context_items;
  int64_t queries;                 // rows of all query items, below 2**31
  int64_t max_queries;             // largest number of rows of a query item
  int64_t gram_width;              // at least the largest number of rows of a context item
  int64_t chunks;                  // what udsph_attention_chunks returns for the two numbers of items
  const int64_t *query_offsets;    // [query_items + 1]
  const int64_t *context_offsets;  // [context_items + 1]
  const void *affinity;            // [context rows, queries]
  const void *gram;                // [context_items, gram_width, gram_width]
  const void *query_norms;         // [queries]
  void *scores;                    // [query_items, context_items]; output of the forward pass

  // Backward pass only. Every element of the outputs is written.
  const void *grad_scores;  // [query_items, context_items]
  void *grad_affinity;      // like affinity
  void *grad_gram;          // [chunks, context_items, gram_width, gram_width]: partial sums over the query items
  void *grad_norms;         // [context_items, queries]: partial sums over the context items
} UdsphAttention;

// sizeof(UdsphAttention), by which a caller makes sure that it means the same struct.
int64_t udsph_attention_struct_size(void);

// Into how many runs the query items are cut so that a GPU is filled. Depends on the sizes alone, so sums have one
// order.
int64_t udsph_attention_chunks(int64_t query_items, int64_t context_items);

// Bytes of shared memory that a block needs; udsph_cuda_shared_limit (common/device.h) says what it can have.
int64_t udsph_attention_shared_bytes(int64_t type, int64_t max_queries, int64_t gram_width, int backward);

// Launch on the current device and the given cudaStream_t; nothing is waited for. Return a cudaError_t, 0 for success.
int udsph_attention_forward(const UdsphAttention *problem, void *stream);
int udsph_attention_backward(const UdsphAttention *problem, void *stream);

// 0 if the library holds code for the current device, else the cudaError_t of asking.
int udsph_attention_check(void);

#ifdef __cplusplus
}
#endif
