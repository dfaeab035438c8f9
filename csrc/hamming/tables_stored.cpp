// Tables that lie in a file: their shape, their parts, and whether they are those of the codes.
#include <stdexcept>

#include "hamming/levels.h"
#include "hamming/tables.h"

namespace udsph {
namespace {

constexpr size_t WIDEST_DIRECTORY = 32;  // bits; that of 2**32 codes
constexpr size_t STEP = 1024;            // blocks between two looks at Ctrl-C

void require(bool right, const char *what) {
  if (!right) throw std::invalid_argument(what);
}

template <class T>
T *place(const void *&from, size_t count) {
  T *at = static_cast<T *>(const_cast<void *>(from));  // never written to: whoever builds tables has memory of their own
  from = at + count;
  return at;
}

}  // namespace

std::array<size_t, Tables::PARTS> Tables::Shape::lengths() const {
  require(bits >= 1 && codes >= 1 && codes <= UINT32_MAX, "tables need from 1 to 2**32 - 1 codes");
  require(items >= 1 && (distinct ? items <= codes : items == codes), "tables have other items than codes");
  const size_t words = (bits + 63) / 64, row = words * sizeof(uint64_t);
  size_t sum = 0, directories = 0;
  for (const auto &[length, width] : chunks) {
    require(length >= 1 && length <= 64 && width >= 1 && width <= length && width <= WIDEST_DIRECTORY, "a chunk has no such width");
    sum += length;
    directories += ((size_t{1} << width) + 1) * sizeof(uint32_t);
  }
  require(sum == bits, "chunks do not make a code");
  const size_t entries = chunks.size() * items * sizeof(uint32_t);
  const size_t rows = (words <= 2 ? chunks.size() : 1) * items * row;
  return {directories, entries, rows, distinct ? (items + 1) * sizeof(uint32_t) : 0, distinct ? codes * sizeof(uint32_t) : 0};
}

Tables::Tables(const Shape &shape, const std::array<const void *, PARTS> &parts, const std::shared_ptr<const void> &owner)
    : bits_(shape.bits), words_((shape.bits + 63) / 64), n_(shape.items), n_codes_(shape.codes), beside_(words_ <= 2) {
  shape.lengths();
  const Release kept(owner);
  auto [directories, entries, rows, first, postings] = parts;
  size_t start = 0;
  for (const auto &[length, width] : shape.chunks) {
    Table table{start, length, width, {nullptr, kept}, {nullptr, kept}, {nullptr, kept}};
    table.offsets = Kept<uint32_t>(place<uint32_t>(directories, (size_t{1} << width) + 1), kept);
    table.items = Kept<uint32_t>(place<uint32_t>(entries, n_), kept);
    if (beside_) table.rows = Kept<uint64_t>(place<uint64_t>(rows, n_ * words_), kept);
    tables_.push_back(std::move(table));
    start += length;
  }
  if (!beside_) rows_ = Kept<uint64_t>(place<uint64_t>(rows, n_ * words_), kept);
  if (!shape.distinct) return;
  first_ = Kept<uint32_t>(place<uint32_t>(first, n_ + 1), kept);
  postings_ = Kept<uint32_t>(place<uint32_t>(postings, n_codes_), kept);
}

Tables::Shape Tables::shape() const {
  Shape shape{bits_, n_codes_, n_, distinct(), {}};
  for (const Table &table : tables_) shape.chunks.emplace_back(static_cast<uint32_t>(table.length), static_cast<uint32_t>(table.width));
  return shape;
}

std::vector<std::pair<const void *, size_t>> Tables::pieces(size_t part) const {
  const size_t row = words_ * sizeof(uint64_t);
  std::vector<std::pair<const void *, size_t>> found;
  for (const Table &table : tables_) {
    if (part == 0) found.emplace_back(table.offsets.get(), ((size_t{1} << table.width) + 1) * sizeof(uint32_t));
    if (part == 1) found.emplace_back(table.items.get(), n_ * sizeof(uint32_t));
    if (part == 2 && beside_) found.emplace_back(table.rows.get(), n_ * row);
  }
  if (part == 2 && !beside_) found.emplace_back(rows_.get(), n_ * row);
  if (part == 3 && distinct()) found.emplace_back(first_.get(), (n_ + 1) * sizeof(uint32_t));
  if (part == 4 && distinct()) found.emplace_back(postings_.get(), n_codes_ * sizeof(uint32_t));
  return found;
}

std::shared_ptr<Tables> Tables::in_memory() const {
  std::array<const void *, PARTS> parts{};
  const auto lengths = shape().lengths();
  const auto kept = std::make_shared<std::vector<Words>>();
  for (size_t part = 0; part < PARTS; part++) {
    kept->push_back(allocate<uint64_t>((lengths[part] + sizeof(uint64_t) - 1) / sizeof(uint64_t)));
    auto *to = reinterpret_cast<uint8_t *>(kept->back().get());
    parts[part] = to;
    for (const auto &[data, bytes] : pieces(part)) to = std::copy_n(static_cast<const uint8_t *>(data), bytes, to);
  }
  const auto copy = std::make_shared<Tables>(shape(), parts, kept);
  copy->set_costs(costs_);
  return copy;
}

void Tables::check(const Segment &codes, Poll poll) const {
  require(codes.size() == n_codes_ && codes.bits() == bits_, "tables are not over these codes");
  const Words rows = allocate<uint64_t>(n_ * words_), block = allocate<uint64_t>(words_ * BLOCK);
  std::vector<uint32_t> item_of(distinct() ? n_codes_ : 0, UINT32_MAX);
  if (distinct()) {
    require(first_[0] == 0 && first_[n_] == n_codes_, "firsts do not part the codes");
    for (size_t item = 0; item < n_; item++) {
      require(first_[item] < first_[item + 1] && first_[item + 1] <= n_codes_, "firsts do not ascend");
      for (size_t i = first_[item]; i < first_[item + 1]; i++) {
        require(postings_[i] < n_codes_ && item_of[postings_[i]] == UINT32_MAX, "a code is not listed once");
        require(i == first_[item] || postings_[i - 1] < postings_[i], "postings do not ascend");
        item_of[postings_[i]] = static_cast<uint32_t>(item);
      }
    }
  }
  for (size_t b = 0; b < codes.block_count(); b++) {
    kernels().unslice(codes.block(b), bits_, block.get());
    for (size_t lane = 0; lane < std::min<size_t>(BLOCK, n_codes_ - b * BLOCK); lane++) {
      const size_t code = b * BLOCK + lane, item = distinct() ? item_of[code] : code;
      const bool is_first = !distinct() || postings_[first_[item]] == code;
      for (size_t w = 0; w < words_; w++) {
        const uint64_t word = block[w * BLOCK + lane % 64 * BLOCK_WORDS + lane / 64];
        require(is_first || rows[item * words_ + w] == word, "codes that are listed as equal are not");
        rows[item * words_ + w] = word;
      }
    }
    if (b % STEP == 0) poll();
  }
  if (!beside_) require(std::equal(rows.get(), rows.get() + n_ * words_, rows_.get()), "rows are not the codes");
  for (const Table &table : tables_) {
    poll();
    check_table(table, rows.get());
  }
}

void Tables::check_table(const Table &table, const uint64_t *rows) const {
  const size_t buckets = size_t{1} << table.width;
  std::vector<bool> seen(n_, false);
  require(table.offsets[0] == 0 && table.offsets[buckets] == n_, "a directory does not part the entries");
  for (size_t bucket = 0; bucket < buckets; bucket++) {
    const size_t begin = table.offsets[bucket], end = table.offsets[bucket + 1];
    require(begin <= end && end <= n_, "a directory does not ascend");
    for (size_t i = begin; i < end; i++) {
      const size_t item = table.items[i];
      require(item < n_ && !seen[item], "an item is not listed once");
      seen[item] = true;
      const uint64_t *row = rows + item * words_;
      require(table.bucket(table.key(row)) == bucket, "an item is in another bucket");
      require(!beside_ || std::equal(row, row + words_, &table.rows[i * words_]), "rows are not the codes");
    }
  }
}

}  // namespace udsph
