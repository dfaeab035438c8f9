// The contract of the CPU kernel: what every instruction-set level provides for float and double.
//
// Queries attend to context items (words to regions, or regions to words). Both come packed: item g of a side owns the
// rows offsets[g] .. offsets[g + 1] of that side. A tile is the affinities of one query item and one context item.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/formula.h"

namespace udsph::attention {

template <class T>
struct Problem {
  Formula formula;
  int64_t query_items, context_items;
  const int64_t *query_offsets;    // [query_items + 1]
  const int64_t *context_offsets;  // [context_items + 1]
  int64_t max_queries;             // largest number of rows of a query item
  int64_t gram_width;              // at least the largest number of rows of a context item
  const T *affinity;               // [queries, context rows], row-major: one row per query
  const T *gram;                   // [context_items, gram_width, gram_width]
  const T *query_norms;            // [queries]
  T *scores;                       // [query_items, context_items]; output of the forward pass

  // Backward pass only. Every element of the outputs is written.
  const T *grad_scores;  // [query_items, context_items]
  T *grad_affinity;      // like affinity
  T *grad_gram;          // like gram
  T *grad_norms;         // [strips, queries]: one partial sum per strip, so that no two threads write to one place

  int64_t queries() const { return query_offsets[query_items]; }
  int64_t context_rows() const { return context_offsets[context_items]; }
};

// A strip is a run of context items that one thread takes through all query items: their Gram matrices stay in its
// cache. The length depends on the problem alone, so that sums have the same order for any number of threads.
constexpr int64_t kMaxStrip = 8;

inline int64_t strip_length(int64_t context_items) {
  const int64_t sixteenth = context_items / 16;
  return sixteenth < 1 ? 1 : sixteenth > kMaxStrip ? kMaxStrip : sixteenth;
}

inline int64_t strip_count(int64_t context_items) {
  const int64_t length = strip_length(context_items);
  return (context_items + length - 1) / length;
}

template <class T>
struct Passes {
  // Elements of T that a thread needs as scratch, 64-byte aligned, for tiles up to the given size.
  size_t (*scratch)(int64_t max_queries, int64_t max_context);
  void (*forward)(const Problem<T> &problem, int64_t strip, T *scratch);
  void (*backward)(const Problem<T> &problem, int64_t strip, T *scratch);
};

struct Kernels {
  Passes<float> f32;
  Passes<double> f64;
};

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;    // x86-64 only
extern const Kernels avx512_kernels;  // x86-64 only

}  // namespace udsph::attention
