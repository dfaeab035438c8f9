// Segments that follow each other, searched as one: each is told how near a code must be to matter beside what the ones before it found.
#pragma once

#include <memory>
#include <vector>

#include "hamming/tables.h"

namespace udsph {

struct Part {
  std::shared_ptr<const Segment> segment;
  std::shared_ptr<const Tables> tables;  // over it, or null: it is scanned
};

class Parts {
 public:
  // Every part but the last ends with a whole block. Throws std::invalid_argument.
  Parts(size_t bits, std::vector<Part> parts);

  size_t bits() const { return bits_; }
  size_t size() const { return size_; }  // positions
  size_t block_count() const { return (size_ + BLOCK - 1) / BLOCK; }

  // As udsph::search and udsph::range_search, positions from 0 through all parts.
  void search(const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads, Poll poll, int32_t *distances,
              int64_t *positions) const;
  RangeResult range_search(const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed, size_t threads,
                           Poll poll) const;

 private:
  size_t bits_, size_ = 0;
  std::vector<Part> parts_;
  std::vector<size_t> bases_;
};

}  // namespace udsph
