// Words aligned for any vector.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace udsph {

struct FreeWords {
  void operator()(uint64_t *words) const { std::free(words); }
};
typedef std::unique_ptr<uint64_t[], FreeWords> Words;

// Zeroed.
inline Words allocate_words(size_t n) {
  const size_t bytes = (n * sizeof(uint64_t) + 63) / 64 * 64 + 64;
  void *memory = std::aligned_alloc(64, bytes);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  return Words(static_cast<uint64_t *>(memory));
}

}  // namespace udsph
