#include "evaluation/piece.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace udsph {
namespace {

enum : size_t {
  TILE_BYTES = size_t{3} << 20,  // counts and partial distances of a tile
  MOST_QUERIES = 128,            // of a tile: a table costs about as much as ten
};

// Run work(i) for every block of up to BLOCK of n items. Blocks are independent of each other.
template <class Work>
void each_block(size_t n, size_t threads, const Work &work) {
  const size_t blocks = (n + BLOCK - 1) / BLOCK, step = 8;
  Workers workers(std::min(threads, blocks / step));
  std::atomic<size_t> next{0};
  workers.run([&](size_t) {
    for (size_t first; (first = next.fetch_add(step)) < blocks;)
      for (size_t i = first; i < std::min(first + step, blocks); i++) work(i);
  });
}

// Eight bytes of 0 and 1 as eight bits: the product gathers bit 0 of every byte in the highest byte.
inline __attribute__((always_inline)) uint8_t gather(const uint8_t *from, size_t n) {
  uint64_t word = 0;
  std::memcpy(&word, from, n);
  return static_cast<uint8_t>(word * 0x0102040810204080u >> 56);
}

// Scratch of one thread.
struct Scratch {
  std::vector<uint16_t> entries;
  Words table, partial, counts;
  size_t counts_words;
};

class Counting {
 public:
  Counting(const CountKernels &level, const Piece &piece, const Queries &queries, size_t grade_pairs, size_t threads)
      : level_(level), piece_(piece.view()), queries_(queries), grade_pairs_(grade_pairs) {
    columns_ = (piece_.bits + COUNT_COLUMN - 1) / COUNT_COLUMN;
    query_words_ = std::max<size_t>(1, grade_pairs) * leaves_of(piece_.bits) * LEAF_VECTORS * level.vector_words;
    partial_words_ = 14 * level.vector_words;
    const size_t bytes = (query_words_ + (columns_ > 1 ? partial_words_ : 0)) * sizeof(uint64_t);
    tile_ = std::min<size_t>(MOST_QUERIES, std::max<size_t>(1, TILE_BYTES / bytes));
    tile_ = std::max<size_t>(1, std::min(tile_, (queries.n + threads - 1) / std::max<size_t>(1, threads)));
  }

  size_t tiles() const { return (queries_.n + tile_ - 1) / tile_; }
  size_t first(size_t i) const { return i * tile_; }
  size_t size(size_t i) const { return std::min(tile_, queries_.n - i * tile_); }

  Scratch scratch() const {
    Scratch memory;
    memory.entries.resize(tile_ * columns_ * GROUPS);
    memory.table = allocate_zeros<uint64_t>(GROUPS * 16 * level_.vector_words);
    memory.partial = allocate_zeros<uint64_t>(columns_ > 1 ? tile_ * partial_words_ : 0);
    memory.counts_words = tile_ * query_words_;
    memory.counts = allocate_zeros<uint64_t>(memory.counts_words);
    return memory;
  }

  // The queries of tile i, for a kernel.
  CountTile tile(size_t i, Scratch &memory) const {
    const size_t n = size(i);
    for (size_t c = 0; c < columns_; c++)
      for (size_t q = 0; q < n; q++) {
        const uint8_t *code = queries_.codes + (first(i) + q) * queries_.bytes;
        for (size_t group = 0; group < GROUPS; group++)
          memory.entries[(c * n + q) * GROUPS + group] =
              static_cast<uint16_t>(digit(code, c * COUNT_COLUMN + group * GROUP_BITS) * 2 * level_.vector_words);
      }
    return {n, columns_, memory.entries.data(), queries_.labels, queries_.label_begin + first(i), grade_pairs_,
            memory.table.get(), memory.partial.get(), memory.counts.get()};
  }

  void count(size_t i, Scratch &memory) const {
    std::memset(memory.counts.get(), 0, memory.counts_words * sizeof(uint64_t));
    level_.count(piece_, tile(i, memory));
  }
  void rank(size_t i, Scratch &memory, const RankTile &ranks) const { level_.rank(piece_, tile(i, memory), ranks); }
  void discount(size_t i, Scratch &memory, const DiscountTile &discounts) const {
    level_.discount(piece_, tile(i, memory), discounts);
  }

  // Items at a distance on a side, of query q of the tile and one pair of grades.
  int64_t items(const Scratch &memory, size_t q, size_t pair, size_t distance, size_t side) const {
    const uint64_t *words = memory.counts.get() + q * query_words_ +
                            (pair * leaves_of(piece_.bits) * LEAF_VECTORS + distance / 2) * level_.vector_words;
    int64_t sum = 0;
    for (size_t w = 0; w < level_.vector_words; w++) sum += words[w] >> (32 * (distance % 2) + 16 * side) & 0xffff;
    return sum;
  }

  size_t bins() const { return piece_.bits + 1; }

 private:
  size_t digit(const uint8_t *code, size_t bit) const {
    size_t value = 0;
    for (size_t i = 0; i < GROUP_BITS && bit + i < piece_.bits; i++)
      value |= static_cast<size_t>(code[(bit + i) / 8] >> (bit + i) % 8 & 1) << i;
    return value;
  }

  const CountKernels &level_;
  SlicedPiece piece_;
  Queries queries_;
  size_t grade_pairs_, columns_, query_words_, partial_words_, tile_;
};

// Count every tile and hand it to take(tile memory, query of the tile, query).
template <class Take>
void run(const Counting &counting, size_t threads, const Poll &poll, const Take &take) {
  Workers workers(std::min(threads, counting.tiles()), poll);
  std::atomic<size_t> next{0};
  workers.run([&](size_t worker) {
    Scratch memory = counting.scratch();
    for (size_t i; (i = next++) < counting.tiles() && workers.proceed(worker);) {
      counting.count(i, memory);
      for (size_t q = 0; q < counting.size(i); q++) take(memory, q, counting.first(i) + q);
    }
  });
}

}  // namespace

Piece::Piece(const CountKernels &level, const uint8_t *codes, size_t n, size_t bytes, const uint8_t *labels, size_t label_count,
             size_t threads)
    : Piece(n, bytes, label_count, false) {
  const size_t label_bytes = (label_count + 7) / 8;
  fill(level, codes, label_bytes, threads, [&](size_t item, uint8_t *row) {
    const uint8_t *from = labels + item * label_count;
    size_t c = 0;
    for (; c + 8 <= label_count; c += 8) row[c / 8] = gather(from + c, 8);
    if (c < label_count) row[c / 8] = gather(from + c, label_count - c);
  });
}

Piece::Piece(const CountKernels &level, const uint8_t *codes, size_t n, size_t bytes, const int32_t *classes, size_t class_bits,
             size_t threads)
    : Piece(n, bytes, class_bits, true) {
  const size_t label_bytes = (class_bits + 7) / 8;
  fill(level, codes, label_bytes, threads, [&](size_t item, uint8_t *row) {
    const uint32_t number = static_cast<uint32_t>(classes[item]) & ((uint64_t{1} << class_bits) - 1);  // -1: all bits set
    for (size_t b = 0; b < label_bytes; b++) row[b] = static_cast<uint8_t>(number >> (8 * b));
  });
}

Piece::Piece(size_t n, size_t bytes, size_t label_slices, bool classes)
    : n_(n), bits_(8 * bytes), label_slices_(label_slices), classes_(classes) {
  const size_t blocks = (n + BLOCK - 1) / BLOCK;
  codes_ = allocate_zeros<uint64_t>(blocks * bits_ * BLOCK_WORDS);
  labels_ = allocate_zeros<uint64_t>(blocks * label_slices * BLOCK_WORDS);
}

template <class Pack>
void Piece::fill(const CountKernels &level, const uint8_t *codes, size_t label_bytes, size_t threads, const Pack &pack) {
  each_block(n_, threads, [&](size_t i) {
    const size_t first = i * BLOCK, count = std::min<size_t>(BLOCK, n_ - first);
    std::vector<uint8_t> packed(count * label_bytes + 8);
    for (size_t item = 0; item < count; item++) pack(first + item, packed.data() + item * label_bytes);
    level.slice_rows(codes + first * bits_ / 8, count, bits_, codes_.get() + i * bits_ * BLOCK_WORDS);
    level.slice_rows(packed.data(), count, label_slices_, labels_.get() + i * label_slices_ * BLOCK_WORDS);
  });
}

void count_relevant(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                    int64_t *items, int64_t *relevant) {
  const Counting counting(level, piece, queries, 0, threads);
  run(counting, threads, poll, [&](const Scratch &memory, size_t q, size_t query) {
    for (size_t d = 0; d < counting.bins(); d++) {
      items[query * counting.bins() + d] += counting.items(memory, q, 0, d, 0);
      relevant[query * counting.bins() + d] += counting.items(memory, q, 0, d, 1);
    }
  });
}

void count_shared(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                  size_t levels, int64_t *shared) {
  const Counting counting(level, piece, queries, (levels + 1) / 2, threads);
  run(counting, threads, poll, [&](const Scratch &memory, size_t q, size_t query) {
    int64_t *to = shared + query * counting.bins() * levels;
    for (size_t d = 0; d < counting.bins(); d++)
      for (size_t grade = 0; grade < levels; grade++)
        to[d * levels + grade] += counting.items(memory, q, grade / 2, d, grade % 2);
  });
}

void rank_relevant(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                   const RankTile &ranks) {
  const Counting counting(level, piece, queries, 0, threads);
  Workers workers(std::min(threads, counting.tiles()), poll);
  std::atomic<size_t> next{0};
  workers.run([&](size_t worker) {
    Scratch memory = counting.scratch();
    const Words limits = allocate_zeros<uint64_t>((ranks.n_stops + ranks.n_wanted) * 2 * level.vector_words);
    for (size_t i; (i = next++) < counting.tiles() && workers.proceed(worker);) {
      const size_t q = counting.first(i), cell = q * ranks.cells;
      const RankTile tile = {ranks.cells, ranks.seen + cell, ranks.hits + cell, ranks.segment + cell, ranks.first + cell,
                             ranks.stops + q * ranks.n_stops, ranks.wanted + q * ranks.n_wanted, ranks.n_stops, ranks.n_wanted,
                             ranks.sums + q * (ranks.n_stops + 1), ranks.first_sums + q * (ranks.n_wanted + 1),
                             ranks.first_rank + q, limits.get()};
      counting.rank(i, memory, tile);
    }
  });
}

void discount_relevant(const CountKernels &level, const Piece &piece, const Queries &queries, size_t threads, const Poll &poll,
                       const DiscountTile &discounts) {
  const Counting counting(level, piece, queries, 0, threads);
  Workers workers(std::min(threads, counting.tiles()), poll);
  std::atomic<size_t> next{0};
  double logs[2][LOG_STEPS];
  for (size_t i = 0; i < LOG_STEPS; i++) {
    const double middle = 1 + (static_cast<double>(i) + 0.5) / LOG_STEPS;
    logs[0][i] = 1 / middle;
    logs[1][i] = std::log2(middle);
  }
  workers.run([&](size_t worker) {
    Scratch memory = counting.scratch();
    for (size_t i; (i = next++) < counting.tiles() && workers.proceed(worker);) {
      const size_t q = counting.first(i);
      DiscountTile tile = discounts;
      tile.seen += q * tile.cells;
      tile.segment += q * tile.cells;
      tile.stops += q * tile.n_stops;
      tile.discounts += q * (tile.n_stops + 1) * tile.levels * 2;
      tile.logs = logs[0];
      counting.discount(i, memory, tile);
    }
  });
}

}  // namespace udsph
