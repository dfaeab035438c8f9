// Turns addresses of tensors into problems. Knows nothing of torch: udsph/attention/cpu.py checks shapes, dtypes and
// strides. Five functions of numbers and lists need no pybind11, whose headers take longer to compile than all kernels.
#include <Python.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <vector>

#include "attention/kernels.h"
#include "attention/levels.h"
#include "attention/run.h"

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
  unsigned long long affinity, gram, query_norms, scores, grad_affinity, grad_gram, grad_norms;
};

template <class T>
void run_problem(const Formula &formula, const Lengths &query_lengths, const Lengths &context_lengths,
                 int64_t gram_width, const Arrays &arrays, int64_t threads) {
  const Lengths query_offsets = offsets_of(query_lengths), context_offsets = offsets_of(context_lengths);
  const auto pointer = [](unsigned long long address) { return reinterpret_cast<T *>(static_cast<uintptr_t>(address)); };
  const bool backward = arrays.grad_affinity != 0;
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

// False with a Python error set where it is not a list of whole numbers, at least one.
bool to_lengths(PyObject *list, Lengths &lengths) {
  for (Py_ssize_t i = 0; i < PyList_Size(list); i++) lengths.push_back(PyLong_AsLongLong(PyList_GetItem(list, i)));
  if (PyErr_Occurred() == nullptr && lengths.empty()) PyErr_SetString(PyExc_ValueError, "there must be an item on each side");
  return PyErr_Occurred() == nullptr;
}

struct ReleasedGil {
  PyThreadState *const state = PyEval_SaveThread();
  ~ReleasedGil() { PyEval_RestoreThread(state); }
};

// What function() returns, or null with the Python error of its exception.
template <class Function>
PyObject *guarded(const Function &function) {
  try {
    return function();
  } catch (const std::invalid_argument &error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const std::bad_alloc &) {
    PyErr_NoMemory();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject *python_run(PyObject *, PyObject *arguments) {
  int is_double;
  Formula formula{};
  PyObject *query_list, *context_list;
  Lengths query_lengths, context_lengths;
  long long gram_width, threads;
  Arrays a{};
  if (!PyArg_ParseTuple(arguments, "pddiiO!O!LLKKKK|KKK", &is_double, &formula.smooth, &formula.pool_temperature,
                        &formula.pool, &formula.normalize, &PyList_Type, &query_list, &PyList_Type, &context_list,
                        &gram_width, &threads, &a.affinity, &a.gram, &a.query_norms, &a.scores, &a.grad_affinity,
                        &a.grad_gram, &a.grad_norms))
    return nullptr;
  return guarded([&]() -> PyObject * {
    if (!to_lengths(query_list, query_lengths) || !to_lengths(context_list, context_lengths)) return nullptr;
    {
      ReleasedGil released;
      const auto pass = is_double ? run_problem<double> : run_problem<float>;
      pass(formula, query_lengths, context_lengths, gram_width, a, threads);
    }
    Py_RETURN_NONE;
  });
}

PyObject *python_strip_count(PyObject *, PyObject *context_items) {
  const long long n = PyLong_AsLongLong(context_items);
  return PyErr_Occurred() ? nullptr : PyLong_FromLongLong(strip_count(n));
}

PyObject *python_simd_level(PyObject *, PyObject *) {
  return guarded([] { return PyUnicode_FromString(levels().active().name); });
}

PyObject *python_simd_levels(PyObject *, PyObject *) {
  return guarded([] {
    PyObject *list = PyList_New(0);
    for (const std::string &name : levels().names()) {
      PyObject *text = PyUnicode_FromString(name.c_str());
      if (text != nullptr && list != nullptr) PyList_Append(list, text);
      Py_XDECREF(text);
    }
    return list;
  });
}

PyObject *python_set_level(PyObject *, PyObject *name) {
  const char *text = PyUnicode_AsUTF8(name);
  if (text == nullptr) return nullptr;
  return guarded([&]() -> PyObject * {
    levels().set(text);
    Py_RETURN_NONE;
  });
}

PyMethodDef methods[] = {
    {"run", python_run, METH_VARARGS,
     "Forward pass into scores, or, where grad_affinity is an address, backward pass from scores = their gradient."},
    {"strip_count", python_strip_count, METH_O, "Rows of the backward pass's grad_norms."},
    {"simd_level", python_simd_level, METH_NOARGS, "Instruction-set level in use."},
    {"simd_levels", python_simd_levels, METH_NOARGS, "Levels that this CPU can run, slowest first."},
    {"set_level", python_set_level, METH_O, "Use a level from now on; \"\" chooses anew."},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", "The fused CPU kernel of udsph.attention.", -1, methods,
                          nullptr,               nullptr,   nullptr,                                    nullptr};

}  // namespace
}  // namespace udsph::attention

PyMODINIT_FUNC PyInit__native() {
  PyObject *module = PyModule_Create(&udsph::attention::definition);
#ifdef Py_GIL_DISABLED
  if (module != nullptr) PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED);  // no state beside the level, which is atomic
#endif
  return module;
}
