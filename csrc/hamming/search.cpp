#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include "hamming/job.h"
#include "hamming/search.h"

namespace udsph {
namespace {

// Where the k-th distance of each query will probably lie, from evenly spaced blocks: with a limit from the start, a search for many
// neighbours meets a fraction of the candidates. A guess that leaves fewer than k is noticed, and that query is searched again.
class Guess {
 public:
  // `known`: the limits of all queries, which leave nothing to guess, or null.
  Guess(const Job &job, const uint32_t *known) : job_(job), known_(known) {
    const size_t count = job.codes.block_count(), step = count / BLOCKS;
    if (known != nullptr || job.k < LEAST_K || step < 2) return;
    for (size_t i = 0; i < BLOCKS; i++) {
      blocks_.push_back(job.codes.block(i * step));
      if (job.allowed == nullptr) continue;
      const uint64_t *lanes = job.allowed + i * step * BLOCK_WORDS;
      allowed_.insert(allowed_.end(), lanes, lanes + BLOCK_WORDS);
    }
    // The rank in the sample that corresponds to k, and three standard deviations.
    const double rank = static_cast<double>(job.k) * (BLOCKS * BLOCK) / static_cast<double>(job.codes.size());
    memory_ = std::make_unique<TileMemory>(job.codes.bits(), job.tile, static_cast<size_t>(rank + 3 * std::sqrt(rank) + 3));
  }

  explicit operator bool() const { return memory_ != nullptr; }

  // Limits for the n packed queries of a tile: the distance at that rank counts, what lies beyond does not. None where all codes count.
  std::vector<uint32_t> limits(size_t i, const uint8_t *queries, size_t n) {
    if (known_ != nullptr) return {known_ + i * job_.tile, known_ + i * job_.tile + n};
    if (memory_ == nullptr) return {};
    const uint32_t none = static_cast<uint32_t>(job_.codes.bits() + 1);
    Tile &tile = memory_->load(queries, n, none);
    const uint64_t *allowed = allowed_.empty() ? nullptr : allowed_.data();
    job_.level.scan({blocks_.data(), BLOCKS * BLOCK, job_.codes.bits(), allowed}, 0, BLOCKS, tile);
    std::vector<uint32_t> limits(tile.limits, tile.limits + n);
    for (uint32_t &limit : limits) limit = std::min(limit + 1, none);
    return limits;
  }

 private:
  enum : size_t { BLOCKS = 32, LEAST_K = 20 };

  const Job &job_;
  const uint32_t *known_;
  std::vector<const uint64_t *> blocks_;
  std::vector<uint64_t> allowed_;
  std::unique_ptr<TileMemory> memory_;
};

// One tile of a top-k search: `memory` has a part per range of blocks, and scan(memory) fills them all.
template <class Scan>
void search_tile(const Job &job, size_t i, std::vector<TileMemory> &memory, Guess &guess, int32_t *distances, int64_t *positions,
                 const Scan &scan) {
  const size_t bits = job.codes.bits(), bytes = job.bytes(), k = job.wanted;
  const uint8_t *queries = job.tile_queries(i);
  std::vector<uint64_t> keys;
  std::vector<size_t> again;
  const auto collect = [&](size_t q) {
    keys.clear();
    for (const TileMemory &part : memory) keys.insert(keys.end(), part.best(q).keys, part.best(q).keys + part.best(q).n);
  };
  const auto finish = [&](size_t q) {
    sort_keys(keys, bits, k, distances + (i * job.tile + q) * k, positions + (i * job.tile + q) * k);
  };
  const auto start = [&](const uint8_t *from, size_t n, const std::vector<uint32_t> &limits) {
    for (TileMemory &part : memory) std::copy(limits.begin(), limits.end(), part.load(from, n, bits + 1).limits);
    scan(memory);
  };
  start(queries, job.tile_size(i), guess.limits(i, queries, job.tile_size(i)));
  for (size_t q = 0; q < job.tile_size(i); q++) {
    collect(q);
    if (guess && keys.size() < job.k) {
      again.push_back(q);
    } else {
      finish(q);
    }
  }
  if (again.empty()) return;
  std::vector<uint8_t> rows(again.size() * bytes);
  for (size_t j = 0; j < again.size(); j++) std::copy_n(queries + again[j] * bytes, bytes, rows.data() + j * bytes);
  start(rows.data(), again.size(), {});
  for (size_t j = 0; j < again.size(); j++) {
    collect(j);
    finish(again[j]);
  }
}

}  // namespace

void search(const Segment &codes, const uint8_t *queries, size_t n_queries, size_t k, const uint64_t *allowed, size_t threads,
            Poll poll, int32_t *distances, int64_t *positions, const uint32_t *limits) {
  const Job job(codes, queries, n_queries, k, allowed, threads);
  if (job.k == 0 || n_queries == 0) {
    std::fill_n(distances, n_queries * k, INT32_MAX);
    std::fill_n(positions, n_queries * k, int64_t{-1});
    return;
  }
  Workers workers(job.threads, poll);
  if (job.splits_queries()) {
    std::atomic<size_t> next{0};
    workers.run([&](size_t worker) {
      std::vector<TileMemory> memory;
      memory.emplace_back(codes.bits(), job.tile, job.k);
      Guess guess(job, limits);
      for (size_t i; (i = next++) < job.tiles() && workers.proceed(worker);)
        search_tile(job, i, memory, guess, distances, positions,
                    [&](std::vector<TileMemory> &parts) { job.scan(parts[0], 0, codes.block_count(), workers, worker); });
    });
    return;
  }
  std::vector<TileMemory> memory;
  for (size_t worker = 0; worker < job.threads; worker++) memory.emplace_back(codes.bits(), job.tile, job.k);
  Guess guess(job, limits);
  for (size_t i = 0; i < job.tiles(); i++)
    search_tile(job, i, memory, guess, distances, positions, [&](std::vector<TileMemory> &parts) {
      workers.run([&](size_t worker) {
        job.scan(parts[worker], job.first_block(worker), job.first_block(worker + 1), workers, worker);
      });
    });
}

}  // namespace udsph
