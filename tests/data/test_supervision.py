"""Partly labelled data: which labels are known, which training may use, and the setting that hides some."""

import dataclasses
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udsph import data
from udsph.data import Dataset, Layout, Modality, Setting
from udsph.data.supervision import with_labelled
from udsph.errors import InputError

N = 12
SPLITS = {"train": np.arange(4, 12), "database": np.arange(4, 12), "query": np.arange(4)}


def dataset(labels="all", **changes):
    if isinstance(labels, str):
        labels = np.eye(3, dtype=np.int64)[np.arange(N) % 3]
    view = Modality("vectors", np.zeros((N, 2), np.float32))
    return Dataset(**{"name": "tiny", "image": view, "text": view, "labels": labels, "classes": ("a", "b", "c"),
                      "splits": SPLITS, **changes})  # fmt: skip


def with_unknown(rows, dtype=np.int64):
    labels = np.eye(3, dtype=dtype)[np.arange(N) % 3]
    labels[rows] = -1
    return labels


def test_all_labels_are_known_and_may_be_used_by_default():
    found = dataset()
    assert found.known.dtype == found.supervised.dtype == bool
    assert found.known.all() and found.supervised.all()
    assert "labelled:" not in found.describe()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32])
def test_rows_of_minus_one_are_unknown_and_become_zeros(dtype):
    found = dataset(with_unknown([1, 5], dtype))
    assert np.flatnonzero(~found.known).tolist() == np.flatnonzero(~found.supervised).tolist() == [1, 5]
    assert found.labels.dtype == np.uint8 and not found.labels[[1, 5]].any() and found.labels.sum() == N - 2
    assert found.describe().splitlines()[-2:] == [
        "3 classes, 1.00 per item: a, b, c",
        "labelled: 10 of 12 pairs (train 7 of 8, database 7 of 8, query 3 of 4)",
    ]
    assert "3 classes, 10 pairs labelled;" in repr(found)


def test_an_item_of_no_class_is_known():
    labels = np.eye(3, dtype=np.uint8)[np.arange(N) % 3]
    labels[2] = 0
    assert dataset(labels).known.all()


def test_pairs_without_labels_know_none():
    found = dataset(None, classes=())
    assert not found.known.any() and not found.supervised.any() and not found.labelled
    assert not dataclasses.replace(dataset(), labels=None, classes=()).known.any()


def test_a_copy_keeps_the_masks_and_new_unknown_rows_win():
    found = dataset(with_unknown([1]), supervised=np.arange(N) > 6)
    again = dataclasses.replace(found, root="there")
    np.testing.assert_array_equal(again.known, found.known)
    np.testing.assert_array_equal(again.supervised, found.supervised)
    fewer = dataclasses.replace(found, labels=with_unknown([1, 8]))
    assert np.flatnonzero(~fewer.known).tolist() == [1, 8] and not fewer.supervised[8]


def test_other_items_may_replace_those_of_a_wholly_labelled_dataset():
    view = Modality("vectors", np.zeros((9, 2), np.float32))
    few = {split: index[index < 9] for split, index in SPLITS.items()}
    labels = with_unknown([6])[:9]
    found = dataclasses.replace(dataset(), image=view, text=view, labels=labels, splits=few)
    assert np.flatnonzero(~found.known).tolist() == np.flatnonzero(~found.supervised).tolist() == [6]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.where(np.arange(3) == 1, -1, with_unknown([]))}, "label row 0 holds -1 beside other numbers"),
        ({"labels": with_unknown([3]) * 2}, "label row 3 holds -2 beside other numbers; labels are 0 or 1, and -1"),
        ({"known": np.arange(N) != 4}, "item 4 has labels but is not among the known"),
        ({"labels": with_unknown([7]), "supervised": np.arange(N) < 8, "known": np.arange(N) > 4}, "item 0 has labels"),
        ({"known": np.zeros(5, bool)}, "tiny: known is bool, 5; expected bool for each of the 12 pairs"),
        ({"supervised": np.ones(N, int)}, "tiny: supervised is int64, 12; expected bool for each of the 12 pairs"),
    ],
)
def test_contradictory_masks_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        dataset(**changes)


def test_what_is_supervised_is_known():
    labels = with_unknown([]).astype(np.uint8)
    labels[4] = 0
    with pytest.raises(InputError, match="item 4 is supervised but its labels are not known"):
        dataset(labels, known=np.arange(N) != 4, supervised=np.arange(N) > 1)


def test_a_class_that_only_unlabelled_items_could_have_is_warned_about():
    with pytest.warns(UserWarning, match="no item has the class b"):
        dataset(with_unknown(np.arange(1, N, 3)))


# -- labelled=N ---------------------------------------------------------------------------------------------------


@given(labelled=st.integers(0, 7), seed=st.integers(0, 2**32 - 1))
def test_so_many_training_pairs_keep_their_labels_and_no_others_change(labelled, seed):
    whole = dataset(with_unknown([5]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = with_labelled(whole, labelled, seed)
        more = with_labelled(whole, 7, seed)
    assert found.supervised[SPLITS["train"]].sum() == labelled
    np.testing.assert_array_equal(found.known, whole.known)
    np.testing.assert_array_equal(found.labels, whole.labels)
    assert found.supervised[SPLITS["query"]].all() and (found.supervised <= more.supervised).all()


def test_every_layout_takes_labelled():
    for name in data.names():
        assert {"labelled", "labelled_seed"} <= data.settings_of(name).keys()
    whole = data.load("scenes", pairs=60, workers=1)
    with pytest.warns(UserWarning, match="labelled=10: the labels of 44 of 54 training pairs are not used; no"):
        found = data.load("scenes", pairs=60, labelled="10", workers=1)
    assert found.supervised[found.splits["train"]].sum() == 10 and found.known.all()
    assert found.settings["labelled"] == 10 and found.settings["labelled_seed"] == 0
    assert "labelled" not in whole.settings  # a run of an earlier version still has the same
    assert "training uses the labels of 10 of 54 pairs" in found.describe()
    assert found.notes[-1].startswith("labelled=10:")
    json.dumps(dict(found.settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = data.load("scenes", pairs=60, labelled=10, labelled_seed=1, workers=1)
    assert (other.supervised != found.supervised).any()


def test_more_labels_than_there_are_cannot_be_kept():
    with pytest.raises(InputError, match="labelled=8: only 7 training pairs have labels"):
        with_labelled(dataset(with_unknown([5])), 8, 0)
    with pytest.raises(InputError, match="labelled=3: the pairs have no labels"):
        with_labelled(dataset(None, classes=()), 3, 0)
    with pytest.raises(InputError, match="labelled=-1 must be at least 0"):
        data.load("scenes", pairs=20, labelled=-1)
    with pytest.raises(InputError, match="scenes: labelled_seed=3 chooses nothing without labelled=N; give both"):
        data.load("scenes", pairs=20, labelled_seed=3)


def test_a_layout_cannot_have_a_setting_of_that_name():
    with pytest.raises(TypeError, match="the setting 'labelled' is one that every layout has"):
        Layout(lambda root: None, {"labelled": Setting(1, int, "mine")})


def test_what_is_written_can_be_read_again(tmp_path):
    from udsph.features import extract

    found = dataset(with_unknown([1, 5]))
    extract(found, tmp_path / "features")
    again = data.load("features", tmp_path / "features")
    np.testing.assert_array_equal(again.known, found.known)
    np.testing.assert_array_equal(again.labels, found.labels)
    assert again.classes == found.classes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hidden = with_labelled(found, 2, 0)
    with pytest.raises(InputError, match="labelled=N is of a training, not of what is written"):
        extract(hidden, tmp_path / "other")
