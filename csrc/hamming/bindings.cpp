// NumPy arrays in, NumPy arrays out. No algorithm lives here; the Python layer has already checked types, shapes and ranges.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <mutex>
#include <optional>

#include "hamming/blocks.h"
#include "hamming/capi.h"
#include "hamming/levels.h"
#include "hamming/search.h"

namespace py = pybind11;

namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;
using Codes = Array<uint8_t>;
using Bitmap = std::optional<Array<uint64_t>>;
using SharedLock = std::shared_lock<std::shared_mutex>;
using UniqueLock = std::unique_lock<std::shared_mutex>;

// Ctrl-C reaches a search through its calling thread.
void check_signals() {
  py::gil_scoped_acquire held;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

const uint64_t *data_or_null(const Bitmap &bitmap) { return bitmap ? bitmap->data() : nullptr; }

// A NumPy array that takes over a vector's memory.
template <class T>
py::array_t<T> to_array(std::vector<T> &&values) {
  auto *kept = new std::vector<T>(std::move(values));
  py::capsule owner(kept, [](void *memory) { delete static_cast<std::vector<T> *>(memory); });
  return py::array_t<T>(kept->size(), kept->data(), owner);
}

// A reference to a Python object that any thread may drop.
std::shared_ptr<void> hold(py::object object) {
  return {object.release().ptr(), [](void *pointer) {
            py::gil_scoped_acquire held;
            Py_XDECREF(static_cast<PyObject *>(pointer));
          }};
}

std::unique_ptr<udsph::Blocks> map_blocks(size_t bits, size_t n, const Array<uint64_t> &words) {
  if (n > 0 && reinterpret_cast<uintptr_t>(words.data()) % 64 != 0) throw py::value_error("words must be aligned to 64 bytes");
  return std::make_unique<udsph::Blocks>(bits, n, words.data(), hold(words));
}

void append(udsph::Blocks &blocks, const Codes &rows) {
  udsph::kernels();  // a wrong UDSPH_SIMD raises here and in the functions below, with the lock held
  const uint8_t *from = rows.data();
  const size_t n = rows.shape(0);
  py::gil_scoped_release released;
  UniqueLock lock(blocks.mutex());
  blocks.append(from, n);
}

py::tuple search(const udsph::Blocks &blocks, const Codes &queries, size_t k, const Bitmap &allowed, size_t threads) {
  udsph::kernels();
  const size_t n_queries = queries.shape(0);
  py::array_t<int32_t> distances({n_queries, k});
  py::array_t<int64_t> positions({n_queries, k});
  int32_t *d = distances.mutable_data();
  int64_t *p = positions.mutable_data();
  {
    py::gil_scoped_release released;
    SharedLock lock(blocks.mutex());
    udsph::search(blocks, queries.data(), n_queries, k, data_or_null(allowed), threads, check_signals, d, p);
  }
  return py::make_tuple(distances, positions);
}

py::tuple range_search(const udsph::Blocks &blocks, const Codes &queries, size_t radius, const Bitmap &allowed, size_t threads) {
  udsph::kernels();
  udsph::RangeResult result;
  {
    py::gil_scoped_release released;
    SharedLock lock(blocks.mutex());
    result = udsph::range_search(blocks, queries.data(), queries.shape(0), radius, data_or_null(allowed), threads, check_signals);
  }
  return py::make_tuple(to_array(std::move(result.offsets)), to_array(std::move(result.distances)),
                        to_array(std::move(result.positions)));
}

Codes read_rows(const udsph::Blocks &blocks, const Array<int64_t> &positions) {
  udsph::kernels();
  const size_t n = positions.size();
  Codes rows({n, (blocks.bits() + 7) / 8});
  uint8_t *to = rows.mutable_data();
  {
    py::gil_scoped_release released;
    SharedLock lock(blocks.mutex());
    blocks.read(positions.data(), n, to);
  }
  return rows;
}

std::unique_ptr<udsph::Blocks> subset(const udsph::Blocks &blocks, const Array<uint64_t> &keep) {
  udsph::kernels();
  const uint64_t *words = keep.data();
  py::gil_scoped_release released;
  SharedLock lock(blocks.mutex());
  return blocks.subset(words);
}

// Words of the blocks [begin, end), for storing them.
Array<uint64_t> words(const udsph::Blocks &blocks, size_t begin, size_t end) {
  Array<uint64_t> out({end - begin, blocks.block_words()});
  uint64_t *to = out.mutable_data();
  py::gil_scoped_release released;
  SharedLock lock(blocks.mutex());
  for (size_t i = begin; i < end; i++) std::copy_n(blocks.block(i), blocks.block_words(), to + (i - begin) * blocks.block_words());
  return out;
}

uint64_t sum_words(const udsph::Blocks &blocks, size_t threads) {
  py::gil_scoped_release released;
  SharedLock lock(blocks.mutex());
  return udsph::sum_words(blocks, threads);
}

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

PYBIND11_MODULE(_native, module) {
  module.doc() = "Hamming kernels in C++; udsph.hamming is the way in.";
  module.attr("compiler") = __VERSION__;
  module.attr("c_api") = py::capsule(&udsph::c_api, udsph::C_API_NAME);
  module.def("simd_level", [] { return std::string(udsph::levels().active().name); });
  module.def("simd_levels", [] { return udsph::levels().names(); });
  module.def("set_level", [](const std::string &name) { udsph::levels().set(name); });
  module.def("distances", &distances);
  py::class_<udsph::Blocks>(module, "Blocks")
      .def(py::init<size_t>())
      .def_static("map", &map_blocks)
      .def("__len__", &udsph::Blocks::size)
      .def_property_readonly("nbytes", &udsph::Blocks::bytes)
      .def("append", &append)
      .def("search", &search)
      .def("range_search", &range_search)
      .def("read", &read_rows)
      .def("subset", &subset)
      .def("words", &words)
      .def("sum_words", &sum_words);
}
