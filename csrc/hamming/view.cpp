#include "hamming/view.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace udsph {

View::View(size_t bits, std::vector<Part> parts, Column<uint64_t> alive, size_t count, Column<int64_t> ids)
    : parts_(bits, std::move(parts)), count_(count), alive_(std::move(alive)), ids_(std::move(ids)) {
  if (count > parts_.size() || (alive_.values == nullptr && count != parts_.size()))
    throw std::invalid_argument("a view cannot have more or fewer codes than its parts");
}

void View::set_text(Column<int64_t> offsets, Column<char> text) {
  offsets_ = std::move(offsets);
  text_ = std::move(text);
}

std::string_view View::text(int64_t id) const {
  if (offsets_.values == nullptr) throw std::invalid_argument("the ids of this view are integers, it has no strings");
  if (id < 0 || static_cast<size_t>(id) >= parts_.size()) throw std::invalid_argument("no string has the id " + std::to_string(id));
  const int64_t begin = offsets_.values[id];
  return {text_.values + begin, static_cast<size_t>(offsets_.values[id + 1] - begin)};
}

// A bit per position, in `words` where it is not there yet; null: all.
const uint64_t *View::allowed(const uint8_t *where, std::vector<uint64_t> &words) const {
  if (where == nullptr) return alive_.values;
  words.assign(parts_.block_count() * BLOCK_WORDS, 0);
  size_t code = 0;
  for (size_t position = 0; position < parts_.size(); position++) {
    if (alive_.values != nullptr && (alive_.values[position / 64] >> (position % 64) & 1) == 0) continue;
    words[position / 64] |= static_cast<uint64_t>(where[code / 8] >> (code % 8) & 1) << (position % 64);
    code++;
  }
  return words.data();
}

void View::search(const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads, int32_t *distances,
                  int64_t *ids) const {
  std::vector<uint64_t> words;
  parts_.search(queries, n_queries, k, allowed(where, words), threads, nullptr, distances, ids);
  if (ids_.values != nullptr)
    for (size_t i = 0; i < n_queries * k; i++) ids[i] = ids[i] < 0 ? -1 : ids_.values[ids[i]];
}

RangeResult View::range_search(const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where, size_t threads) const {
  std::vector<uint64_t> words;
  RangeResult all = parts_.range_search(queries, n_queries, std::min(radius, bits()), allowed(where, words), threads, nullptr);
  if (ids_.values != nullptr)
    for (int64_t &place : all.positions) place = ids_.values[place];
  return all;
}

}  // namespace udsph
