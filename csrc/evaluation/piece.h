// A piece of a database, sliced, and the counting of queries against it.
#pragma once

#include <vector>

#include "common/memory.h"
#include "common/parallel.h"
#include "evaluation/count.h"

namespace udsph {

// Codes and labels of up to MAX_BLOCKS blocks of items.
class Piece {
 public:
  // `codes` are packed rows. `labels` are rows of 0 and 1, one byte per class.
  Piece(const CountKernels &level, const uint8_t *codes, size_t n, size_t bytes, const uint8_t *labels, size_t label_count,
        size_t threads);

  // `classes` are class numbers below 2^class_bits; -1 is a class that no query has.
  Piece(const CountKernels &level, const uint8_t *codes, size_t n, size_t bytes, const int32_t *classes, size_t class_bits,
        size_t threads);

  SlicedPiece view() const { return {codes_.get(), labels_.get(), n_, bits_, label_slices_, classes_}; }

 private:
  Piece(size_t n, size_t bytes, size_t label_slices, bool classes);

  // Slice the codes, and the packed labels that pack(item, row) writes.
  template <class Pack>
  void fill(const CountKernels &level, const uint8_t *codes, size_t label_bytes, size_t threads, const Pack &pack);

  size_t n_, bits_, label_slices_;
  bool classes_;
  Words codes_, labels_;
};

// Queries: packed codes and labels. Query q has labels[label_begin[q]] to labels[label_begin[q + 1] - 1].
struct Queries {
  const uint8_t *codes;
  size_t n, bytes;
  const uint32_t *labels;
  const size_t *label_begin;
};

// Add to items and relevant, each [queries.n][bits + 1].
void count_relevant(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                    int64_t *items, int64_t *relevant);

// Add to shared, [queries.n][bits + 1][levels]; no query shares `levels` labels or more with an item.
void count_shared(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                  size_t levels, int64_t *shared);

// Walk through the piece in insertion order. `ranks` holds all queries and is moved on; its sums are added to.
void rank_relevant(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                   const RankTile &ranks);

// The same for the DCG; `discounts.logs` need not be set.
void discount_relevant(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                       const DiscountTile &discounts);

}  // namespace udsph
