// What level avx512 does better where vectors count bits (VPOPCNTDQ): Intel Ice Lake (2019), AMD Zen 4 (2022) and later.
#include <utility>

#include "hamming/kernels.h"
#include "common/target.h"

#if UDSPH_X86
#include <immintrin.h>

namespace udsph {
UDSPH_TARGET_BEGIN("avx512f,avx512bw,avx512dq,avx512vbmi2,avx512vpopcntdq,popcnt,bmi,bmi2")
namespace {

#define UDSPH_POPCOUNT(x) static_cast<uint64_t>(__builtin_popcountll(x))
#define UDSPH_POPCOUNT_VECTOR 1
#define UDSPH_VECTOR_BYTES 64
#define UDSPH_TERNARY_LOGIC 1
#include "common/lanes.inc"
#include "hamming/words.inc"

}  // namespace
UDSPH_TARGET_END

const WordKernels avx512_popcount_words = make_word_kernels();

}  // namespace udsph
#endif
