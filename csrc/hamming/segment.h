// Codes in blocks that never change once they are made: whoever holds a segment reads it without a lock, whatever is added elsewhere.
#pragma once

#include <memory>
#include <vector>

#include "hamming/kernels.h"

namespace udsph {

class Segment {
 public:
  explicit Segment(size_t bits) : bits_(bits) {}

  // The blocks at `first` where they are, read-only; `owner` keeps them alive.
  Segment(size_t bits, size_t n, const uint64_t *first, std::shared_ptr<const void> owner);

  // The codes of parts one after the other, in the same memory. Only the last may end within a block; throws std::invalid_argument.
  static Segment joined(const std::vector<const Segment *> &parts);

  // The blocks [begin, end), in the same memory.
  Segment part(size_t begin, size_t end) const;

  size_t bits() const { return bits_; }
  size_t size() const { return n_; }
  size_t bytes() const { return blocks_.size() * (block_words() + 1) * sizeof(uint64_t); }
  size_t block_words() const { return bits_ * BLOCK_WORDS; }
  size_t block_count() const { return blocks_.size(); }

  // Whether more codes should begin a segment of their own: this one is large, and an extension copies its list of blocks.
  bool full() const;

  // This and n packed rows more. Whole blocks are shared; a last one that is not full is copied, since others may be reading it.
  Segment extended(const uint8_t *rows, size_t n) const;

  // Packed rows of codes at these positions, which must be below size().
  void read(const int64_t *positions, size_t count, uint8_t *rows) const;

  BlockView view(const uint64_t *allowed) const { return {blocks_.data(), n_, bits_, allowed}; }
  const uint64_t *block(size_t i) const { return blocks_[i]; }

 private:
  struct Slab;

  uint64_t *claim(size_t count);
  void gather();

  size_t bits_;
  size_t n_ = 0;
  std::vector<const uint64_t *> blocks_;
  std::vector<std::shared_ptr<const void>> owners_;  // of the memory of whole blocks
  std::shared_ptr<Slab> open_;                       // where the next blocks may go
  std::shared_ptr<const void> last_;                 // of the last block, where it is not full
};

}  // namespace udsph
