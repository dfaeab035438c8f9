/* Exact Hamming search for programs in C and C++: the functions of udsph.hamming without Python around each call.
 *
 *     #include <Python.h>
 *     #include <udsph.h>                            compile with -I of udsph.get_include()
 *
 *     const udsph_api *udsph = udsph_import();      once, with the GIL; NULL: a Python exception is set
 *
 * Nothing is linked: udsph_import finds a table of functions in the installed package. The table only ever grows at its
 * end, so that a program which was built against an older header runs with every later package; a program that needs
 * more than the installed package has is refused by udsph_import.
 *
 * Codes are packed rows of (bits + 7) / 8 bytes, bit i of a code in bit i % 8 of byte i / 8, unused bits 0; 1 to 8192 bits.
 * Every function may be called from any thread, with or without the GIL, and by several threads at once. Those that can
 * fail return UDSPH_OK or another udsph_status; message() then says what was wrong. docs/c-cython-numba.md has examples.
 */
#ifndef UDSPH_H
#define UDSPH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UDSPH_API_VERSION 1
#define UDSPH_API_NAME "udsph.hamming._native.api"

/* What a missing neighbour is. */
#define UDSPH_NO_ID (-1)
#define UDSPH_NO_DISTANCE INT32_MAX

typedef enum udsph_status {
  UDSPH_OK = 0,
  UDSPH_BAD_ARGUMENT = 1, /* a null pointer, a width, a number or an object that cannot be */
  UDSPH_NO_MEMORY = 2,
  UDSPH_NO_FILE = 3,      /* the file cannot be read */
  UDSPH_BAD_FILE = 4,     /* the file is damaged, of a later version or not an index */
  UDSPH_FAILED = 5        /* anything else: UDSPH_SIMD names a level that is not there, Ctrl-C while a file is read */
} udsph_status;

/* One state of an index. It never changes, and stays valid until it is closed whatever happens to the index. */
typedef struct udsph_view udsph_view;

/* What range_search found: that of query q is at offsets[q] to offsets[q + 1], sorted by (distance, insertion order). */
typedef struct udsph_range {
  const int64_t *offsets; /* n_queries + 1 */
  const int32_t *distances;
  const int64_t *ids;
  void *memory; /* of the three; release() frees it */
} udsph_range;

typedef struct udsph_api {
  uint32_t version;     /* UDSPH_API_VERSION of the package */
  uint32_t struct_size; /* bytes of this table in the package */

  /* What was wrong in the last call of this thread that failed; valid until the next one that fails. */
  const char *(*message)(void);

  /* -- Views. Each of the first three gives one that must be closed, or leaves *view NULL. -- */

  /* The index in a file of FlatIndex.save, or the newest generation in the folder of a Collection, searched where it lies on the
   * disk. Takes the GIL for as long as that lasts. */
  int (*open)(const char *path, udsph_view **view);
  /* A copy of n packed codes with their ids, each 0 or more; ids NULL: their row numbers. */
  int (*from_codes)(const uint8_t *codes, size_t n, size_t bits, const int64_t *ids, udsph_view **view);
  /* The present state of a FlatIndex, Index or Collection, given as its PyObject *, which is borrowed. Takes the GIL. */
  int (*snapshot)(void *index, udsph_view **view);
  /* Nothing may be using the view any more. NULL is ignored. */
  void (*close)(udsph_view *view);

  size_t (*count)(const udsph_view *view); /* codes */
  size_t (*bits)(const udsph_view *view);

  /* The k nearest of every query: distances and ids have n_queries * k entries, each row sorted by (distance, insertion
   * order) and padded with UDSPH_NO_DISTANCE and UDSPH_NO_ID. where: NULL, or a bit per code in insertion order, of
   * (count + 7) / 8 bytes, which codes may be found. threads: 1 or more. */
  int (*search)(const udsph_view *view, const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads,
                int32_t *distances, int64_t *ids);
  /* Every code at a distance of `radius` or less. */
  int (*range_search)(const udsph_view *view, const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where,
                      size_t threads, udsph_range *found);
  void (*release)(udsph_range *found);

  /* Where ids are strings, searches give numbers that stand for them: the string of one, in UTF-8 without a zero at its
   * end, valid until the view is closed. An index whose ids are integers has none: UDSPH_BAD_ARGUMENT. */
  int (*text)(const udsph_view *view, int64_t id, const char **utf8, size_t *length);

  /* -- Packed rows in memory, without a view -- */

  /* out[q * n + i] = distance of query q and row i. */
  int (*distances)(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads, int32_t *out);
  /* The k nearest rows of one query, as for search, with row numbers for ids; in the calling thread. */
  int (*nearest)(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t k, int32_t *distances, int64_t *rows);
  /* The rows within a radius of one query, the nearest first, as many as there is room for; *found: how many there are. */
  int (*within)(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t radius, size_t room, int32_t *distances,
                int64_t *rows, size_t *found);
} udsph_api;

#ifdef __cplusplus
}
#endif

#ifdef Py_PYTHON_H
/* The functions, or NULL with a Python exception that names the mend. The GIL must be held. */
static inline const udsph_api *udsph_import(void) {
  PyObject *module = PyImport_ImportModule("udsph.hamming._native");
  const udsph_api *api = module == NULL ? NULL : (const udsph_api *)PyCapsule_Import(UDSPH_API_NAME, 0);
  Py_XDECREF(module); /* the interpreter keeps it */
  if (api == NULL) {
    PyErr_Clear();
    PyErr_SetString(PyExc_ImportError, "udsph has no C functions of version 1 here: it is not installed, older, or was installed "
                                       "without a C++ compiler");
    return NULL;
  }
  if (api->struct_size < sizeof(udsph_api)) {
    PyErr_Format(PyExc_ImportError, "this module was built for the C functions of udsph up to version %d, the installed udsph has "
                                    "version %d: upgrade udsph, or build the module again with its header",
                 UDSPH_API_VERSION, (int)api->version);
    return NULL;
  }
  return api;
}
#endif

#endif
