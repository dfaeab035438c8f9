#include "hamming/view.h"

#include <algorithm>
#include <climits>
#include <stdexcept>
#include <string>

namespace udsph {
namespace {

// The k nearest of two lists of each query, both sorted and padded; in `near` and `ids`. Those of the first come first among equals.
void merge_nearest(size_t n_queries, size_t k, int32_t *near, int64_t *ids, const int32_t *more, const int64_t *more_ids) {
  std::vector<int32_t> first(k);
  std::vector<int64_t> first_ids(k);
  for (size_t q = 0; q < n_queries; q++, near += k, ids += k, more += k, more_ids += k) {
    if (more[0] >= near[k - 1]) continue;
    std::copy_n(near, k, first.begin());
    std::copy_n(ids, k, first_ids.begin());
    for (size_t i = 0, a = 0, b = 0; i < k; i++) {
      const bool from_first = first[a] <= more[b];  // a + b = i < k: neither is beyond its end
      near[i] = from_first ? first[a] : more[b];
      ids[i] = from_first ? first_ids[a++] : more_ids[b++];
    }
  }
}

RangeResult merge_ranges(const std::vector<RangeResult> &parts, size_t n_queries) {
  RangeResult all;
  all.offsets.assign(n_queries + 1, 0);
  for (const RangeResult &part : parts)
    for (size_t q = 0; q <= n_queries; q++) all.offsets[q] += part.offsets[q];
  all.distances.resize(static_cast<size_t>(all.offsets[n_queries]));
  all.positions.resize(all.distances.size());
  std::vector<std::pair<int32_t, int64_t>> row;
  for (size_t q = 0, place = 0; q < n_queries; q++) {
    row.clear();
    for (const RangeResult &part : parts)
      for (auto i = static_cast<size_t>(part.offsets[q]); i < static_cast<size_t>(part.offsets[q + 1]); i++)
        row.emplace_back(part.distances[i], part.positions[i]);
    std::sort(row.begin(), row.end());
    for (const auto &[distance, position] : row) {
      all.distances[place] = distance;
      all.positions[place++] = position;
    }
  }
  return all;
}

}  // namespace

View::View(size_t bits, std::vector<Part> parts, Column<uint64_t> alive, size_t count, Column<int64_t> ids)
    : bits_(bits), count_(count), parts_(std::move(parts)), alive_(std::move(alive)), ids_(std::move(ids)) {
  for (const Part &part : parts_) {
    if (part.segment->bits() != bits) throw std::invalid_argument("a part has another width than the view");
    if (positions_ % BLOCK != 0) throw std::invalid_argument("only the last part may end within a block");
    bases_.push_back(positions_);
    positions_ += part.segment->size();
  }
  if (count > positions_ || (alive_.values == nullptr && count != positions_))
    throw std::invalid_argument("a view cannot have more or fewer codes than its parts");
}

void View::set_text(Column<int64_t> offsets, Column<char> text) {
  offsets_ = std::move(offsets);
  text_ = std::move(text);
}

std::string_view View::text(int64_t id) const {
  if (offsets_.values == nullptr) throw std::invalid_argument("the ids of this view are integers, it has no strings");
  if (id < 0 || static_cast<size_t>(id) >= positions_) throw std::invalid_argument("no string has the id " + std::to_string(id));
  const int64_t begin = offsets_.values[id];
  return {text_.values + begin, static_cast<size_t>(offsets_.values[id + 1] - begin)};
}

// A bit per position, in `words` where it is not there yet; null: all.
const uint64_t *View::allowed(const uint8_t *where, std::vector<uint64_t> &words) const {
  if (where == nullptr) return alive_.values;
  words.assign((positions_ + BLOCK - 1) / BLOCK * BLOCK_WORDS, 0);
  size_t code = 0;
  for (size_t position = 0; position < positions_; position++) {
    if (alive_.values != nullptr && (alive_.values[position / 64] >> (position % 64) & 1) == 0) continue;
    words[position / 64] |= static_cast<uint64_t>(where[code / 8] >> (code % 8) & 1) << (position % 64);
    code++;
  }
  return words.data();
}

void View::search(const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads, int32_t *distances,
                  int64_t *ids) const {
  std::vector<uint64_t> words;
  const uint64_t *lanes = allowed(where, words);
  const size_t wanted = n_queries * k;
  std::vector<int32_t> more;
  std::vector<int64_t> more_ids;
  if (parts_.empty()) {
    std::fill_n(distances, wanted, INT32_MAX);
    std::fill_n(ids, wanted, -1);
  }
  for (size_t i = 0; i < parts_.size(); i++) {
    if (i > 0) {
      more.resize(wanted);
      more_ids.resize(wanted);
    }
    int32_t *near = i == 0 ? distances : more.data();
    int64_t *places = i == 0 ? ids : more_ids.data();
    const Part &part = parts_[i];
    const uint64_t *here = lanes == nullptr ? nullptr : lanes + bases_[i] / 64;
    if (part.tables != nullptr)
      part.tables->search(*part.segment, queries, n_queries, k, here, threads, nullptr, near, places, nullptr);
    else
      udsph::search(*part.segment, queries, n_queries, k, here, threads, nullptr, near, places);
    if (i == 0) continue;
    for (int64_t &place : more_ids) place += place < 0 ? 0 : static_cast<int64_t>(bases_[i]);
    merge_nearest(n_queries, k, distances, ids, near, places);
  }
  if (ids_.values != nullptr)
    for (size_t i = 0; i < wanted; i++) ids[i] = ids[i] < 0 ? -1 : ids_.values[ids[i]];
}

RangeResult View::range_search(const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where, size_t threads) const {
  std::vector<uint64_t> words;
  const uint64_t *lanes = allowed(where, words);
  const size_t limit = std::min(radius, bits_);
  std::vector<RangeResult> found;
  for (size_t i = 0; i < parts_.size(); i++) {
    const Part &part = parts_[i];
    const uint64_t *here = lanes == nullptr ? nullptr : lanes + bases_[i] / 64;
    if (part.tables != nullptr)
      found.push_back(part.tables->range_search(*part.segment, queries, n_queries, limit, here, threads, nullptr, nullptr));
    else
      found.push_back(udsph::range_search(*part.segment, queries, n_queries, limit, here, threads, nullptr));
    for (int64_t &place : found.back().positions) place += static_cast<int64_t>(bases_[i]);
  }
  RangeResult all = found.size() == 1 ? std::move(found[0]) : merge_ranges(found, n_queries);
  if (ids_.values != nullptr)
    for (int64_t &place : all.positions) place = ids_.values[place];
  return all;
}

}  // namespace udsph
