// The levels of the Hamming kernels: which there are, and which one is in use.
#pragma once

#include "common/levels.h"
#include "hamming/kernels.h"

namespace udsph {

Levels<Kernels> &levels();

// Kernels of the level in use; throws std::invalid_argument where UDSPH_SIMD is wrong.
inline const Kernels &kernels() { return levels().kernels(); }

}  // namespace udsph
