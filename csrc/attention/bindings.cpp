// Turns addresses of tensors into problems. Knows nothing of torch: udsph/attention/cpu.py checks shapes, dtypes and
// strides.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "attention/levels.h"
#include "attention/kernels.h"
#include "attention/run.h"

namespace py = pybind11;

namespace udsph::attention {
namespace {

using Lengths = std::vector<int64_t>;

Lengths offsets_of(const Lengths &lengths) {
  Lengths offsets{0};
  for (int64_t length : lengths) offsets.push_back(offsets.back() + length);
  return offsets;
}

// Addresses in the order of the fields of Problem.
struct Arrays {
  uintptr_t affinity, gram, query_norms, scores, grad_affinity, grad_gram, grad_norms;
};

template <class T>
void run_problem(const Formula &formula, const Lengths &query_lengths, const Lengths &context_lengths,
                 int64_t gram_width, const Arrays &arrays, bool backward, int64_t threads) {
  const Lengths query_offsets = offsets_of(query_lengths), context_offsets = offsets_of(context_lengths);
  const auto pointer = [](uintptr_t address) { return reinterpret_cast<T *>(address); };
  Problem<T> problem{};
  problem.formula = formula;
  problem.query_items = static_cast<int64_t>(query_lengths.size());
  problem.context_items = static_cast<int64_t>(context_lengths.size());
  problem.query_offsets = query_offsets.data();
  problem.context_offsets = context_offsets.data();
  problem.max_queries = *std::max_element(query_lengths.begin(), query_lengths.end());
  problem.gram_width = gram_width;
  problem.affinity = pointer(arrays.affinity);
  problem.gram = pointer(arrays.gram);
  problem.query_norms = pointer(arrays.query_norms);
  problem.scores = backward ? nullptr : pointer(arrays.scores);
  problem.grad_scores = backward ? pointer(arrays.scores) : nullptr;
  problem.grad_affinity = pointer(arrays.grad_affinity);
  problem.grad_gram = pointer(arrays.grad_gram);
  problem.grad_norms = pointer(arrays.grad_norms);
  if constexpr (sizeof(T) == 4) {
    run(levels().kernels().f32, problem, backward, threads);
  } else {
    run(levels().kernels().f64, problem, backward, threads);
  }
}

void run_cpu(bool is_double, double smooth, double pool_temperature, int pool, int normalize,
             const Lengths &query_lengths, const Lengths &context_lengths, int64_t gram_width, int64_t threads,
             uintptr_t affinity, uintptr_t gram, uintptr_t query_norms, uintptr_t scores, uintptr_t grad_affinity,
             uintptr_t grad_gram, uintptr_t grad_norms) {
  const Formula formula{smooth, pool_temperature, pool, normalize};
  const Arrays arrays{affinity, gram, query_norms, scores, grad_affinity, grad_gram, grad_norms};
  const auto pass = is_double ? run_problem<double> : run_problem<float>;
  pass(formula, query_lengths, context_lengths, gram_width, arrays, grad_affinity != 0, threads);
}

}  // namespace
}  // namespace udsph::attention

PYBIND11_MODULE(_native, module) {
  using namespace udsph::attention;
  module.doc() = "The fused CPU kernel of udsph.attention.";
  module.def(
      "run", &run_cpu, py::call_guard<py::gil_scoped_release>(), py::arg("is_double"), py::arg("smooth"),
      py::arg("pool_temperature"), py::arg("pool"), py::arg("normalize"), py::arg("query_lengths"),
      py::arg("context_lengths"), py::arg("gram_width"), py::arg("threads"), py::arg("affinity"), py::arg("gram"),
      py::arg("query_norms"), py::arg("scores"), py::arg("grad_affinity") = 0, py::arg("grad_gram") = 0,
      py::arg("grad_norms") = 0,
      "Forward pass into scores, or, where grad_affinity is an address, backward pass from scores = their gradient.");
  module.def(
      "strip_count", [](int64_t context_items) { return strip_count(context_items); },
      "Rows of the backward pass's grad_norms.");
  module.def("simd_level", [] { return std::string(levels().active().name); });
  module.def("simd_levels", [] { return levels().names(); });
  module.def("set_level", [](const std::string &name) { levels().set(name); });
}
