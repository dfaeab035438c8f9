"""The estimator of scikit-learn against scikit-learn's own neighbours, and inside its pipelines."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.6")
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.sklearn import HammingNeighbors

BITS = 24
# What checks of scikit-learn the estimator does not pass, and why: none.
EXPECTED_FAILURES: dict[str, str] = {}


def items(n: int = 150, seed: int = 0) -> Any:
    """Values around three centres, so that there are ties and equal codes."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).integers(0, 2, (3, BITS))
    labels = rng.integers(0, 3, n)
    return (centres[labels] ^ (rng.random((n, BITS)) < 0.08)).astype(np.uint8), labels


@pytest.mark.parametrize("estimator", [HammingNeighbors(), HammingNeighbors(mode="connectivity")], ids=str)
def test_the_checks_of_scikit_learn_pass(estimator: HammingNeighbors) -> None:
    outcomes = check_estimator(estimator, expected_failed_checks=EXPECTED_FAILURES, on_fail=None, on_skip=None)
    wrong = {one["check_name"]: one["exception"] for one in outcomes if one["status"] not in ("passed", "xfail")}
    assert set(wrong) <= {"check_array_api_input"}, wrong  # skipped unless SCIPY_ARRAY_API is set
    assert {one["check_name"] for one in outcomes if one["status"] == "xfail"} == set(EXPECTED_FAILURES)


@pytest.mark.parametrize("own", [False, True])
def test_neighbours_are_those_of_scikit_learn(own: bool) -> None:
    X, _ = items()
    queries = None if own else items(20, seed=1)[0]
    ours = HammingNeighbors(7, radius=4).fit(X)
    theirs = NearestNeighbors(n_neighbors=7, radius=4.5 / BITS, metric="hamming", algorithm="brute").fit(X)
    near, rows = ours.kneighbors(queries)
    np.testing.assert_allclose(near, theirs.kneighbors(queries)[0] * BITS)
    asked = X if own else queries
    np.testing.assert_array_equal(near, (asked[:, None] != X[rows]).sum(axis=2))
    assert not own or (rows != np.arange(len(X))[:, None]).all()
    assert all(len(set(row)) == 7 for row in rows.tolist())
    np.testing.assert_array_equal(ours.kneighbors(queries, return_distance=False), rows)
    found = ours.radius_neighbors(queries)
    expected = theirs.radius_neighbors(queries, sort_results=True)
    for distances, indices, right_distances, right_indices in zip(*found, *expected, strict=True):
        np.testing.assert_allclose(distances, right_distances * BITS)
        assert sorted(indices) == sorted(right_indices)
        assert (np.diff(distances) >= 0).all()
    for mode in ("connectivity", "distance"):
        graph, right = (
            ours.radius_neighbors_graph(queries, mode=mode),
            theirs.radius_neighbors_graph(queries, mode=mode),
        )
        assert graph.shape == right.shape and graph.nnz == right.nnz
        np.testing.assert_allclose(graph.toarray(), right.toarray() * (BITS if mode == "distance" else 1))
        graph = ours.kneighbors_graph(queries, mode=mode)
        assert graph.nnz == 7 * len(rows), "zeros are stored"
        np.testing.assert_array_equal(graph.indices.reshape(rows.shape), rows)


def test_more_equal_rows_than_neighbours_leave_out_the_row_itself() -> None:
    rows = HammingNeighbors(2).fit(np.ones((6, 8))).kneighbors(return_distance=False)
    assert [sorted(row) for row in rows.tolist()] == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize("form", ["bool", "int64", "-1 and 1", "floats", "packed uint8", "packed int8", "packed words"])
def test_every_form_of_input_gives_the_same(form: str) -> None:
    X, _ = items(60)
    X = np.hstack([X, X, X[:, :16]])  # 64 bits
    packed = hamming.pack(X)
    forms = {
        "bool": X.astype(bool),
        "int64": X.astype(np.int64),
        "-1 and 1": X.astype(np.int8) * 2 - 1,
        "floats": (X - 0.5) * np.random.default_rng(0).random(X.shape),
        "packed uint8": packed,
        "packed int8": (packed ^ 128).view(np.int8),
        "packed words": packed.view("<u8").astype(np.uint64),
    }
    given = forms[form]
    estimator = HammingNeighbors(5, input="packed" if form.startswith("packed") else "values").fit(given)
    expected = hamming.search(packed, packed, 5)
    near, rows = estimator.kneighbors(given)
    np.testing.assert_array_equal(rows, expected.ids)
    np.testing.assert_array_equal(near, expected.distances)


def test_a_graph_serves_classifiers_and_clusterings() -> None:
    X, labels = items()
    queries, _ = items(40, seed=1)
    ours = make_pipeline(HammingNeighbors(5), KNeighborsClassifier(5, metric="precomputed")).fit(X, labels)
    theirs = KNeighborsTransformer(n_neighbors=5, metric="hamming", algorithm="brute")
    graph = make_pipeline(theirs, KNeighborsClassifier(5, metric="precomputed")).fit(X, labels)
    assert (
        ours.predict(queries) == graph.predict(queries)
    ).mean() > 0.9  # they part ties at the fifth neighbour otherwise
    within = HammingNeighbors(radius=3).fit(X).radius_neighbors_graph(X, mode="distance")
    clusters = DBSCAN(eps=3, min_samples=5, metric="precomputed").fit_predict(within)
    np.testing.assert_array_equal(clusters, DBSCAN(eps=3.5 / BITS, min_samples=5, metric="hamming").fit_predict(X))


def test_a_grid_search_in_two_processes() -> None:
    X, labels = items()
    model = make_pipeline(HammingNeighbors(), KNeighborsClassifier(metric="precomputed"))
    grid = {"hammingneighbors__n_neighbors": [3, 9], "kneighborsclassifier__n_neighbors": [3]}
    search = GridSearchCV(model, grid, n_jobs=2, cv=2, error_score="raise").fit(X, labels)
    assert search.best_score_ > 0.9
    assert list(search.best_estimator_.named_steps["hammingneighbors"].get_feature_names_out()[:2]) == [
        "hammingneighbors0",
        "hammingneighbors1",
    ]


def test_what_is_wrong_is_said() -> None:
    X, _ = items(10)
    fitted = HammingNeighbors().fit(X)
    with pytest.raises(InputError, match="n_neighbors must be at most 9, the neighbours that there are, got 10"):
        fitted.kneighbors(n_neighbors=10)
    with pytest.raises(InputError, match="mode must be 'distance' or 'connectivity', got 'both'"):
        clone(fitted).set_params(mode="both").fit(X)
    with pytest.raises(InputError, match="input must be 'values' or 'packed', got 'bits'"):
        clone(fitted).set_params(input="bits").fit(X)
    with pytest.raises(TypeError, match=r"X with input='packed' must have a dtype of uint8.*, got float64"):
        HammingNeighbors(input="packed").fit(X.astype(float))
    with pytest.raises(ValueError, match="n_neighbors must be"):
        HammingNeighbors(0).fit(X)


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None\nimport udsph.hamming.sklearn"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "udsph.hamming.sklearn needs the extra 'sklearn'" in done.stderr.splitlines()[-1]
