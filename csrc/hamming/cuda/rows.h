// Packed rows against packed rows: distance matrices, and joint counts of distance and relevance. A thread has one row of the database.
#pragma once

#include "hamming/cuda/build.h"

namespace udsph::gpu {

// A packed row in registers, and its distance to other packed rows.
template <int Words>
struct Row {
  uint32_t v[Words];

  UDSPH_HD Row(const uint8_t *row, int64_t bytes) {
    UDSPH_UNROLL
    for (int c = 0; c < Words; c++) v[c] = row_word(row, bytes, c);
  }
  // `words` are those of the other row, 0 beyond its end.
  UDSPH_HD int distance(const uint32_t *words) const {
    int sum = 0;
    UDSPH_UNROLL
    for (int c = 0; c < Words; c++) sum += popcount(v[c] ^ words[c]);
    return sum;
  }
};

// Rows of more bits than registers hold are read again for every query, that of `from`.
template <>
struct Row<0> {
  const uint8_t *from;
  int64_t bytes;

  UDSPH_HD Row(const uint8_t *row, int64_t bytes) : from(row), bytes(bytes) {}
  UDSPH_HD int distance(const uint32_t *words) const {
    int sum = 0;
    for (int64_t c = 0; 4 * c < bytes; c++) sum += popcount(row_word(from, bytes, c) ^ words[c]);
    return sum;
  }
};

// Words of a row in registers, one of 2, 4, 8, 16, 32, or 0: too many.
constexpr int row_words(int64_t bytes) {
  for (int words = 2; words <= 32; words *= 2)
    if (bytes <= 4 * words) return words;
  return 0;
}
UDSPH_HD constexpr int64_t query_words(int words, int64_t bytes) { return words != 0 ? words : up(bytes, 4); }

// Words of some queries into shared memory, `width` each, 0 beyond their end.
template <class Team>
UDSPH_HD inline void stage_queries(const Team &team, const uint8_t *rows, int64_t n, int64_t bytes, int64_t width, uint32_t *to) {
  for (int64_t i = team.rank(); i < n * width; i += team.size())
    to[i] = 4 * (i % width) < bytes ? row_word(rows + i / width * bytes, bytes, i % width) : 0;
}

enum : int { STAGED_QUERIES = 32 };

// out[q][i] = distance of query q and code i.
template <int Words>
struct DistanceMatrix {
  const uint8_t *queries, *codes;
  int64_t n_queries, n, bytes;
  int32_t *out;

  int64_t items() const { return n * up(n_queries, STAGED_QUERIES); }
  static int64_t shared_bytes(int64_t bytes) { return STAGED_QUERIES * query_words(Words, bytes) * 4; }

  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    uint32_t *staged = static_cast<uint32_t *>(shared);
    const int64_t width = query_words(Words, bytes), pieces = up(n, team.size()), groups = up(n_queries, STAGED_QUERIES);
    for (int64_t item = block; item < pieces * groups; item += blocks) {
      const int64_t first = item / pieces * STAGED_QUERIES, count = smaller(STAGED_QUERIES, n_queries - first);
      const int64_t i = item % pieces * team.size() + team.rank();
      team.sync();
      stage_queries(team, queries + first * bytes, count, bytes, width, staged);
      team.sync();
      if (i >= n) continue;
      const Row<Words> row(codes + i * bytes, bytes);
      for (int64_t q = 0; q < count; q++) out[(first + q) * n + i] = row.distance(staged + q * width);
    }
  }
};

// Joint counts: table[q][distance][grade] += items. A grade is the number of shared labels, or 1 for one or more if there are two levels;
// with class numbers it is whether they are the same.
struct Counting {
  const uint8_t *queries, *codes;
  int64_t n_queries, n, bytes;
  const uint32_t *labels;       // of queries, one query's after the other's; or a class number each
  const int64_t *label_begin;   // [n_queries + 1]; not for class numbers
  const uint32_t *label_slices;  // [labels][up(n, 32)]: bit i % 32 of word i / 32 is item i's label; null: class numbers
  const uint32_t *classes;       // [n] class numbers, or null
  int64_t levels;
  int64_t *table;  // [n_queries][8 bytes + 1][levels]
  int64_t group;   // queries that a block counts together
  bool in_shared;  // there is room for their counts in shared memory
};

enum : int { GRADE_PLANES = 13, CODES_AT_ONCE = 256, WORDS_AT_ONCE = CODES_AT_ONCE / LANES };

// Bits that a grade below `levels` takes.
UDSPH_HD constexpr int grade_planes(int64_t levels) {
  int planes = 1;
  while ((int64_t{1} << planes) < levels) planes++;
  return planes;
}

template <int Words>
struct JointCounts {
  Counting job;

  static int64_t shared_bytes(const Counting &job) {
    const int64_t table = job.in_shared ? (8 * job.bytes + 1) * job.levels : 0;
    return job.group * (table + query_words(Words, job.bytes) + grade_planes(job.levels) * WORDS_AT_ONCE) * 4;
  }

  // Work is cut into as many parts of the database as there are blocks for each group of queries.
  template <class Team>
  UDSPH_HD void operator()(const Team &team, void *shared, int64_t block, int64_t blocks) const {
    const int64_t groups = up(job.n_queries, job.group), parts = larger(1, blocks / groups);
    const int64_t each = up(up(job.n, CODES_AT_ONCE), parts) * CODES_AT_ONCE;
    for (int64_t item = block; item < groups * parts; item += blocks) {
      const int64_t first = item / parts * job.group, begin = item % parts * each;
      count(team, static_cast<uint32_t *>(shared), first, smaller(job.group, job.n_queries - first), begin, smaller(job.n, begin + each));
    }
  }

 private:
  template <class Team>
  UDSPH_HD void count(const Team &team, uint32_t *staged, int64_t first, int64_t n_queries, int64_t begin, int64_t end) const {
    if (begin >= end) return;
    const int64_t width = query_words(Words, job.bytes), cells = (8 * job.bytes + 1) * job.levels;
    const int planes = grade_planes(job.levels);
    uint32_t *grades = staged + job.group * width, *table = grades + job.group * planes * WORDS_AT_ONCE;
    team.sync();
    stage_queries(team, job.queries + first * job.bytes, n_queries, job.bytes, width, staged);
    if (job.in_shared)
      for (int64_t i = team.rank(); i < n_queries * cells; i += team.size()) table[i] = 0;
    for (int64_t at = begin; at < end; at += CODES_AT_ONCE) {
      team.sync();
      if (job.classes == nullptr)
        for (int64_t i = team.rank(); i < n_queries * WORDS_AT_ONCE; i += team.size())
          shared_labels(first + i / WORDS_AT_ONCE, at / LANES + i % WORDS_AT_ONCE, planes, grades + i / WORDS_AT_ONCE * planes * WORDS_AT_ONCE + i % WORDS_AT_ONCE);
      team.sync();
      for (int lane = team.rank(); lane < CODES_AT_ONCE; lane += team.size()) {
        if (at + lane >= end) break;
        const Row<Words> row(job.codes + (at + lane) * job.bytes, job.bytes);
        const uint32_t own_class = job.classes == nullptr ? 0 : job.classes[at + lane];
        for (int64_t q = 0; q < n_queries; q++) {
          uint32_t grade = 0;
          if (job.classes != nullptr) {
            grade = own_class == job.labels[first + q];
          } else {
            for (int p = 0; p < planes; p++)
              grade |= (grades[(q * planes + p) * WORDS_AT_ONCE + lane / LANES] >> (lane % LANES) & 1u) << p;
          }
          const int64_t cell = row.distance(staged + q * width) * job.levels + grade;
          if (job.in_shared) {
            team.add(table + q * cells + cell, 1u);
          } else {
            team.add(job.table + (first + q) * cells + cell, int64_t{1});
          }
        }
      }
    }
    team.sync();
    if (!job.in_shared) return;
    for (int64_t i = team.rank(); i < n_queries * cells; i += team.size())
      if (table[i] != 0) team.add(job.table + first * cells + i, static_cast<int64_t>(table[i]));
  }

  // How many labels 32 items share with a query, in planes WORDS_AT_ONCE apart; whether any, if there are two levels.
  UDSPH_HD void shared_labels(int64_t q, int64_t word, int planes, uint32_t *to) const {
    const int64_t words = up(job.n, LANES);
    uint32_t sum[GRADE_PLANES] = {};
    if (word < words)
      for (int64_t i = job.label_begin[q]; i < job.label_begin[q + 1]; i++) {
        uint32_t carry = job.label_slices[job.labels[i] * words + word];
        if (job.levels == 2) {
          sum[0] |= carry;
          continue;
        }
        UDSPH_UNROLL
        for (int p = 0; p < GRADE_PLANES; p++) {
          const uint32_t both = sum[p] & carry;
          sum[p] ^= carry;
          carry = both;
        }
      }
    UDSPH_UNROLL
    for (int p = 0; p < GRADE_PLANES; p++)
      if (p < planes) to[p * WORDS_AT_ONCE] = sum[p];
  }
};

}  // namespace udsph::gpu
