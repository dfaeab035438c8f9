// The functions that other programs call: the third binding file of the extension.
#pragma once

#include <pybind11/pybind11.h>

void bind_door(pybind11::module_ &module);
