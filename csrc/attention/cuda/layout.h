// How a block of threads divides its work and its shared memory. Compiles for host and device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "attention/formula.h"

namespace udsph::attention::block {

constexpr int kThreads = 128;        // of a block
constexpr int kEnoughBlocks = 1024;  // several for every multiprocessor of the largest GPU

UDSPH_HD inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
UDSPH_HD inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
UDSPH_HD inline int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }

UDSPH_HD inline int64_t chunk_count(int64_t query_items, int64_t context_items) {
  return larger(1, smaller(query_items, kEnoughBlocks / larger(1, context_items)));
}

// A block owns one context item and takes runs of whole query items through shared memory. Arrays over context rows and
// queries are stored [context row][query]; a thread works on squares of 4 context rows x 4 queries.
struct Layout {
  int height;    // context rows, rounded up to fours
  int capacity;  // queries of a run, a multiple of 4, at least those of the largest query item
  int leading;   // elements from one context row to the next: 4 or 28 more than a multiple of 32, so that neighbouring
                 // rows start in different banks of shared memory

  UDSPH_HD Layout(int64_t max_queries, int64_t gram_width) {
    height = static_cast<int>(round_up(gram_width, 4));
    const int64_t squares = larger(1, kThreads / (height / 4));  // one square per thread and pass
    capacity = static_cast<int>(larger(4 * squares, round_up(max_queries, 4)));
    leading = capacity;
    while (leading % 32 != 4 && leading % 32 != 28) leading += 4;
  }

  UDSPH_HD int strips() const { return height / 4; }
};

// Pointers into a block's shared memory. T is the type of arithmetic.
template <class T>
struct Shared {
  T *affinity;                             // [height][leading] S
  T *alpha;                                // [height][leading] z, then exp(smooth z)
  T *product;                              // [height][leading] alpha G, then dz, then dS; backward only
  T *gram, *grad_gram;                     // [height][height]; the latter backward only
  T *part_dot, *part_square, *part_total;  // [strips][leading] sums over the 4 context rows of a strip
  T *cosine, *d_dot, *d_square, *d_total;  // [leading] per query
  int32_t *query;                          // [leading] number of the query in each column of the run
  int32_t *slot_start;                     // [kThreads + 1] first column of each query item of the run
  int32_t *length;  // [kThreads] of each query item of the window; negative where its gradient is 0
  int32_t *first;   // [kThreads] number of its first query

  UDSPH_HD Shared() {}
  UDSPH_HD Shared(void *base, const Layout &layout, bool backward) {
    each(layout, backward, Place{static_cast<char *>(base)});
  }

  UDSPH_HD static size_t bytes(const Layout &layout, bool backward) {
    Shared arrays;
    size_t total = 0;
    arrays.each(layout, backward, Count{total});
    return total;
  }

 private:
  struct Place {
    char *next;
    template <class U>
    UDSPH_HD void operator()(U *&array, size_t elements) {
      array = reinterpret_cast<U *>(next);
      next += elements * sizeof(U);
    }
  };
  struct Count {
    size_t &bytes;
    template <class U>
    UDSPH_HD void operator()(U *&, size_t elements) {
      bytes += elements * sizeof(U);
    }
  };

  // Sizes are multiples of 4 elements, so that every array starts where four elements can be moved at once.
  template <class Visit>
  UDSPH_HD void each(const Layout &layout, bool backward, Visit visit) {
    const size_t line = layout.leading, plane = layout.height * line, part = layout.strips() * line;
    const size_t square = static_cast<size_t>(layout.height) * layout.height;
    visit(affinity, plane);
    visit(alpha, plane);
    visit(product, backward ? plane : 0);
    visit(gram, square);
    visit(grad_gram, backward ? square : 0);
    visit(part_dot, part);
    visit(part_square, part);
    visit(part_total, part);
    visit(cosine, line);
    visit(d_dot, line);
    visit(d_square, line);
    visit(d_total, line);
    visit(query, line);
    visit(slot_start, kThreads + 4);
    visit(length, kThreads);
    visit(first, kThreads);
  }
};

}  // namespace udsph::attention::block
