// Pairs, similarities and scores of udsph.hamming; see check.h.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <tuple>

#include "check.h"
#include "hamming/levels.h"
#include "hamming/pairs.h"
#include "hamming/scores.h"
#include "hamming/similarity.h"

namespace {

typedef std::mt19937_64 Random;
const udsph::Poll no_poll = nullptr;

size_t bits_of(uint64_t word) {
  size_t count = 0;
  for (; word != 0; word &= word - 1) count++;
  return count;
}

size_t distance(const uint64_t *a, const uint64_t *b, size_t words) {
  size_t count = 0;
  for (size_t w = 0; w < words; w++) count += bits_of(a[w] ^ b[w]);
  return count;
}

// Rows of which every other one is near an earlier one.
std::vector<uint64_t> rows_of(Random &random, size_t n, size_t words) {
  std::vector<uint64_t> rows(n * words);
  for (size_t i = 0; i < n; i++) {
    for (size_t w = 0; w < words; w++) rows[i * words + w] = random();
    if (i % 2 == 0) continue;
    std::copy_n(&rows[random() % i * words], words, &rows[i * words]);
    for (size_t flips = random() % 8; flips > 0; flips--) rows[i * words + random() % words] ^= uint64_t{1} << random() % 64;
  }
  return rows;
}

// Chunks of bits that follow each other.
std::vector<uint64_t> cut(size_t words, size_t chunks) {
  std::vector<uint64_t> masks(chunks * words, 0);
  const size_t bits = 64 * words;
  for (size_t bit = 0; bit < bits; bit++) masks[bit * chunks / bits * words + bit / 64] |= uint64_t{1} << bit % 64;
  return masks;
}

size_t wrong_pairs(size_t words, size_t chunks, size_t radius, size_t first_right, bool probed, size_t threads) {
  Random random(words * 100 + chunks);
  const size_t n = 700;
  const std::vector<uint64_t> rows = rows_of(random, n, words), masks = cut(words, chunks);
  std::set<std::tuple<int64_t, int64_t, int32_t>> wanted;
  for (size_t i = 0; i < (first_right == 0 ? n : first_right); i++)
    for (size_t j = std::max(i + 1, first_right); j < n; j++)
      if (distance(&rows[i * words], &rows[j * words], words) <= radius)
        wanted.emplace(i, j, distance(&rows[i * words], &rows[j * words], words));
  size_t wrong = wanted.empty(), begin = 0;
  const size_t end = first_right == 0 ? n : first_right;
  auto next = wanted.begin();
  while (begin < end) {  // blocks that are too small for all, so that they come one after the other
    const udsph::PairJob job{rows.data(), n, words, first_right, begin, end, masks.data(), chunks, radius, 40, threads, no_poll};
    const udsph::Pairs found = probed ? udsph::probe_pairs(job) : udsph::join_pairs(job);
    for (size_t i = 0; i < found.left.size(); i++, wrong += next == wanted.end(), next != wanted.end() ? ++next : next)
      if (next != wanted.end()) wrong += *next != std::make_tuple(found.left[i], found.right[i], found.distances[i]);
    wrong += found.end <= begin;
    begin = std::max(found.end, begin + 1);
  }
  return wrong + (next != wanted.end());
}

// Several threads find what one does, among so many rows that they are started.
size_t wrong_threads(size_t words, size_t chunks, size_t radius, bool probed) {
  Random random(words);
  const size_t n = 70000;
  const std::vector<uint64_t> rows = rows_of(random, n, words), masks = cut(words, chunks);
  udsph::Pairs found[2];
  for (size_t i = 0; i < 2; i++) {
    const udsph::PairJob job{rows.data(), n, words, 0, 0, n, masks.data(), chunks, radius, 1000000, 1 + 2 * i, no_poll};
    found[i] = probed ? udsph::probe_pairs(job) : udsph::join_pairs(job);
  }
  return (found[0].left.size() < n / 10) + (found[0].left != found[1].left) + (found[0].right != found[1].right) +
         (found[0].distances != found[1].distances) + (found[0].end != n) + (found[1].end != n);
}

double similarity(size_t shared, size_t a, size_t b, double alpha, double beta) {
  const double c = static_cast<double>(shared);
  const double whole = c + alpha * (static_cast<double>(a) - c) + beta * (static_cast<double>(b) - c);
  return whole > 0 ? c / whole : 0;
}

size_t wrong_similarities(size_t bits, double share, double alpha, double beta, double threshold, size_t threads) {
  Random random(bits);
  const size_t n = 1300, n_queries = 5, k = 9, bytes = (bits + 7) / 8;
  std::vector<std::vector<uint8_t>> sets(n, std::vector<uint8_t>(bits));
  for (auto &set : sets) {
    const double chance = share * static_cast<double>(random() % 1000) / 500;
    for (uint8_t &bit : set) bit = static_cast<double>(random() % 100000) < 1e5 * chance;
  }
  const auto size = [](const std::vector<uint8_t> &set) { return static_cast<size_t>(std::count(set.begin(), set.end(), 1)); };
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; i++) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return size(sets[a]) < size(sets[b]); });
  std::vector<uint8_t> packed(n * bytes, 0);
  std::vector<uint32_t> sizes;
  std::vector<int64_t> positions;
  for (size_t i = 0; i < n; i++) {
    for (size_t bit = 0; bit < bits; bit++) packed[i * bytes + bit / 8] |= static_cast<uint8_t>(sets[order[i]][bit] << bit % 8);
    sizes.push_back(static_cast<uint32_t>(size(sets[order[i]])));
    positions.push_back(static_cast<int64_t>(order[i]));
  }
  const udsph::Segment codes = udsph::Segment(bits).extended(packed.data(), n);
  const uint8_t *queries = packed.data() + n / 2 * bytes;
  const udsph::SimilarityJob job{codes,     sizes.data(), positions.data(), nullptr, queries, n_queries,
                                 alpha,     beta,         threshold,        threads, no_poll};
  std::vector<float> values(n_queries * k);
  std::vector<int64_t> places(n_queries * k);
  udsph::most_similar(job, k, values.data(), places.data());
  const udsph::SimilarityResult all = udsph::all_similar(job);
  size_t wrong = 0;
  for (size_t q = 0; q < n_queries; q++) {
    const std::vector<uint8_t> &query = sets[order[n / 2 + q]];
    std::vector<std::pair<float, int64_t>> wanted;  // minus the similarity, position
    for (size_t i = 0; i < n; i++) {
      size_t shared = 0;
      for (size_t bit = 0; bit < bits; bit++) shared += query[bit] & sets[i][bit];
      const double value = similarity(shared, size(query), size(sets[i]), alpha, beta);
      if (value >= threshold) wanted.emplace_back(-static_cast<float>(value), static_cast<int64_t>(i));
    }
    std::sort(wanted.begin(), wanted.end());
    const size_t begin = static_cast<size_t>(all.offsets[q]), found = static_cast<size_t>(all.offsets[q + 1]) - begin;
    wrong += found != wanted.size();
    for (size_t i = 0; i < std::min(found, wanted.size()); i++)
      wrong += all.similarities[begin + i] != -wanted[i].first || all.positions[begin + i] != wanted[i].second;
    for (size_t i = 0; i < k; i++) {
      const std::pair<float, int64_t> none(1.0f, -1), &best = i < wanted.size() ? wanted[i] : none;
      wrong += values[q * k + i] != -best.first || places[q * k + i] != best.second;
    }
  }
  return wrong;
}

// Scores of whole numbers, which are exact in any order.
size_t wrong_scores(size_t dimensions) {
  Random random(dimensions);
  const size_t n = 50, words = (dimensions + 63) / 64, bytes = (dimensions + 7) / 8;
  std::vector<double> query(64 * words, 0);
  for (size_t i = 0; i < dimensions; i++) query[i] = static_cast<double>(random() % 2001) - 1000;
  std::vector<uint8_t> bits(n * bytes, 0), u8(n * dimensions);
  std::vector<int8_t> s8(n * dimensions);
  std::vector<uint16_t> halves(n * dimensions);
  std::vector<float> floats(n * dimensions);
  std::vector<double> wanted[5];
  for (auto &sums : wanted) sums.assign(n, 0);
  for (size_t i = 0; i < n; i++)
    for (size_t d = 0; d < dimensions; d++) {
      const size_t at = i * dimensions + d;
      const uint8_t bit = random() & 1, exponent = static_cast<uint8_t>(random() % 10);
      bits[i * bytes + d / 8] |= static_cast<uint8_t>(bit << d % 8);
      u8[at] = static_cast<uint8_t>(random());
      s8[at] = static_cast<int8_t>(random());
      halves[at] = static_cast<uint16_t>(bit << 15 | (15 + exponent) << 10);  // a power of two, or minus one
      floats[at] = static_cast<float>(static_cast<int>(random() % 500) - 250);
      const double numbers[] = {double(bit), double(s8[at]), double(u8[at]), std::ldexp(bit ? -1.0 : 1.0, exponent), double(floats[at])};
      for (size_t kind = 0; kind < 5; kind++) wanted[kind][i] += query[d] * numbers[kind];
    }
  std::vector<int64_t> positions(n + 1);
  for (size_t i = 0; i < n; i++) positions[i] = static_cast<int64_t>(n - 1 - i);
  positions[n] = -1;
  const void *stores[] = {bits.data(), s8.data(), u8.data(), halves.data(), floats.data()};
  size_t wrong = 0;
  for (size_t kind = 0; kind < 5; kind++) {
    const size_t length = kind == 0 ? bytes : dimensions;
    std::vector<float> scores(n + 1);
    const udsph::ScoreJob job{query.data(), 1, words, stores[kind], length, length, positions.data(), n + 1, 1, no_poll};
    udsph::score_rows(job, static_cast<udsph::RowKind>(kind), scores.data());
    for (size_t i = 0; i < n; i++) wrong += scores[i] != static_cast<float>(wanted[kind][n - 1 - i]);
    wrong += !(std::isinf(scores[n]) && scores[n] < 0);
  }
  return wrong;
}

}  // namespace

int main(int argc, char **argv) {
  return check_levels("operations", udsph::levels().names(), argc, argv, [](const std::string &name) {
    udsph::levels().set(name);
    size_t wrong = 0;
    for (size_t first_right : {0, 300})
      for (size_t words : {1, 2, 5}) {
        wrong += wrong_pairs(words, 6, 3, first_right, false, 1) + wrong_pairs(words, 4, 0, first_right, false, 2);
        wrong += wrong_pairs(words, 14 * words, 14 * words + 3, first_right, true, 2);
      }
    wrong += wrong_threads(1, 4, 3, false) + wrong_threads(4, 4, 2, false) + wrong_threads(1, 4, 5, true);
    for (size_t bits : {40, 166, 700})
      for (double threshold : {0.0, 0.4}) wrong += wrong_similarities(bits, 0.2, 1, 1, threshold, 2) + wrong_similarities(bits, 0.9, 0.3, 0, threshold, 1);
    for (size_t dimensions : {1, 64, 100, 640}) wrong += wrong_scores(dimensions);
    return wrong;
  });
}
