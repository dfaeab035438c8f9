// Attention scores and their gradients; see check.h. The CUDA kernel's program on the host is held against the same loops.
#include <algorithm>
#include <cmath>
#include <random>

#include "attention/cuda/cross_attention.h"
#include "attention/levels.h"
#include "attention/run.h"
#include "check.h"

namespace {

using namespace udsph::attention;
using Lengths = std::vector<int64_t>;
using Numbers = std::vector<double>;

const Formula FORMULA{9.0, 6.0, kLogSumExp, kClippedL2};

Lengths offsets_of(const Lengths &lengths) {
  Lengths offsets{0};
  for (int64_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

// Random vectors of two sides, as the kernel wants them: inner products between the sides, within each context item, and norms.
struct Batch {
  enum : int64_t { DIM = 5 };
  Lengths query, context;
  int64_t width, max_queries;
  Numbers affinity, gram, norms, grad_scores;

  Batch(Lengths query_lengths, Lengths context_lengths) : query(offsets_of(query_lengths)), context(offsets_of(context_lengths)) {
    std::mt19937_64 random(query.size() + 100 * context.size());
    std::normal_distribution<double> normal;
    width = *std::max_element(context_lengths.begin(), context_lengths.end()) + 1;
    max_queries = *std::max_element(query_lengths.begin(), query_lengths.end());
    Numbers left(query.back() * DIM), right(context.back() * DIM);
    for (Numbers *some : {&left, &right})
      for (double &x : *some) x = normal(random);
    const auto product = [](const double *a, const double *b) {
      double sum = 0;
      for (int64_t i = 0; i < DIM; i++) sum += a[i] * b[i];
      return sum;
    };
    for (int64_t i = 0; i < query.back(); i++) {
      norms.push_back(std::sqrt(product(&left[i * DIM], &left[i * DIM])));
      for (int64_t j = 0; j < context.back(); j++) affinity.push_back(product(&left[i * DIM], &right[j * DIM]));
    }
    gram.resize((context.size() - 1) * width * width);
    for (size_t b = 0; b + 1 < context.size(); b++)
      for (int64_t r = 0; r < context[b + 1] - context[b]; r++)
        for (int64_t k = 0; k < context[b + 1] - context[b]; k++)
          gram[(b * width + r) * width + k] = product(&right[(context[b] + r) * DIM], &right[(context[b] + k) * DIM]);
    grad_scores.resize((query.size() - 1) * (context.size() - 1));
    for (double &x : grad_scores) x = random() % 4 == 0 ? 0 : normal(random);
  }
};

double plain_score(const Batch &batch, const Numbers &affinity, size_t a, size_t b) {
  const int64_t columns = batch.context.back(), m = batch.context[b + 1] - batch.context[b];
  const int64_t n = batch.query[a + 1] - batch.query[a];
  const auto s = [&](int64_t i, int64_t j) { return affinity[(batch.query[a] + i) * columns + batch.context[b] + j]; };
  const auto clipped = [](double x) { return x > 0 ? x : kLeak * x; };
  double powers = 0;
  Numbers divisor(m);
  for (int64_t j = 0; j < m; j++) {
    for (int64_t i = 0; i < n; i++) divisor[j] += clipped(s(i, j)) * clipped(s(i, j));
    divisor[j] = std::sqrt(divisor[j]) + kEpsilon;
  }
  for (int64_t i = 0; i < n; i++) {
    Numbers alpha(m);
    double dot = 0, square = 0;
    for (int64_t j = 0; j < m; j++) alpha[j] = std::exp(FORMULA.smooth * clipped(s(i, j)) / divisor[j]);
    for (int64_t j = 0; j < m; j++) {
      dot += alpha[j] * s(i, j);
      for (int64_t k = 0; k < m; k++) square += alpha[j] * alpha[k] * batch.gram[(b * batch.width + j) * batch.width + k];
    }
    powers += std::exp(FORMULA.pool_temperature * dot / (batch.norms[batch.query[a] + i] * std::sqrt(square)));
  }
  return std::log(powers) / FORMULA.pool_temperature;
}

double plain_loss(const Batch &batch, const Numbers &affinity) {
  double loss = 0;
  const size_t context_items = batch.context.size() - 1;
  for (size_t a = 0; a + 1 < batch.query.size(); a++)
    for (size_t b = 0; b < context_items; b++) loss += batch.grad_scores[a * context_items + b] * plain_score(batch, affinity, a, b);
  return loss;
}

// Scores, and gradients by the affinities where they are asked for, held against the loops: by differences, of some of them.
size_t wrong_values(const Batch &batch, const Numbers &scores, const Numbers &grad_affinity, double tolerance) {
  size_t wrong = 0;
  const size_t context_items = batch.context.size() - 1;
  for (size_t pair = 0; pair < scores.size(); pair++)
    wrong += !(std::fabs(scores[pair] - plain_score(batch, batch.affinity, pair / context_items, pair % context_items)) <= tolerance);
  for (size_t i = 0; i < grad_affinity.size(); i += grad_affinity.size() / 40 + 1) {
    Numbers moved(batch.affinity);
    const double step = 1e-5;
    moved[i] += step;
    double slope = plain_loss(batch, moved);
    moved[i] -= 2 * step;
    slope = (slope - plain_loss(batch, moved)) / (2 * step);
    wrong += !(std::fabs(grad_affinity[i] - slope) <= tolerance * 100 + 1e-5);
  }
  return wrong;
}

template <class T>
size_t wrong_results(const Passes<T> &passes, const Batch &batch, int64_t threads, double tolerance) {
  const auto cast = [](const Numbers &from) { return std::vector<T>(from.begin(), from.end()); };
  const std::vector<T> affinity = cast(batch.affinity), gram = cast(batch.gram), norms = cast(batch.norms);
  const std::vector<T> grad_scores = cast(batch.grad_scores);
  Problem<T> problem{};
  problem.formula = FORMULA;
  problem.query_items = static_cast<int64_t>(batch.query.size()) - 1;
  problem.context_items = static_cast<int64_t>(batch.context.size()) - 1;
  problem.query_offsets = batch.query.data();
  problem.context_offsets = batch.context.data();
  problem.max_queries = batch.max_queries;
  problem.gram_width = batch.width;
  problem.affinity = affinity.data();
  problem.gram = gram.data();
  problem.query_norms = norms.data();
  std::vector<T> scores(batch.grad_scores.size()), grad_affinity(affinity.size()), grad_gram(gram.size());
  std::vector<T> grad_norms(strip_count(problem.context_items) * norms.size());
  problem.scores = scores.data();
  run(passes, problem, false, threads);
  problem.grad_scores = grad_scores.data();
  problem.grad_affinity = grad_affinity.data();
  problem.grad_gram = grad_gram.data();
  problem.grad_norms = grad_norms.data();
  run(passes, problem, true, threads);
  return wrong_values(batch, Numbers(scores.begin(), scores.end()), Numbers(grad_affinity.begin(), grad_affinity.end()), tolerance);
}

// The CUDA kernel's program, with several threads that meet at barriers.
size_t wrong_emulated(const Batch &batch, intptr_t threads) {
  const int64_t rows = batch.context.back(), queries = batch.query.back();
  Numbers affinity(rows * queries), scores(batch.grad_scores.size()), grad_affinity(affinity.size()), found(affinity.size());
  for (int64_t i = 0; i < queries; i++)  // context row by context row
    for (int64_t j = 0; j < rows; j++) affinity[j * queries + i] = batch.affinity[i * rows + j];
  UdsphAttention problem{};
  problem.smooth = FORMULA.smooth;
  problem.pool_temperature = FORMULA.pool_temperature;
  problem.type = kUdsphFloat64;
  problem.pool = FORMULA.pool;
  problem.normalize = FORMULA.normalize;
  problem.query_items = static_cast<int64_t>(batch.query.size()) - 1;
  problem.context_items = static_cast<int64_t>(batch.context.size()) - 1;
  problem.queries = queries;
  problem.max_queries = batch.max_queries;
  problem.gram_width = batch.width;
  problem.chunks = udsph_attention_chunks(problem.query_items, problem.context_items);
  problem.query_offsets = batch.query.data();
  problem.context_offsets = batch.context.data();
  problem.affinity = affinity.data();
  problem.gram = batch.gram.data();
  problem.query_norms = batch.norms.data();
  problem.scores = scores.data();
  Numbers grad_gram(problem.chunks * batch.gram.size()), grad_norms(problem.context_items * queries);
  size_t wrong = udsph_attention_forward(&problem, reinterpret_cast<void *>(threads)) != 0;
  problem.grad_scores = batch.grad_scores.data();
  problem.grad_affinity = grad_affinity.data();
  problem.grad_gram = grad_gram.data();
  problem.grad_norms = grad_norms.data();
  wrong += udsph_attention_backward(&problem, reinterpret_cast<void *>(threads)) != 0;
  for (int64_t i = 0; i < queries; i++)
    for (int64_t j = 0; j < rows; j++) found[i * rows + j] = grad_affinity[j * queries + i];
  return wrong + wrong_values(batch, scores, found, 1e-9);
}

}  // namespace

int main(int argc, char **argv) {
  const Batch small({3, 1, 7}, {1, 4, 2, 9}), wide({5, 12}, {36, 17, 3});
  size_t emulated = 0;
  for (const Batch *batch : {&small, &wide})
    for (intptr_t threads : {1, 4}) emulated += wrong_emulated(*batch, threads);
  std::printf("scores, the CUDA program on the host: %zu wrong results\n", emulated);
  return emulated != 0 || check_levels("scores", levels().names(), argc, argv, [&](const std::string &name) {
    const Kernels &kernels = *levels().find(name).kernels;
    size_t wrong = 0;
    for (const Batch *batch : {&small, &wide})
      for (int64_t threads : {1, 3})
        wrong += wrong_results(kernels.f64, *batch, threads, 1e-9) + wrong_results(kernels.f32, *batch, threads, 2e-4);
    return wrong;
  });
}
