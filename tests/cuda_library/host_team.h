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

// Runs a block after the other. All bits of shared memory are set before each: what is read before it is written spoils the result.
template <class Run>
void run_blocks(int64_t blocks, int threads, int64_t shared_bytes, const Run &run) {
  const int64_t bytes = (shared_bytes + 128) / 128 * 128;
  std::unique_ptr<void, decltype(&std::free)> shared(std::aligned_alloc(128, static_cast<size_t>(bytes)), &std::free);
  if (!shared) throw std::bad_alloc();
  Barrier barrier(threads);
  for (int64_t block = 0; block < blocks; ++block) {
    std::memset(shared.get(), 0xff, static_cast<size_t>(bytes));
    const auto one = [&](int rank) { run(HostTeam{rank, threads, &barrier}, shared.get(), block); };
    std::vector<std::thread> others;
    for (int rank = 1; rank < threads; ++rank) others.emplace_back(one, rank);
    one(0);
    for (std::thread &other : others) other.join();
  }
}

}  // namespace udsph::emulation
