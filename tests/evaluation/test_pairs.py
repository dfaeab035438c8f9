"""Retrieval of partners: against every order of tied items in rationals, against a plain loop, by every backend."""

import itertools
import statistics
from fractions import Fraction

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import evaluate, evaluate_pair_scores, evaluate_pairs, evaluate_scores, reference
from udsph.hamming import backend, distances


def truth(distance, partner, cutoffs):
    """Expected rank and recalls of one query, over every order of the items that agrees with the distances."""
    orders = [
        order
        for order in itertools.permutations(range(len(distance)))
        if all(distance[a] <= distance[b] for a, b in itertools.pairwise(order))
    ]
    ranks = [next(rank for rank, item in enumerate(order, 1) if partner[item]) for order in orders]
    share = [Fraction(sum(rank <= k for rank in ranks), len(ranks)) for k in cutoffs]
    return Fraction(sum(ranks), len(ranks)), share


def small_codes(rng, n):
    return rng.integers(0, 4, (n, 1)).astype(np.uint8)  # of two bits, so that most distances are tied


@pytest.mark.parametrize("several", [False, True])
def test_every_order_of_tied_items(several):
    rng, cutoffs = np.random.default_rng(0), (1, 2, 3, 5, 9)
    for _ in range(40):
        n = int(rng.integers(2, 7))
        queries, items = small_codes(rng, 3), small_codes(rng, n)
        of_items = rng.integers(0, 2, n) if several else rng.permutation(n)
        of_queries = rng.choice(of_items, 3)
        expected = [
            truth(row, of_items == pair, cutoffs)
            for row, pair in zip(distances(queries, items).tolist(), of_queries, strict=True)
        ]
        found = evaluate_pairs(queries, items, of_queries, of_items, cutoffs=cutoffs)
        by_score = evaluate_pair_scores(-distances(queries, items), of_queries, of_items, cutoffs=cutoffs)
        for each in (found, by_score):
            assert each.ranks == pytest.approx([float(rank) for rank, _ in expected], rel=1e-14)
            assert each.median_rank == pytest.approx(float(statistics.median(rank for rank, _ in expected)), rel=1e-14)
            for k, *shares in zip(cutoffs, *(share for _, share in expected), strict=True):
                assert each.recall[k] == pytest.approx(float(sum(shares) / 3), rel=1e-13, abs=1e-15)
            assert (each.n_queries, each.n_items) == (3, n)


@pytest.mark.parametrize("name", ["native", "numpy"])
@pytest.mark.parametrize("width", [1, 8, 16])
def test_every_backend_says_what_the_reference_says(name, width, monkeypatch):
    if name not in backend.available():
        pytest.skip(f"the backend {name} is not built")
    monkeypatch.setattr(backend, "name", lambda: name)
    rng = np.random.default_rng(width)
    codes = [rng.integers(0, 256, (700, width), dtype=np.uint8) for _ in range(2)]
    found = evaluate_pairs(*codes)
    matrix = distances(*codes)
    places = np.array([reference.first_partner(row, np.arange(700) == k) for k, row in enumerate(matrix)])
    np.testing.assert_array_equal(found.ranks, places[:, 0] + (places[:, 1] + 1) / 2)
    assert (places[:, 2] == 1).all()
    for k, value in found.recall.items():
        assert value == pytest.approx(np.mean(np.clip((k - places[:, 0]) / places[:, 1], 0, 1)), rel=1e-13)


def test_it_is_the_success_of_an_evaluation_by_pairs():
    """The metric of tied groups, which has a closed form of its own, as the second opinion."""
    rng = np.random.default_rng(5)
    queries, items = rng.integers(0, 8, (50, 1), dtype=np.uint8), rng.integers(0, 8, (120, 1), dtype=np.uint8)
    pairs = np.repeat(np.arange(40), 3)
    of_queries = rng.integers(0, 40, 50)
    found = evaluate_pairs(queries, items, of_queries, pairs, cutoffs=(1, 3, 10, 200))
    codes = evaluate(queries, items, of_queries, pairs, metrics=["success"], cutoffs=(1, 3, 10, 200))
    scores = -distances(queries, items).astype(np.float32)
    ranked = evaluate_scores(scores, of_queries[:, None] == pairs, metrics=["success"], cutoffs=(1, 3, 10, 200))
    by_score = evaluate_pair_scores(scores, of_queries, pairs, cutoffs=(1, 3, 10, 200))
    for k in (1, 3, 10, 200):
        assert found.recall[k] == pytest.approx(codes[f"success@{k}"], rel=1e-12)
        assert by_score.recall[k] == pytest.approx(ranked[f"success@{k}"], rel=1e-12)


def test_equal_codes_find_partners_by_chance_alone():
    blank = np.zeros((101, 2), np.uint8)
    found = evaluate_pairs(blank, blank)
    assert found.to_dict() == pytest.approx(
        {"pair_recall@1": 1 / 101, "pair_recall@5": 5 / 101, "pair_recall@10": 10 / 101, "pair_median_rank": 51.0}
    )


def test_own_codes_find_themselves_whatever_the_order():
    codes = np.arange(200, dtype=np.uint8)[:, None]
    order = np.random.default_rng(0).permutation(200)
    found = evaluate_pairs(codes, codes[order], np.arange(200), order)
    assert found.recall == {1: 1.0, 5: 1.0, 10: 1.0} and found.median_rank == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"database": 4}, "3 queries but 4 items: give query_pairs= and database_pairs="),
        ({"query_pairs": [0, 1, 2]}, "give query_pairs and database_pairs, or neither"),
        ({"query_pairs": [0, 1, 5], "database_pairs": [0, 1, 2]}, "query 2, of pair 5, has no partner"),
        ({"query_pairs": [0, 1], "database_pairs": [0, 1, 2]}, r"query_pairs must be 3 integers, got int64 \(2,\)"),
        ({"query_pairs": [0, 1, 2.0], "database_pairs": [0, 1, 2]}, "query_pairs must be 3 integers, got float64"),
        ({"cutoffs": [0]}, "each of cutoffs"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(arguments, message):
    codes = np.zeros((4, 1), np.uint8)
    given = {key: value for key, value in arguments.items() if key != "database"}
    with pytest.raises((InputError, ValueError), match=message):
        evaluate_pairs(codes[:3], codes[: arguments.get("database", 3)], **given)


def test_scores_that_are_none_are_refused():
    with pytest.raises(InputError, match=r"scores must be real numbers \(queries, items\), got float64 \(3,\)"):
        evaluate_pair_scores(np.zeros(3))
    with pytest.raises(InputError, match="without NaN"):
        evaluate_pair_scores(np.full((3, 3), np.nan))
