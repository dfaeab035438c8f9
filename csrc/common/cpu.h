// What this CPU and operating system can run: what the names of levels mean, in every extension.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "common/target.h"

namespace udsph {

// What follows from CPUID and XGETBV: a feature counts only if the system also saves its registers.
struct CpuFeatures {
  bool avx2 = false, avx512 = false, avx512_popcount = false;
};

#if UDSPH_X86
// Asked by hand, for compilers whose run-time library is not linked on its own (clang-cl). tests/native holds it to the other.
inline CpuFeatures features_by_cpuid() {
  struct Registers {
    uint32_t a, b, c, d;
  };
  const auto cpuid = [](uint32_t leaf) {
    Registers r;
    __asm__ volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(0));
    return r;
  };
  const auto all = [](uint32_t found, std::initializer_list<int> bits) {
    for (const int bit : bits)
      if ((found >> bit & 1) == 0) return false;
    return true;
  };
  CpuFeatures features;
  if (cpuid(0).a < 7) return features;
  const Registers first = cpuid(1), seventh = cpuid(7);
  if (!all(first.c, {12, 23, 27, 28})) return features;  // FMA, POPCNT, XGETBV, AVX
  uint32_t saved, high;
  __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  features.avx2 = (saved & 0x06) == 0x06 && all(seventh.b, {3, 5, 8});                             // BMI, AVX2, BMI2
  features.avx512 = features.avx2 && (saved & 0xe6) == 0xe6 && all(seventh.b, {16, 30});           // F, BW
  features.avx512_popcount = features.avx512 && all(seventh.b, {17}) && all(seventh.c, {6, 14});  // DQ, VBMI2, VPOPCNTDQ
  return features;
}
#endif

// The compiler's run-time library answers where it is there.
inline bool cpu_has_avx2() {
#if UDSPH_X86 && defined(_MSC_VER)
  return features_by_cpuid().avx2;
#elif UDSPH_X86
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

inline bool cpu_has_avx512() {
#if UDSPH_X86 && defined(_MSC_VER)
  return features_by_cpuid().avx512;
#elif UDSPH_X86
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

// Level avx512 with instructions that came with Intel Ice Lake and AMD Zen 4.
inline bool cpu_has_avx512_popcount() {
#if UDSPH_X86 && defined(_MSC_VER)
  return features_by_cpuid().avx512_popcount;
#elif UDSPH_X86
  return cpu_has_avx512() && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("avx512vpopcntdq");
#else
  return false;
#endif
}

inline bool cpu_has_neon() { return UDSPH_ARM; }

}  // namespace udsph
