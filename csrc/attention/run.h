// Runs the strips of a problem on threads of its own, made per call: a fork() between two calls finds none alive.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "attention/kernels.h"

namespace udsph::attention {

struct Free {
  void operator()(void *memory) const { std::free(memory); }
};

template <class T>
void run(const Passes<T> &passes, const Problem<T> &problem, bool backward, int64_t threads) {
  const int64_t strips = strip_count(problem.context_items);
  threads = std::clamp<int64_t>(threads, 1, strips);
  const size_t bytes = (passes.scratch(problem.max_queries, problem.gram_width) * sizeof(T) + 63) / 64 * 64;
  std::unique_ptr<char, Free> scratch(static_cast<char *>(std::aligned_alloc(64, bytes * threads)));
  if (!scratch) throw std::bad_alloc();
  // Rows behind the last query are multiplied too, four at a time: their values are not used, but should be numbers.
  std::memset(scratch.get(), 0, bytes * threads);

  const auto pass = backward ? passes.backward : passes.forward;
  std::atomic<int64_t> next{0};
  const auto work = [&](int64_t thread) {
    T *own = reinterpret_cast<T *>(scratch.get() + thread * bytes);
    for (int64_t strip = next++; strip < strips; strip = next++) pass(problem, strip, own);
  };
  std::vector<std::thread> others;
  try {
    for (int64_t thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  } catch (const std::system_error &) {
    // No more threads to be had: those that are there do the work.
  }
  work(0);
  for (std::thread &other : others) other.join();
}

}  // namespace udsph::attention
