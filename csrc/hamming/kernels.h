// The contract: what every instruction-set level provides. One translation unit per level fills one table.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/slices.h"
#include "hamming/words.h"

namespace udsph {

enum : size_t {
  MAX_TILE = 1024,     // queries that share a table, which is of COLUMN bits of a code
  SHARED_PLANES = 14,  // of counts of shared bits
};

// Codes are searched by a form for their width class: codes of up to 2^class bits; class 13 is for all beyond 1024. A sum of bias
// and distance is compared with 2 to this power (table.inc).
constexpr size_t width_class(size_t bits) {
  for (size_t top = 4; top <= 10; top++)
    if (bits <= size_t{1} << top) return top;
  return 13;
}

// Codes in slices (common/slices.h).
struct BlockView {
  const uint64_t *const *blocks;
  size_t n;                 // codes; lanes of the last block beyond them are 0
  size_t bits;
  const uint64_t *allowed;  // one bit per code, BLOCK_WORDS words per block, or null: all
};

// The k nearest of one query so far. A key is distance << 48 | position, so that keys compare as results are ordered.
struct Best {
  uint64_t *keys;
  uint32_t *counts;  // candidates per distance
  size_t n, capacity, k;
  size_t closer;     // candidates closer than the limit
};

enum : unsigned { POSITION_BITS = 48 };

// Room for pairs within the radius; `flush` takes them away when it is full.
struct Found {
  struct Pair {
    uint64_t key;
    uint32_t query;
  } *pairs;
  size_t n, capacity;
  void (*flush)(Found *);
  void *owner;
};

// Queries that are searched together, and the memory that they need.
struct Tile {
  size_t n, columns;        // queries; columns of 64 bits
  const uint64_t *words;    // [columns][n]: the queries by column
  const uint64_t *queries;  // [n][columns]: and by query
  uint32_t *limits;         // [n]: only codes closer than this are wanted
  const uint64_t *biases;   // [value][planes], see table.inc
  uint64_t *table, *partial, *rows;
  Best *best;               // [n], or null: a range search
  Found *found;
};

struct Kernels {
  // out[i] = Hamming distance of `query` and row i of `rows`; rows are packed, `bytes` long each.
  void (*row_distances)(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, int32_t *out);

  // The sum of words, aligned to 64 bytes and a multiple of BLOCK_WORDS: a plain read of memory, as fast as the level's vectors go.
  uint64_t (*sum_words)(const uint64_t *words, size_t n);

  // Slice n <= BLOCK packed rows into a block; the lanes beyond them become 0.
  void (*slice_rows)(const uint8_t *rows, size_t n, size_t bits, uint64_t *block);

  // The reverse, `words` aligned to 64 bytes: words[column * BLOCK + lane % 64 * BLOCK_WORDS + lane / 64] = 64 bits of the code in a lane.
  void (*unslice)(const uint64_t *block, size_t bits, uint64_t *words);

  // Scan blocks [begin, end) for every query of the tile: many queries share a table per block, few go without.
  void (*scan)(const BlockView &codes, size_t begin, size_t end, Tile &tile);

  // Which lanes of a block share at least `limit` bits with a query, whose n bits are the slices at `offsets` (in words): BLOCK_WORDS words
  // of `near`. `counts` gets the numbers of all lanes in planes, BLOCK_WORDS words each; returns how many planes, or 0 if no lane is near.
  // The limit must be below 2**13. Both are aligned to 64 bytes, `counts` is of SHARED_PLANES planes.
  size_t (*shared)(const uint64_t *block, const uint32_t *offsets, size_t n, size_t limit, uint64_t *near, uint64_t *counts);

  WordKernels words;
  ScoreKernels scores;
};

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;    // x86-64 only
extern const Kernels avx512_kernels;  // x86-64 only
extern const Kernels neon_kernels;    // aarch64 only

}  // namespace udsph
