#include "hamming/blocks.h"

#include <algorithm>
#include <cstring>

#include "hamming/levels.h"

namespace udsph {
namespace {

// Packed row of lane `lane` from the words that Kernels::unslice writes.
void pack_row(const uint64_t *words, size_t lane, size_t bytes, uint8_t *row) {
  for (size_t done = 0; done < bytes; done += 8) {
    const uint64_t word = words[done / 8 * BLOCK + lane % 64 * BLOCK_WORDS + lane / 64];
    std::memcpy(row + done, &word, std::min<size_t>(8, bytes - done));
  }
}

}  // namespace

Blocks::Blocks(size_t bits, size_t n, const uint64_t *first, std::shared_ptr<void> owner)
    : bits_(bits), n_(n), mapped_(std::move(owner)), mapped_blocks_((n + BLOCK - 1) / BLOCK) {
  blocks_.reserve(mapped_blocks_);
  for (size_t i = 0; i < mapped_blocks_; i++) blocks_.push_back(first + i * block_words());
}

size_t Blocks::bytes() const {
  size_t blocks = mapped_blocks_;
  for (const Segment &segment : segments_) blocks += segment.blocks;
  return blocks * block_words() * sizeof(uint64_t) + blocks_.capacity() * sizeof(blocks_[0]);
}

// One block more. A new segment has what is wanted now, or a sixteenth of what there is: few segments, little unused.
uint64_t *Blocks::add_block(size_t wanted) {
  if (segments_.empty() || segments_.back().used == segments_.back().blocks) {
    const size_t count = std::max({wanted, blocks_.size() / 16, size_t{1}});
    segments_.push_back({{}, count, 0});
    segments_.back().words = allocate<uint64_t>(count * block_words());
    blocks_.reserve(blocks_.size() + count);
  }
  Segment &last = segments_.back();
  uint64_t *block = last.words.get() + last.used++ * block_words();
  blocks_.push_back(block);
  return block;
}

// Fill the lanes that the last block has left.
void Blocks::complete_last_block(const uint8_t *&rows, size_t &n) {
  const size_t used = n_ % BLOCK, bytes = (bits_ + 7) / 8;
  if (used == 0 || n == 0) return;
  const size_t taken = std::min(n, BLOCK - used);
  std::vector<int64_t> positions(used);
  for (size_t i = 0; i < used; i++) positions[i] = static_cast<int64_t>(n_ - used + i);
  std::vector<uint8_t> all((used + taken) * bytes);
  read(positions.data(), used, all.data());
  std::memcpy(all.data() + used * bytes, rows, taken * bytes);
  if (blocks_.size() == mapped_blocks_) {  // a mapped block is read-only: replace it
    blocks_.pop_back();
    mapped_blocks_--;
    add_block(1);
  }
  kernels().slice_rows(all.data(), used + taken, bits_, const_cast<uint64_t *>(blocks_.back()));
  n_ += taken;
  rows += taken * bytes;
  n -= taken;
}

void Blocks::append(const uint8_t *rows, size_t n) {
  complete_last_block(rows, n);
  const Kernels &level = kernels();
  const size_t bytes = (bits_ + 7) / 8;
  for (size_t left = n; left > 0;) {
    const size_t count = std::min<size_t>(left, BLOCK);
    level.slice_rows(rows, count, bits_, add_block((left + BLOCK - 1) / BLOCK));
    n_ += count;
    rows += count * bytes;
    left -= count;
  }
}

void Blocks::read(const int64_t *positions, size_t count, uint8_t *rows) const {
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

std::unique_ptr<Blocks> Blocks::subset(const uint64_t *keep) const {
  const size_t bytes = (bits_ + 7) / 8, words = (n_ + 63) / 64;
  auto kept = std::make_unique<Blocks>(bits_);
  std::vector<int64_t> positions;
  std::vector<uint8_t> rows;
  for (size_t word = 0; word < words; word++) {
    for (uint64_t left = keep[word]; left != 0; left &= left - 1)
      positions.push_back(static_cast<int64_t>(word * 64 + __builtin_ctzll(left)));
    if (positions.size() < 16 * BLOCK && word + 1 < words) continue;
    rows.resize(positions.size() * bytes);
    read(positions.data(), positions.size(), rows.data());
    kept->append(rows.data(), positions.size());
    positions.clear();
  }
  return kept;
}

}  // namespace udsph
