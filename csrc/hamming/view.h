// One state of an index as other programs see it: segments in the order of their codes, which of them are in use, and ids.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "hamming/parts.h"

namespace udsph {

class View {
 public:
  // Numbers or bytes that `owner` keeps.
  template <class T>
  struct Column {
    const T *values = nullptr;
    std::shared_ptr<const void> owner;
  };

  // Every part but the last ends with a whole block. `alive` has a bit per position, padded to whole blocks, of which `count` are set;
  // null: all are in use. `ids` has one per position; null: ids are positions. Throws std::invalid_argument.
  View(size_t bits, std::vector<Part> parts, Column<uint64_t> alive, size_t count, Column<int64_t> ids);

  // Ids are positions that stand for strings: that of position i is text[offsets[i]] to text[offsets[i + 1]].
  void set_text(Column<int64_t> offsets, Column<char> text);

  size_t bits() const { return parts_.bits(); }
  size_t count() const { return count_; }

  // As udsph::search and udsph::range_search, with ids; `where` has a bit per code in use, in (count() + 7) / 8 bytes, or is null.
  void search(const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads, int32_t *distances,
              int64_t *ids) const;
  RangeResult range_search(const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where, size_t threads) const;

  // The string of an id that a search gave. Throws std::invalid_argument where ids are integers or there is no such id.
  std::string_view text(int64_t id) const;

 private:
  const uint64_t *allowed(const uint8_t *where, std::vector<uint64_t> &words) const;

  Parts parts_;
  size_t count_;
  Column<uint64_t> alive_;
  Column<int64_t> ids_, offsets_;
  Column<char> text_;
};

// One query and packed rows, of which nothing is known beforehand, in the calling thread. Results are sorted by (distance, row).
void nearest_rows(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t k, int32_t *distances, int64_t *positions);
// Writes as many as there is room for and returns how many there are.
size_t rows_within(const uint8_t *query, const uint8_t *rows, size_t n, size_t bytes, size_t radius, size_t room, int32_t *distances,
                   int64_t *positions);

}  // namespace udsph
