"""Closed forms against every order of tied items, in rationals."""

from fractions import Fraction

import numpy as np
import pytest

from udsph.evaluation import metrics
from udsph.evaluation.cells import Cells, Graded
from udsph.evaluation.conventions import DENOMINATORS
from udsph.evaluation.gains import tied_blocks
from udsph.evaluation.ranking import TIE_CODES, QueryGroups, TiedRanking

from .brute_force import average_precision, dcg, hits, ndcg, orders, reciprocal_rank

REDUCE = {"expected": lambda values: sum(values) / len(values), "optimistic": max, "pessimistic": min}
EXACT = {"rel": 1e-13, "abs": 1e-14}


def random_groups(rng, most=7, grades=2):
    """Grades of up to ``most`` items in tied groups."""
    size = int(rng.integers(1, most + 1))
    cuts = np.flatnonzero(rng.random(size - 1) < 0.4) + 1
    share = rng.choice([0.2, 0.5, 0.9])
    values = np.where(rng.random(size) < share, rng.integers(1, grades, size, endpoint=True), 0)
    return [group.tolist() for group in np.split(values, cuts)]


def as_arrays(groups):
    """Items and relevant items of each group, and all items by group and grade."""
    n, r = (
        np.array(values, np.float64) for values in ([len(g) for g in groups], [np.count_nonzero(g) for g in groups])
    )
    place = np.repeat(np.arange(len(groups)), n.astype(int))
    return n, r, Cells.of(place, np.concatenate(groups))


def cases(count, **options):
    rng = np.random.default_rng(7)
    return [random_groups(rng, **options) for _ in range(count)]


@pytest.mark.parametrize("ties", REDUCE)
@pytest.mark.parametrize("denominator", DENOMINATORS)
def test_average_precision(ties, denominator):
    for groups in cases(120, grades=1):
        n, r, _ = as_arrays(groups)
        rankings = list(orders(groups))
        for k in range(1, len(rankings[0]) + 2):
            truth = REDUCE[ties]([average_precision(ranking, k, denominator) for ranking in rankings])
            value = metrics.average_precision(n, r, r.sum(), float(k), TIE_CODES[ties], DENOMINATORS.index(denominator))
            assert value == pytest.approx(float(truth), **EXACT), (groups, k)


@pytest.mark.parametrize("ties", ["expected", "pessimistic", "optimistic"])
def test_average_precision_of_one_large_group_cut_anywhere(ties):
    """More hits to choose from than random small cases have: 5 to 9 relevant among 10."""
    for relevant in range(5, 10):
        groups = [[0, 1], [1] * relevant + [0] * (10 - relevant)]
        n, r, _ = as_arrays(groups)
        rankings = list(orders(groups))
        for k in range(2, 12):
            truth = REDUCE[ties]([average_precision(ranking, k, "retrieved") for ranking in rankings])
            value = metrics.average_precision(n, r, r.sum(), float(k), TIE_CODES[ties], metrics.RETRIEVED)
            assert value == pytest.approx(float(truth), **EXACT), (groups, k)


@pytest.mark.parametrize("ties", REDUCE)
def test_hits_success_and_reciprocal_rank(ties):
    for groups in cases(150, grades=1):
        n, r, _ = as_arrays(groups)
        rankings = list(orders(groups))
        for k in range(1, len(rankings[0]) + 2):
            truth = REDUCE[ties]([hits(ranking, k) for ranking in rankings])
            assert metrics.hits(n, r, float(k), TIE_CODES[ties]) == pytest.approx(float(truth), **EXACT), (groups, k)
            truth = REDUCE[ties]([reciprocal_rank(ranking, k) for ranking in rankings])
            value = metrics.reciprocal_rank(n, r, float(k), TIE_CODES[ties])
            assert value == pytest.approx(float(truth), **EXACT), (groups, k)
            truth = REDUCE[ties]([min(Fraction(1), hits(ranking, k)) for ranking in rankings])
            value = metrics.success(n, r, float(k), TIE_CODES[ties])
            assert value == pytest.approx(float(truth), **EXACT), (groups, k)


@pytest.mark.parametrize("ties", REDUCE)
@pytest.mark.parametrize("gain", ["exponential", "linear"])
def test_dcg_and_ndcg(ties, gain):
    for groups in cases(60, most=6, grades=3):
        if gain == "linear":
            groups = [[grade / 4 for grade in group] for group in groups]
        n, r, cells = as_arrays(groups)
        ranking = TiedRanking.of_groups([QueryGroups(n, r, cells, cells.by_grade())], ties)
        rankings = list(orders(groups))
        for k in range(1, len(rankings[0]) + 2):
            truth = REDUCE[ties]([dcg(order, k, gain) for order in rankings])
            value = tied_blocks(Graded.of([cells]), gain, TIE_CODES[ties]).dcg(np.array([[float(k)]]))[0, 0]
            assert value == pytest.approx(truth, rel=1e-12, abs=1e-13), (groups, k)
            truth = REDUCE[ties]([ndcg(order, k, gain) for order in rankings])
            value = ranking.ndcg(np.array([float(k)]).reshape(1, 1), gain)[0, 0]
            assert value == pytest.approx(truth, rel=1e-12, abs=1e-13), (groups, k)


def test_bounds_enclose_the_expectation_on_large_groups():
    rng = np.random.default_rng(3)
    n = rng.integers(1, 100_000, 40).astype(np.float64)
    r = np.floor(n * rng.random(40))
    for denominator in range(4):
        for k in (1.0, 1000.0, 123_456.0, n.sum()):
            low, mean, high = (
                metrics.average_precision(n, r, r.sum(), k, ties, denominator)
                for ties in (metrics.PESSIMISTIC, metrics.EXPECTED, metrics.OPTIMISTIC)
            )
            assert low < mean < high, (denominator, k)


def test_expectation_on_large_groups_is_the_mean_over_shuffles():
    """Groups too large for enumeration: the mean of 4000 shuffles lies within 5 standard errors."""
    rng = np.random.default_rng(5)
    sizes, relevant = [300, 700, 500], [30, 90, 200]
    n, r = np.array(sizes, np.float64), np.array(relevant, np.float64)
    base = [np.arange(size) < count for size, count in zip(sizes, relevant, strict=True)]
    ranks = np.arange(1, 1501)
    for k in (100, 450, 1200):
        values = {name: [] for name in DENOMINATORS}
        for _ in range(4000):
            order = np.concatenate([rng.permutation(group) for group in base])
            precision = np.cumsum(order) / ranks
            hit = precision[order]
            within = order[:k].sum()
            values["retrieved"].append(hit[:within].mean() if within else 0.0)
            values["relevant"].append(hit[:within].sum() / 320)
            values["min"].append(hit[:within].sum() / min(k, 320))
            values["first"].append(hit[:k].mean())
        for code, name in enumerate(DENOMINATORS):
            sample = np.array(values[name])
            value = metrics.average_precision(n, r, r.sum(), float(k), metrics.EXPECTED, code)
            assert abs(value - sample.mean()) < 5 * sample.std() / np.sqrt(len(sample)), (name, k)
