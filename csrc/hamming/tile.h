// The memory of a tile of queries: what one thread needs for one pass over the database.
#pragma once

#include <vector>

#include "common/memory.h"
#include "hamming/kernels.h"

namespace udsph {

// Columns of 64 bits of a code.
inline size_t column_count(size_t bits) { return (bits + COLUMN - 1) / COLUMN; }

// Bytes that each query of a tile of a top-k search takes.
size_t tile_bytes_per_query(size_t bits, size_t k);

class TileMemory {
 public:
  // For tiles of up to `queries`; k = 0 for a range search.
  TileMemory(size_t bits, size_t queries, size_t k);

  // Begin with `n` packed queries: nothing found yet, every code wanted that is closer than `limit`.
  Tile &load(const uint8_t *queries, size_t n, size_t limit);

  Tile &tile() { return tile_; }
  const Best &best(size_t query) const { return best_[query]; }
  Found &found() { return found_; }

 private:
  size_t bits_, k_, capacity_;
  Words vectors_;  // table, partial sums, rows
  std::vector<uint64_t> words_, queries_, keys_;
  std::vector<uint32_t> limits_, counts_;
  std::vector<Best> best_;
  Memory<Found::Pair> pairs_;
  Found found_{};
  Tile tile_{};
};

// Sort keys by (distance, position) and write the k first, padded with INT32_MAX and -1. Keys of one distance must lie in order of
// position. The keys are used up.
void sort_keys(std::vector<uint64_t> &keys, size_t bits, size_t k, int32_t *distances, int64_t *positions);

}  // namespace udsph
