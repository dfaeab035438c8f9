#include "hamming/tile.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>

namespace udsph {
namespace {

constexpr size_t TABLE_WORDS = 32 * 16 * 2 * BLOCK_WORDS;  // of two columns
constexpr size_t MAX_PARTIAL = 13;
constexpr size_t MAX_SLACK = size_t{1} << 20;
constexpr size_t MOST_PAIRS = size_t{1} << 14;  // of a range search, before they are taken away

// biases[value * planes + plane] = all ones where the bit is set. One table per width class, made once and kept; without a lock, which
// a forked child could inherit held.
const uint64_t *biases(size_t planes) {
  static std::atomic<const uint64_t *> tables[MAX_PARTIAL + 1];
  const uint64_t *made = tables[planes].load(std::memory_order_acquire);
  if (made != nullptr) return made;
  auto table = std::make_unique<uint64_t[]>(planes << planes);
  for (size_t value = 0; value < size_t{1} << planes; value++)
    for (size_t plane = 0; plane < planes; plane++) table[value * planes + plane] = uint64_t{0} - (value >> plane & 1);
  if (tables[planes].compare_exchange_strong(made, table.get(), std::memory_order_acq_rel)) return table.release();
  return made;  // another thread was faster
}

// Candidates kept per query: room beyond k, so that losers are dropped rarely.
size_t key_capacity(size_t k) { return k == 0 ? 0 : k + std::min(std::max<size_t>(k, 64), MAX_SLACK); }

}  // namespace

size_t tile_bytes_per_query(size_t bits, size_t k) {
  const size_t partial = bits > COLUMN ? MAX_PARTIAL * BLOCK_WORDS * 8 : 0;
  return 2 * column_count(bits) * 8 + partial + key_capacity(k) * 8 + (bits + 2) * 4 + sizeof(Best);
}

TileMemory::TileMemory(size_t bits, size_t queries, size_t k) : bits_(bits), k_(k), capacity_(key_capacity(k)) {
  const size_t columns = column_count(bits);
  const size_t partial = columns > 1 ? queries * MAX_PARTIAL * BLOCK_WORDS : 0, rows = columns * BLOCK;
  vectors_ = allocate<uint64_t>(TABLE_WORDS + partial + rows, PAGE);
  words_.resize(columns * queries);
  queries_.resize(columns * queries);
  limits_.resize(queries);
  tile_.columns = columns;
  tile_.words = words_.data();
  tile_.queries = queries_.data();
  tile_.limits = limits_.data();
  tile_.biases = biases(width_class(bits));
  tile_.table = vectors_.get();
  tile_.partial = tile_.table + TABLE_WORDS;
  tile_.rows = tile_.partial + partial;
  if (k > 0) {
    keys_.resize(queries * capacity_);
    counts_.resize(queries * (bits + 2));
    best_.resize(queries);
    tile_.best = best_.data();
  } else {
    pairs_ = allocate<Found::Pair>(MOST_PAIRS);  // not touched before it is needed
    found_ = {pairs_.get(), 0, MOST_PAIRS, nullptr, nullptr};
  }
}

Tile &TileMemory::load(const uint8_t *queries, size_t n, size_t limit) {
  const size_t bytes = (bits_ + 7) / 8;
  tile_.n = n;
  tile_.found = k_ == 0 ? &found_ : nullptr;
  for (size_t c = 0; c < tile_.columns; c++)
    for (size_t q = 0; q < n; q++) {
      uint64_t word = 0;
      std::memcpy(&word, queries + q * bytes + 8 * c, std::min<size_t>(8, bytes - 8 * c));
      words_[c * n + q] = queries_[q * tile_.columns + c] = word;
    }
  std::fill_n(limits_.begin(), n, static_cast<uint32_t>(limit));
  std::fill(counts_.begin(), counts_.end(), 0);
  for (size_t q = 0; q < best_.size(); q++)
    best_[q] = {keys_.data() + q * capacity_, counts_.data() + q * (bits_ + 2), 0, capacity_, k_, 0};
  return tile_;
}

void sort_keys(std::vector<uint64_t> &keys, size_t bits, size_t k, int32_t *distances, int64_t *positions) {
  const auto distance_of = [](uint64_t key) { return static_cast<size_t>(key >> POSITION_BITS); };
  const auto put = [&](size_t place, uint64_t key) {
    if (place >= k) return;
    distances[place] = static_cast<int32_t>(distance_of(key));
    positions[place] = static_cast<int64_t>(key & ((uint64_t{1} << POSITION_BITS) - 1));
  };
  if (keys.size() < bits) {
    std::sort(keys.begin(), keys.end());
    for (size_t i = 0; i < keys.size(); i++) put(i, keys[i]);
  } else {  // counting sort
    std::vector<size_t> place(bits + 2, 0);
    for (uint64_t key : keys) place[distance_of(key) + 1]++;
    for (size_t d = 1; d < place.size(); d++) place[d] += place[d - 1];
    for (uint64_t key : keys) put(place[distance_of(key)]++, key);
  }
  const size_t found = std::min(k, keys.size());
  std::fill(distances + found, distances + k, INT32_MAX);
  std::fill(positions + found, positions + k, int64_t{-1});
}

}  // namespace udsph
