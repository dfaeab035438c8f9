// Which level runs: the best that this CPU has, unless UDSPH_SIMD or set_level names another.
#pragma once

#include <string>
#include <vector>

#include "hamming/kernels.h"

namespace udsph {

// Names of the levels that this CPU can run, slowest first.
std::vector<std::string> available_levels();

// The level in use. The first call reads UDSPH_SIMD; throws std::invalid_argument for a name that is unknown or not available.
const Kernels &kernels();

// Use the level of this name from now on, in every thread; throws std::invalid_argument as kernels() does.
void set_level(const std::string &name);

}  // namespace udsph
