// Threads, in one place. They live for one call: nothing is left behind that a fork could break.
#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace udsph {

// Asked now and then by the calling thread; throws to stop the work (Ctrl-C).
typedef std::function<void()> Poll;

class Workers {
 public:
  Workers(size_t threads, const Poll &poll) : threads_(threads), poll_(poll), last_poll_(std::chrono::steady_clock::now()) {}

  size_t threads() const { return threads_; }

  // Run work(worker) once per thread, the caller being worker 0; rethrows the first exception.
  void run(const std::function<void(size_t)> &work) {
    std::vector<std::thread> helpers;
    for (size_t worker = 1; worker < threads_; worker++) {
      try {
        helpers.emplace_back([this, &work, worker] { guarded(work, worker); });
      } catch (const std::system_error &) {  // the system has no more threads
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
    if (worker == 0 && steady_clock::now() - last_poll_ > milliseconds(50)) {
      poll_();
      last_poll_ = steady_clock::now();
    }
    return !stopped_;
  }

 private:
  void guarded(const std::function<void(size_t)> &work, size_t worker) {
    try {
      work(worker);
    } catch (...) {
      stopped_ = true;
      std::lock_guard<std::mutex> lock(failure_mutex_);
      if (!failure_) failure_ = std::current_exception();
    }
  }

  size_t threads_;
  const Poll &poll_;
  std::chrono::steady_clock::time_point last_poll_;
  std::atomic<bool> stopped_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

}  // namespace udsph
