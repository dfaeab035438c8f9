// Which level of the CPU kernel runs. UDSPH_SIMD forces one, by the names of the Hamming kernels.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "attention/kernels.h"
#include "hamming/cpu.h"

namespace udsph::attention {

// Slowest first. The portable level is what "neon" means on aarch64.
inline std::vector<const Kernels *> available_kernels() {
  std::vector<const Kernels *> levels{&scalar_kernels};
#if UDSPH_X86
  if (cpu_has_avx2() && __builtin_cpu_supports("fma")) {
    levels.push_back(&avx2_kernels);
    if (cpu_has_avx512()) levels.push_back(&avx512_kernels);
  }
#endif
  return levels;
}

inline const Kernels &find_kernels(const std::string &name) {
  const auto levels = available_kernels();
  if (name.empty()) return *levels.back();
  std::string names;
  for (const Kernels *level : levels) {
    if (name == level->name || (cpu_has_neon() && name == "neon")) return *level;
    names += (names.empty() ? "" : ", ") + std::string(level->name);
  }
  throw std::invalid_argument("UDSPH_SIMD=" + name + " is not available on this CPU; choose one of: " + names);
}

// Looked up once per call, outside all loops.
inline const Kernels &kernels() {
  const char *forced = std::getenv("UDSPH_SIMD");
  return find_kernels(forced == nullptr ? "" : forced);
}

}  // namespace udsph::attention
