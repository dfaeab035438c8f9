"""Joint counts against plain counting; counts of pieces add up."""

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import Counts, count

from .cases import random_case


def plain_counts(case):
    """(items, relevant, shared) by a loop over all pairs."""
    distance, grade = case.distances, case.grades
    shape = (len(distance), 8 * case.query_codes.shape[1] + 1, max(2, grade.max(initial=0) + 1))
    shared = np.zeros(shape, np.int64)
    for q in range(len(distance)):
        np.add.at(shared[q], (distance[q], grade[q]), 1)
    return shared.sum(axis=2), shared[:, :, 1:].sum(axis=2), shared


def assert_counts(counts, case):
    items, relevant, shared = plain_counts(case)
    np.testing.assert_array_equal(counts.items, items)
    np.testing.assert_array_equal(counts.relevant, relevant)
    if counts.shared is not None:
        levels = max(shared.shape[2], counts.shared.shape[2])
        both = [np.pad(table, ((0, 0), (0, 0), (0, levels - table.shape[2]))) for table in (shared, counts.shared)]
        np.testing.assert_array_equal(*both)


@pytest.mark.parametrize("classes", [0, 1, 7, 24, 80])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 16])
def test_counts_are_those_of_a_plain_loop(classes, width):
    case = random_case(np.random.default_rng(width), 5, 700, width, classes)
    assert_counts(count(*case), case)
    assert_counts(count(*case, shared=True), case)


def test_counts_of_pieces_add_up():
    case = random_case(np.random.default_rng(0), 7, 1000, 4, 12, density=0.1)
    for shared in (False, True):
        whole = count(*case, shared=shared)
        pieces = []
        for begin, end in ((0, 1), (1, 513), (513, 1000), (1000, 1000)):
            items, labels = case.database_codes[begin:end], case.database_labels[begin:end]
            pieces.append(count(case.query_codes, items, case.query_labels, labels, shared=shared))
        total = sum(pieces)
        np.testing.assert_array_equal(total.items, whole.items)
        np.testing.assert_array_equal(total.relevant, whole.relevant)
        if shared:
            assert_counts(total, case)


def test_counts_that_do_not_belong_together():
    a, b = (np.zeros((2, 9), np.int64), np.zeros((3, 9), np.int64))
    with pytest.raises(InputError, match="2 queries and 8 bits cannot be added to counts of 3 queries"):
        Counts(a, a) + Counts(b, b)
    with pytest.raises(InputError, match="differ in shape"):
        Counts(a, b)
    with pytest.raises(TypeError):
        Counts(a, a) + 1


def test_memory_maps_are_read(tmp_path):
    case = random_case(np.random.default_rng(5), 3, 5000, 8, 10)
    maps = []
    for name, array in zip("abcd", case, strict=True):
        np.save(tmp_path / name, array)
        maps.append(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    assert_counts(count(*maps, shared=True), case)


def test_progress_ends_at_all_pairs():
    case = random_case(np.random.default_rng(6), 40, 70_000, 1, 3)
    calls = []
    count(*case, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(set(calls)) and calls[-1] == (40 * 70_000, 40 * 70_000)
