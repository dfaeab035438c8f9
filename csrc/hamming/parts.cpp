#include "hamming/parts.h"

#include <algorithm>
#include <climits>
#include <stdexcept>

#include "hamming/merge.h"

namespace udsph {
namespace {

RangeResult merged(const RangeResult &first, const RangeResult &second, int64_t base, size_t n_queries) {
  RangeResult all;
  all.offsets.resize(n_queries + 1);
  for (size_t q = 0; q <= n_queries; q++) all.offsets[q] = first.offsets[q] + second.offsets[q];
  all.distances.resize(static_cast<size_t>(all.offsets[n_queries]));
  all.positions.resize(all.distances.size());
  for (size_t q = 0; q < n_queries; q++) {
    const auto sorted = [q](const RangeResult &part) {
      const auto begin = part.offsets[q];
      return Sorted{part.distances.data() + begin, part.positions.data() + begin, static_cast<size_t>(part.offsets[q + 1] - begin)};
    };
    const Sorted a = sorted(first), b = sorted(second);
    merge(a, b, base, a.n + b.n, all.distances.data() + all.offsets[q], all.positions.data() + all.offsets[q]);
  }
  return all;
}

}  // namespace

Parts::Parts(size_t bits, std::vector<Part> parts) : bits_(bits), parts_(std::move(parts)) {
  for (const Part &part : parts_) {
    if (part.segment->bits() != bits) throw std::invalid_argument("a part has another width than the others");
    if (size_ % BLOCK != 0) throw std::invalid_argument("only the last part may end within a block");
    bases_.push_back(size_);
    size_ += part.segment->size();
  }
}

void Parts::search(const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads, Poll poll,
                   int32_t *distances, int64_t *positions) const {
  const size_t wanted = n_queries * k;
  if (parts_.empty()) {
    std::fill_n(distances, wanted, INT32_MAX);
    std::fill_n(positions, wanted, int64_t{-1});
  }
  std::vector<uint32_t> limits;
  std::vector<int32_t> more, near(k);
  std::vector<int64_t> places, first(k);
  for (size_t i = 0; i < parts_.size(); i++) {
    const Part &part = parts_[i];
    const uint64_t *here = allowed == nullptr ? nullptr : allowed + bases_[i] / 64;
    int32_t *to = distances;
    int64_t *at = positions;
    if (i > 0) {
      // Codes of a later part lose a tie, so that only those closer than the k-th so far matter.
      limits.resize(n_queries);
      for (size_t q = 0; q < n_queries; q++)
        limits[q] = static_cast<uint32_t>(std::min(static_cast<size_t>(distances[q * k + k - 1]), bits_ + 1));
      if (std::all_of(limits.begin(), limits.end(), [](uint32_t limit) { return limit == 0; })) break;
      more.resize(wanted);
      places.resize(wanted);
      to = more.data();
      at = places.data();
    }
    const uint32_t *closer = i > 0 ? limits.data() : nullptr;
    if (part.tables != nullptr)
      part.tables->search(*part.segment, queries, n_queries, k, here, threads, poll, to, at, nullptr, closer);
    else
      udsph::search(*part.segment, queries, n_queries, k, here, threads, poll, to, at, closer);
    for (size_t q = 0; i > 0 && q < n_queries; q++) {
      int32_t *d = distances + q * k;
      int64_t *p = positions + q * k;
      if (more[q * k] >= d[k - 1]) continue;
      std::copy_n(d, k, near.begin());
      std::copy_n(p, k, first.begin());
      merge({near.data(), first.data(), k}, {more.data() + q * k, places.data() + q * k, k}, static_cast<int64_t>(bases_[i]), k, d, p);
    }
  }
}

RangeResult Parts::range_search(const uint8_t *queries, size_t n_queries, size_t radius, const uint64_t *allowed, size_t threads,
                                Poll poll) const {
  RangeResult all;
  all.offsets.assign(n_queries + 1, 0);
  for (size_t i = 0; i < parts_.size(); i++) {
    const Part &part = parts_[i];
    const uint64_t *here = allowed == nullptr ? nullptr : allowed + bases_[i] / 64;
    RangeResult found = part.tables != nullptr
                            ? part.tables->range_search(*part.segment, queries, n_queries, radius, here, threads, poll, nullptr)
                            : udsph::range_search(*part.segment, queries, n_queries, radius, here, threads, poll);
    all = i == 0 ? std::move(found) : merged(all, found, static_cast<int64_t>(bases_[i]), n_queries);
  }
  return all;
}

}  // namespace udsph
