// From packed rows to what is searched: codes in slices, queries in lists of slices, a filter's stages.
#pragma once

#include "hamming/cuda/layout.h"

namespace udsph::gpu {

// Bits 32 column to 32 column + 31 of a packed row.
UDSPH_HD inline uint32_t row_word(const uint8_t *row, int64_t bytes, int64_t column) {
  uint32_t word = 0;
  for (int64_t i = 0; i < 4 && 4 * column + i < bytes; i++) word |= static_cast<uint32_t>(row[4 * column + i]) << (8 * i);
  return word;
}

// Transposes a matrix of 32 x 32 bits: bit i of rows[j] <-> bit j of rows[i] (Warren, Hacker's Delight, 7-3).
UDSPH_HD inline void transpose(uint32_t *rows) {
  uint32_t mask = 0x0000ffff;
  UDSPH_UNROLL
  for (int step = 16; step != 0; step >>= 1, mask ^= mask << step)
    UDSPH_UNROLL
  for (int i = 0; i < 32; i++) {
    if ((i & step) != 0) continue;
    const uint32_t t = ((rows[i] >> step) ^ rows[i + step]) & mask;
    rows[i + step] ^= t;
    rows[i] ^= t << step;
  }
}

// Slices n rows into the lanes [first, first + n) of tiles; what is in lanes before them stays, those behind become 0. A thread has 32
// lanes and 32 bits.
struct SliceRows {
  const uint8_t *rows;
  uint32_t *tiles;
  int64_t first, n;
  int bits;

  int64_t items() const { return (up(first + n, TILE) * TILE_WORDS - first / LANES) * up(bits, 32); }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    const int64_t columns = up(bits, 32), begin = first / LANES, words = up(first + n, TILE) * TILE_WORDS - begin;
    const int64_t bytes = up(bits, 8);
    for (int64_t i = block * team.size() + team.rank(); i < words * columns; i += blocks * team.size()) {
      const int64_t word = begin + i % words, column = i / words;
      uint32_t rows_of_word[32];
      UDSPH_UNROLL
      for (int lane = 0; lane < LANES; lane++) {
        const int64_t row = word * LANES + lane - first;
        rows_of_word[lane] = row >= 0 && row < n ? row_word(rows + row * bytes, bytes, column) : 0;
      }
      transpose(rows_of_word);
      uint32_t *slices = const_cast<uint32_t *>(Codes{tiles, first + n, bits}.word(word)) + column * 32 * TILE_WORDS;
      const uint32_t kept = word * LANES < first ? (1u << (first - word * LANES)) - 1 : 0;
      UDSPH_UNROLL
      for (int b = 0; b < 32; b++) {
        if (column * 32 + b >= bits) break;
        uint32_t &slice = slices[b * TILE_WORDS];
        slice = kept == 0 ? rows_of_word[b] : (slice & kept) | rows_of_word[b];
      }
    }
  }
};

// The planes behind the slices of words from `first_word` on: how many bits of each code are set; and the slice of zeros.
template <int Planes>
struct CountSetBits {
  uint32_t *tiles;
  int64_t first_word, n;
  int bits;

  int64_t items() const { return up(n, TILE) * TILE_WORDS - first_word; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    const int64_t words = up(n, TILE) * TILE_WORDS;
    const Codes codes = {tiles, n, bits};
    for (int64_t word = first_word + block * team.size() + team.rank(); word < words; word += blocks * team.size()) {
      uint32_t *slices = const_cast<uint32_t *>(codes.word(word));
      Sum<Planes + 1, 1> sum;
      sum.fill(0);
      sum.add_slices(static_cast<int>(up(bits, 8) * 8), [&](int first) {
        return [=](int i) { return Lanes<1>{first + i < bits ? slices[(first + i) * TILE_WORDS] : 0}; };
      });
      UDSPH_UNROLL
      for (int p = 0; p <= Planes; p++) slices[(codes.set_bits() + p) * TILE_WORDS] = sum.plane[p].v[0];
      slices[codes.zeros() * TILE_WORDS] = 0;
    }
  }
};

// Packed rows of codes at these positions.
struct ReadRows {
  Codes codes;
  const int64_t *positions;
  int64_t n;
  uint8_t *rows;

  int64_t items() const { return n * up(codes.bits, 8); }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    const int64_t bytes = up(codes.bits, 8);
    for (int64_t i = block * team.size() + team.rank(); i < n * bytes; i += blocks * team.size()) {
      const int64_t position = positions[i / bytes], first = i % bytes * 8;
      const uint32_t *slices = codes.word(position / LANES) + first * TILE_WORDS;
      unsigned byte = 0;
      for (int b = 0; b < 8 && first + b < codes.bits; b++) byte |= (slices[b * TILE_WORDS] >> (position % LANES) & 1u) << b;
      rows[i] = static_cast<uint8_t>(byte);
    }
  }
};

// A byte per code, 0 or not, as the words of a filter. Where some of n positions hold no code, `alive` has a bit per position and
// `before` the number of codes before each word; else both are null.
struct PackMask {
  const uint8_t *mask;
  uint32_t *allowed;
  int64_t n;
  const uint32_t *alive;
  const int64_t *before;

  int64_t items() const { return up(n, LANES); }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    for (int64_t word = block * team.size() + team.rank(); word < up(n, LANES); word += blocks * team.size()) {
      const uint8_t *next = mask + (alive == nullptr ? word * LANES : before[word]);
      uint32_t lanes = 0;
      for (uint32_t left = lanes_within(word, 0, n, alive); left != 0; left &= left - 1)
        lanes |= static_cast<uint32_t>(*next++ != 0) << lowest_bit(left);
      allowed[word] = lanes;
    }
  }
};

// Ids in place of positions; -1, a missing one, stays.
struct NamePositions {
  const int64_t *ids;
  int64_t *positions;
  int64_t n;

  int64_t items() const { return n; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    for (int64_t i = block * team.size() + team.rank(); i < n; i += blocks * team.size())
      if (positions[i] >= 0) positions[i] = ids[positions[i]];
  }
};

// Queries as lists, one thread a query, and their candidates as none.
struct Describe {
  const uint8_t *rows;
  QueryInfo *info;
  uint16_t *lists;
  Candidates found;
  int64_t n;
  int bits, zeros;
  uint32_t limit;
  bool lost;  // there is no room for the candidates: the ordered walk does it all

  int64_t items() const { return n; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t block, int64_t blocks) const {
    const int64_t bytes = up(bits, 8);
    const int width = list_width(bits);
    for (int64_t q = block * team.size() + team.rank(); q < n; q += blocks * team.size()) {
      const uint8_t *row = rows + q * bytes;
      int ones = 0;
      for (int b = 0; b < bits; b++) ones += row[b / 8] >> (b % 8) & 1;  // whatever bits there are beyond the last
      const bool flipped = 2 * ones > bits;
      uint16_t *list = lists + q * width;
      int count = 0;
      for (int b = 0; b < bits; b++)
        if ((row[b / 8] >> (b % 8) & 1) != flipped) list[count++] = static_cast<uint16_t>(b);
      const int set = count;
      for (; count % 8 != 0; count++) list[count] = static_cast<uint16_t>(zeros);
      info[q] = {count, set, flipped, 0};
      found.counts[q] = 0;
      found.limits[q] = lost ? 0 : limit;
      found.bounds[q] = lost ? limit : 0;
    }
  }
};

// How many codes of each part of the positions a filter allows.
struct CountAllowed {
  const uint32_t *allowed;
  uint32_t *parts;
  int64_t n;

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    const int64_t words = up(n, LANES), each = up(words, FILTER_PARTS);
    uint32_t *total = static_cast<uint32_t *>(shared);
    for (int64_t part = block; part < FILTER_PARTS; part += blocks) {
      team.sync();
      if (team.rank() == 0) *total = 0;
      team.sync();
      uint32_t count = 0;
      for (int64_t word = part * each + team.rank(); word < smaller(words, (part + 1) * each); word += team.size())
        count += static_cast<uint32_t>(popcount(lanes_within(word, 0, n, allowed)));
      team.add(total, count);
      team.sync();
      if (team.rank() == 0) parts[part] = *total;
    }
  }
};

// Where the stages begin, so that each sees so many allowed codes. One block.
struct PlanStages {
  const uint32_t *allowed;
  const uint32_t *parts;
  int64_t *stages;
  int64_t n, first, growth;
  int count;

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *, int64_t, int64_t) const {
    for (int stage = team.rank(); stage <= count; stage += team.size()) {
      int64_t codes = stage == 0 ? 0 : first;
      for (int i = 1; i < stage; i++) codes = smaller(n, codes * growth);
      stages[stage] = stage == count ? n : allowed == nullptr ? smaller(n, codes) : position_of(codes);
    }
  }

 private:
  // The first position before which so many codes are allowed, in whole words.
  UDSPH_HD int64_t position_of(int64_t codes) const {
    const int64_t words = up(n, LANES), each = up(words, FILTER_PARTS);
    int64_t seen = 0, part = 0;
    while (part < FILTER_PARTS && seen + parts[part] < codes) seen += parts[part++];
    int64_t word = part * each;
    for (; word < smaller(words, (part + 1) * each) && seen < codes; word++) seen += popcount(lanes_within(word, 0, n, allowed));
    return smaller(n, word * LANES);
  }
};

}  // namespace udsph::gpu
