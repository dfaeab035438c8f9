// NumPy arrays in, NumPy arrays out. No algorithm lives here; the Python layer has already checked types and shapes.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "hamming/dispatch.h"
#include "hamming/search.h"

namespace py = pybind11;

namespace {

using Codes = py::array_t<uint8_t, py::array::c_style>;

py::array_t<int32_t> distances(const Codes &queries, const Codes &codes) {
  const size_t n_queries = queries.shape(0), n = codes.shape(0), bytes = codes.shape(1);
  py::array_t<int32_t> out({n_queries, n});
  const uint8_t *q = queries.data(), *rows = codes.data();
  int32_t *to = out.mutable_data();
  const udsph::Kernels &level = udsph::kernels();
  {
    py::gil_scoped_release released;
    for (size_t i = 0; i < n_queries; i++) level.row_distances(q + i * bytes, rows, n, bytes, to + i * n);
  }
  return out;
}

py::tuple top_k(const Codes &queries, const Codes &codes, size_t k) {
  const size_t n_queries = queries.shape(0);
  py::array_t<int32_t> distances({n_queries, k});
  py::array_t<int64_t> positions({n_queries, k});
  int32_t *d = distances.mutable_data();
  int64_t *p = positions.mutable_data();
  udsph::kernels();  // a wrong UDSPH_SIMD raises here, with the lock held
  {
    py::gil_scoped_release released;
    udsph::search_rows(queries.data(), n_queries, codes.data(), codes.shape(0), codes.shape(1), k, d, p);
  }
  return py::make_tuple(distances, positions);
}

}  // namespace

PYBIND11_MODULE(_native, module) {
  module.doc() = "Hamming kernels in C++; udsph.hamming is the way in.";
  module.attr("compiler") = __VERSION__;
  module.def("simd_level", [] { return std::string(udsph::kernels().name); });
  module.def("simd_levels", &udsph::available_levels);
  module.def("set_level", &udsph::set_level);
  module.def("distances", &distances);
  module.def("top_k", &top_k);
}
