// Multi-index hashing (Norouzi, Punjani, Fleet 2012): exact search that looks at a small part of the codes.
//
// A code is cut into chunks. A table per chunk holds the codes in the order of that chunk, so that those with a given chunk lie
// together. T[t] is the radius up to which chunk t of a query has been looked up, -1 before. A code that was not met differs from the
// query in more than T[t] bits of every chunk, so its distance is at least sum (T[t] + 1): everything up to
//     guarantee = sum (T[t] + 1) - 1
// has been met, in whatever order the radii grew. A search ends when no code beyond the guarantee is wanted; then all ties at the k-th
// distance are known, and the smallest positions win as in a scan. Where that would take longer than a scan, the scan takes over.
#pragma once

#include <algorithm>
#include <array>
#include <functional>
#include <memory>

#include "common/memory.h"
#include "hamming/forecast.h"
#include "hamming/search.h"

namespace udsph {

// Memory of one's own, or of an owner who keeps it: a mapped file.
struct Release {
  Release() = default;
  Release(FreeMemory) {}
  explicit Release(std::shared_ptr<const void> owner) : owner(std::move(owner)) {}
  void operator()(void *memory) const {
    if (owner == nullptr) FreeMemory()(memory);
  }

  std::shared_ptr<const void> owner;
};
template <class T>
using Kept = std::unique_ptr<T[], Release>;

class Tables {
 public:
  // Over all codes of a segment, which must be fewer than 2**32, in `chunks` chunks of at most 64 bits, or as many as suit the number of
  // codes where it is 0. Where many codes are equal each is kept once, with its positions beside. Throws std::bad_alloc; `poll` may throw,
  // and so may `tell`, to which the calling thread says now and then which share of the work is done.
  typedef std::function<void(double)> Tell;
  Tables(const Segment &codes, size_t chunks, size_t threads, Poll poll, const Tell &tell = {});

  // What tables over n codes take, in chunks, bytes that stay, and bytes while they are built; where codes are equal they take less.
  struct Size {
    size_t chunks, bytes, peak;
  };
  static Size size_of(size_t n, size_t bits, size_t chunks, size_t threads);

  // tables_stored.cpp: tables in a file, where their arrays lie one behind the other in five parts: directories (a uint32 per bucket and one
  // more, table by table), entries (a uint32 per item, likewise), rows (of words: beside the entries of every table, or one of every item),
  // and, where equal codes are kept once, firsts (a uint32 per item and one more) and postings (a uint32 per code).
  enum : size_t { PARTS = 5 };
  struct Shape {
    size_t bits, codes, items;
    bool distinct;
    std::vector<std::pair<uint32_t, uint32_t>> chunks;  // bits of each, and of its directory

    // Bytes of the parts; throws std::invalid_argument where no tables have this shape.
    std::array<size_t, PARTS> lengths() const;
  };
  // The arrays where they are, of the lengths that the shape says. Nothing of them is believed in a search, so that wrong ones bring wrong
  // results, but no reading beyond them; check() throws std::invalid_argument where they are not the tables of the codes.
  Tables(const Shape &shape, const std::array<const void *, PARTS> &parts, const std::shared_ptr<const void> &owner);
  void check(const Segment &codes, Poll poll) const;
  // The same in memory of their own, where pages are large: a search meets fewer of them.
  std::shared_ptr<Tables> in_memory() const;
  Shape shape() const;
  std::vector<std::pair<const void *, size_t>> pieces(size_t part) const;  // with their bytes

  size_t bytes() const;
  size_t chunks() const { return tables_.size(); }
  size_t items() const { return n_; }  // distinct codes, or codes
  bool distinct() const { return first_ != nullptr; }

  // In nanoseconds: a lookup, a code compared, a code found; and a code of a scan for one of few queries, or of many.
  struct Costs {
    double lookup = 20, candidate = 1, hit = 50, scan_one = 1, scan_many = 0.1;
  };
  void set_costs(const Costs &costs) {
    costs_ = costs;
    forecast_.forget();
  }

  // As udsph::search and udsph::range_search over the same segment. `met` (4 numbers, or null) gets the sums over queries of lookups,
  // candidates and hits, and the number of queries that a scan took over.
  void search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
              Poll poll, int32_t *distances, int64_t *positions, uint64_t *met, const uint32_t *limits = nullptr) const;
  RangeResult range_search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed,
                           size_t threads, Poll poll, uint64_t *met) const;

 private:
  friend class Lookup;

  struct Table {
    size_t start, length, width;  // bits of the chunk; of the directory, which wider chunks are hashed into
    Kept<uint32_t> offsets, items;
    Kept<uint64_t> rows;  // beside the items, or none: they are gathered from rows_

    uint64_t key(const uint64_t *row) const;
    size_t bucket(uint64_t key) const {
      return length <= width ? key : static_cast<size_t>(key * 0x9e3779b97f4a7c15u >> (64 - width));
    }
  };

  // Of a file, perhaps a damaged one: an item that there is.
  const uint64_t *row_of(uint32_t item) const { return &rows_[std::min<size_t>(item, n_ - 1) * words_]; }
  double scan_cost(double queries) const;
  double scan_cost(size_t kind, double n_queries, double queries) const;
  class Course;
  class Asked;

  void check_table(const Table &table, const uint64_t *rows) const;
  void take_rows(const Segment &codes, Course &course);
  double distinct_share() const;
  void make_distinct();
  void build(Table &table, Course &course, size_t worker) const;

  size_t bits_, words_, n_ = 0, n_codes_;
  bool beside_;           // rows lie beside the items of every table
  Kept<uint64_t> rows_;   // [n_][words_]
  Kept<uint32_t> first_, postings_;    // of distinct codes: positions at postings_[first_[i]] to [first_[i + 1]], ascending
  std::vector<Table> tables_;
  Costs costs_;
  mutable Forecast forecast_;  // searches add to it
};

}  // namespace udsph
