// Opens and closes a region of code compiled for an instruction set that the build machine need not have.
//
// Rules for a file that uses it (each was once broken, and none is reported by the compiler):
//   1. every #include comes before the region: a weak symbol of the standard library compiled inside it may be the copy that the
//      linker keeps for every caller, and then an old CPU meets an instruction that it does not have;
//   2. everything in the region lives in an anonymous namespace; only the table of function pointers leaves the file;
//   3. no std::vector, std::pair, std::function of a vector type; vectors never cross translation units by value;
//   4. intrinsics are chosen by macros of the including file, never by __AVX512F__: g++ does not define it in a region.
#pragma once

#if defined(__x86_64__) || defined(_M_X64)
#define UDSPH_X86 1
#else
#define UDSPH_X86 0
#endif

#if defined(__aarch64__)
#define UDSPH_ARM 1
#else
#define UDSPH_ARM 0
#endif

#define UDSPH_STRING(text) #text
#define UDSPH_PRAGMA(text) _Pragma(UDSPH_STRING(text))

#if defined(__clang__)
#define UDSPH_TARGET_BEGIN(features) \
  UDSPH_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define UDSPH_TARGET_END UDSPH_PRAGMA(clang attribute pop)
#else
#define UDSPH_TARGET_BEGIN(features) UDSPH_PRAGMA(GCC push_options) UDSPH_PRAGMA(GCC target(features))
#define UDSPH_TARGET_END UDSPH_PRAGMA(GCC pop_options)
#endif
