// Memory for vectors: aligned, and in huge pages where it is large.
#pragma once

#if defined(_WIN32)
#include <malloc.h>
#else
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace udsph {

enum : size_t { CACHE_LINE = 64, PAGE = 4096, HUGE_PAGE = size_t{2} << 20 };

struct FreeMemory {
#if defined(_WIN32)
  void operator()(void *memory) const { _aligned_free(memory); }
#else
  void operator()(void *memory) const { std::free(memory); }
#endif
};

// What allocate() returns: an array of plain numbers.
template <class T>
using Memory = std::unique_ptr<T[], FreeMemory>;
typedef Memory<uint64_t> Words;

// Room for n numbers, of any content. Much of it comes in huge pages: a pass then meets 512 times fewer pages, and prefetching does
// not stop at their ends. Throws std::bad_alloc.
template <class T>
Memory<T> allocate(size_t n, size_t alignment = CACHE_LINE) {
  if (n > (SIZE_MAX - HUGE_PAGE) / sizeof(T)) throw std::bad_alloc();
  const size_t bytes = n * sizeof(T);
  const bool large = bytes >= 2 * HUGE_PAGE;
#if defined(_WIN32)
  void *memory = _aligned_malloc(bytes == 0 ? 1 : bytes, large ? size_t{HUGE_PAGE} : alignment);
  if (memory == nullptr) throw std::bad_alloc();
#else
  void *memory = nullptr;
  if (posix_memalign(&memory, large ? size_t{HUGE_PAGE} : alignment, bytes == 0 ? 1 : bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  if (large) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
#endif
  return Memory<T>(static_cast<T *>(memory));
}

// The same, all zeros.
template <class T>
Memory<T> allocate_zeros(size_t n, size_t alignment = CACHE_LINE) {
  Memory<T> memory = allocate<T>(n, alignment);
  std::memset(memory.get(), 0, n * sizeof(T));
  return memory;
}

}  // namespace udsph
