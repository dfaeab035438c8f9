// Plain C++: what every CPU of the architecture runs (SSE2 on x86-64). No popcount instruction is assumed.
#include <utility>

#include "hamming/kernels.h"

namespace udsph {
namespace {

// Adds neighbouring bit fields of 1, 2, 4 and 8 bits (Warren, Hacker's Delight, 5-1); the compiler can vectorise it.
inline uint64_t popcount(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return (x * 0x0101010101010101u) >> 56;
}

#define UDSPH_POPCOUNT popcount
#define UDSPH_VECTOR_BYTES 16
#define UDSPH_TERNARY_LOGIC 0
#include "hamming/level.inc"

}  // namespace

const Kernels scalar_kernels = make_kernels();

}  // namespace udsph
