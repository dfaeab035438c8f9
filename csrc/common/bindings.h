// What every file that binds kernels to Python through pybind11 begins with.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

// The Python layer has already checked types and strides.
template <class T>
using Array = pybind11::array_t<T, pybind11::array::c_style>;

// Ctrl-C reaches a kernel through its calling thread.
inline void check_signals() {
  pybind11::gil_scoped_acquire held;
  if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
}
