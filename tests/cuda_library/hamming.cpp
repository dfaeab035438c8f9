// The CUDA library's Hamming search on the host: the same programs and the same sequence of launches, whose stream is the number of threads
// of a block. Memory of the device is memory of the host.
#include "hamming/cuda/calls.h"

#include <atomic>

#include "device.inc"
#include "host_team.h"

namespace udsph::gpu {
namespace {

enum : int { BLOCKS = 3 };
std::atomic<int64_t> walks{0};  // queries for which all codes were walked through in order

template <class Program>
void note(const Program &) {}
template <int Planes>
void note(const Ordered<Planes> &program) {
  for (int q = 0; q < program.queries.n; q++)
    walks += program.offsets != nullptr ? program.found.counts[q] > program.found.capacity : program.found.bounds[q] != 0;
}

class Launcher {
 public:
  explicit Launcher(void *stream) : threads_(stream == nullptr ? 1 : static_cast<int>(reinterpret_cast<intptr_t>(stream))) {}

  int shared_limit() const { return emulation::shared_limit; }

  template <class Program>
  int run(const Program &program, int64_t items, int64_t shared_bytes) {
    if (emulation::failure != 0) return emulation::failure;
    if (shared_bytes > shared_limit()) return 1;  // as a GPU answers
    note(program);
    const int64_t blocks = smaller(larger(items, 1), BLOCKS);
    emulation::run_blocks(blocks, threads_, shared_bytes, [&](const emulation::HostTeam &team, void *shared, int64_t block) {
      program(team, shared, block, blocks);
    });
    return 0;
  }

 private:
  int threads_;
};

}  // namespace
}  // namespace udsph::gpu

#include "hamming/cuda/interface.inc"

extern "C" {

int udsph_hamming_check(void) { return udsph::emulation::failure; }

// For tests: for how many queries all codes were walked through in order.
int64_t udsph_emulated_walks(void) { return walks; }

}  // extern "C"
