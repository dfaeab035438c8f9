// Which instruction-set level runs: the best that this CPU has, unless UDSPH_SIMD or set() names another. One rule for every
// extension; each has a table of its levels.
#pragma once

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace udsph {

template <class Kernels>
struct Level {
  const char *name;
  bool available;  // on this CPU
  const Kernels *kernels;
};

template <class Kernels>
class Levels {
 public:
  // Slowest first; the first must be available.
  explicit Levels(std::vector<Level<Kernels>> levels) : levels_(std::move(levels)) {}

  // Names of the levels that this CPU can run, slowest first.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const Level<Kernels> &level : levels_)
      if (level.available) names.emplace_back(level.name);
    return names;
  }

  // The level of a name; throws std::invalid_argument for one that is unknown or not available, as set() and active() do.
  const Level<Kernels> &find(const std::string &name, const char *source = "level") const {
    std::string available;
    for (const Level<Kernels> &level : levels_) {
      if (!level.available) continue;
      if (name == level.name) return level;
      available += (available.empty() ? "" : ", ") + std::string(level.name);
    }
    const bool known = name == "scalar" || name == "avx2" || name == "avx512" || name == "neon";
    throw std::invalid_argument(std::string(source) + "=" + name + " is not " +
                                (known ? "available on this CPU" : "an instruction-set level") + "; choose one of: " + available);
  }

  // The level in use, in every thread. The first call reads UDSPH_SIMD.
  const Level<Kernels> &active() {
    const Level<Kernels> *level = active_.load(std::memory_order_acquire);
    if (level != nullptr) return *level;
    const char *forced = std::getenv("UDSPH_SIMD");
    const Level<Kernels> *chosen = &(forced != nullptr && *forced != '\0' ? find(forced, "UDSPH_SIMD") : find(names().back()));
    // A set() between the two is later: it holds.
    return active_.compare_exchange_strong(level, chosen, std::memory_order_acq_rel) ? *chosen : *level;
  }

  const Kernels &kernels() { return *active().kernels; }

  // Use the level of this name from now on; "" chooses anew at the next call.
  void set(const std::string &name) {
    active_.store(name.empty() ? nullptr : &find(name), std::memory_order_release);
  }

 private:
  const std::vector<Level<Kernels>> levels_;
  std::atomic<const Level<Kernels> *> active_{nullptr};
};

}  // namespace udsph
