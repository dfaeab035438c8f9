// What is searched, and how it is shared out: to tiles of queries, to threads, and to steps between which a search can be stopped.
#pragma once

#include <algorithm>

#include "common/parallel.h"
#include "hamming/segment.h"
#include "hamming/tile.h"

namespace udsph {

struct Job {
  const Segment &codes;
  const Kernels &level;
  const uint8_t *queries;
  size_t n_queries, wanted, k;  // neighbours wanted, and no more than there are codes
  const uint64_t *allowed;
  size_t threads, tile;

  Job(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t most_threads);

  // A table is worth building for a hundred queries; with fewer per thread the blocks are shared out instead.
  bool splits_queries() const { return n_queries >= 128 * threads || codes.block_count() < 2 * threads; }

  size_t bytes() const { return (codes.bits() + 7) / 8; }
  size_t tiles() const { return (n_queries + tile - 1) / tile; }
  const uint8_t *tile_queries(size_t i) const { return queries + i * tile * bytes(); }
  size_t tile_size(size_t i) const { return std::min(tile, n_queries - i * tile); }
  size_t first_block(size_t part) const { return codes.block_count() * part / threads; }

  // Scan blocks [begin, end) for the tile in `memory`, in steps.
  void scan(TileMemory &memory, size_t begin, size_t end, Workers &workers, size_t worker) const;
};

}  // namespace udsph
