// NumPy arrays in, NumPy arrays out. No algorithm lives here; the Python layer has already checked types, shapes and ranges.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

#include <optional>

#include "common/bindings.h"
#include "hamming/capi.h"
#include "hamming/door_bindings.h"
#include "hamming/levels.h"
#include "hamming/merge.h"
#include "hamming/operations_bindings.h"
#include "hamming/parts.h"
#include "hamming/search.h"
#include "hamming/stored_bindings.h"

namespace py = pybind11;

namespace {

using Codes = Array<uint8_t>;
using Bitmap = std::optional<Array<uint64_t>>;

// A filter has a bit for every code of the segment, padded to whole blocks.
template <class Segments>
const uint64_t *checked(const Bitmap &allowed, const Segments &segment) {
  if (!allowed) return nullptr;
  if (static_cast<size_t>(allowed->size()) != segment.block_count() * udsph::BLOCK_WORDS)
    throw py::value_error("allowed has " + std::to_string(allowed->size()) + " words, the segment needs " +
                          std::to_string(segment.block_count() * udsph::BLOCK_WORDS));
  return allowed->data();
}

template <class Segments>
void check_width(const Segments &segment, const Codes &rows, const char *name) {
  if (rows.ndim() < 1 || rows.ndim() > 2 || static_cast<size_t>(rows.shape(rows.ndim() - 1)) != (segment.bits() + 7) / 8)
    throw py::value_error(std::string(name) + " must be packed rows of " + std::to_string(segment.bits()) + " bits");
}

// Queries are rows, or one row by itself, whose results have one dimension less.
size_t query_count(const Codes &queries) { return queries.ndim() == 1 ? 1 : static_cast<size_t>(queries.shape(0)); }

template <class T>
py::array_t<T> nearest(const Codes &queries, size_t k) {
  if (queries.ndim() == 1) return py::array_t<T>(k);
  return py::array_t<T>({static_cast<size_t>(queries.shape(0)), k});
}

// A NumPy array that takes over a vector's memory.
template <class T>
py::array_t<T> to_array(std::vector<T> &&values) {
  auto *kept = new std::vector<T>(std::move(values));
  py::capsule owner(kept, [](void *memory) { delete static_cast<std::vector<T> *>(memory); });
  return py::array_t<T>(kept->size(), kept->data(), owner);
}

// A reference to a Python object that any thread may drop.
std::shared_ptr<const void> hold(py::object object) {
  return {object.release().ptr(), [](void *pointer) {
            py::gil_scoped_acquire held;
            Py_XDECREF(static_cast<PyObject *>(pointer));
          }};
}

std::shared_ptr<udsph::Segment> map_segment(size_t bits, size_t n, const Array<uint64_t> &words) {
  const size_t blocks = (n + udsph::BLOCK - 1) / udsph::BLOCK;
  if (n > 0 && reinterpret_cast<uintptr_t>(words.data()) % 64 != 0) throw py::value_error("words must be aligned to 64 bytes");
  if (static_cast<size_t>(words.size()) != blocks * bits * udsph::BLOCK_WORDS)
    throw py::value_error("words must fill the blocks of n codes");
  return std::make_shared<udsph::Segment>(bits, n, words.data(), hold(words));
}

std::shared_ptr<udsph::Segment> extended(const udsph::Segment &segment, const Codes &rows) {
  udsph::kernels();  // a wrong UDSPH_SIMD raises here and in the functions below
  check_width(segment, rows, "rows");
  const uint8_t *from = rows.data();
  const size_t n = rows.shape(0);
  py::gil_scoped_release released;
  return std::make_shared<udsph::Segment>(segment.extended(from, n));
}

std::shared_ptr<udsph::Segment> joined(const std::vector<const udsph::Segment *> &parts) {
  if (parts.empty()) throw py::value_error("parts must not be empty");
  return std::make_shared<udsph::Segment>(udsph::Segment::joined(parts));
}

// Of a segment, or of several that follow each other.
template <class Segments>
py::tuple search(const Segments &segment, const Codes &queries, size_t k, const Bitmap &allowed, size_t threads) {
  udsph::kernels();
  check_width(segment, queries, "queries");
  const uint64_t *lanes = checked(allowed, segment);
  const size_t n_queries = query_count(queries);
  py::array_t<int32_t> distances = nearest<int32_t>(queries, k);
  py::array_t<int64_t> positions = nearest<int64_t>(queries, k);
  int32_t *d = distances.mutable_data();
  int64_t *p = positions.mutable_data();
  {
    py::gil_scoped_release released;
    if constexpr (std::is_same_v<Segments, udsph::Segment>) {
      udsph::search(segment, queries.data(), n_queries, k, lanes, threads, check_signals, d, p);
    } else {
      segment.search(queries.data(), n_queries, k, lanes, threads, check_signals, d, p);
    }
  }
  return py::make_tuple(distances, positions);
}

template <class Segments>
py::tuple range_search(const Segments &segment, const Codes &queries, size_t radius, const Bitmap &allowed, size_t threads) {
  udsph::kernels();
  check_width(segment, queries, "queries");
  const uint64_t *lanes = checked(allowed, segment);
  const size_t n_queries = query_count(queries);
  udsph::RangeResult result;
  {
    py::gil_scoped_release released;
    if constexpr (std::is_same_v<Segments, udsph::Segment>) {
      result = udsph::range_search(segment, queries.data(), n_queries, radius, lanes, threads, check_signals);
    } else {
      result = segment.range_search(queries.data(), n_queries, radius, lanes, threads, check_signals);
    }
  }
  return py::make_tuple(to_array(std::move(result.offsets)), to_array(std::move(result.distances)),
                        to_array(std::move(result.positions)));
}

Codes read_rows(const udsph::Segment &segment, const Array<int64_t> &positions) {
  udsph::kernels();
  const size_t n = positions.size();
  const int64_t *from = positions.data();
  for (size_t i = 0; i < n; i++)
    if (from[i] < 0 || static_cast<size_t>(from[i]) >= segment.size()) throw py::index_error("a position is beyond the codes");
  Codes rows({n, (segment.bits() + 7) / 8});
  uint8_t *to = rows.mutable_data();
  {
    py::gil_scoped_release released;
    segment.read(from, n, to);
  }
  return rows;
}

// Words of the blocks [begin, end), for storing them.
Array<uint64_t> words(const udsph::Segment &segment, size_t begin, size_t end) {
  if (begin > end || end > segment.block_count()) throw py::index_error("blocks are beyond the codes");
  const size_t length = segment.block_words();
  Array<uint64_t> out({end - begin, length});
  uint64_t *to = out.mutable_data();
  py::gil_scoped_release released;
  for (size_t i = begin; i < end; i++) std::copy_n(segment.block(i), length, to + (i - begin) * length);
  return out;
}

uint64_t sum_words(const udsph::Segment &segment, size_t threads) {
  udsph::kernels();
  py::gil_scoped_release released;
  return udsph::sum_words(segment, threads);
}

std::shared_ptr<udsph::Segment> part(const udsph::Segment &segment, size_t begin, size_t end) {
  return std::make_shared<udsph::Segment>(segment.part(begin, end));
}

// `tell` is called with the share of the work that is done, or is None; what it raises ends the work.
std::shared_ptr<udsph::Tables> make_tables(const udsph::Segment &segment, size_t chunks, size_t threads, const py::object &tell) {
  udsph::kernels();
  udsph::Tables::Tell share;
  if (!tell.is_none()) {
    share = [&tell](double done) {
      py::gil_scoped_acquire held;
      tell(done);
    };
  }
  py::gil_scoped_release released;
  return std::make_shared<udsph::Tables>(segment, chunks, threads, check_signals, share);
}

py::tuple size_of_tables(size_t n, size_t bits, size_t chunks, size_t threads) {
  const auto size = udsph::Tables::size_of(n, bits, chunks, threads);
  return py::make_tuple(size.chunks, size.bytes, size.peak);
}

py::tuple search_tables(const udsph::Tables &tables, const udsph::Segment &segment, const Codes &queries, size_t k, const Bitmap &allowed,
                        size_t threads, Array<uint64_t> met) {
  check_width(segment, queries, "queries");
  const uint64_t *lanes = checked(allowed, segment);
  const size_t n_queries = query_count(queries);
  py::array_t<int32_t> distances = nearest<int32_t>(queries, k);
  py::array_t<int64_t> positions = nearest<int64_t>(queries, k);
  int32_t *d = distances.mutable_data();
  int64_t *p = positions.mutable_data();
  uint64_t *counts = met.mutable_data();
  {
    py::gil_scoped_release released;
    tables.search(segment, queries.data(), n_queries, k, lanes, threads, check_signals, d, p, counts);
  }
  return py::make_tuple(distances, positions);
}

py::tuple range_search_tables(const udsph::Tables &tables, const udsph::Segment &segment, const Codes &queries, size_t radius,
                              const Bitmap &allowed, size_t threads, Array<uint64_t> met) {
  check_width(segment, queries, "queries");
  const uint64_t *lanes = checked(allowed, segment);
  uint64_t *counts = met.mutable_data();
  udsph::RangeResult result;
  {
    py::gil_scoped_release released;
    result = tables.range_search(segment, queries.data(), query_count(queries), radius, lanes, threads, check_signals, counts);
  }
  return py::make_tuple(to_array(std::move(result.offsets)), to_array(std::move(result.distances)),
                        to_array(std::move(result.positions)));
}

std::shared_ptr<udsph::Parts> make_parts(const udsph::Segment &empty, const py::list &parts) {
  std::vector<udsph::Part> taken;
  for (const py::handle &part : parts) {
    const auto pair = part.cast<py::tuple>();
    taken.push_back({pair[0].cast<std::shared_ptr<udsph::Segment>>(), pair[1].cast<std::shared_ptr<udsph::Tables>>()});
  }
  return std::make_shared<udsph::Parts>(empty.bits(), std::move(taken));
}

// The k nearest of two parts, as search returns them; those of the second count from `base` on.
py::tuple merge_search(const Array<int32_t> &near, const Array<int64_t> &places, const Array<int32_t> &more_near,
                       const Array<int64_t> &more_places, int64_t base) {
  const auto size = static_cast<size_t>(near.size());
  if (near.ndim() < 1 || static_cast<size_t>(places.size()) != size || static_cast<size_t>(more_near.size()) != size ||
      static_cast<size_t>(more_places.size()) != size)
    throw py::value_error("results of two parts must have one shape");
  const std::vector<py::ssize_t> shape(near.shape(), near.shape() + near.ndim());
  py::array_t<int32_t> distances(shape);
  py::array_t<int64_t> positions(shape);
  int32_t *d = distances.mutable_data();
  int64_t *p = positions.mutable_data();
  const auto k = static_cast<size_t>(near.shape(near.ndim() - 1));
  for (size_t i = 0; k > 0 && i < size; i += k)
    udsph::merge({near.data() + i, places.data() + i, k}, {more_near.data() + i, more_places.data() + i, k}, base, k, d + i, p + i);
  return py::make_tuple(distances, positions);
}

// All results of two parts, as range_search returns them.
py::tuple merge_range(const Array<int64_t> &offsets, const Array<int32_t> &near, const Array<int64_t> &places,
                      const Array<int64_t> &more_offsets, const Array<int32_t> &more_near, const Array<int64_t> &more_places,
                      int64_t base) {
  if (offsets.size() < 1 || offsets.size() != more_offsets.size()) throw py::value_error("both parts must answer the same queries");
  const auto n_queries = static_cast<size_t>(offsets.size() - 1);
  const int64_t *from = offsets.data(), *more = more_offsets.data();
  if (near.size() != from[n_queries] || places.size() != near.size() || more_near.size() != more[n_queries] ||
      more_places.size() != more_near.size())
    throw py::value_error("offsets must end with the number of results");
  Array<int64_t> ends(offsets.size());
  Array<int32_t> distances(near.size() + more_near.size());
  Array<int64_t> positions(near.size() + more_near.size());
  int64_t *to = ends.mutable_data(), *p = positions.mutable_data();
  int32_t *d = distances.mutable_data();
  to[0] = 0;
  for (size_t q = 0; q < n_queries; q++) {
    const auto a = static_cast<size_t>(from[q + 1] - from[q]), b = static_cast<size_t>(more[q + 1] - more[q]);
    udsph::merge({near.data() + from[q], places.data() + from[q], a}, {more_near.data() + more[q], more_places.data() + more[q], b}, base,
                 a + b, d + to[q], p + to[q]);
    to[q + 1] = to[q] + static_cast<int64_t>(a + b);
  }
  return py::make_tuple(ends, distances, positions);
}

#if !defined(_WIN32)
// The first `size` bytes of an open file in memory; they stay when it is closed. Python's own mapping serves on Windows.
py::array_t<uint8_t> map_file(int file, size_t size) {
  void *memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    PyErr_SetFromErrno(PyExc_OSError);
    throw py::error_already_set();
  }
  struct Mapping {
    void *memory;
    size_t size;
  };
  py::capsule owner(new Mapping{memory, size}, [](void *pointer) {
    const auto *mapping = static_cast<Mapping *>(pointer);
    munmap(mapping->memory, mapping->size);
    delete mapping;
  });
  py::array_t<uint8_t> bytes(size, static_cast<const uint8_t *>(memory), owner);
  bytes.attr("setflags")(py::arg("write") = false);
  return bytes;
}
#endif

py::array_t<int32_t> distances(const Codes &queries, const Codes &codes, size_t threads) {
  const udsph::Kernels &level = udsph::kernels();
  const size_t n_queries = queries.shape(0), n = codes.shape(0);
  py::array_t<int32_t> out({n_queries, n});
  int32_t *to = out.mutable_data();
  {
    py::gil_scoped_release released;
    udsph::distances(level, queries.data(), n_queries, codes.data(), n, codes.shape(1), threads, check_signals, to);
  }
  return out;
}

}  // namespace

// Free-threaded Python runs it without the interpreter's lock: segments, tables and views never change, what searches learn is atomic.
PYBIND11_MODULE(_native, module, py::mod_gil_not_used()) {
  module.doc() = "Hamming kernels in C++; udsph.hamming is the way in.";
  module.attr("compiler") = __VERSION__;
  module.attr("c_api") = py::capsule(&udsph::c_api, udsph::C_API_NAME);
  module.def("simd_level", [] { return std::string(udsph::levels().active().name); });
  module.def("simd_levels", [] { return udsph::levels().names(); });
  module.def("set_level", [](const std::string &name) { udsph::levels().set(name); });
  module.def("distances", &distances);
#if !defined(_WIN32)
  module.def("map_file", &map_file);
#endif
  module.def("merge_search", &merge_search);
  module.def("merge_range", &merge_range);
  bind_operations(module);
  bind_door(module);
  bind_stored(module);
  py::class_<udsph::Segment, std::shared_ptr<udsph::Segment>>(module, "Segment")
      .def(py::init<size_t>())
      .def_static("map", &map_segment)
      .def_static("joined", &joined)
      .def("__len__", &udsph::Segment::size)
      .def_property_readonly("bits", &udsph::Segment::bits)
      .def_property_readonly("nbytes", &udsph::Segment::bytes)
      .def_property_readonly("full", &udsph::Segment::full)
      .def("extended", &extended)
      .def("search", &search<udsph::Segment>)
      .def("range_search", &range_search<udsph::Segment>)
      .def("read", &read_rows)
      .def("words", &words)
      .def("part", &part)
      .def("sum_words", &sum_words);
  py::class_<udsph::Tables, std::shared_ptr<udsph::Tables>>(module, "Tables")
      .def(py::init(&make_tables), py::arg("segment"), py::arg("chunks"), py::arg("threads"), py::arg("tell") = py::none())
      .def_static("size_of", &size_of_tables)
      .def_property_readonly("nbytes", &udsph::Tables::bytes)
      .def_property_readonly("chunks", &udsph::Tables::chunks)
      .def_property_readonly("items", &udsph::Tables::items)
      .def("set_costs", [](udsph::Tables &tables, double lookup, double candidate, double hit, double scan_one, double scan_many) {
        tables.set_costs({lookup, candidate, hit, scan_one, scan_many});
      })
      .def("search", &search_tables)
      .def("range_search", &range_search_tables);
  py::class_<udsph::Parts, std::shared_ptr<udsph::Parts>>(module, "Parts")
      .def(py::init(&make_parts))
      .def("search", &search<udsph::Parts>)
      .def("range_search", &range_search<udsph::Parts>);
}
