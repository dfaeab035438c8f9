"""Splits of published protocols: sizes, seeds, stored fingerprints, and lists of files."""

import importlib

import numpy as np
import pytest

from udsph.data.problems import Problems
from udsph.data.protocols import Protocol, draw, fingerprint, listed_splits, seeded_split
from udsph.errors import InputError

SMALL = Protocol(20, 4, 8, "nobody", 0x0)


def all_protocols():
    for layout in ("mirflickr", "nuswide", "coco"):
        module = importlib.import_module(f"udsph.data.layouts.{layout}")
        for name, protocol in module.PROTOCOLS.items():
            yield pytest.param(protocol, name, id=f"{layout}-{name}")


# What the publications print: pairs, queries, training pairs, database.
PUBLISHED = {
    "mith": {(122_218, 5000, 10_000, 117_218)},
    "dcmh": {(20_015, 2000, 10_000, 18_015)},
    "djsrh": {(20_015, 2000, 5000, 18_015)},
    "dchmt": {(24_581, 5000, 10_000, 19_581)},
    "tc21": {(195_834, 2100, 10_500, 193_734)},
    "tc21-dadh": {(195_834, 2100, 10_000, 193_734)},
    "tc21-mith": {(190_421, 2100, 10_500, 188_321)},
    "tc10": {(186_577, 2100, 5000, 184_477)},
    "tc10-ugach": {(186_577, 1865, 15_000, 184_712)},
}


@pytest.mark.parametrize(("protocol", "name"), list(all_protocols()))
def test_sizes_are_the_published_ones_and_the_indices_the_stored_ones(protocol, name):
    problems = Problems("mine", "skip")
    splits = draw(protocol, name, protocol.total, 0, problems)
    sizes = (protocol.total, len(splits["query"]), len(splits["train"]), len(splits["database"]))
    assert sizes in PUBLISHED[name]
    assert fingerprint(splits) == protocol.fingerprint
    assert problems.notes() == ()
    assert not np.isin(splits["query"], splits["database"]).any()
    assert np.isin(splits["train"], splits["database"]).all()
    assert len(np.union1d(splits["query"], splits["database"])) == protocol.total


def test_every_published_size_is_offered():
    assert {parameter.values[1] for parameter in all_protocols()} == set(PUBLISHED)


def test_other_indices_than_the_stored_ones_are_refused():
    with pytest.raises(RuntimeError, match="the indices of the protocol small are not those stored"):
        draw(SMALL, "small", 20, 0, Problems("mine", "skip"))


def test_seeds_differ_and_repeat():
    one, again, other = (draw(SMALL, "small", 20, seed, Problems("mine", "skip")) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one["query"], again["query"])
    assert not np.array_equal(one["query"], other["query"])
    assert {name: len(index) for name, index in one.items()} == {"query": 4, "train": 8, "database": 16}


def test_fewer_pairs_are_split_in_proportion_and_said():
    problems = Problems("mine", "skip")
    splits = draw(SMALL, "small", 10, 0, problems)
    assert {name: len(index) for name, index in splits.items()} == {"query": 2, "train": 4, "database": 8}
    assert "10 pairs instead of the 20 of the protocol small" in problems.notes()[0]
    assert "results do not compare with published ones" in problems.notes()[0]
    with pytest.raises(InputError, match="mine: 4 pairs cannot be split; give at least 5"):
        draw(SMALL, "small", 4, 0, problems)


def test_seeded_split_parts_everything():
    query, rest = seeded_split(10, 3, 0)
    assert len(query) == 3
    np.testing.assert_array_equal(np.sort(np.concatenate([query, rest])), np.arange(10))
    np.testing.assert_array_equal(query, [2, 4, 8])  # frozen for good: RandomState(0)


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "mine_test.txt").write_text("images/3.jpg 1 0\nimages/1.jpg 0 1\n")
    (tmp_path / "mine_train.txt").write_text("images/2.jpg 1 0\n")
    return tmp_path


def number(path):
    return int(path.removeprefix("images/").removesuffix(".jpg"))


def test_lists_of_files(lists):
    problems = Problems("mine", "skip")
    splits = listed_splits(lists, "mine", [0, 1, 2, 3, 4], number, problems)
    assert {name: index.tolist() for name, index in splits.items()} == {
        "query": [1, 3],
        "train": [2],
        "database": [0, 2, 4],
    }
    (lists / "mine_database.txt").write_text("images/2.jpg\nimages/0.jpg\nimages/0.jpg\nimages/9.jpg\n")
    splits = listed_splits(lists, "mine", [0, 1, 2, 3, 4], number, problems)
    assert splits["database"].tolist() == [0, 2]
    assert problems.notes() == (
        "left out 1: listed in mine_database.txt but not in the data (images/9.jpg)",
        "1 lines of mine_database.txt repeat an item",
    )
    with pytest.raises(InputError, match=r"listed in mine_database\.txt but not in the data: images/9\.jpg"):
        listed_splits(lists, "mine", [0, 1, 2, 3, 4], number, Problems("mine", "stop"))


def test_bad_lists_are_named(lists):
    (lists / "mine_train.txt").write_text("images/2.jpg 1\n\nnotes.txt 1 0\n")
    with pytest.raises(InputError, match=r"mine_train\.txt, line 3: 'notes\.txt 1 0' begins with no file name"):
        listed_splits(lists, "mine", [1, 2, 3], number, Problems("mine", "skip"))
    (lists / "mine_train.txt").unlink()
    with pytest.raises(InputError, match=r"mine: 'mine_train\.txt' is missing"):
        listed_splits(lists, "mine", [1, 2, 3], number, Problems("mine", "skip"))
