// NumPy arrays in, NumPy arrays out, for what is done with codes beside searching: pairs, components,
// similarities, scores.
#include "common/bindings.h"
#include "hamming/operations_bindings.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <type_traits>

#include "hamming/levels.h"
#include "hamming/pairs.h"
#include "hamming/scores.h"
#include "hamming/similarity.h"

namespace py = pybind11;

namespace {

// A NumPy array that takes over a vector's memory.
template <class T>
py::array_t<T> to_array(std::vector<T> &&values) {
  auto *kept = new std::vector<T>(std::move(values));
  py::capsule owner(kept, [](void *memory) { delete static_cast<std::vector<T> *>(memory); });
  return py::array_t<T>(kept->size(), kept->data(), owner);
}

// `probed`: by udsph::probe_pairs.
py::tuple join_pairs(const Array<uint64_t> &rows, size_t first_right, size_t begin, size_t end, const Array<uint64_t> &masks,
                     size_t radius, bool probed, size_t capacity, size_t threads) {
  udsph::kernels();
  if (rows.ndim() != 2 || masks.ndim() != 2 || rows.shape(1) != masks.shape(1)) throw py::value_error("rows and masks must be (n, words)");
  const size_t n = rows.shape(0), words = rows.shape(1), chunks = masks.shape(0);
  if (n > UINT32_MAX || begin > end || end > n || first_right > n || (first_right != 0 && end > first_right) || capacity == 0 ||
      threads == 0 || chunks == 0 || (!probed && (radius >= chunks || chunks > 32)))
    throw py::value_error("arguments of join_pairs are out of range");
  for (size_t c = 0; probed && c < chunks; c++) {
    int bits = 0;
    for (size_t w = 0; w < words; w++) bits += __builtin_popcountll(masks.data()[c * words + w]);
    if (bits < 1 || bits > int{udsph::PROBED_BITS}) throw py::value_error("chunks that are probed must have from 1 to 24 bits");
  }
  udsph::Pairs pairs;
  const udsph::PairJob job{rows.data(), n, words, first_right, begin, end, masks.data(), chunks, radius, capacity, threads, check_signals};
  {
    py::gil_scoped_release released;
    pairs = probed ? udsph::probe_pairs(job) : udsph::join_pairs(job);
  }
  return py::make_tuple(to_array(std::move(pairs.left)), to_array(std::move(pairs.right)), to_array(std::move(pairs.distances)), pairs.end);
}

void link_pairs(udsph::Components &components, const Array<int64_t> &left, const Array<int64_t> &right) {
  if (left.size() != right.size()) throw py::value_error("left and right must be of one length");
  py::gil_scoped_release released;
  components.link(left.data(), right.data(), static_cast<size_t>(left.size()));
}

py::array_t<int64_t> labels(udsph::Components &components) {
  py::array_t<int64_t> labels(components.size());
  components.labels(labels.mutable_data());
  return labels;
}

// The arguments of both searches by similarity, checked.
struct SimilarityArguments {
  const Array<uint32_t> &sizes;
  const Array<int64_t> &positions;
  const Array<uint8_t> &queries;
  const std::optional<Array<uint64_t>> &allowed;
  double alpha, beta, threshold;
  size_t threads;

  udsph::SimilarityJob job(const udsph::Segment &segment) const {
    udsph::kernels();
    const size_t n = segment.size();
    if (static_cast<size_t>(sizes.size()) != n || static_cast<size_t>(positions.size()) != n)
      throw py::value_error("sizes and positions must be of the length of the segment");
    if (queries.ndim() != 2 || static_cast<size_t>(queries.shape(1)) != (segment.bits() + 7) / 8)
      throw py::value_error("queries must be packed rows of " + std::to_string(segment.bits()) + " bits");
    if (allowed && static_cast<size_t>(allowed->size()) != segment.block_count() * udsph::BLOCK_WORDS)
      throw py::value_error("allowed must have a bit for every code, in whole blocks");
    if (threads == 0) throw py::value_error("threads must be at least 1");
    return {segment, sizes.data(), positions.data(), allowed ? allowed->data() : nullptr, queries.data(), static_cast<size_t>(queries.shape(0)),
            alpha,   beta,         threshold,        threads, check_signals};
  }
};

py::tuple most_similar(const udsph::Segment &segment, const Array<uint32_t> &sizes, const Array<int64_t> &positions,
                       const Array<uint8_t> &queries, size_t k, double threshold, double alpha, double beta,
                       const std::optional<Array<uint64_t>> &allowed, size_t threads) {
  const udsph::SimilarityJob job = SimilarityArguments{sizes, positions, queries, allowed, alpha, beta, threshold, threads}.job(segment);
  py::array_t<float> similarities({job.n_queries, k});
  py::array_t<int64_t> found({job.n_queries, k});
  float *s = similarities.mutable_data();
  int64_t *p = found.mutable_data();
  {
    py::gil_scoped_release released;
    udsph::most_similar(job, k, s, p);
  }
  return py::make_tuple(similarities, found);
}

py::tuple all_similar(const udsph::Segment &segment, const Array<uint32_t> &sizes, const Array<int64_t> &positions,
                      const Array<uint8_t> &queries, double threshold, double alpha, double beta,
                      const std::optional<Array<uint64_t>> &allowed, size_t threads) {
  const udsph::SimilarityJob job = SimilarityArguments{sizes, positions, queries, allowed, alpha, beta, threshold, threads}.job(segment);
  udsph::SimilarityResult result;
  {
    py::gil_scoped_release released;
    result = udsph::all_similar(job);
  }
  return py::make_tuple(to_array(std::move(result.offsets)), to_array(std::move(result.similarities)),
                        to_array(std::move(result.positions)));
}

// Scores of rows (n, numbers or packed bytes) of one of the kinds; halves come as their bits, uint16.
template <class Number>
py::array_t<float> score_rows(const Array<double> &queries, const Array<Number> &rows, const Array<int64_t> &positions, bool bits,
                              size_t threads) {
  udsph::kernels();
  constexpr udsph::RowKind kind = std::is_same_v<Number, int8_t>     ? udsph::RowKind::INT8
                                  : std::is_same_v<Number, uint8_t>  ? udsph::RowKind::UINT8
                                  : std::is_same_v<Number, uint16_t> ? udsph::RowKind::HALF
                                                                     : udsph::RowKind::FLOAT;
  if (queries.ndim() != 2 || rows.ndim() != 2 || positions.ndim() != 2 || queries.shape(0) != positions.shape(0) ||
      queries.shape(1) % 64 != 0 || (bits ? 8 : 1) * rows.shape(1) > queries.shape(1) || threads == 0)
    throw py::value_error("arguments of score_rows do not fit together");
  const size_t n = rows.shape(0), n_queries = positions.shape(0), candidates = positions.shape(1);
  for (py::ssize_t i = 0; i < positions.size(); i++)
    if (positions.data()[i] >= static_cast<int64_t>(n)) throw py::index_error("a position is beyond the rows");
  py::array_t<float> scores({n_queries, candidates});
  float *to = scores.mutable_data();
  const size_t width = rows.shape(1);
  const udsph::ScoreJob job{queries.data(), n_queries,        static_cast<size_t>(queries.shape(1)) / 64, rows.data(), width, width,
                            positions.data(), candidates, threads, check_signals};
  {
    py::gil_scoped_release released;
    udsph::score_rows(job, bits ? udsph::RowKind::BITS : kind, to);
  }
  return scores;
}

template <class Number>
void define_score_rows(py::module_ &module) {
  module.def("score_rows", &score_rows<Number>, py::arg("queries"), py::arg("rows").noconvert(), py::arg("positions"), py::arg("bits"),
             py::arg("threads"));
}

}  // namespace

void bind_operations(py::module_ &module) {
  module.def("join_pairs", &join_pairs);
  module.def("most_similar", &most_similar);
  module.def("all_similar", &all_similar);
  define_score_rows<int8_t>(module);
  define_score_rows<uint8_t>(module);
  define_score_rows<uint16_t>(module);
  define_score_rows<float>(module);
  py::class_<udsph::Components>(module, "Components")
      .def(py::init<size_t>())
      .def("link", &link_pairs)
      .def("labels", &labels);
}
