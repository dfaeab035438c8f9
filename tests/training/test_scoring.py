"""The metrics of a run: by labels that are known, by pairs, and what is said of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.training.conftest import QUICK
from udsph.data import Dataset
from udsph.evaluation import evaluate as evaluate_codes
from udsph.evaluation import evaluate_pairs
from udsph.training import UDSPH, evaluate


def train(dataset: Dataset, **settings) -> UDSPH:
    return UDSPH(**(QUICK | {"epochs": 1} | settings)).fit(dataset, progress=False)


@pytest.fixture(scope="module")
def model(toy: Dataset) -> UDSPH:
    return train(toy)


def test_map_and_ndcg_are_those_of_the_codes(toy, model):
    found = evaluate(model, toy)
    query, database = toy.splits["query"], toy.splits["database"]
    codes = model.encode_image(toy.image.take(query)), model.encode_text(toy.text.take(database))
    expected = evaluate_codes(*codes, toy.labels[query], toy.labels[database], cutoffs=(100,))
    for key in ("map", "ndcg_linear@100"):
        assert found["image_to_text"][key] == expected[key]


def test_pairs_without_labels_are_evaluated_as_pairs(toy, model):
    found = evaluate(model, dataclasses.replace(toy, labels=None, classes=()))
    assert not {"chance", "label_to_label", "n_query", "unlabelled"} & found.keys()
    whole = evaluate(model, toy)
    queries = toy.splits["query"]
    codes = [getattr(model, f"encode_{name}")(getattr(toy, name).take(queries)) for name in ("image", "text")]
    for direction, order in (("image_to_text", 1), ("text_to_image", -1)):
        expected = evaluate_pairs(*codes[::order]).to_dict()
        assert found[direction] == expected
        assert whole[direction] == {**whole[direction], **expected}
    assert found["n_pairs"] == len(queries)


def test_only_items_whose_labels_are_known_count(toy, model):
    """As if the others were not there, in MAP and NDCG; the pairs are all there."""
    unknown = np.concatenate([toy.splits["query"][::3], toy.splits["database"][::4]])
    labels = toy.labels.astype(int)
    labels[unknown] = -1
    found = evaluate(model, dataclasses.replace(toy, labels=labels))
    left = {split: np.setdiff1d(index, unknown) for split, index in toy.splits.items()}
    without = evaluate(model, dataclasses.replace(toy, splits=left))
    assert found["unlabelled"] == {"query": 8, "database": 18}
    assert (found["n_query"], found["n_database"]) == (len(left["query"]), len(left["database"]))
    for direction in ("image_to_text", "text_to_image"):
        for key in ("map", "ndcg_linear@100"):
            assert found[direction][key] == without[direction][key]
        assert found[direction]["pair_median_rank"] == evaluate(model, toy)[direction]["pair_median_rank"]
    assert found["chance"] == without["chance"]
    assert "unlabelled" not in without and without["n_pairs"] == 16


def test_labels_that_training_may_not_use_serve_evaluation(toy):
    model = train(toy, label_net=False)
    hidden = dataclasses.replace(toy, supervised=~np.isin(np.arange(len(toy)), toy.splits["train"]))
    found, whole = evaluate(model, hidden), evaluate(model, toy)
    assert found["image_to_text"] == whole["image_to_text"] and found["chance"] == whole["chance"]
    assert "label_to_label" in whole and "label_to_label" not in found  # there is nothing to learn a ceiling from


def test_collapsed_codes_are_remarked_on_in_the_metrics(toy, model, monkeypatch):
    assert evaluate(model, toy)["remarks"] == []
    monkeypatch.setattr(model, "encode_image", lambda items: np.zeros((len(items), 2), np.uint8))
    (remark,) = evaluate(model, toy)["remarks"]
    assert remark.startswith("72 images have one code of 16 bits")
