// The choices and constants of the score, shared by the CPU kernel and the CUDA kernel; see docs/attention.md.
#pragma once

#include "common/host_device.h"

namespace udsph::attention {

// The order is that of udsph.attention.formula: Python passes the position.
enum Pool : int { kLogSumExp = 0, kMean = 1, kMax = 2, kSum = 3 };
enum Normalize : int { kClippedL2 = 0, kL2 = 1, kClipped = 2, kSoftmax = 3, kNone = 4 };

constexpr double kLeak = 0.1;      // slope of the leaky rectifier of the "clipped" normalisations
constexpr double kEpsilon = 1e-8;  // added to the affinity's norm; lower bound of the cosine's denominator

struct Formula {
  double smooth;            // inverse temperature of the softmax over the context items
  double pool_temperature;  // of Pool kLogSumExp
  int pool;
  int normalize;

  UDSPH_HD bool clipped() const { return normalize == kClippedL2 || normalize == kClipped; }
  UDSPH_HD bool has_norm() const { return normalize == kClippedL2 || normalize == kL2; }

  // Up to this smooth, affinities within [-1, 1] need no maximum subtracted: q is at most context**2 e**32.
  static constexpr double kLargestSafeSmooth = 16;
  static constexpr double kLargestSafeAlpha = 8886111;  // e**16, rounded up
  UDSPH_HD bool needs_maximum() const {
    return normalize == kClipped || normalize == kNone || !(smooth <= kLargestSafeSmooth);
  }
};

}  // namespace udsph::attention
