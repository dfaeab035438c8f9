// The C interface of Hamming search on a GPU: plain pointers to device memory and sizes. udsph/hamming/gpu/library.py mirrors the structs.
//
// Functions launch on the current device and the given cudaStream_t and wait for nothing. They return a cudaError_t, 0 for success.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Codes on a GPU, as udsph_hamming_add lays them out.
typedef struct UdsphCodes {
  const void *tiles;
  int64_t n, bits;
} UdsphCodes;

typedef struct UdsphQueries {
  const uint8_t *rows;      // [n][(bits + 7) / 8] packed
  int64_t n;
  const uint32_t *allowed;  // a bit per code, or null: all
  void *scratch;            // for the time of the call, or until the results are fetched
  int64_t scratch_bytes;    // at least udsph_hamming_least_scratch
} UdsphQueries;

// Joint counts. Items are packed rows; labels of items come in slices, or as class numbers.
typedef struct UdsphCounting {
  const uint8_t *queries, *codes;
  int64_t n_queries, n, bytes;
  const uint32_t *labels;
  const int64_t *label_begin;
  const uint32_t *label_slices;
  const uint32_t *classes;
  int64_t levels;
  int64_t *table;  // [n_queries][8 bytes + 1][levels], added to
} UdsphCounting;

// sizeof of the three structs, by which a caller makes sure that it means the same.
int64_t udsph_hamming_struct_sizes(void);

// 0 if the library holds code for the current device, else the cudaError_t of asking.
int udsph_hamming_check(void);

// Bytes of memory for n codes. Memory for more codes can be taken and filled later.
int64_t udsph_hamming_code_bytes(int64_t n, int64_t bits);

// Slice n packed rows behind the `first` codes that are there.
int udsph_hamming_add(void *tiles, int64_t bits, int64_t first, const uint8_t *rows, int64_t n, void *stream);

// Packed rows of the codes at these positions.
int udsph_hamming_read(const UdsphCodes *codes, const int64_t *positions, int64_t n, uint8_t *rows, void *stream);

// Ids in place of n positions, those of each; -1 stays.
int udsph_hamming_name(const int64_t *ids, int64_t *positions, int64_t n, void *stream);

// A byte per code, 0 or not, as the bits of a filter of n positions, (n + 31) / 32 words. Where codes were removed, `alive` has a bit for
// each position that holds one, and `before` the number of codes before each of its words; else both are null.
int udsph_hamming_pack_mask(const uint8_t *mask, int64_t n, const uint32_t *alive, const int64_t *before, uint32_t *allowed, void *stream);

// Bytes of scratch with which queries are searched all at once, at most 192 MiB; and the least with which they are searched at all.
int64_t udsph_hamming_scratch(int64_t n, int64_t bits, int64_t n_queries, int64_t k);
int64_t udsph_hamming_least_scratch(int64_t n, int64_t bits, int64_t n_queries, int64_t k);

// The k nearest codes of every query, [n][k], sorted by (distance, position) and padded with 2^31 - 1 and -1.
int udsph_hamming_search(const UdsphCodes *codes, const UdsphQueries *queries, int64_t k, int32_t *distances, int64_t *positions,
                         void *stream);

// Codes within a radius, in two steps: how many each query has, in counts [n]; and the results of the queries [first, first + n) of them,
// with the place of each one's first, offsets [n]. So many queries are searched at once: call both for them before the next.
int64_t udsph_hamming_range_batch(const UdsphCodes *codes, int64_t n_queries, int64_t scratch_bytes);
int udsph_hamming_range_count(const UdsphCodes *codes, const UdsphQueries *queries, int64_t radius, int64_t *counts, void *stream);
int udsph_hamming_range_fetch(const UdsphCodes *codes, const UdsphQueries *queries, int64_t first, int64_t n, const int64_t *offsets,
                              int32_t *distances, int64_t *positions, void *stream);

// Distances of packed rows, [n_queries][n].
int udsph_hamming_distances(const uint8_t *queries, int64_t n_queries, const uint8_t *codes, int64_t n, int64_t bytes, int32_t *out,
                            void *stream);

int udsph_hamming_count(const UdsphCounting *counting, void *stream);

#ifdef __cplusplus
}
#endif
