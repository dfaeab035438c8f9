// All pairs of codes within a radius, of one set or of two, by joining tables (multi-index hashing turned into a join).
//
// The bits of a code are cut into chunks, which need not be of consecutive bits. Two codes within the radius differ in at most as many
// chunks as the radius says, so that they agree in all chunks of at least one choice of chunks - radius of them. For every choice the
// codes are brought into buckets by the bits of its chunks, and within a bucket all are compared. A pair that agrees in more chunks
// than a choice has would be met in several: only the first choice reports it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/parallel.h"

namespace udsph {

struct PairJob {
  const uint64_t *rows;   // [n][words]
  size_t n, words;        // n < 2**32
  size_t first_right;     // pairs are of a row before it with one from it on; 0: of any row with a later one
  size_t begin, end;      // only pairs whose left row is among these
  const uint64_t *masks;  // [chunks][words]: the bits of every chunk
  size_t chunks, radius;  // of join_pairs: radius < chunks <= 32
  size_t capacity;        // pairs that are wanted at most, unless one left row has more
  size_t threads;
  Poll poll;
};

struct Pairs {
  std::vector<int64_t> left, right;  // sorted by both
  std::vector<int32_t> distances;
  size_t end;  // all pairs whose left row is in [begin, end) are here
};

Pairs join_pairs(const PairJob &job);

// The same where the radius is too large for chunks that agree. Of two codes within it some chunk differs in few bits: with
// radius = t * chunks + a, in t at most for one of the first a + 1 chunks, or in t - 1 for one of the others. So every bucket of a chunk
// is compared with all buckets that close. A chunk is of bits that follow each other, PROBED_BITS at most.
enum : size_t { PROBED_BITS = 24 };
Pairs probe_pairs(const PairJob &job);

// Labels [n] of connected components, numbered by their first member, from links that are given in any number of calls.
class Components {
 public:
  explicit Components(size_t n);
  // Throws std::out_of_range for a member beyond n.
  void link(const int64_t *left, const int64_t *right, size_t n);
  void labels(int64_t *labels) const;
  size_t size() const { return parents_.size(); }

 private:
  size_t root(size_t member);
  std::vector<uint64_t> parents_;  // of a member: one with a lower number, or itself
};

}  // namespace udsph
