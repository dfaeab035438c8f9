// The contract of the counting kernels: one table per instruction-set level, filled by one translation unit each.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/slices.h"

namespace udsph {

enum : size_t {
  GROUP_BITS = 3,                            // bits of a code that one table entry covers
  GROUPS = 22,                               // groups of a column
  COUNT_COLUMN = GROUPS * GROUP_BITS,        // bits of a column: its table stays in the L1 cache
  LEAF_PLANES = 3,
  LEAF = 1 << LEAF_PLANES,                   // distances that are counted together
  LEAF_VECTORS = 4,                          // vectors that hold their counts
  MAX_BLOCKS = 255,                          // of a piece: 16-bit counts, each of up to 256 lanes per block, do not overflow
  RANK_PLANES = 4,
  RANK_LEAF = 1 << RANK_PLANES,              // distances that are ranked together
  GRADE_PLANES = 13,                         // 4096 shared labels
  LOG_BITS = 4,
  LOG_STEPS = 1 << LOG_BITS,
};

// A piece of a database in slices (common/slices.h).
struct SlicedPiece {
  const uint64_t *codes;   // [blocks][bits][BLOCK_WORDS]
  const uint64_t *labels;  // [blocks][label_slices][BLOCK_WORDS]
  size_t n, bits, label_slices;
  bool classes;            // the label slices are the bits of class numbers, else one slice per label
};

// A sum of precisions in units of 2^-52: exact addition, so that no order, thread or level changes it.
struct Sum {
  uint64_t low, high, hits;
};

// What a pass in insertion order knows of a tile of queries, and adds to. Ranks count from 1. The arrays by distance have room for
// rank_cells(bits) distances; those that do not exist hold what the last one would leave behind.
struct RankTile {
  size_t cells;                   // rank_cells(bits)
  uint64_t *seen, *hits;          // [n][cells]: items and relevant items before the next one at each distance
  uint32_t *segment, *first;      // [n][cells]: the stop, and the number of wanted items, that comes next at each distance
  const uint64_t *stops, *wanted; // [n][n_stops] ranks and [n][n_wanted] numbers of relevant items, ascending
  size_t n_stops, n_wanted;
  Sum *sums, *first_sums;         // [n][n_stops + 1], [n][n_wanted + 1]: of the relevant items between a stop and the one before
  uint64_t *first_rank;           // [n]: of the first relevant item
  uint64_t *limits;               // scratch: [n_stops + n_wanted][2] vectors
};

// What a pass for the DCG in insertion order knows and adds to; the fields of the same names are those of RankTile.
struct DiscountTile {
  size_t cells;
  uint64_t *seen;
  uint32_t *segment;
  const uint64_t *stops;
  size_t n_stops;
  uint64_t *discounts;            // [n][n_stops + 1][levels][2]: sums of 1 / log2(rank + 1), low and high words in units of 2^-52
  size_t levels;                  // one more than the greatest grade
  const double *logs;             // [2][LOG_STEPS]: 1 / c and log2(c) for the middle c of each step of [1, 2)
};

// Queries counted together against one piece, by one thread.
struct CountTile {
  size_t n, columns;
  const uint16_t *entries;   // [columns][n][GROUPS]: query digit times the two vectors of a table entry, in words
  const uint32_t *labels;    // label (or class number) of each query, one query after the other
  const size_t *label_begin; // [n + 1]
  size_t grade_pairs;        // 0: count all items and relevant ones; else grades 2 i and 2 i + 1 for each i below this
  uint64_t *table, *partial; // scratch: the table of a column; partial distances, [n][planes] vectors
  uint64_t *counts;          // [n][max(1, grade_pairs)][leaves][LEAF_VECTORS] vectors
};

// The distance of lane-wise counts: 16-bit field 2 (d % 2) + side of every word of vector d / 2 counts items at distance d, on the
// first side (all items, or the even grade) and the second (relevant items, or the odd grade).

struct CountKernels {
  size_t vector_words;

  // Slice n <= BLOCK packed rows into a block; the lanes beyond them become 0.
  void (*slice_rows)(const uint8_t *rows, size_t n, size_t bits, uint64_t *block);

  // Add the counts of all blocks of a piece.
  void (*count)(const SlicedPiece &piece, const CountTile &tile);

  // Walk through a piece in insertion order, for ranks or for discounts of the tile's queries. `tile.counts` is not used.
  void (*rank)(const SlicedPiece &piece, const CountTile &tile, const RankTile &ranks);
  void (*discount)(const SlicedPiece &piece, const CountTile &tile, const DiscountTile &discounts);
};

extern const CountKernels count_scalar;
extern const CountKernels count_avx2;             // x86-64 only
extern const CountKernels count_avx512;           // x86-64 only
extern const CountKernels count_avx512_popcount;  // x86-64 only: level avx512 on a CPU with VPOPCNTDQ
extern const CountKernels count_neon;             // aarch64 only

// Leaves of LEAF distances from 0 to bits.
constexpr size_t leaves_of(size_t bits) { return bits / LEAF + 1; }

// Distances of whole RANK_LEAFs from 0 to bits, and one leaf more.
constexpr size_t rank_cells(size_t bits) { return (bits / RANK_LEAF + 2) * RANK_LEAF; }

}  // namespace udsph
