// The second binding file of the module: bindings.cpp calls it.
#pragma once

#include <pybind11/pybind11.h>

void bind_operations(pybind11::module_ &module);
