#include "hamming/segment.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "common/memory.h"
#include "hamming/levels.h"

namespace udsph {
namespace {

constexpr size_t FULL_BYTES = 2 * HUGE_PAGE, FULL_BLOCKS = 4096;  // of a segment that is not extended any more
constexpr size_t SLAB_BYTES = size_t{64} << 10;                   // of the least memory that is taken at a time

// Packed row of lane `lane` from the words that Kernels::unslice writes.
void pack_row(const uint64_t *words, size_t lane, size_t bytes, uint8_t *row) {
  for (size_t done = 0; done < bytes; done += 8) {
    const uint64_t word = words[done / 8 * BLOCK + lane % 64 * BLOCK_WORDS + lane / 64];
    std::memcpy(row + done, &word, std::min<size_t>(8, bytes - done));
  }
}

}  // namespace

// Memory for blocks. Each is written once, by the segment that claims it, before anybody else can know of it.
struct Segment::Slab {
  Slab(size_t block_words, size_t blocks) : words(allocate<uint64_t>(blocks * block_words)), blocks(blocks) {}

  const Words words;
  const size_t blocks;
  std::atomic<size_t> used{0};
};

Segment::Segment(size_t bits, size_t n, const uint64_t *first, std::shared_ptr<const void> owner)
    : bits_(bits), n_(n), owners_{std::move(owner)} {
  const size_t count = (n + BLOCK - 1) / BLOCK;
  blocks_.reserve(count);
  for (size_t i = 0; i < count; i++) blocks_.push_back(first + i * block_words());
}

Segment Segment::joined(const std::vector<const Segment *> &parts) {
  Segment all(parts.at(0)->bits());
  size_t count = 0;
  for (const Segment *part : parts) count += part->blocks_.size();
  all.blocks_.reserve(count);
  for (const Segment *part : parts) {
    if (part->bits_ != all.bits_) throw std::invalid_argument("segments of different widths cannot be joined");
    if (part->n_ == 0) continue;
    if (all.n_ % BLOCK != 0) throw std::invalid_argument("only the last of joined segments may end within a block");
    all.blocks_.insert(all.blocks_.end(), part->blocks_.begin(), part->blocks_.end());
    all.owners_.insert(all.owners_.end(), part->owners_.begin(), part->owners_.end());
    all.last_ = part->last_;
    all.n_ += part->n_;
  }
  return all;
}

Segment Segment::part(size_t begin, size_t end) const {
  if (begin > end || end > blocks_.size()) throw std::invalid_argument("a part must lie within the segment");
  Segment some(*this);
  some.blocks_.assign(blocks_.begin() + static_cast<std::ptrdiff_t>(begin), blocks_.begin() + static_cast<std::ptrdiff_t>(end));
  some.n_ = std::min(n_, end * BLOCK) - std::min(n_, begin * BLOCK);
  return some;
}

bool Segment::full() const {
  const size_t whole = n_ / BLOCK;
  return whole >= FULL_BLOCKS || whole * block_words() * sizeof(uint64_t) >= FULL_BYTES;
}

Segment Segment::extended(const uint8_t *rows, size_t n) const {
  const Kernels &level = kernels();
  const size_t bytes = (bits_ + 7) / 8, used = n_ % BLOCK, total = used + n;
  Segment next(*this);
  if (n == 0) return next;
  next.n_ += n;
  next.last_.reset();
  if (used > 0) next.blocks_.pop_back();
  uint64_t *block = next.claim(total / BLOCK);
  for (size_t done = 0; done < total; done += BLOCK) {
    const size_t end = std::min<size_t>(total, done + BLOCK);
    if (end - done < BLOCK) {
      std::shared_ptr<uint64_t[]> last = allocate<uint64_t>(block_words());
      block = last.get();
      next.last_ = std::move(last);
    }
    if (done == 0 && used > 0) {  // new lanes into a copy of the block that was the last
      std::vector<uint8_t> lanes(end * bytes, 0);
      std::memcpy(lanes.data() + used * bytes, rows, (end - used) * bytes);
      level.slice_rows(lanes.data(), end, bits_, block);
      const uint64_t *old = blocks_.back();
      for (size_t i = 0; i < block_words(); i++) block[i] |= old[i];
    } else {
      level.slice_rows(rows + (done - used) * bytes, end - done, bits_, block);
    }
    next.blocks_.push_back(block);
    block += block_words();
  }
  if (!full() && next.full()) next.gather();
  return next;
}

// Room for whole blocks, one after the other. What is allocated beyond the demand is a sixteenth of what there is.
uint64_t *Segment::claim(size_t count) {
  if (count == 0) return nullptr;
  if (open_ != nullptr) {
    size_t used = open_->used.load(std::memory_order_relaxed);
    while (used + count <= open_->blocks)
      if (open_->used.compare_exchange_weak(used, used + count)) return open_->words.get() + used * block_words();
  }
  const size_t least = std::max<size_t>(1, SLAB_BYTES / (block_words() * sizeof(uint64_t)));
  open_ = std::make_shared<Slab>(block_words(), std::max({count, blocks_.size() / 16, std::min(least, blocks_.size())}));
  open_->used = count;
  owners_.push_back(open_);
  return open_->words.get();
}

// Bring whole blocks that came in small pieces into one piece of memory, where a scan is faster.
void Segment::gather() {
  if (owners_.size() < 2) return;
  const size_t whole = n_ / BLOCK;
  const auto slab = std::make_shared<Slab>(block_words(), whole);
  slab->used = whole;
  for (size_t i = 0; i < whole; i++) {
    uint64_t *block = slab->words.get() + i * block_words();
    std::copy_n(blocks_[i], block_words(), block);
    blocks_[i] = block;
  }
  owners_.assign(1, slab);
  open_ = slab;
}

void Segment::read(const int64_t *positions, size_t count, uint8_t *rows) const {
  const Kernels &level = kernels();
  const size_t bytes = (bits_ + 7) / 8;
  const Words words = allocate<uint64_t>((bits_ + COLUMN - 1) / COLUMN * BLOCK);
  size_t current = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    const size_t position = static_cast<size_t>(positions[i]);
    if (position / BLOCK != current) {
      current = position / BLOCK;
      level.unslice(blocks_[current], bits_, words.get());
    }
    pack_row(words.get(), position % BLOCK, bytes, rows + i * bytes);
  }
}

}  // namespace udsph
