// Runs the strips of a problem on threads of its own, made per call: a fork() between two calls finds none alive.
#pragma once

#include <algorithm>
#include <atomic>

#include "attention/kernels.h"
#include "common/memory.h"
#include "common/parallel.h"

namespace udsph::attention {

template <class T>
void run(const Passes<T> &passes, const Problem<T> &problem, bool backward, int64_t threads) {
  const int64_t strips = strip_count(problem.context_items);
  threads = std::clamp<int64_t>(threads, 1, strips);
  constexpr size_t LINE = CACHE_LINE / sizeof(T);
  const size_t own = (passes.scratch(problem.max_queries, problem.gram_width) + LINE - 1) / LINE * LINE;
  // Rows behind the last query are multiplied too, four at a time: their values are not used, but should be numbers.
  const Memory<T> scratch = allocate_zeros<T>(own * threads);
  const auto pass = backward ? passes.backward : passes.forward;
  std::atomic<int64_t> next{0};
  Workers(threads).run([&](size_t worker) {
    for (int64_t strip = next++; strip < strips; strip = next++) pass(problem, strip, scratch.get() + worker * own);
  });
}

}  // namespace udsph::attention
