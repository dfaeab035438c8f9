"""Few labels and none: who learns from what, who refuses, and what is said of it."""

import dataclasses
import logging

import numpy as np
import pytest

from udsph.baselines import comparison as room
from udsph.baselines import create, methods, names
from udsph.baselines.comparison import Comparison, ComparisonFolder, Job, run_job
from udsph.baselines.deep.udsph import SSAH, FullUDSPH
from udsph.baselines.planning import remarks, usable
from udsph.baselines.registry import without_labels
from udsph.baselines.scoring import Views
from udsph.errors import InputError

from .test_comparison import small_set
from .views import planted

NEEDING = [name for name in names() if name not in without_labels()]


@pytest.fixture(autouse=True)
def quick_teacher(monkeypatch):
    for method in (FullUDSPH, SSAH):
        monkeypatch.setattr(method, "settings", {**method.settings, "label_steps": 5, "refit": "false"})


def quick(name, **more):
    settings = {"epochs": 2, "device": "cpu"} if methods()[name].kind == "deep" else {}
    settings |= {"centres": 20, "iterations": 20} if name == "seph" else {}
    return create(name, 8, 0, **settings, **more)


def hidden(dataset, count):
    """The dataset with the labels of so many training pairs for training."""
    supervised = np.zeros(len(dataset), bool)
    supervised[dataset.splits["train"][:count]] = True
    return dataclasses.replace(dataset, supervised=supervised)


@pytest.mark.parametrize("name", NEEDING)
@pytest.mark.parametrize("form", ["rows", "numbers"])
def test_supervised_methods_learn_from_the_labelled_pairs_alone(name, form):
    images, texts, labels = planted(n=90)
    known = np.arange(0, 90, 2)
    marks = labels.argmax(1) if form == "numbers" else labels.astype(np.int8)
    partly = np.full_like(marks, -1)
    partly[known] = marks[known]
    few = quick(name).fit(images[known], texts[known], marks[known])
    all_pairs = quick(name).fit(images, texts, partly)
    np.testing.assert_array_equal(all_pairs.encode_image(images), few.encode_image(images))
    np.testing.assert_array_equal(all_pairs.encode_text(texts), few.encode_text(texts))


@pytest.mark.parametrize("name", NEEDING)
@pytest.mark.parametrize("labels", [None, np.zeros((60, 0)), np.full((60, 3), -1), np.full(60, -1)])
def test_what_needs_labels_names_the_methods_that_need_none(name, labels):
    images, texts, _ = planted(n=60)
    with pytest.raises(
        InputError, match=rf"^{name} is supervised: give labels to fit; without labels: random, cca-itq"
    ):
        quick(name).fit(images, texts, labels)


@pytest.mark.parametrize("form", ["rows", "numbers", "none"])
def test_udsph_learns_from_pairs_without_labels_too(form):
    images, texts, labels = planted(n=90)
    partly = labels.argmax(1) if form == "numbers" else labels.astype(np.int8)
    partly[20:] = -1
    method = quick("udsph").fit(images, texts, None if form == "none" else partly)
    changed = texts.copy()
    changed[20:] = np.roll(texts[20:], 1, axis=0)  # other pairs, among those without labels
    other = quick("udsph").fit(images, changed, None if form == "none" else partly)
    assert (method.encode_image(images) != other.encode_image(images)).any()
    assert len(method.model_.classes) == (0 if form == "none" else 4)


def test_few_labelled_pairs_are_counted_as_such():
    images, texts, labels = planted(n=60)
    labels[3:] = -1
    with pytest.raises(InputError, match="3 pairs with labels are too few for a deep method"):
        quick("cmnnh").fit(images, texts, labels)
    labels[1:] = -1
    with pytest.raises(InputError, match="one pair with labels is not enough"):
        quick("scm-seq").fit(images, texts, labels)


def test_a_row_of_minus_one_beside_other_numbers_is_no_label():
    images, texts, labels = planted(n=60)
    labels[5, 0] = -1
    with pytest.raises(InputError, match="a multi-hot matrix holds only 0 and 1"):
        quick("scm-seq").fit(images, texts, labels)


def test_the_labelled_pairs_get_as_many_steps_as_all_would(caplog):
    images, texts, labels = planted(n=640)
    labels[64:] = -1
    with caplog.at_level(logging.INFO, "udsph.baselines"):
        method = quick("cmnnh", batch_size=32).fit(images, texts, labels)
    assert len(method.history_) == method.epochs_ == 20  # 2 epochs of 20 batches
    assert [record.getMessage() for record in caplog.records] == [
        "CMNNH learns from the 64 of 640 pairs that have labels",
        "CMNNH: 64 pairs, 20 epochs of 2 steps (as many steps as 640 pairs would take)",
    ]


def test_a_deep_method_says_how_long_it_trains_and_why(caplog, monkeypatch):
    monkeypatch.setattr("udsph.training.plan.LEAST_STEPS", 50)
    images, texts, labels = planted(n=20)
    with caplog.at_level(logging.INFO, "udsph.baselines"):
        create("cmnnh", 8, 0, device="cpu").fit(images, texts, labels)
        quick("cmnnh").fit(images, texts, labels)
    assert [record.getMessage() for record in caplog.records] == [
        "CMNNH: 20 pairs, 50 epochs of 1 step (as many as give 50 steps; epochs=N for another number)",
        "CMNNH: 20 pairs, 2 epochs of 1 step",
    ]


@pytest.mark.parametrize("name", ["scm-seq", "cmnnh", "udsph"])
def test_a_comparison_shows_training_the_labels_that_it_may_use(name):
    """What the others are called does not matter, since nobody learns from them; evaluation knows all."""
    dataset = hidden(small_set(), 40)
    train = dataset.splits["train"]
    labels = dataset.labels.copy()
    labels[train[40:]] = np.roll(labels[train[40:]], 1, axis=1)
    other = dataclasses.replace(dataset, labels=labels)
    first, second = (Views(one, fixed_features=methods()[name].kind != "deep") for one in (dataset, other))
    assert (first.given[40:] == -1).all() and (first.labels["train"] >= 0).all()
    second.labels = first.labels
    rows = [run_job(Job(name, 8, 0), views, epochs=2) for views in (first, second)]
    assert rows[0]["text_to_image"] == rows[1]["text_to_image"]


def test_of_data_without_labels_every_method_is_those_that_need_none():
    bare = hidden(small_set(), 0)
    assert usable(names(), bare) == without_labels()
    assert usable(("cca-itq", "ugach"), bare) == ("cca-itq", "ugach")
    with pytest.raises(InputError, match=r"^dcmh needs labels, and the training pairs of planted have none; without"):
        usable(("cca-itq", "dcmh"), bare)
    with pytest.raises(InputError, match=r"^scm-seq, dcmh need labels"):
        usable(("scm-seq", "dcmh"), bare)
    (line,) = remarks(("cca-itq", *NEEDING, *without_labels()), bare, epochs=9, chosen=False)[:1]
    assert line == f"left out, since they need labels and the training pairs have none: {', '.join(NEEDING)}"


def test_the_folder_of_a_comparison_refuses_before_any_job(monkeypatch, tmp_path):
    bare = hidden(small_set(), 0)
    monkeypatch.setattr(room, "load", lambda name, root=None, **settings: bare)
    with pytest.raises(InputError, match="dcmh needs labels"):
        ComparisonFolder(Comparison("planted", None, {}, ("dcmh",), (8,), 1), tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()


def test_what_is_planned_is_said_once():
    few = hidden(small_set(), 30)
    asked = ("cca-itq", "scm-seq", "dcmh", "ugach")
    assert remarks(asked, few, epochs=400, chosen=True) == [
        "deep methods: 90 pairs, 400 epochs (as many as give 400 steps; epochs=N for another number)",
        "of 90 training pairs 30 have labels for training; from these alone in as many steps learn: scm-seq, dcmh",
    ]
    assert remarks(asked, small_set(), epochs=7, chosen=False) == ["deep methods: 90 pairs, 7 epochs"]
    assert remarks(("cca-itq", "scm-seq"), small_set(), epochs=7, chosen=True) == []
