// Codes in blocks, in memory that this process owns or that a file maps.
#pragma once

#include <memory>
#include <shared_mutex>
#include <vector>

#include "common/memory.h"
#include "hamming/kernels.h"

namespace udsph {

class Blocks {
 public:
  explicit Blocks(size_t bits) : bits_(bits) {}

  // Use the blocks at `first` where they are, read-only; `owner` keeps them alive.
  Blocks(size_t bits, size_t n, const uint64_t *first, std::shared_ptr<void> owner);

  size_t bits() const { return bits_; }
  size_t size() const { return n_; }
  size_t bytes() const;
  size_t block_words() const { return bits_ * BLOCK_WORDS; }
  size_t block_count() const { return blocks_.size(); }

  // Append n packed rows.
  void append(const uint8_t *rows, size_t n);

  // Packed rows of codes at these positions, which must be below size().
  void read(const int64_t *positions, size_t count, uint8_t *rows) const;

  // A copy of the codes whose bit in `keep` (size() bits) is set, in order.
  std::unique_ptr<Blocks> subset(const uint64_t *keep) const;

  BlockView view(const uint64_t *allowed) const { return {blocks_.data(), n_, bits_, allowed}; }
  const uint64_t *block(size_t i) const { return blocks_[i]; }

  // Searches share it, changes hold it alone.
  std::shared_mutex &mutex() const { return mutex_; }

 private:
  // Blocks that were allocated together; the last segment may have unused ones.
  struct Segment {
    Words words;
    size_t blocks, used;
  };

  uint64_t *add_block(size_t wanted);
  void complete_last_block(const uint8_t *&rows, size_t &n);

  size_t bits_;
  size_t n_ = 0;
  std::vector<const uint64_t *> blocks_;
  std::vector<Segment> segments_;
  std::shared_ptr<void> mapped_;
  size_t mapped_blocks_ = 0;
  mutable std::shared_mutex mutex_;
};

}  // namespace udsph
