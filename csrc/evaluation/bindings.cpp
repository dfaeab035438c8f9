// NumPy arrays in, counts added to NumPy arrays. The Python layer has already checked types, shapes and ranges.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "common/bindings.h"
#include "evaluation/levels.h"
#include "evaluation/piece.h"

namespace py = pybind11;

namespace {

udsph::Piece label_piece(const std::string &level, const Array<uint8_t> &codes, const Array<uint8_t> &labels, size_t threads) {
  const udsph::CountKernels &kernels = udsph::count_kernels(level);
  const size_t n = codes.shape(0), bytes = codes.shape(1), label_count = labels.shape(1);
  py::gil_scoped_release released;
  return udsph::Piece(kernels, codes.data(), n, bytes, labels.data(), label_count, threads);
}

udsph::Piece class_piece(const std::string &level, const Array<uint8_t> &codes, const Array<int32_t> &classes, size_t class_bits,
                         size_t threads) {
  const udsph::CountKernels &kernels = udsph::count_kernels(level);
  const size_t n = codes.shape(0), bytes = codes.shape(1);
  py::gil_scoped_release released;
  return udsph::Piece(kernels, codes.data(), n, bytes, classes.data(), class_bits, threads);
}

udsph::Queries queries_of(const Array<uint8_t> &codes, const Array<uint32_t> &labels, const Array<uint64_t> &label_begin) {
  static_assert(sizeof(size_t) == sizeof(uint64_t), "64-bit systems only");
  return {codes.data(), static_cast<size_t>(codes.shape(0)), static_cast<size_t>(codes.shape(1)), labels.data(),
          reinterpret_cast<const size_t *>(label_begin.data())};
}

void count_relevant(const std::string &level, const udsph::Piece &piece, const Array<uint8_t> &codes,
                    const Array<uint32_t> &labels, const Array<uint64_t> &label_begin, size_t threads, Array<int64_t> &items,
                    Array<int64_t> &relevant) {
  const udsph::CountKernels &kernels = udsph::count_kernels(level);
  const udsph::Queries queries = queries_of(codes, labels, label_begin);
  int64_t *to_items = items.mutable_data(), *to_relevant = relevant.mutable_data();
  py::gil_scoped_release released;
  udsph::count_relevant(kernels, piece, queries, threads, check_signals, to_items, to_relevant);
}

void count_shared(const std::string &level, const udsph::Piece &piece, const Array<uint8_t> &codes,
                  const Array<uint32_t> &labels, const Array<uint64_t> &label_begin, size_t threads, Array<int64_t> &shared) {
  const udsph::CountKernels &kernels = udsph::count_kernels(level);
  const udsph::Queries queries = queries_of(codes, labels, label_begin);
  int64_t *to = shared.mutable_data();
  const size_t levels = shared.shape(2);
  py::gil_scoped_release released;
  udsph::count_shared(kernels, piece, queries, threads, check_signals, levels, to);
}

void rank_relevant(const std::string &level, const udsph::Piece &piece, const Array<uint8_t> &codes,
                   const Array<uint32_t> &labels, const Array<uint64_t> &label_begin, size_t threads, Array<uint64_t> &seen,
                   Array<uint64_t> &hits, Array<uint32_t> &segment, Array<uint32_t> &first, const Array<uint64_t> &stops,
                   const Array<uint64_t> &wanted, Array<uint64_t> &sums, Array<uint64_t> &first_sums,
                   Array<uint64_t> &first_rank) {
  const udsph::CountKernels &kernels = udsph::count_kernels(level);
  const udsph::Queries queries = queries_of(codes, labels, label_begin);
  const udsph::RankTile ranks = {static_cast<size_t>(seen.shape(1)),
                                 seen.mutable_data(),
                                 hits.mutable_data(),
                                 segment.mutable_data(),
                                 first.mutable_data(),
                                 stops.data(),
                                 wanted.data(),
                                 static_cast<size_t>(stops.shape(1)),
                                 static_cast<size_t>(wanted.shape(1)),
                                 reinterpret_cast<udsph::Sum *>(sums.mutable_data()),
                                 reinterpret_cast<udsph::Sum *>(first_sums.mutable_data()),
                                 first_rank.mutable_data(),
                                 nullptr};
  py::gil_scoped_release released;
  udsph::rank_relevant(kernels, piece, queries, threads, check_signals, ranks);
}

void discount_relevant(const std::string &level, const udsph::Piece &piece, const Array<uint8_t> &codes,
                       const Array<uint32_t> &labels, const Array<uint64_t> &label_begin, size_t threads,
                       Array<uint64_t> &seen, Array<uint32_t> &segment, const Array<uint64_t> &stops,
                       Array<uint64_t> &discounts) {
  const udsph::CountKernels &kernels = udsph::count_kernels(level);
  const udsph::Queries queries = queries_of(codes, labels, label_begin);
  const udsph::DiscountTile tile = {static_cast<size_t>(seen.shape(1)),  seen.mutable_data(),
                                    segment.mutable_data(),              stops.data(),
                                    static_cast<size_t>(stops.shape(1)), discounts.mutable_data(),
                                    static_cast<size_t>(discounts.shape(2)), nullptr};
  py::gil_scoped_release released;
  udsph::discount_relevant(kernels, piece, queries, threads, check_signals, tile);
}

}  // namespace

// Free-threaded Python runs it without the interpreter's lock: pieces never change, counts belong to the caller.
PYBIND11_MODULE(_native, module, py::mod_gil_not_used()) {
  module.doc() = "Counting kernels in C++; udsph.evaluation is the way in.";
  module.def("discount_relevant", &discount_relevant);
  module.def("rank_cells", &udsph::rank_cells);
  module.attr("ITEMS_PER_PIECE") = static_cast<size_t>(udsph::MAX_BLOCKS * udsph::BLOCK);
  py::class_<udsph::Piece>(module, "Piece").def_static("of_labels", &label_piece).def_static("of_classes", &class_piece);
  module.def("count_relevant", &count_relevant);
  module.def("count_shared", &count_shared);
  module.def("rank_relevant", &rank_relevant);
}
