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

  // Forward ---------------------------------------------------------------------------------------------------------

  UDSPH_HD T rectified(T s) const { return formula_.clipped() && !(s > T(0)) ? s * T(kLeak) : s; }
  UDSPH_HD static T most(T a, T b) { return b > a ? b : a; }

  // What turns the affinities of one slot and context row into z: see ready.
  struct Scale {
    T norm, top, factor;
  };

  UDSPH_HD Scale scale_of(int begin, int end) const {
    using std::exp;
    using std::sqrt;
    Scale scale{T(0), s_.affinity[begin], T(1)};
    T sum = T(0);
    if (formula_.has_norm()) {
      for (int c = begin; c < end; ++c) sum += rectified(s_.affinity[c]) * rectified(s_.affinity[c]);
      scale.norm = sqrt(sum);
      scale.factor = T(1) / (scale.norm + T(kEpsilon));
    } else if (formula_.normalize == kSoftmax) {
      for (int c = begin; c < end; ++c) scale.top = most(scale.top, s_.affinity[c]);
      for (int c = begin; c < end; ++c) sum += exp(s_.affinity[c] - scale.top);
      scale.factor = T(1) / sum;
    }
    return scale;
  }

  UDSPH_HD T ready(T s, const Scale &scale) const {
    using std::exp;
    return scale.factor * (formula_.normalize == kSoftmax ? exp(s - scale.top) : rectified(s));
  }

  // z into alpha. One thread per slot and context row: norm and softmax run over the queries of one item.
  UDSPH_HD void normalize() {
    for (int i = team_.rank(); i < slots_ * context_; i += team_.size()) {
      const int slot = i / context_, row = i % context_ * layout_.leading;
      const int begin = row + s_.slot_start[slot], end = row + s_.slot_start[slot + 1];
      if (begin == end) continue;
      const Scale scale = scale_of(begin, end);
      for (int c = begin; c < end; ++c) s_.alpha[c] = ready(s_.affinity[c], scale);
    }
  }

  // z to alpha = exp(smooth (z - top)), with parts of p and of the sum of alpha. The cosine is the same for every top.
  UDSPH_HD void attend() {
    using std::exp;
    const int ld = layout_.leading;
    if (formula_.needs_maximum()) {
      for (int i = team_.rank(); i < quads_ * strips_; i += team_.size()) {
        const int c = i % quads_ * 4, strip = i / quads_;
        Quad<T> top = load_quad(s_.alpha + 4 * strip * ld + c);
        for (int r = 4 * strip + 1; r < 4 * strip + 4 && r < context_; ++r)
          for (int k = 0; k < 4; ++k) top.v[k] = most(top.v[k], s_.alpha[r * ld + c + k]);
        store_quad(s_.part_square + strip * ld + c, top);
      }
      team_.sync();
    }
    const T smooth = static_cast<T>(formula_.smooth);
    for (int i = team_.rank(); i < quads_ * strips_; i += team_.size()) {
      const int c = i % quads_ * 4, strip = i / quads_;
      Quad<T> dot{}, total{}, top{};
      if (formula_.needs_maximum()) {
        top = load_quad(s_.part_square + c);
        for (int other = 1; other < strips_; ++other)
          for (int k = 0; k < 4; ++k) top.v[k] = most(top.v[k], s_.part_square[other * ld + c + k]);
      }
      for (int r = 4 * strip; r < 4 * strip + 4; ++r) {
        Quad<T> alpha = load_quad(s_.alpha + r * ld + c);
        const Quad<T> s = load_quad(s_.affinity + r * ld + c);
        for (int k = 0; k < 4; ++k) {
          const bool real = r < context_ && c + k < columns_;
          alpha.v[k] = real ? exp(smooth * (alpha.v[k] - top.v[k])) : T(0);
          dot.v[k] += alpha.v[k] * s.v[k];
          total.v[k] += alpha.v[k];
        }
        store_quad(s_.alpha + r * ld + c, alpha);
      }
      store_quad(s_.part_dot + strip * ld + c, dot);
      store_quad(s_.part_total + strip * ld + c, total);
    }
  }

  // alpha G in squares of 4 x 4, with parts of q.
  UDSPH_HD void multiply_gram() {
    const int ld = layout_.leading, height = layout_.height;
    for (int i = team_.rank(); i < quads_ * strips_; i += team_.size()) {
      const int c = i % quads_ * 4, strip = i / quads_;
      Quad<T> sum[4] = {};
      for (int r = 0; r < context_; ++r) {
        const Quad<T> alpha = load_quad(s_.alpha + r * ld + c), gram = load_quad(s_.gram + r * height + 4 * strip);
        for (int j = 0; j < 4; ++j)
          for (int k = 0; k < 4; ++k) sum[j].v[k] += gram.v[j] * alpha.v[k];
      }
      Quad<T> square{};
      for (int j = 0; j < 4; ++j) {
        const int at = (4 * strip + j) * ld + c;
        const Quad<T> alpha = load_quad(s_.alpha + at);
        for (int k = 0; k < 4; ++k) square.v[k] += sum[j].v[k] * alpha.v[k];
        if constexpr (Backward) store_quad(s_.product + at, sum[j]);
      }
      store_quad(s_.part_square + strip * ld + c, square);
    }
  }

  UDSPH_HD T sum_of_parts(const T *parts, int column) const {
    T sum = parts[column];
    for (int strip = 1; strip < strips_; ++strip) sum += parts[strip * layout_.leading + column];
    return sum;
  }

  // p and q to cosines. Where one is not finite the cosine is NaN: comparisons of the pools would lose it.
  UDSPH_HD void find_cosines() {
    using std::sqrt;
    for (int c = team_.rank(); c < columns_; c += team_.size()) {
      const T dot = sum_of_parts(s_.part_dot, c), square = sum_of_parts(s_.part_square, c);
      const T total = sum_of_parts(s_.part_total, c), norm = query_norm(c);
      const T below = norm * sqrt(most(T(0), square)), floor = T(kEpsilon) * total;
      s_.cosine[c] = dot / most(floor, below) + (dot + square + norm) * T(0);
      if constexpr (Backward) {
        s_.d_dot[c] = most(floor, below);
        s_.d_square[c] = below > floor ? square : T(0);
        s_.d_total[c] = total;
      }
    }
  }

  // Of one query item, by one thread.
  UDSPH_HD void store_scores(int64_t first_item) {
    using std::exp;
    using std::log;
    for (int slot = team_.rank(); slot < slots_; slot += team_.size()) {
      const int begin = s_.slot_start[slot], end = s_.slot_start[slot + 1];
      T top = s_.cosine[begin], sum = T(0), powers = T(0);
      for (int c = begin; c < end; ++c) {
        top = most(top, s_.cosine[c]);
        sum += s_.cosine[c];
      }
      T score = formula_.pool == kMean ? sum / T(end - begin) : sum;
      if (formula_.pool == kMax) score = top + sum * T(0);
      if (formula_.pool == kLogSumExp) {
        const T t = static_cast<T>(formula_.pool_temperature);
        for (int c = begin; c < end; ++c) powers += exp(t * (s_.cosine[c] - top));
        score = top + log(powers) / t + sum * T(0);
      }
      static_cast<T *>(problem_.scores)[(first_item + slot) * problem_.context_items + item_] = score;
    }
  }

  // Backward --------------------------------------------------------------------------------------------------------

  // Derivatives by the cosines, in place of part_dot's first line. Of one query item, by one thread.
  UDSPH_HD void pool_backward(int64_t first_item) {
    using std::exp;
    for (int slot = team_.rank(); slot < slots_; slot += team_.size()) {
      const int begin = s_.slot_start[slot], end = s_.slot_start[slot + 1];
      if (begin == end) continue;
      const T grad = grad_score(first_item + slot), t = static_cast<T>(formula_.pool_temperature);
      int best = begin;
      for (int c = begin; c < end; ++c) best = s_.cosine[c] > s_.cosine[best] ? c : best;
      T powers = T(0);
      for (int c = begin; c < end && formula_.pool == kLogSumExp; ++c)
        powers += exp(t * (s_.cosine[c] - s_.cosine[best]));
      for (int c = begin; c < end; ++c) {
        T share = T(1);
        if (formula_.pool == kLogSumExp) share = exp(t * (s_.cosine[c] - s_.cosine[best])) / powers;
        if (formula_.pool == kMean) share = T(1) / T(end - begin);
        if (formula_.pool == kMax) share = c == best ? T(1) : T(0);
        s_.part_dot[c] = grad * share;
      }
    }
  }

  // Derivatives by p, q, the sum of alpha and the norms. find_cosines left the denominator in d_dot, q in d_square (0
  // where the denominator is its lower bound) and the sum of alpha in d_total.
  UDSPH_HD void cosines_backward() {
    for (int c = team_.rank(); c < 4 * quads_; c += team_.size()) {
      if (c >= columns_) {
        s_.d_dot[c] = s_.d_square[c] = s_.d_total[c] = T(0);
        continue;
      }
      const T grad = s_.part_dot[c], grad_cosine = grad * s_.cosine[c], square = s_.d_square[c];
      const bool floored = !(square > T(0));
      s_.d_dot[c] = grad / s_.d_dot[c];
      s_.d_square[c] = floored ? T(0) : -grad_cosine / (T(2) * square);
      s_.d_total[c] = floored ? -grad_cosine / s_.d_total[c] : T(0);
      grad_norms()[item_ * problem_.queries + s_.query[c]] = floored ? T(0) : -grad_cosine / query_norm(c);
    }
  }

  // dz in place of alpha G. The softmax needs no Jacobian: its denominator has gone.
  UDSPH_HD void attend_backward() {
    const T smooth = static_cast<T>(formula_.smooth);
    for (int i = team_.rank(); i < quads_ * strips_; i += team_.size()) {
      const int c = i % quads_ * 4, strip = i / quads_;
      const Quad<T> d_dot = load_quad(s_.d_dot + c), d_square = load_quad(s_.d_square + c);
      const Quad<T> d_total = load_quad(s_.d_total + c);
      for (int r = 4 * strip; r < 4 * strip + 4; ++r) {
        const int at = r * layout_.leading + c;
        const Quad<T> s = load_quad(s_.affinity + at), alpha = load_quad(s_.alpha + at);
        Quad<T> dz = load_quad(s_.product + at);
        for (int k = 0; k < 4; ++k) {
          const T d_alpha = d_dot.v[k] * s.v[k] + T(2) * d_square.v[k] * dz.v[k] + d_total.v[k];
          dz.v[k] = smooth * alpha.v[k] * d_alpha;
        }
        store_quad(s_.product + at, dz);
      }
    }
  }

  // dS in place of dz. As in normalize, one thread per slot and context row.
  UDSPH_HD void normalize_backward() {
    using std::exp;
    using std::sqrt;
    for (int i = team_.rank(); i < slots_ * context_; i += team_.size()) {
      const int slot = i / context_, row = i % context_ * layout_.leading;
      const int begin = s_.slot_start[slot], end = s_.slot_start[slot + 1];
      if (begin == end) continue;
      const Scale scale = scale_of(row + begin, row + end);
      T sum = T(0);  // <dz, z>
      for (int c = begin; c < end; ++c) sum += s_.product[row + c] * ready(s_.affinity[row + c], scale);
      // z = u / N with N = |u| + epsilon: du = dz / N - u <dz, u> / (N**2 |u|) = dz / N - z <dz, z> / |u|.
      const T pull = formula_.has_norm() && scale.norm > T(0) ? sum / scale.norm : T(0);
      for (int c = begin; c < end; ++c) {
        const T s = s_.affinity[row + c], z = ready(s, scale), dz = s_.product[row + c];
        T du = formula_.normalize == kSoftmax ? z * (dz - sum) : dz * scale.factor - z * pull;
        if (formula_.clipped() && !(s > T(0))) du *= T(kLeak);
        s_.product[row + c] = s_.d_dot[c] * s_.alpha[row + c] + du;
      }
    }
  }

  // Adds the run's d_square alpha alpha' to the Gram matrix's gradient: squares of 4 x 4 on and above the diagonal, and
  // what mirrors them. A square takes every strips-th row, so that neighbouring threads read neighbouring rows.
  UDSPH_HD void gram_backward() {
    const int ld = layout_.leading;
    for (int i = team_.rank(); i < strips_ * (strips_ + 1) / 2; i += team_.size()) {
      int a = 0, b = i;
      for (; b >= strips_ - a; ++a) b -= strips_ - a;
      b += a;
      T sum[4][4] = {};
      for (int c = 0; c < 4 * quads_; c += 4) {
        const Quad<T> weight = load_quad(s_.d_square + c);
        Quad<T> left[4], right[4];
        for (int j = 0; j < 4; ++j) {
          left[j] = load_quad(s_.alpha + (a + j * strips_) * ld + c);
          right[j] = load_quad(s_.alpha + (b + j * strips_) * ld + c);
          for (int k = 0; k < 4; ++k) left[j].v[k] *= weight.v[k];
        }
        for (int j = 0; j < 4; ++j)
          for (int n = 0; n < 4; ++n)
            for (int k = 0; k < 4; ++k) sum[j][n] += left[j].v[k] * right[n].v[k];
      }
      for (int j = 0; j < 4; ++j)
        for (int n = 0; n < 4; ++n) {
          const int r = a + j * strips_, c = b + n * strips_;
          s_.grad_gram[r * layout_.height + c] += sum[j][n];
          if (a != b) s_.grad_gram[c * layout_.height + r] += sum[j][n];
        }
    }
  }

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
