// Counts, ranks and discounts of udsph.evaluation; see check.h.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "check.h"
#include "evaluation/levels.h"
#include "evaluation/piece.h"

namespace {

using udsph::CountKernels;
using udsph::Sum;

enum : size_t { CLASSES = 11, THREADS = 2 };

// Random codes of whole bytes, few of them different, and labels: items as rows of 0 and 1, queries as lists.
struct Problem {
  size_t bits, n, n_queries;
  std::vector<uint8_t> codes, queries, labels, query_table;
  std::vector<uint32_t> query_labels;
  std::vector<size_t> label_begin{0};

  Problem(size_t bits, size_t n, size_t n_queries) : bits(bits), n(n), n_queries(n_queries) {
    std::mt19937_64 random(bits + n);
    codes.resize(n * bits / 8);
    queries.resize(n_queries * bits / 8);
    for (std::vector<uint8_t> *some : {&codes, &queries})
      for (uint8_t &byte : *some) byte = static_cast<uint8_t>(random() & random());
    labels.resize(n * CLASSES);
    query_table.resize(n_queries * CLASSES);
    for (std::vector<uint8_t> *some : {&labels, &query_table})
      for (uint8_t &one : *some) one = random() % 4 == 0;
    for (size_t q = 0; q < n_queries; q++) {
      for (uint32_t c = 0; c < CLASSES; c++)
        if (query_table[q * CLASSES + c]) query_labels.push_back(c);
      label_begin.push_back(query_labels.size());
    }
  }

  size_t distance(size_t q, size_t item) const {
    size_t count = 0;
    for (size_t b = 0; b < bits; b++)
      count += (queries[q * bits / 8 + b / 8] ^ codes[item * bits / 8 + b / 8]) >> (b % 8) & 1;
    return count;
  }
  size_t grade(size_t q, size_t item) const {
    size_t count = 0;
    for (size_t c = 0; c < CLASSES; c++) count += query_table[q * CLASSES + c] & labels[item * CLASSES + c];
    return count;
  }
  udsph::Queries view() const { return {queries.data(), n_queries, bits / 8, query_labels.data(), label_begin.data()}; }
};

// Where a quotient of 1 + x lies above 1, in units of 2^-52.
uint64_t rounded(double x) {
  const double sum = 1.0 + x, one = 1.0;
  uint64_t high, low;
  std::memcpy(&high, &sum, sizeof high);
  std::memcpy(&low, &one, sizeof low);
  return high - low;
}

// What comes before each distance, as a pass in insertion order wants it.
std::vector<uint64_t> before(const Problem &problem, const std::vector<int64_t> &counts) {
  const size_t cells = udsph::rank_cells(problem.bits), bins = problem.bits + 1;
  std::vector<uint64_t> sums(problem.n_queries * cells);
  for (size_t q = 0; q < problem.n_queries; q++)
    for (size_t d = 1; d < cells; d++)
      sums[q * cells + d] = sums[q * cells + d - 1] + (d <= bins ? counts[q * bins + d - 1] : 0);
  return sums;
}

size_t wrong_results(const CountKernels &level, const Problem &problem) {
  const size_t bins = problem.bits + 1, grades = CLASSES + 1, cells = udsph::rank_cells(problem.bits);
  const udsph::Piece piece(level, problem.codes.data(), problem.n, problem.bits / 8, problem.labels.data(), CLASSES, THREADS);
  std::vector<int64_t> items(problem.n_queries * bins), relevant(items), shared(problem.n_queries * bins * grades);
  udsph::count_relevant(level, piece, problem.view(), THREADS, nullptr, items.data(), relevant.data());
  udsph::count_shared(level, piece, problem.view(), THREADS, nullptr, grades, shared.data());

  std::vector<uint64_t> seen = before(problem, items), hits = before(problem, relevant), seen_again = seen;
  std::vector<uint32_t> segment(problem.n_queries * cells), first(segment), segment_again(segment);
  std::vector<Sum> sums(problem.n_queries), first_sums(problem.n_queries);
  std::vector<uint64_t> first_rank(problem.n_queries), discounts(problem.n_queries * grades * 2), nothing(1);
  udsph::rank_relevant(level, piece, problem.view(), THREADS, nullptr,
                       {cells, seen.data(), hits.data(), segment.data(), first.data(), nothing.data(), nothing.data(), 0, 0,
                        sums.data(), first_sums.data(), first_rank.data(), nullptr});
  udsph::discount_relevant(level, piece, problem.view(), THREADS, nullptr,
                           {cells, seen_again.data(), segment_again.data(), nothing.data(), 0, discounts.data(), grades, nullptr});

  size_t wrong = 0;
  for (size_t q = 0; q < problem.n_queries; q++) {
    std::vector<int64_t> plain_items(bins), plain_relevant(bins), plain_shared(bins * grades);
    std::vector<size_t> order(problem.n), distances(problem.n);
    for (size_t i = 0; i < problem.n; i++) {
      const size_t d = distances[i] = problem.distance(q, i), grade = problem.grade(q, i);
      plain_items[d]++;
      plain_relevant[d] += grade > 0;
      plain_shared[d * grades + grade]++;
    }
    wrong += !std::equal(plain_items.begin(), plain_items.end(), items.begin() + q * bins);
    wrong += !std::equal(plain_relevant.begin(), plain_relevant.end(), relevant.begin() + q * bins);
    wrong += !std::equal(plain_shared.begin(), plain_shared.end(), shared.begin() + q * bins * grades);

    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return distances[a] < distances[b]; });
    unsigned __int128 precision = 0;
    std::vector<double> plain_discounts(grades);
    uint64_t found = 0, nearest = 0;
    for (size_t rank = 1; rank <= problem.n; rank++) {
      const size_t grade = problem.grade(q, order[rank - 1]);
      if (grade == 0) continue;
      found++;
      if (found == 1) nearest = rank;
      precision += rounded(static_cast<double>(found) / static_cast<double>(rank));
      plain_discounts[grade] += 1 / std::log2(static_cast<double>(rank) + 1);
    }
    const Sum plain = {static_cast<uint64_t>(precision), static_cast<uint64_t>(precision >> 64), found};
    wrong += plain.low != sums[q].low || plain.high != sums[q].high || plain.hits != sums[q].hits;
    wrong += first_rank[q] != nearest;
    for (size_t grade = 1; grade < grades; grade++) {
      const uint64_t *sum = discounts.data() + (q * grades + grade) * 2;
      const double value = std::ldexp(static_cast<double>(sum[0]), -52) + std::ldexp(static_cast<double>(sum[1]), 12);
      wrong += !(std::fabs(value - plain_discounts[grade]) <= 1e-9);
    }
  }
  return wrong;
}

}  // namespace

int main(int argc, char **argv) {
  return check_levels("counts", udsph::count_levels().names(), argc, argv, [](const std::string &name) {
    size_t wrong = 0;
    for (size_t bits : {8, 16, 32, 64, 72, 128, 256, 1024})
      wrong += wrong_results(udsph::count_kernels(name), Problem(bits, 1300, 5)) +
               wrong_results(udsph::count_kernels(name), Problem(bits, 200, 19));
    return wrong;
  });
}
