#include "hamming/job.h"

#include "hamming/levels.h"

namespace udsph {
namespace {

constexpr size_t MEMORY = size_t{60} << 20;        // of all tiles of a search
constexpr size_t LEAST_MEMORY = size_t{4} << 20;   // of one tile
constexpr size_t BITS_PER_THREAD = size_t{1} << 27;  // code bits compared that are worth starting a thread
constexpr size_t BITS_PER_STEP = size_t{1} << 33;  // and that are compared between two looks at Ctrl-C: some milliseconds

// Codes that pass the filter.
size_t allowed_codes(const Segment &codes, const uint64_t *allowed) {
  if (allowed == nullptr) return codes.size();
  size_t count = 0;
  for (size_t first = 0; first < codes.size(); first += 64) {
    const size_t left = codes.size() - first;
    const uint64_t lanes = left >= 64 ? ~uint64_t{0} : (uint64_t{1} << left) - 1;
    count += static_cast<size_t>(__builtin_popcountll(allowed[first / 64] & lanes));
  }
  return count;
}

}  // namespace

Job::Job(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t most_threads)
    : codes(codes), level(kernels()), queries(queries), n_queries(n_queries), wanted(k),
      k(std::min(k, allowed_codes(codes, allowed))), allowed(allowed) {
  const double work = static_cast<double>(n_queries) * codes.size() * codes.bits();
  threads = std::max<size_t>(1, std::min<size_t>(most_threads, static_cast<size_t>(work / BITS_PER_THREAD)));
  const size_t memory = std::max(MEMORY / threads, LEAST_MEMORY);
  tile = std::min<size_t>(MAX_TILE, std::max<size_t>(1, memory / tile_bytes_per_query(codes.bits(), this->k)));
  if (splits_queries()) tile = std::min(tile, (n_queries + threads - 1) / threads);
  tile = std::max<size_t>(1, std::min(tile, n_queries));
}

void Job::scan(TileMemory &memory, size_t begin, size_t end, Workers &workers, size_t worker) const {
  const size_t step = std::max<size_t>(1, BITS_PER_STEP / (memory.tile().n * BLOCK * codes.bits()));
  const BlockView view = codes.view(allowed);
  for (; begin < end && workers.proceed(worker); begin += step)
    level.scan(view, begin, std::min(end, begin + step), memory.tile());
}

}  // namespace udsph
