#include "hamming/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <stdexcept>

#include "hamming/cpu.h"

namespace udsph {
namespace {

struct Level {
  const Kernels *kernels;
  bool available;
};

// Slowest first.
std::vector<Level> levels() {
  return {
      {&scalar_kernels, true},
#if UDSPH_X86
      {&avx2_kernels, cpu_has_avx2()},
      {&avx512_kernels, cpu_has_avx512()},
#elif UDSPH_ARM
      {&neon_kernels, cpu_has_neon()},
#endif
  };
}

bool is_known(const std::string &name) {
  return name == "scalar" || name == "avx2" || name == "avx512" || name == "neon";
}

const Kernels *find_level(const std::string &name, const char *source) {
  std::string names;
  for (const Level &level : levels()) {
    if (!level.available) continue;
    if (name == level.kernels->name) return level.kernels;
    names += (names.empty() ? "" : ", ") + std::string(level.kernels->name);
  }
  throw std::invalid_argument(std::string(source) + "=" + name + " is not " +
                              (is_known(name) ? "available on this CPU" : "an instruction-set level") +
                              "; choose one of: " + names);
}

const Kernels *choose_level() {
  const char *forced = std::getenv("UDSPH_SIMD");
  if (forced != nullptr && *forced != '\0') return find_level(forced, "UDSPH_SIMD");
  return find_level(available_levels().back(), "level");
}

std::atomic<const Kernels *> active{nullptr};

}  // namespace

std::vector<std::string> available_levels() {
  std::vector<std::string> names;
  for (const Level &level : levels())
    if (level.available) names.emplace_back(level.kernels->name);
  return names;
}

const Kernels &kernels() {
  const Kernels *chosen = active.load(std::memory_order_acquire);
  if (chosen == nullptr) {
    chosen = choose_level();
    active.store(chosen, std::memory_order_release);
  }
  return *chosen;
}

void set_level(const std::string &name) { active.store(find_level(name, "level"), std::memory_order_release); }

}  // namespace udsph
