// What this CPU and operating system can run: what the names of levels mean, in every extension.
#pragma once

#include "common/target.h"

namespace udsph {

// The compiler's run-time library asks CPUID and XGETBV: a feature counts only if the system also saves its registers.
inline bool cpu_has_avx2() {
#if UDSPH_X86
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("popcnt") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#else
  return false;
#endif
}

inline bool cpu_has_avx512() {
#if UDSPH_X86
  return cpu_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#else
  return false;
#endif
}

// Level avx512 with instructions that came with Intel Ice Lake and AMD Zen 4.
inline bool cpu_has_avx512_popcount() {
#if UDSPH_X86
  return cpu_has_avx512() && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("avx512vpopcntdq");
#else
  return false;
#endif
}

inline bool cpu_has_neon() { return UDSPH_ARM; }

}  // namespace udsph
