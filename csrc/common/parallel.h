// Threads, in one place. They live for one call: nothing is left behind that a fork could break.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace udsph {

// Asked now and then by the calling thread; throws to stop the work (Ctrl-C).
typedef void (*Poll)();

class Workers {
 public:
  explicit Workers(size_t threads, Poll poll = nullptr)
      : threads_(threads < 1 ? 1 : threads), poll_(poll), last_poll_(std::chrono::steady_clock::now()) {}

  // Run work(worker) once for every number below `threads`, the caller's being 0; rethrows the first exception. Where the system has
  // no more threads the caller does what they would have done, one after the other.
  template <class Work>
  void run(const Work &work) {
    std::vector<std::thread> helpers;
    helpers.reserve(threads_ - 1);
    for (size_t worker = 1; worker < threads_; worker++) {
      try {
        helpers.emplace_back([this, &work, worker] { guarded(work, worker); });
      } catch (const std::system_error &) {
        guarded(work, worker);
      }
    }
    guarded(work, 0);
    for (std::thread &helper : helpers) helper.join();
    if (failure_) std::rethrow_exception(failure_);
  }

  // To be called between pieces of work of a few milliseconds. False: give up.
  bool proceed(size_t worker) {
    using namespace std::chrono;
    if (worker == 0 && poll_ != nullptr && steady_clock::now() - last_poll_ > milliseconds(50)) {
      poll_();
      last_poll_ = steady_clock::now();
    }
    return !stopped_;
  }

 private:
  template <class Work>
  void guarded(const Work &work, size_t worker) {
    try {
      work(worker);
    } catch (...) {
      stopped_ = true;
      std::lock_guard<std::mutex> lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  size_t threads_;
  Poll poll_;
  std::chrono::steady_clock::time_point last_poll_;
  std::atomic<bool> stopped_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace udsph
