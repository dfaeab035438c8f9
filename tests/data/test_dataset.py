"""The contract of a dataset: what is checked, what it tells, and the validation split."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from udsph.data import Dataset, Modality, split_validation
from udsph.errors import InputError

SPLITS = {"train": np.arange(2, 6), "database": np.arange(2, 6), "query": np.arange(2)}


def dataset(n=6, **changes):
    fields = {
        "name": "tiny",
        "image": Modality("pixels", np.zeros((n, 4, 4, 3), np.uint8)),
        "text": Modality("tokens", np.ones((n, 5), np.int32), np.full(n, 5, np.int32), ("<pad>", "word")),
        "labels": np.ones((n, 2), np.uint8),
        "classes": ("cat", "dog"),
        "splits": SPLITS,
    }
    return Dataset(**{**fields, **changes})


def test_a_good_dataset_tells_what_it_is():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiny = dataset()
    assert len(tiny) == 6
    assert tiny.describe().splitlines() == [
        "tiny: 6 pairs (train 4, database 4, query 2)",
        "image: pixels 4 x 4 x 3",
        "text: tokens 5, vocabulary of 2",
        "2 classes, 2.00 per item: cat, dog",
    ]


def test_classes_without_items_are_warned_about_by_name():
    labels = np.ones((6, 2), np.uint8)
    labels[:, 1] = 0
    with pytest.warns(UserWarning, match="tiny: no item has the class dog"):
        dataset(labels=labels)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.ones((5, 2), np.uint8)}, "6 image rows but 5 label rows"),
        ({"text": Modality("vectors", np.zeros((7, 2)))}, "7 text rows but 6 label rows"),
        ({"classes": ("cat",)}, "the labels are 6 x 2 but there are 1 classes"),
        ({"splits": {"train": SPLITS["train"], "query": SPLITS["query"]}}, "split 'database' is missing"),
        ({"splits": {**SPLITS, "query": np.arange(0)}}, "split 'query' is empty"),
        ({"splits": {**SPLITS, "query": np.array([-2])}}, "'query' names item -2 of 6"),
        ({"splits": {**SPLITS, "train": np.array([3, 6])}}, "'train' names item 6 of 6"),
        ({"splits": {**SPLITS, "train": np.array([3, 3])}}, "'train' names an item more than once"),
        ({"splits": {**SPLITS, "train": np.array([3, 1])}}, "1 items, the first 1, are both in query and train"),
        ({"splits": {**SPLITS, "database": np.arange(6)}}, "2 items, the first 0, are both in query and database"),
    ],
)
def test_contradictions_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        dataset(**changes)


def test_take_keeps_values_and_lengths_together():
    values = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    taken = Modality("regions", values, np.array([1, 2, 3, 1], np.int32)).take(np.array([2, 0]))
    np.testing.assert_array_equal(taken.values, values[[2, 0]])
    np.testing.assert_array_equal(taken.lengths, [3, 1])
    assert taken.shape == (3, 2)
    sparse = Modality("vectors", scipy.sparse.csr_array(np.eye(4, dtype=np.float32)), vocabulary=tuple("abcd"))
    np.testing.assert_array_equal(sparse.take(np.array([3])).values.toarray(), [[0, 0, 0, 1]])
    assert sparse.describe() == "vectors 4, vocabulary of 4"


@given(n=st.integers(2, 500), fraction=st.floats(0.001, 0.999), seed=st.integers(0, 2**32 - 1))
def test_validation_split_parts_the_training_set(n, fraction, seed):
    train = np.arange(n) * 3 + 1
    fitted, held = split_validation(train, fraction, seed)
    assert len(fitted) >= 1
    assert len(held) == min(max(1, round(fraction * n)), n - 1)
    np.testing.assert_array_equal(np.sort(np.concatenate([fitted, held])), train)
    assert (np.diff(fitted) > 0).all()
    assert (np.diff(held) > 0).all()
    np.testing.assert_array_equal(split_validation(train, fraction, seed)[1], held)


def test_validation_split_depends_on_the_seed_and_checks_its_input():
    train = np.arange(100)
    assert split_validation(train, 0.1, 0)[1].tolist() != split_validation(train, 0.1, 1)[1].tolist()
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(InputError, match="must lie between 0 and 1"):
            split_validation(train, fraction, 0)
    with pytest.raises(InputError, match="1 items cannot be parted"):
        split_validation(np.arange(1), 0.5, 0)


def test_pixels_of_other_integers_are_converted_or_refused():
    values = np.arange(48).reshape(1, 4, 4, 3)
    found = Modality("pixels", values.astype(np.int64)).values
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)
    with pytest.raises(InputError, match="pixels has values from 0 to 12032; pixels are 0 to 255; of 16 bits"):
        Modality("pixels", (values * 256).astype(np.uint16))
    with pytest.raises(InputError, match="pixels has float32 values; pixels are whole numbers"):
        Modality("pixels", values.astype(np.float32))


def test_a_dataset_and_a_modality_show_themselves_in_a_line():
    found = dataset()
    assert repr(found) == (
        f"<Dataset tiny: 6 pairs (train 4, database 4, query 2), {len(found.classes)} classes; "
        f"image: {found.image.describe()}; text: {found.text.describe()}>"
    )
    assert repr(found.image) == "<Modality pixels 4 x 4 x 3, 6 items>"


def test_pairs_without_labels_are_a_dataset_that_says_so():
    found = dataset(labels=None, classes=())
    assert found.labels.shape == (6, 0) and not found.labelled and dataset().labelled
    assert "no labels" in found.describe() and "no labels" in repr(found)
    with pytest.raises(InputError, match="the labels are 6 x 0 but there are 1 classes"):
        dataset(labels=None, classes=("cat",))
