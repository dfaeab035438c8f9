// Blocks of threads on the host: one thread, or several real ones that meet at a real barrier, so that a missing barrier shows (a thread
// sanitizer names it).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace udsph::emulation {

class Barrier {
 public:
  explicit Barrier(int size) : size_(size) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    const int64_t round = round_;
    if (++arrived_ == size_) {
      arrived_ = 0;
      ++round_;
      all_here_.notify_all();
    } else {
      all_here_.wait(lock, [&] { return round_ != round; });
    }
  }

 private:
  const int size_;
  int arrived_ = 0;
  int64_t round_ = 0;
  std::mutex mutex_;
  std::condition_variable all_here_;
};

// Threads of a block, seen as rows of up to two lanes.
struct HostTeam {
  int rank_, size_;
  Barrier *barrier;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int lane() const { return rank_ % lanes(); }
  int lanes() const { return size_ % 2 == 0 ? 2 : 1; }
  int row() const { return rank_ / lanes(); }
  int rows() const { return size_ / lanes(); }
  void sync() const {
    if (size_ > 1) barrier->wait();
  }
  template <class T>
  T add(T *to, T n) const {
    return __atomic_fetch_add(to, n, __ATOMIC_RELAXED);
  }
};

// A block's shared memory and barrier. All bits are set before it runs: what is read before it is written spoils the result.
struct BlockPlace {
  std::unique_ptr<void, decltype(&std::free)> shared;
  Barrier barrier;

  BlockPlace(int threads, int64_t shared_bytes) : shared(nullptr, &std::free), barrier(threads) {
    const int64_t bytes = (shared_bytes + 128) / 128 * 128;
    shared.reset(std::aligned_alloc(128, static_cast<size_t>(bytes)));
    if (!shared) throw std::bad_alloc();
    std::memset(shared.get(), 0xff, static_cast<size_t>(bytes));
  }
};

// Runs blocks: of one thread each one after the other, of several some at once, as on a GPU, so that a thread sanitizer sees what two blocks
// do to the same memory.
template <class Run>
void run_blocks(int64_t blocks, int threads, int64_t shared_bytes, const Run &run) {
  const int64_t at_once = threads == 1 ? 1 : 3;
  for (int64_t first = 0; first < blocks; first += at_once) {
    std::vector<std::unique_ptr<BlockPlace>> places;
    std::vector<std::thread> others;
    for (int64_t block = first; block < blocks && block < first + at_once; ++block) {
      BlockPlace &place = *places.emplace_back(std::make_unique<BlockPlace>(threads, shared_bytes));
      const auto one = [&run, &place, threads, block](int rank) {
        run(HostTeam{rank, threads, &place.barrier}, place.shared.get(), block);
      };
      if (threads == 1) one(0);
      for (int rank = 0; rank < threads && threads > 1; ++rank) others.emplace_back(one, rank);
    }
    for (std::thread &other : others) other.join();
  }
}

}  // namespace udsph::emulation
