// How codes lie in memory: in blocks, as slices of bits.
#pragma once

#include <cstddef>

namespace udsph {

// Word w of slice b of a block holds bit b of its codes 64 w to 64 w + 63; blocks are aligned to 64 bytes.
enum : size_t {
  BLOCK = 512,      // codes in a block
  BLOCK_WORDS = 8,  // 64-bit words in a slice of a block
  COLUMN = 64,      // bits of a code that are sliced, and brought back, together
};

}  // namespace udsph
