// Tables in files, as NumPy arrays: udsph/hamming/collection/tables.py calls it.
#include "hamming/stored_bindings.h"

#include <pybind11/stl.h>
#if !defined(_WIN32)
#include <sys/mman.h>
#endif

#include "common/bindings.h"
#include "hamming/tables.h"

namespace py = pybind11;

namespace {

using udsph::Tables;
using Chunks = std::vector<std::pair<uint32_t, uint32_t>>;
using Part = Array<uint8_t>;

// codes, items, distinct, (bits, bits of the directory) of every chunk
py::tuple shape(const Tables &tables) {
  const Tables::Shape found = tables.shape();
  return py::make_tuple(found.codes, found.items, found.distinct, found.chunks);
}

std::array<size_t, Tables::PARTS> lengths(size_t bits, size_t codes, size_t items, bool distinct, const Chunks &chunks) {
  return Tables::Shape{bits, codes, items, distinct, chunks}.lengths();
}

// The pieces of every part, in their memory.
py::list parts(const std::shared_ptr<Tables> &tables) {
  const py::capsule owner(new std::shared_ptr<Tables>(tables), [](void *kept) { delete static_cast<std::shared_ptr<Tables> *>(kept); });
  py::list all;
  for (size_t part = 0; part < Tables::PARTS; part++) {
    py::list pieces;
    for (const auto &[data, bytes] : tables->pieces(part)) pieces.append(Part(bytes, static_cast<const uint8_t *>(data), owner));
    all.append(pieces);
  }
  return all;
}

std::shared_ptr<Tables> map_tables(size_t bits, size_t codes, size_t items, bool distinct, const Chunks &chunks,
                                   const std::array<Part, Tables::PARTS> &arrays) {
  const Tables::Shape shape{bits, codes, items, distinct, chunks};
  const auto expected = shape.lengths();
  std::array<const void *, Tables::PARTS> data{};
  auto *owner = new std::vector<py::object>();
  const std::shared_ptr<const void> kept(owner, [](const void *objects) {
    py::gil_scoped_acquire held;
    delete static_cast<const std::vector<py::object> *>(objects);
  });
  for (size_t part = 0; part < Tables::PARTS; part++) {
    if (static_cast<size_t>(arrays[part].size()) != expected[part]) throw py::value_error("a part of the tables has another length");
    data[part] = arrays[part].data();
    if (expected[part] > 0 && reinterpret_cast<uintptr_t>(data[part]) % 64 != 0) throw py::value_error("parts must be aligned to 64 bytes");
    owner->push_back(arrays[part]);
  }
  return std::make_shared<Tables>(shape, data, kept);
}

std::shared_ptr<Tables> tables_in_memory(const Tables &tables) {
  py::gil_scoped_release released;
  return tables.in_memory();
}

// Pages of a mapped array are read where they are looked at, without those around them.
void expect_random([[maybe_unused]] const Part &array) {
#if defined(MADV_RANDOM)
  const auto address = reinterpret_cast<uintptr_t>(array.data());
  const uintptr_t begin = address / udsph::PAGE * udsph::PAGE;
  madvise(reinterpret_cast<void *>(begin), address + static_cast<size_t>(array.size()) - begin, MADV_RANDOM);
#endif
}

void check_tables(const Tables &tables, const udsph::Segment &segment) {
  py::gil_scoped_release released;
  tables.check(segment, check_signals);
}

}  // namespace

void bind_stored(py::module_ &module) {
  module.def("tables_shape", &shape);
  module.def("tables_lengths", &lengths);
  module.def("tables_parts", &parts);
  module.def("map_tables", &map_tables);
  module.def("check_tables", &check_tables);
  module.def("tables_in_memory", &tables_in_memory);
  module.def("expect_random", &expect_random);
}
