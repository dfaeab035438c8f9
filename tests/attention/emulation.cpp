// Runs the CUDA kernel's block program on the host, one block after the other: with one thread, or with several real
// ones that meet at a real barrier, so that a missing barrier shows (a thread sanitizer names it). It is the CUDA library
// to its callers: the same C interface, whose stream is here the number of threads.
#include <cstring>
#include <stdexcept>

#include "attention/cuda/block.h"
#include "device.inc"
#include "host_team.h"

namespace udsph::attention {
namespace {

using emulation::HostTeam;

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
  emulation::run_blocks(problem.chunks * problem.context_items, threads, static_cast<int64_t>(bytes),
                        [&](const HostTeam &team, void *shared, int64_t index) {
                          block::Block<E, T, Backward, HostTeam>(problem, team, shared, index).run();
                        });
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

}  // extern "C"
