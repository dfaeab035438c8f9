// How codes, queries and candidates lie in a GPU's memory. Compiles for host and device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hamming/cuda/lanes.h"

namespace udsph::gpu {

// A tile is TILE codes in slices: word j of slice b holds bit b of the codes 32 j to 32 j + 31. Behind the slices of the bits come the
// planes of the codes' numbers of set bits, and a slice of zeros. Lanes without a code are 0.
enum : int { LANES = 32, TILE_WORDS = 128, TILE = LANES * TILE_WORDS };

enum : int { POSITION_BITS = 48 };  // of a key: distance << 48 | position, so that keys compare as results are ordered

// A distance is a sum of planes_of(bits) planes, and of one more that is its sign (scan.h); so many kernels are compiled.
UDSPH_HD constexpr int planes_of(int64_t bits) {
  for (int planes = 6; planes <= 10; planes++)
    if (bits <= int64_t{1} << planes) return planes;
  return 13;
}
UDSPH_HD constexpr int64_t slices_of(int64_t bits) { return bits + planes_of(bits) + 2; }
UDSPH_HD constexpr int64_t tile_words(int64_t bits) { return slices_of(bits) * TILE_WORDS; }
UDSPH_HD constexpr int64_t up(int64_t n, int64_t unit) { return (n + unit - 1) / unit; }
UDSPH_HD constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
UDSPH_HD constexpr int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }

struct Codes {
  const uint32_t *tiles;
  int64_t n;
  int bits;

  UDSPH_HD int64_t words() const { return up(n, LANES); }
  // Slice 0 of a word of lanes; slice b is b * TILE_WORDS words further.
  UDSPH_HD const uint32_t *word(int64_t word) const {
    return tiles + word / TILE_WORDS * tile_words(bits) + word % TILE_WORDS;
  }
  UDSPH_HD int set_bits() const { return bits; }                    // first plane of the numbers of set bits
  UDSPH_HD int zeros() const { return bits + planes_of(bits) + 1; }  // the slice of zeros
};

// The lanes of a word, by its number, whose positions are in [begin, end), and that a filter allows.
UDSPH_HD inline uint32_t lanes_within(int64_t word, int64_t begin, int64_t end, const uint32_t *allowed) {
  const int64_t first = word * LANES;
  if (first >= end || first + LANES <= begin) return 0;
  uint32_t lanes = ~0u;
  if (end - first < LANES) lanes &= (1u << (end - first)) - 1;
  if (begin > first) lanes &= ~0u << (begin - first);
  return allowed == nullptr ? lanes : lanes & allowed[word];
}

// A query as the slices that are added up. The distance of code a and query q is |a| + |q| - 2 |a and q|, and |a and q| the sum of the
// slices where q is 1: at most half of them, for where q has more ones its complement q' is taken, and distance(a, q) = bits -
// distance(a, q'). So nothing is xored, and no more than half of the codes is read.
struct QueryInfo {
  int32_t slices;  // in its list, a multiple of 8: the last are zeros
  int32_t ones;    // set bits of q or q'
  int32_t flipped;
  int32_t unused;
};

struct Queries {
  const QueryInfo *info;
  const uint16_t *lists;  // [n][width] numbers of slices
  int width, n;
};

UDSPH_HD constexpr int list_width(int64_t bits) { return static_cast<int>(up(bits / 2, 8) * 8); }

// What a batch of queries has found.
struct Candidates {
  uint64_t *keys;    // [n][capacity]
  int64_t *counts;   // [n] found, more than capacity where some were lost
  uint32_t *limits;  // [n] only codes closer than this are wanted
  uint32_t *bounds;  // [n] of those whose candidates were lost: the k nearest are closer than this; 0: none were lost
  int64_t capacity;
};

// Pieces of one allocation, each aligned to 256 bytes.
class Room {
 public:
  explicit Room(void *base) : base_(static_cast<char *>(base)) {}
  template <class T>
  T *take(int64_t n) {
    T *at = base_ == nullptr ? nullptr : reinterpret_cast<T *>(base_ + bytes_);
    bytes_ += up(n * static_cast<int64_t>(sizeof(T)), 256) * 256;
    return at;
  }
  int64_t bytes() const { return bytes_; }

 private:
  char *base_;
  int64_t bytes_ = 0;
};

// A search in stages, each of which sees several times as many codes as those before. What a stage finds gives the limit of the next, so
// few candidates are found in all, and position order settles ties.
enum : int { MAX_STAGES = 16, FILTER_PARTS = 1024 };

struct Scratch {
  QueryInfo *info;
  uint16_t *lists;
  Candidates candidates;
  int64_t *stages;         // [MAX_STAGES + 1] positions where stages begin
  uint32_t *allowed_parts;  // [FILTER_PARTS]

  Scratch(void *base, int64_t bits, int64_t batch, int64_t capacity) {
    Room room(base);
    info = room.take<QueryInfo>(batch);
    lists = room.take<uint16_t>(batch * larger(list_width(bits), 8));
    candidates.keys = room.take<uint64_t>(batch * capacity);
    candidates.counts = room.take<int64_t>(batch);
    candidates.limits = room.take<uint32_t>(batch);
    candidates.bounds = room.take<uint32_t>(batch);
    candidates.capacity = capacity;
    stages = room.take<int64_t>(MAX_STAGES + 1);
    allowed_parts = room.take<uint32_t>(FILTER_PARTS);
    bytes = room.bytes();
  }
  int64_t bytes;
};

// Of the 256 MiB that a search takes beside the index, results that are brought to the host need some.
enum : int64_t { MOST_SCRATCH = int64_t{192} << 20, FEW_QUERIES = 8, LEAST_CAPACITY = 2048, FEW_CAPACITY = 65536, MOST_CAPACITY = 1 << 24 };

// How a search is divided. Depends on sizes alone.
struct Division {
  int64_t batch, capacity;  // queries at once, candidates of each
  int64_t first, growth;    // codes of the first stage, and how many times as many each stage sees than those before
  int stages;

  Division(int64_t n, int64_t bits, int64_t n_queries, int64_t k, int64_t scratch_bytes) {
    n_queries = larger(1, n_queries);
    capacity = capacity_for(k, n_queries <= FEW_QUERIES ? FEW_CAPACITY : LEAST_CAPACITY);
    if (Scratch(nullptr, bits, n_queries, capacity).bytes > scratch_bytes) capacity = capacity_for(k, LEAST_CAPACITY);
    first = smaller(larger(n, 1), larger(1024, smaller(4 * k, capacity / 2)));
    growth = larger(4, smaller(n_queries <= FEW_QUERIES ? 64 : 8, capacity / larger(1, 8 * k)));
    stages = 1;
    for (int64_t seen = first; seen < n && stages < MAX_STAGES; seen *= growth) stages++;
    // As many as there is room for.
    batch = 1;
    for (int64_t beyond = n_queries + 1; batch + 1 < beyond;) {
      const int64_t middle = batch + (beyond - batch) / 2;
      (Scratch(nullptr, bits, middle, capacity).bytes <= scratch_bytes ? batch : beyond) = middle;
    }
  }

 private:
  static int64_t capacity_for(int64_t k, int64_t capacity) {
    while (capacity < 8 * k && capacity < MOST_CAPACITY) capacity *= 2;
    return capacity;
  }
};

}  // namespace udsph::gpu
