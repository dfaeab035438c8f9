// What one block of threads does: all pairs of one context item with a chunk of the query items, forward or backward.
// Compiles for host and device. A team is the threads of the block: rank and size, lane and row (rank seen as rows of
// lanes), and a barrier. On the host a team of one thread, or several real threads with a real barrier, runs the same
// text (emulation.h), which is how it is tested without a GPU.
//
// Between two barriers no thread reads what another one writes. Sums have one order, so results are the same every
// time.
#pragma once

#include <cmath>

#include "attention/cuda/cross_attention.h"
#include "attention/cuda/layout.h"

namespace udsph::attention::block {

template <class T>
struct alignas(4 * sizeof(T)) Quad {
  T v[4];
};

template <class T>
UDSPH_HD inline Quad<T> load_quad(const T *from) {
  return *reinterpret_cast<const Quad<T> *>(from);
}
template <class T>
UDSPH_HD inline void store_quad(T *to, const Quad<T> &quad) {
  *reinterpret_cast<Quad<T> *>(to) = quad;
}

// E is the type of the affinities in global memory, T that of arithmetic. E converts from and to T explicitly.
template <class E, class T, bool Backward, class Team>
class Block {
 public:
  UDSPH_HD Block(const UdsphAttention &problem, const Team &team, void *shared, int64_t block)
      : problem_(problem),
        team_(team),
        formula_{problem.smooth, problem.pool_temperature, static_cast<int>(problem.pool),
                 static_cast<int>(problem.normalize)},
        layout_(problem.max_queries, problem.gram_width),
        s_(shared, layout_, Backward),
        item_(block % problem.context_items),
        chunk_(block / problem.context_items),
        row_(problem.context_offsets[item_]),
        context_(static_cast<int>(problem.context_offsets[item_ + 1] - row_)),
        strips_((context_ + 3) / 4) {}

  UDSPH_HD void run() {
    const int64_t length = round_up(problem_.query_items, problem_.chunks) / problem_.chunks;
    const int64_t begin = smaller(chunk_ * length, problem_.query_items);
    const int64_t end = smaller(begin + length, problem_.query_items);
    load_gram();
    for (int64_t window = begin; window < end; window += kThreads) {
      const int items = static_cast<int>(smaller(kThreads, end - window));
      look_at_window(window, items);
      for (int item = 0; item < items;) item = take_run(window, item, items);
    }
    if constexpr (Backward) store_grad_gram();
  }

 private:
  // Window: up to kThreads query items whose lengths are in shared memory -------------------------------------------

  UDSPH_HD void look_at_window(int64_t window, int items) {
    team_.sync();
    for (int i = team_.rank(); i < items; i += team_.size()) {
      const int64_t first = problem_.query_offsets[window + i];
      const int length = static_cast<int>(problem_.query_offsets[window + i + 1] - first);
      s_.first[i] = static_cast<int32_t>(first);
      s_.length[i] = !Backward || grad_score(window + i) != T(0) ? length : -length;
    }
    team_.sync();
    if constexpr (Backward) {
      for (int i = 0; i < items; ++i)
        if (s_.length[i] < 0) zero_gradients(s_.first[i], -s_.length[i]);
    }
  }

  UDSPH_HD void zero_gradients(int64_t first, int length) {
    for (int i = team_.rank(); i < context_ * length; i += team_.size())
      grad_affinity()[(row_ + i / length) * problem_.queries + first + i % length] = E(T(0));
    for (int i = team_.rank(); i < length; i += team_.size()) grad_norms()[item_ * problem_.queries + first + i] = T(0);
  }

  // Run: whole query items of the window, from `item` on, as many as there is room for. Returns the first item behind
  // it.
  UDSPH_HD int take_run(int64_t window, int item, int items) {
    int end = item;
    columns_ = 0;
    while (end < items && (s_.length[end] < 0 || columns_ + s_.length[end] <= layout_.capacity)) {
      columns_ += s_.length[end] < 0 ? 0 : s_.length[end];
      ++end;
    }
    if (columns_ == 0) return end;
    quads_ = (columns_ + 3) / 4;
    slots_ = end - item;
    team_.sync();  // the run before is done with the columns
    place_columns(item);
    team_.sync();
    load_affinity();
    team_.sync();
    normalize();
    team_.sync();
    attend();
    team_.sync();
    multiply_gram();
    team_.sync();
    find_cosines();
    team_.sync();
    if constexpr (Backward) {
      pool_backward(window + item);
      team_.sync();
      cosines_backward();
      team_.sync();
      attend_backward();
      team_.sync();
      normalize_backward();
      gram_backward();
      team_.sync();
      store_grad_affinity();
    } else {
      store_scores(window + item);
    }
    return end;
  }

  // A query item of the run, slot for short, gets as many columns as it has queries; one without gradient gets none.
  UDSPH_HD void place_columns(int item) {
    for (int slot = team_.rank(); slot <= slots_; slot += team_.size()) {
      int start = 0;
      for (int before = 0; before < slot; ++before)
        start += s_.length[item + before] < 0 ? 0 : s_.length[item + before];
      s_.slot_start[slot] = start;
      if (slot == slots_) continue;
      for (int i = 0; i < s_.length[item + slot]; ++i) s_.query[start + i] = s_.first[item + slot] + i;
    }
  }

  // Global memory ---------------------------------------------------------------------------------------------------

  UDSPH_HD void load_gram() {
    const int height = layout_.height;
    const T *gram = static_cast<const T *>(problem_.gram) + item_ * problem_.gram_width * problem_.gram_width;
    for (int i = team_.rank(); i < height * height; i += team_.size()) {
      const int r = i / height, c = i % height;
      s_.gram[i] = r < context_ && c < context_ ? gram[r * problem_.gram_width + c] : T(0);
      if constexpr (Backward) s_.grad_gram[i] = T(0);
    }
  }

  UDSPH_HD void load_affinity() {
    const E *affinity = static_cast<const E *>(problem_.affinity) + row_ * problem_.queries;
    for (int r = team_.row(); r < 4 * strips_; r += team_.rows())
      for (int c = team_.lane(); c < 4 * quads_; c += team_.lanes())
        s_.affinity[r * layout_.leading + c] =
            r < context_ && c < columns_ ? T(affinity[r * problem_.queries + s_.query[c]]) : T(0);
  }

  UDSPH_HD void store_grad_affinity() {
    E *to = grad_affinity() + row_ * problem_.queries;
    for (int r = team_.row(); r < context_; r += team_.rows())
      for (int c = team_.lane(); c < columns_; c += team_.lanes())
        to[r * problem_.queries + s_.query[c]] = E(s_.product[r * layout_.leading + c]);
  }

  UDSPH_HD void store_grad_gram() {
    team_.sync();
    const int64_t width = problem_.gram_width, at = (chunk_ * problem_.context_items + item_) * width * width;
    T *to = static_cast<T *>(problem_.grad_gram) + at;
    for (int64_t i = team_.rank(); i < width * width; i += team_.size()) {
      const int64_t r = i / width, c = i % width;
      to[i] = s_.grad_gram[r * layout_.height + c];
    }
  }

  UDSPH_HD T grad_score(int64_t query_item) const {
    return static_cast<const T *>(problem_.grad_scores)[query_item * problem_.context_items + item_];
  }
  UDSPH_HD E *grad_affinity() const { return static_cast<E *>(problem_.grad_affinity); }
  UDSPH_HD T *grad_norms() const { return static_cast<T *>(problem_.grad_norms); }
  UDSPH_HD T query_norm(int column) const { return static_cast<const T *>(problem_.query_norms)[s_.query[column]]; }

  // The steps of take_run.
#include "attention/cuda/forward.inc"
#include "attention/cuda/backward.inc"

  const UdsphAttention &problem_;
  const Team &team_;
  const Formula formula_;
  const Layout layout_;
  const Shared<T> s_;
  const int64_t item_, chunk_;               // the block's context item and chunk of query items
  const int64_t row_;                        // first context row of the item
  const int context_, strips_;               // its context rows, and strips of 4 of them
  int columns_ = 0, quads_ = 0, slots_ = 0;  // of the present run: queries, fours of them, query items
};

}  // namespace udsph::attention::block
