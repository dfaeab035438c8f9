import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from udsph import hamming

BITS = 20


def codes_of(numbers):
    return np.ascontiguousarray(np.array(numbers, "<u4").reshape(-1, 1).view(np.uint8)[:, :3])


class IndexAgainstDict(RuleBasedStateMachine):
    """An index with ids of its own, held against a dict in insertion order."""

    def __init__(self):
        super().__init__()
        self.index = hamming.FlatIndex(BITS)
        self.truth = {}

    numbers = st.lists(st.integers(0, 2**BITS - 1), min_size=0, max_size=40)

    @rule(numbers=numbers, first=st.integers(0, 2**62))
    def add(self, numbers, first):
        ids = [first + 3 * i for i in range(len(numbers))]
        if set(ids) & set(self.truth):
            with pytest.raises(ValueError, match="twice or already"):
                self.index.add(codes_of(numbers), ids)
        else:
            self.index.add(codes_of(numbers), ids)
            self.truth.update(zip(ids, numbers, strict=True))

    @rule(data=st.data())
    def remove(self, data):
        if self.truth:
            gone = data.draw(st.lists(st.sampled_from(sorted(self.truth)), max_size=5))
            self.index.remove(gone)
            for identity in set(gone):
                del self.truth[identity]

    @rule(query=st.integers(0, 2**BITS - 1), k=st.integers(1, 50))
    def search(self, query, k):
        ranked = sorted((bin(query ^ number).count("1"), place) for place, number in enumerate(self.truth.values()))
        names = list(self.truth)
        found = self.index.search(codes_of([query]), k)
        expected = [(distance, names[place]) for distance, place in ranked[:k]]
        got = zip(found.distances[0].tolist(), found.ids[0].tolist(), strict=True)
        assert [pair for pair in got if pair[1] >= 0] == expected

    @invariant()
    def same_length_and_codes(self):
        assert len(self.index) == len(self.truth)
        names = list(self.truth)
        np.testing.assert_array_equal(self.index.reconstruct(names), codes_of(list(self.truth.values())))


IndexAgainstDict.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestIndexAgainstDict = IndexAgainstDict.TestCase


def test_positions_are_the_ids_and_stay_so_after_removal(engine):
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(range(1000)))
    index.remove(np.arange(0, 1000, 2))
    assert len(index) == 500
    assert index.search(codes_of([501]), 1).ids[0, 0] == 501
    index.add(codes_of([2**19]))
    assert index.search(codes_of([2**19]), 1).ids[0, 0] == 1000
    np.testing.assert_array_equal(index.reconstruct([1000, 3]), codes_of([2**19, 3]))
    index.remove(list(range(1, 1000, 2)))
    index.remove([1000])
    assert len(index) == 0
    assert index.search(codes_of([1]), 2).ids.tolist() == [[-1, -1]]


def test_many_small_additions_with_ids():
    index = hamming.FlatIndex(BITS)
    for i in range(300):
        index.add(codes_of([i]), [2**40 + i])
    with pytest.raises(ValueError, match="already in the index"):
        index.add(codes_of([1]), [2**40 + 17])
    assert index.search(codes_of([299]), 1).ids[0, 0] == 2**40 + 299
    offsets, _, ids = index.range_search(codes_of([7]), 0)
    assert (offsets.tolist(), ids.tolist()) == ([0, 1], [2**40 + 7])


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([1, 1], ValueError, "id 1 is given twice"),
        ([1], ValueError, "1 ids for 2 codes"),
        ([1, -1], ValueError, "must be from 0"),
        ([1.0, 2.0], TypeError, "must be integers"),
        ([[1, 2]], ValueError, r"shape \(n,\)"),
        (np.array([1, 2**63], np.uint64), ValueError, r"2\*\*63 - 1"),
        ([1, 2**64], ValueError, r"must be from 0 to 2\*\*63 - 1, got 1 to 18446744073709551616"),
        (np.array([1, -(2**70)], object), ValueError, "must be from 0"),
        (np.array([1, True], object), TypeError, "ids holds bool and int"),
        (np.array([1, "a"], object), TypeError, "ids holds int and str"),
        (np.array([1, None], object), TypeError, "ids holds NoneType and int"),
        (np.array([2.0, 1.5], object), TypeError, "ids must be integers or strings, it holds float"),
    ],
)
def test_wrong_ids_are_named_and_leave_the_index_as_it_was(ids, error, message):
    index = hamming.FlatIndex(BITS)
    with pytest.raises(error, match=message):
        index.add(codes_of([1, 2]), ids)
    assert len(index) == 0
    index.add(codes_of([1, 2]), [5, 6])


def test_integers_in_an_array_of_objects_are_integers():
    index = hamming.FlatIndex(BITS)
    index.add(codes_of([1, 2]), np.array([7, np.int32(9)], object))
    assert index.ids.tolist() == [7, 9]
    assert index.search(codes_of([1]), 1, where=np.array([9], object)).ids.tolist() == [[9]]
    with pytest.raises(ValueError, match=r"where must be from 0 to 2\*\*63 - 1, got 18446744073709551616 to"):
        index.search(codes_of([1]), 1, where=[2**64])


def test_ids_are_given_for_all_codes_or_none():
    index = hamming.FlatIndex(BITS)
    index.add(codes_of([1]))
    with pytest.raises(ValueError, match="from the first code on"):
        index.add(codes_of([2]), [7])
    other = hamming.FlatIndex(BITS)
    other.add(codes_of([1]), [7])
    with pytest.raises(ValueError, match="give ids for these codes too"):
        other.add(codes_of([2]))


@pytest.mark.parametrize("method", ["remove", "reconstruct"])
def test_unknown_ids_are_named(method):
    index = hamming.FlatIndex(BITS)
    with pytest.raises(ValueError, match="id 0 is not in the index"):
        getattr(index, method)([0])
    index.add(codes_of([1, 2]), [7, 9])
    with pytest.raises(ValueError, match="id 8 is not in the index"):
        getattr(index, method)([7, 8])
    assert len(index) == 2
    getattr(index, method)([])


@pytest.mark.parametrize("n", [10, 700])
def test_ids_that_were_removed_and_given_again_are_found_among_many(n):
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(range(n)), range(n))
    index.remove([3, 4])
    index.add(codes_of([1000, 1001]), [4, 3])
    names = np.random.default_rng(0).permutation(n)
    expected = np.where(names == 4, 1000, np.where(names == 3, 1001, names))
    np.testing.assert_array_equal(index.reconstruct(np.tile(names, 3)), codes_of(np.tile(expected, 3)))


def test_a_copy_knows_ids_that_were_removed_and_given_again(engine):
    index = hamming.FlatIndex(BITS)
    index.add(codes_of(range(10)), range(10))
    index.remove([3])
    index.add(codes_of(range(100, 106)), [3, *range(10, 15)])
    other = index.copy()
    np.testing.assert_array_equal(other.reconstruct([3]), codes_of([100]))
    with pytest.raises(ValueError, match="id 3 is given twice or already in the index"):
        other.add(codes_of([1]), [3])
