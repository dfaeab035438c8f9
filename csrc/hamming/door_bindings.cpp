// Raw memory in, raw memory out, for other programs: udsph.h says what the functions do. Nothing is thrown out of here. Files are
// opened and indexes are read by the Python layer (udsph/hamming/views.py), so that there is one of each.
#include "common/bindings.h"
#include "hamming/door_bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include "hamming/levels.h"
#include "hamming/view.h"
#include "udsph.h"

namespace py = pybind11;

struct udsph_view {
  std::shared_ptr<const udsph::View> state;
};

namespace {

constexpr size_t MAX_BITS = 8192, MAX_NEIGHBOURS = (size_t{1} << 48) - 1;

thread_local char last_message[512] = "";

const char *message() noexcept { return last_message; }

int failed(int status, const char *text) noexcept {
  std::strncpy(last_message, text, sizeof(last_message) - 1);
  return status;
}

void require(bool right, const char *text) {
  if (!right) throw std::invalid_argument(text);
}

// What a Python exception is among the states of a call.
int failed(py::error_already_set &error) {
  const py::object format_error = py::module_::import("udsph.hamming.storage").attr("FormatError");
  const std::string text = py::str(error.value());
  if (error.matches(format_error)) return failed(UDSPH_BAD_FILE, text.c_str());
  if (error.matches(PyExc_OSError)) return failed(UDSPH_NO_FILE, text.c_str());
  if (error.matches(PyExc_MemoryError)) return failed(UDSPH_NO_MEMORY, "not enough memory");
  if (error.matches(PyExc_TypeError) || error.matches(PyExc_ValueError)) return failed(UDSPH_BAD_ARGUMENT, text.c_str());
  return failed(UDSPH_FAILED, (std::string(py::str(error.type().attr("__name__"))) + ": " + text).c_str());
}

template <class Work>
int guarded(const Work &work) noexcept {
  try {
    udsph::kernels();
  } catch (const std::exception &error) {
    return failed(UDSPH_FAILED, error.what());
  }
  try {
    work();
    return UDSPH_OK;
  } catch (const std::bad_alloc &) {
    return failed(UDSPH_NO_MEMORY, "not enough memory");
  } catch (const std::length_error &) {
    return failed(UDSPH_NO_MEMORY, "not enough memory");
  } catch (const std::invalid_argument &error) {
    return failed(UDSPH_BAD_ARGUMENT, error.what());
  } catch (const std::exception &error) {
    return failed(UDSPH_FAILED, error.what());
  } catch (...) {
    return failed(UDSPH_FAILED, "unknown failure");
  }
}

// The view that a function of udsph.hamming.views returns.
int from_python(const char *function, py::object (*argument)(const void *), const void *given, udsph_view **view) noexcept {
  if (view == nullptr) return failed(UDSPH_BAD_ARGUMENT, "view is NULL");
  *view = nullptr;
  if (given == nullptr) return failed(UDSPH_BAD_ARGUMENT, "the index or the path is NULL");
  if (!Py_IsInitialized()) return failed(UDSPH_FAILED, "the Python interpreter is not running");
  py::gil_scoped_acquire held;
  const py::error_scope kept;  // an exception of the caller's
  try {
    const py::object made = py::module_::import("udsph.hamming.views").attr(function)(argument(given));
    *view = new udsph_view{made.cast<const udsph_view &>().state};
    return UDSPH_OK;
  } catch (py::error_already_set &error) {
    try {
      return failed(error);
    } catch (...) {
      return failed(UDSPH_FAILED, "a Python exception that cannot be read");
    }
  } catch (const std::bad_alloc &) {
    return failed(UDSPH_NO_MEMORY, "not enough memory");
  } catch (const std::exception &error) {
    return failed(UDSPH_FAILED, error.what());
  } catch (...) {
    return failed(UDSPH_FAILED, "unknown failure");
  }
}

int open(const char *path, udsph_view **view) noexcept {
  return from_python("opened", [](const void *text) {
    PyObject *decoded = PyUnicode_DecodeFSDefault(static_cast<const char *>(text));
    if (decoded == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(decoded);
  }, path, view);
}

int snapshot(void *index, udsph_view **view) noexcept {
  return from_python("snapshot", [](const void *object) {
    return py::reinterpret_borrow<py::object>(static_cast<PyObject *>(const_cast<void *>(object)));
  }, index, view);
}

size_t row_bytes(size_t bits) {
  if (bits < 1 || bits > MAX_BITS) throw std::invalid_argument("bits must be from 1 to 8192, got " + std::to_string(bits));
  return (bits + 7) / 8;
}

void check_rows(const uint8_t *rows, size_t n, size_t bits, const char *name) {
  const size_t bytes = row_bytes(bits);
  if (n == 0) return;
  if (rows == nullptr) throw std::invalid_argument(std::string(name) + " is NULL");
  if (bits % 8 == 0) return;
  for (size_t i = 0; i < n; i++)
    if (rows[i * bytes + bytes - 1] >> (bits % 8) != 0)
      throw std::invalid_argument(std::string(name) + " has bits set beyond its width of " + std::to_string(bits) + " in row " +
                                  std::to_string(i));
}

int from_codes(const uint8_t *codes, size_t n, size_t bits, const int64_t *ids, udsph_view **view) noexcept {
  if (view == nullptr) return failed(UDSPH_BAD_ARGUMENT, "view is NULL");
  *view = nullptr;
  return guarded([&] {
    check_rows(codes, n, bits, "codes");
    require(n <= MAX_NEIGHBOURS, "n is beyond 2**48 - 1");
    udsph::View::Column<int64_t> column;
    if (ids != nullptr && n > 0) {
      for (size_t i = 0; i < n; i++)
        if (ids[i] < 0) throw std::invalid_argument("ids must be 0 or more, item " + std::to_string(i) + " is " + std::to_string(ids[i]));
      const auto kept = std::make_shared<const std::vector<int64_t>>(ids, ids + n);
      column = {kept->data(), kept};
    }
    auto segment = std::make_shared<const udsph::Segment>(udsph::Segment(bits).extended(codes, n));
    *view = new udsph_view{std::make_shared<const udsph::View>(bits, std::vector<udsph::Part>{{std::move(segment), nullptr}},
                                                               udsph::View::Column<uint64_t>(), n, std::move(column))};
  });
}

void close(udsph_view *view) noexcept { delete view; }

size_t count(const udsph_view *view) noexcept { return view == nullptr ? 0 : view->state->count(); }
size_t bits(const udsph_view *view) noexcept { return view == nullptr ? 0 : view->state->bits(); }

const udsph::View &checked(const udsph_view *view, const uint8_t *queries, size_t n_queries, size_t threads) {
  require(view != nullptr, "view is NULL");
  check_rows(queries, n_queries, view->state->bits(), "queries");
  require(threads >= 1, "threads must be 1 or more");
  return *view->state;
}

void check_room(size_t n_queries, size_t k, const void *distances, const void *places) {
  require(k >= 1 && k <= MAX_NEIGHBOURS, "k must be from 1 to 2**48 - 1");
  require(n_queries <= SIZE_MAX / 16 / k, "n_queries * k results are beyond all memory");
  require(n_queries == 0 || (distances != nullptr && places != nullptr), "the place for results is NULL");
}

int search(const udsph_view *view, const uint8_t *queries, size_t n_queries, size_t k, const uint8_t *where, size_t threads,
           int32_t *distances, int64_t *ids) noexcept {
  return guarded([&] {
    const udsph::View &state = checked(view, queries, n_queries, threads);
    check_room(n_queries, k, distances, ids);
    if (n_queries > 0) state.search(queries, n_queries, k, where, threads, distances, ids);
  });
}

int range_search(const udsph_view *view, const uint8_t *queries, size_t n_queries, size_t radius, const uint8_t *where, size_t threads,
                 udsph_range *found) noexcept {
  if (found == nullptr) return failed(UDSPH_BAD_ARGUMENT, "found is NULL");
  *found = {};
  return guarded([&] {
    const udsph::View &state = checked(view, queries, n_queries, threads);
    auto *memory = new udsph::RangeResult(state.range_search(queries, n_queries, radius, where, threads));
    *found = {memory->offsets.data(), memory->distances.data(), memory->positions.data(), memory};
  });
}

void release(udsph_range *found) noexcept {
  if (found == nullptr) return;
  delete static_cast<udsph::RangeResult *>(found->memory);
  *found = {};
}

int text(const udsph_view *view, int64_t id, const char **utf8, size_t *length) noexcept {
  return guarded([&] {
    require(view != nullptr && utf8 != nullptr && length != nullptr, "view, utf8 or length is NULL");
    const std::string_view text = view->state->text(id);
    *utf8 = text.data();
    *length = text.size();
  });
}

int distances(const uint8_t *queries, size_t n_queries, const uint8_t *codes, size_t n, size_t bits, size_t threads,
              int32_t *out) noexcept {
  return guarded([&] {
    check_rows(queries, n_queries, bits, "queries");
    check_rows(codes, n, bits, "codes");
    require(threads >= 1, "threads must be 1 or more");
    require(out != nullptr || n_queries == 0 || n == 0, "out is NULL");
    udsph::distances(udsph::kernels(), queries, n_queries, codes, n, row_bytes(bits), threads, nullptr, out);
  });
}

int nearest(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t k, int32_t *distances, int64_t *rows) noexcept {
  return guarded([&] {
    check_rows(query, 1, bits, "query");
    check_rows(codes, n, bits, "codes");
    check_room(1, k, distances, rows);
    udsph::nearest_rows(query, codes, n, row_bytes(bits), k, distances, rows);
  });
}

int within(const uint8_t *query, const uint8_t *codes, size_t n, size_t bits, size_t radius, size_t room, int32_t *distances,
           int64_t *rows, size_t *found) noexcept {
  return guarded([&] {
    check_rows(query, 1, bits, "query");
    check_rows(codes, n, bits, "codes");
    require(found != nullptr && (room == 0 || (distances != nullptr && rows != nullptr)), "the place for results is NULL");
    *found = udsph::rows_within(query, codes, n, row_bytes(bits), radius, room, distances, rows);
  });
}

const udsph_api api = {UDSPH_API_VERSION, sizeof(udsph_api), message, open, from_codes, snapshot, close, count, bits, search,
                       range_search, release, text, distances, nearest, within};

// An array's numbers; any thread may drop them.
template <class T, class U = T>
udsph::View::Column<T> column(const std::optional<Array<U>> &array) {
  if (!array) return {};
  return {reinterpret_cast<const T *>(array->data()), {py::object(*array).release().ptr(), [](void *object) {
            if (!Py_IsInitialized()) return;  // a view that outlives the interpreter
            py::gil_scoped_acquire held;
            Py_XDECREF(static_cast<PyObject *>(object));
          }}};
}

udsph_view made(size_t bits, const py::list &parts, const std::optional<Array<uint64_t>> &alive, size_t count,
                const std::optional<Array<int64_t>> &ids, const std::optional<Array<int64_t>> &offsets,
                const std::optional<Array<uint8_t>> &text) {
  std::vector<udsph::Part> taken;
  size_t positions = 0;
  for (const py::handle part : parts) {
    const auto pair = part.cast<py::tuple>();
    taken.push_back({pair[0].cast<std::shared_ptr<udsph::Segment>>(),
                     pair[1].is_none() ? nullptr : pair[1].cast<std::shared_ptr<udsph::Tables>>()});
    positions += taken.back().segment->size();
  }
  const size_t words = (positions + udsph::BLOCK - 1) / udsph::BLOCK * udsph::BLOCK_WORDS;
  require(!alive || static_cast<size_t>(alive->size()) == words, "alive must have a bit per position");
  require(!ids || static_cast<size_t>(ids->size()) == positions, "ids must have one per position");
  require(!offsets || (text && static_cast<size_t>(offsets->size()) == positions + 1), "offsets must have one per position and an end");
  auto view = std::make_shared<udsph::View>(bits, std::move(taken), column<uint64_t>(alive), count, column<int64_t>(ids));
  if (offsets) view->set_text(column<int64_t>(offsets), column<char, uint8_t>(text));
  return {std::move(view)};
}

template <class Function>
uintptr_t address(Function *function) {
  return reinterpret_cast<uintptr_t>(function);
}

}  // namespace

void bind_door(py::module_ &module) {
  module.attr("api") = py::capsule(&api, UDSPH_API_NAME);
  py::dict addresses;  // for compilers that call functions by their address
  addresses["distances"] = address(api.distances);
  addresses["nearest"] = address(api.nearest);
  addresses["within"] = address(api.within);
  addresses["search"] = address(api.search);
  addresses["bits"] = address(api.bits);
  module.attr("addresses") = addresses;
  py::class_<udsph_view>(module, "View")
      .def(py::init(&made), py::arg("bits"), py::arg("parts"), py::arg("alive"), py::arg("count"), py::arg("ids"), py::arg("offsets"),
           py::arg("text"))
      .def("__len__", &count)
      .def_property_readonly("bits", &bits)
      .def_property_readonly("address", [](const udsph_view &view) { return address(&view); });
}
