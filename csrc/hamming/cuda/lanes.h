// Codes in slices of 32 lanes to a word, and adders that sum one bit of 32 codes with two instructions.
#pragma once

#include <cstdint>

#include "common/host_device.h"

namespace udsph::gpu {

// Lanes of W words that a thread works on together.
template <int W>
struct alignas(4 * W) Lanes {
  uint32_t v[W];
};

template <int W>
UDSPH_HD inline Lanes<W> load_lanes(const uint32_t *from) {
  return *reinterpret_cast<const Lanes<W> *>(from);
}

// Slices a constant number of bytes apart in shared memory. On a GPU the address of one is a single multiplication and addition, which
// the unit that does the logic has no part in; a pointer would cost that unit an instruction more. "memory": no load is moved over the
// barrier behind which others have written.
template <int W, int Stride>
struct SharedSlices {
#if defined(__CUDA_ARCH__)
  uint32_t first;

  UDSPH_HD explicit SharedSlices(const uint32_t *slices) : first(static_cast<uint32_t>(__cvta_generic_to_shared(slices))) {}
  UDSPH_HD Lanes<W> operator()(uint32_t slice) const {
    const uint32_t at = first + slice * Stride;
    Lanes<W> x;
    if constexpr (W == 4) {
      asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                   : "=r"(x.v[0]), "=r"(x.v[1]), "=r"(x.v[2]), "=r"(x.v[3])
                   : "r"(at)
                   : "memory");
    } else if constexpr (W == 2) {
      asm volatile("ld.shared.v2.u32 {%0, %1}, [%2];" : "=r"(x.v[0]), "=r"(x.v[1]) : "r"(at) : "memory");
    } else {
      asm volatile("ld.shared.u32 %0, [%1];" : "=r"(x.v[0]) : "r"(at) : "memory");
    }
    return x;
  }
#else
  const uint32_t *slices;

  explicit SharedSlices(const uint32_t *slices) : slices(slices) {}
  Lanes<W> operator()(uint32_t slice) const { return load_lanes<W>(slices + slice * (Stride / 4)); }
#endif
};

// Slices of a tile in the memory of the device.
template <int W, int Stride>
struct TileSlices {
  const uint32_t *slices;

  UDSPH_HD explicit TileSlices(const uint32_t *slices) : slices(slices) {}
  UDSPH_HD Lanes<W> operator()(uint32_t slice) const { return load_lanes<W>(slices + slice * (Stride / 4)); }
};

// One LOP3 each; the immediate is the truth table.
UDSPH_HD inline uint32_t xor3(uint32_t a, uint32_t b, uint32_t c) {
#if defined(__CUDA_ARCH__)
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#else
  return a ^ b ^ c;
#endif
}
UDSPH_HD inline uint32_t majority(uint32_t a, uint32_t b, uint32_t c) {
#if defined(__CUDA_ARCH__)
  uint32_t d;
  asm("lop3.b32 %0, %1, %2, %3, 0xE8;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#else
  return (a & b) | (c & (a | b));
#endif
}

UDSPH_HD inline int popcount(uint32_t word) {
#if defined(__CUDA_ARCH__)
  return __popc(word);
#else
  return __builtin_popcount(word);
#endif
}
UDSPH_HD inline int lowest_bit(uint32_t word) {
#if defined(__CUDA_ARCH__)
  return __ffs(static_cast<int>(word)) - 1;
#else
  return __builtin_ctz(word);
#endif
}

// Adds x and y to a plane; what is carried has twice its weight.
template <int W>
UDSPH_HD inline Lanes<W> add(Lanes<W> &plane, const Lanes<W> &x, const Lanes<W> &y) {
  Lanes<W> carry;
  UDSPH_UNROLL
  for (int w = 0; w < W; w++) {
    carry.v[w] = majority(plane.v[w], x.v[w], y.v[w]);
    plane.v[w] = xor3(plane.v[w], x.v[w], y.v[w]);
  }
  return carry;
}

// A number per lane, modulo 2^Planes: plane p holds bit p of each.
template <int Planes, int W>
struct Sum {
  Lanes<W> plane[Planes];

  // The same number in every lane.
  UDSPH_HD void fill(int number) {
    UDSPH_UNROLL
    for (int p = 0; p < Planes; p++) {
      const uint32_t all = 0u - (static_cast<uint32_t>(number) >> p & 1u);
      UDSPH_UNROLL
      for (int w = 0; w < W; w++) plane[p].v[w] = all;
    }
  }

  // Adds 2^First in the lanes of `carry`.
  template <int First>
  UDSPH_HD void ripple(Lanes<W> carry) {
    UDSPH_UNROLL
    for (int p = First; p < Planes; p++)
      UDSPH_UNROLL
    for (int w = 0; w < W; w++) {
      const uint32_t both = plane[p].v[w] & carry.v[w];
      plane[p].v[w] ^= carry.v[w];
      carry.v[w] = both;
    }
  }

  // Adds eight slices, get(0) to get(7), and returns what is carried to plane 3.
  template <class Get>
  UDSPH_HD Lanes<W> eight(const Get &get) {
    Lanes<W> x[8];
    UDSPH_UNROLL
    for (int i = 0; i < 8; i++) x[i] = get(i);
    const Lanes<W> a = add(plane[0], x[0], x[1]), b = add(plane[0], x[2], x[3]), ab = add(plane[1], a, b);
    const Lanes<W> c = add(plane[0], x[4], x[5]), d = add(plane[0], x[6], x[7]), cd = add(plane[1], c, d);
    return add(plane[2], ab, cd);
  }

  // Adds n slices, n a multiple of 8: get(first, i) is slice first + i, i below 8.
  template <class Get>
  UDSPH_HD void add_slices(int n, const Get &get) {
    int first = 0;
    for (; first + 16 <= n; first += 16) {
      const auto low = get(first), high = get(first + 8);
      const Lanes<W> a = eight(low), b = eight(high);
      ripple<4>(add(plane[3], a, b));
    }
    if (first < n) ripple<3>(eight(get(first)));
  }

  // The number in one lane of word w, w a constant.
  UDSPH_HD int number(int w, int lane) const {
    uint32_t sum = 0;
    UDSPH_UNROLL
    for (int p = 0; p < Planes; p++) sum |= (plane[p].v[w] >> lane & 1u) << p;
    return static_cast<int>(sum);
  }
};

}  // namespace udsph::gpu
