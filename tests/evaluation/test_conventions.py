"""Conventions: the worked example of docs/evaluation.md, and evaluators that state their definition."""

import re
from pathlib import Path

import numpy as np
import pytest

from udsph.evaluation import CONVENTIONS, evaluate, mean_average_precision
from udsph.evaluation.conventions import DENOMINATORS

from .cases import random_case

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"
# Distances 1 1 2 2 3 2 4 from the query 0; relevant: no yes no yes no yes yes.
CODES = np.array([[0b1], [0b10], [0b11], [0b101], [0b111], [0b110], [0b1111]], np.uint8)
EXAMPLE = (np.zeros((1, 1), np.uint8), CODES, np.array([1]), np.array([0, 1, 0, 1, 0, 1, 1]))


def documented(pattern):
    return [float(value) for value in re.findall(pattern, DOCS.read_text(encoding="utf-8"))]


def test_four_conventions_give_the_four_documented_numbers():
    names = ("dcmh", "trec_eval", "kaggle", "dcmh_map_k")
    values = [mean_average_precision(*EXAMPLE, cutoff=3, convention=name) for name in names]
    assert values == pytest.approx([1 / 2, 1 / 8, 1 / 6, (1 / 2 + 2 / 4 + 3 / 5) / 3])
    assert documented(rf"\*\*(0\.\d{{4}})\*\* \| `(?:{'|'.join(DENOMINATORS)})`") == pytest.approx(values, abs=5e-5)
    whole = [mean_average_precision(*EXAMPLE, convention=name) for name in names]
    assert whole == pytest.approx([(1 / 2 + 2 / 4 + 3 / 5 + 4 / 7) / 4] * 4)


@pytest.mark.parametrize("ties", ["expected", "insertion", "optimistic", "pessimistic"])
def test_ties_of_the_example_are_as_documented(ties):
    values = [mean_average_precision(*EXAMPLE, ties=ties, cutoff=k) for k in (None, 3)]
    row = re.search(rf"\| `{ties}`[^|]*\| ([\d.]+) \| ([\d.]+) \|", DOCS.read_text(encoding="utf-8"))
    assert [float(value) for value in row.groups()] == pytest.approx(values, abs=5e-5)


def test_every_convention_is_documented_as_it_is():
    text = DOCS.read_text(encoding="utf-8")
    for name, convention in CONVENTIONS.items():
        options = convention.options
        assert f"| `{name}` | {options.ties} | {options.denominator} | {options.empty} |" in text
        assert convention.reproduces and convention.cannot


def calc_map_k(distances, relevant, k):
    """As in the PyTorch versions of DCMH, with a stable sort."""
    values = []
    for distance, truth in zip(distances, relevant, strict=True):
        ordered = truth[np.argsort(distance, kind="stable")]
        total = min(k, int(ordered.sum()))
        ranks = np.flatnonzero(ordered)[:total] + 1.0
        values.append((np.arange(1, total + 1) / ranks).mean() if total else 0.0)
    return np.mean(values)


def hashnet_map(distances, relevant, k):
    """As in HashNet's test code: queries without a hit among the first k are left out."""
    values = []
    for distance, truth in zip(distances, relevant, strict=True):
        found = truth[np.argsort(distance, kind="stable")][:k]
        if found.any():
            values.append((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())
    return np.mean(values)


@pytest.mark.parametrize(("name", "published"), [("dcmh_map_k", calc_map_k), ("hashnet", hashnet_map)])
def test_published_evaluators(name, published):
    rng = np.random.default_rng(0)
    for _ in range(30):
        case = random_case(rng, 12, 60, classes=4, density=0.15)
        relevant = case.grades > 0
        if not relevant.any():
            continue
        for k in (3, 20, 60):
            value = mean_average_precision(*case, convention=name, cutoff=k)
            truth = published(case.distances, relevant, k)
            assert (np.isnan(value) and np.isnan(truth)) or value == pytest.approx(truth)


def test_what_is_given_wins_over_the_convention():
    options = evaluate(*EXAMPLE, convention="trec_eval", ties="optimistic").options
    assert (options.ties, options.denominator, options.empty) == ("optimistic", "relevant", "zero")


def test_untied_data_agrees_with_trec_eval():
    pytrec_eval = pytest.importorskip("pytrec_eval")
    rng = np.random.default_rng(1)
    # Database codes at the distances 0, 1, 2, ... from the query: thermometer codes, in random order.
    n = 200
    order = rng.permutation(n)
    codes = np.packbits(np.arange(n)[:, None] < order[None, :], axis=0, bitorder="little").T.copy()
    assert (np.unpackbits(codes, axis=1).sum(axis=1) == order).all()
    labels = (rng.random((n, 3)) < 0.2).astype(int)
    queries = np.zeros((3, codes.shape[1]), np.uint8)
    query_labels = np.eye(3, dtype=int)
    result = evaluate(queries, codes, query_labels, labels, cutoffs=(5, 20, 100), convention="trec_eval")
    judged = {f"q{q}": {f"d{i}": int(labels[i, q]) for i in range(n)} for q in range(3)}
    run = {f"q{q}": {f"d{i}": float(-order[i]) for i in range(n)} for q in range(3)}
    measures = {"map", "map_cut", "P", "recall", "ndcg", "ndcg_cut", "recip_rank", "Rprec"}
    truth = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(run)
    names = {"map": "map", "ndcg": "ndcg", "mrr": "recip_rank", "r_precision": "Rprec"}
    for ours, theirs in (("map", "map_cut"), ("precision", "P"), ("recall", "recall"), ("ndcg", "ndcg_cut")):
        names |= {f"{ours}@{k}": f"{theirs}_{k}" for k in (5, 20, 100)}
    for ours, theirs in names.items():
        assert result.per_query[ours] == pytest.approx([truth[f"q{q}"][theirs] for q in range(3)], abs=1e-6), ours
