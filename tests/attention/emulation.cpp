// Runs the CUDA kernel's block program on the host, one block after the other: with one thread, or with several real
// ones that meet at a real barrier, so that a missing barrier shows (a thread sanitizer names it). It is the CUDA library
// to its callers: the same C interface, whose stream is here the number of threads.
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "attention/cuda/block.h"
#include "common/device.h"

namespace udsph::attention {
namespace {

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
};

// The upper half of a float, rounded to even.
struct BFloat16 {
  uint16_t bits;

  explicit BFloat16(float value) {
    uint32_t whole;
    std::memcpy(&whole, &value, 4);
    bits = static_cast<uint16_t>((whole + 0x7fff + (whole >> 16 & 1)) >> 16);
  }
  explicit operator float() const {
    const uint32_t whole = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &whole, 4);
    return value;
  }
};

template <class E, class T, bool Backward>
void run_blocks(const UdsphAttention &problem, int threads) {
  const size_t bytes = block::Shared<T>::bytes(block::Layout(problem.max_queries, problem.gram_width), Backward);
  std::unique_ptr<void, decltype(&std::free)> shared(std::aligned_alloc(128, block::round_up(bytes, 128)), &std::free);
  if (!shared) throw std::bad_alloc();
  Barrier barrier(threads);
  for (int64_t index = 0; index < problem.chunks * problem.context_items; ++index) {
    // All bits set is NaN: what is read before it is written spoils the result.
    std::memset(shared.get(), 0xff, bytes);
    const auto run = [&](int rank) {
      const HostTeam team{rank, threads, &barrier};
      block::Block<E, T, Backward, HostTeam>(problem, team, shared.get(), index).run();
    };
    std::vector<std::thread> others;
    for (int rank = 1; rank < threads; ++rank) others.emplace_back(run, rank);
    run(0);
    for (std::thread &other : others) other.join();
  }
}

template <bool Backward>
void run_type(const UdsphAttention &problem, int threads) {
  switch (problem.type) {
    case kUdsphFloat32:
      return run_blocks<float, float, Backward>(problem, threads);
    case kUdsphFloat64:
      return run_blocks<double, double, Backward>(problem, threads);
    case kUdsphBFloat16:
      return run_blocks<BFloat16, float, Backward>(problem, threads);
    default:
      throw std::invalid_argument("the emulation knows float32, float64 and bfloat16");
  }
}

}  // namespace

template <bool Backward>
int run_problem(const UdsphAttention &problem, void *stream) noexcept try {
  run_type<Backward>(problem, static_cast<int>(reinterpret_cast<intptr_t>(stream)));
  return 0;
} catch (...) {
  return 1;
}

}  // namespace udsph::attention

using namespace udsph::attention;

extern "C" {

int64_t udsph_attention_struct_size(void) { return sizeof(UdsphAttention); }

int64_t udsph_attention_chunks(int64_t query_items, int64_t context_items) {
  return block::chunk_count(query_items, context_items);
}

int64_t udsph_attention_shared_bytes(int64_t type, int64_t max_queries, int64_t gram_width, int backward) {
  const block::Layout layout(max_queries, gram_width);
  return type == kUdsphFloat64 ? block::Shared<double>::bytes(layout, backward)
                               : block::Shared<float>::bytes(layout, backward);
}

int udsph_attention_forward(const UdsphAttention *problem, void *stream) { return run_problem<false>(*problem, stream); }
int udsph_attention_backward(const UdsphAttention *problem, void *stream) { return run_problem<true>(*problem, stream); }
int udsph_attention_check(void) { return 0; }

int udsph_cuda_device_count(int *count) { return *count = 0; }
const char *udsph_cuda_error_name(int) { return "emulationError"; }
const char *udsph_cuda_error_text(int) { return "the emulation failed"; }

}  // extern "C"
