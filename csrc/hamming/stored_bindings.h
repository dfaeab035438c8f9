// Tables in files.
#pragma once

#include <pybind11/pybind11.h>

void bind_stored(pybind11::module_ &module);
