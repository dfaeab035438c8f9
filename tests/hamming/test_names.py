"""Ids that are strings, ids of several codes, and what can be asked of and done with ids of any kind."""

import copy
import gzip
import pickle

import numpy as np
import pytest

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming import chunks, names

BITS = 64
KINDS = ("positions", "integers", "strings")


def codes_of(numbers):
    mixed = np.asarray(numbers, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(29))).view(np.uint8).reshape(-1, 8)


def ids_of(numbers, kind):
    """Ids of some numbers; among the strings are empty, long, wide and unusual ones."""
    if kind == "strings":
        return [("", "é", "文書-", "a\0", "x" * 300, "doc ")[n % 6] + (str(n) if n else "") for n in map(int, numbers)]
    return [int(n) * (1 if kind == "positions" else 2**40) for n in numbers]


def make(kind, n, cls=hamming.FlatIndex, /, step=None, **options):
    index = cls(BITS, **options)
    for begin in range(0, n, step or max(n, 1)):
        part = np.arange(begin, min(n, begin + (step or n)))
        index.add(codes_of(part), None if kind == "positions" else ids_of(part, kind))
    return index


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", [None, 3, 700])
def test_ids_of_every_kind_are_found_and_returned(engine, kind, step):
    n = 300 if step == 3 else 1500
    index, names_ = make(kind, n, step=step), ids_of(range(n), kind)
    assert index.ids.tolist() == names_
    assert index.ids.dtype == (object if kind == "strings" else np.int64)
    wanted = [names_[i] for i in (5, n - 1, 0, 77)]
    np.testing.assert_array_equal(index.reconstruct(wanted), codes_of([5, n - 1, 0, 77]))
    np.testing.assert_array_equal(index.reconstruct(names_[::-1]), codes_of(np.arange(n)[::-1]))
    found = index.search(codes_of([9, 200]), 1)
    assert found.ids.tolist() == [[names_[9]], [names_[200]]] and found.ids.dtype == index.ids.dtype
    assert index.range_search(codes_of([9]), 0).ids.tolist() == [names_[9]]
    assert names_[3] in index and names_[n - 1] in index
    for absent in ("none", -1, n * 2**41, 2**70, True, None, 3.0, b"a", [1]):
        assert absent not in index
    missing = None if kind == "strings" else -1
    assert index.search(codes_of([3]), 3, where=[names_[3]]).ids.tolist() == [[names_[3], missing, missing]]
    assert index.search(codes_of([3])[0], 2, where=[names_[3]]).ids.tolist() == [names_[3], missing]
    assert set(index.search(codes_of([3]), 4, where=names_[10:14]).ids[0]) == set(names_[10:14])
    assert set(index.search(codes_of([3]), 40, where=names_[10:50]).ids[0]) == set(names_[10:50])
    index.remove(names_[10:200])
    assert index.ids.tolist() == names_[:10] + names_[200:]
    assert names_[15] not in index and names_[5] in index
    with pytest.raises(ValueError, match="is not in the index"):
        index.reconstruct([names_[5], names_[15]])
    if kind != "positions":
        index.add(codes_of([15]), [names_[15]])
        assert index.ids.tolist() == [*names_[:10], *names_[200:], names_[15]]
        np.testing.assert_array_equal(index.reconstruct([names_[15]]), codes_of([15]))


@pytest.mark.parametrize("kind", KINDS)
def test_ids_go_through_files_pickles_and_copies(engine, kind, tmp_path):
    index = make(kind, 900, hamming.Index)
    index.remove(ids_of(range(100, 160), kind))
    index.save(tmp_path / "a")
    with gzip.open(tmp_path / "b.gz", "wb") as file:
        index.save(file)
    with gzip.open(tmp_path / "b.gz") as file:
        read = hamming.load(file)
    for other in (
        hamming.load(tmp_path / "a"),
        hamming.load(tmp_path / "a", mmap=False, verify=False),
        read,
        pickle.loads(pickle.dumps(index)),
        copy.deepcopy(index),
        hamming.Index.from_bytes(index.to_bytes()),
    ):
        assert other.ids.tolist() == index.ids.tolist()
        other.add(codes_of([5000]), None if kind == "positions" else ids_of([5000], kind))
        last = 900 if kind == "positions" else ids_of([5000], kind)[0]
        np.testing.assert_array_equal(other.reconstruct([last]), codes_of([5000]))
        assert last not in index
        other.remove([last])
        with pytest.raises(ValueError, match="is not in the index"):
            other.remove([last])
        assert other.search(codes_of([7]), 1).ids.tolist() == [ids_of([7], kind)]


def test_strings_come_in_every_array_that_holds_text():
    texts = [f"t{i}é" for i in range(40)]
    forms = [texts, tuple(texts), np.array(texts), np.array(texts, object), list(map(np.str_, texts))]
    if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType"):
        forms.append(np.array(texts, np.dtypes.StringDType()))
    try:
        import pyarrow

        forms.append(pyarrow.array(texts))
    except ImportError:
        pass
    for form in forms:
        index = hamming.FlatIndex(BITS)
        index.add(codes_of(range(40)), form)
        assert [type(id) for id in index.ids[:2]] == [str, str]
        np.testing.assert_array_equal(index.reconstruct(form), codes_of(range(40)))


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (["a", "a"], ValueError, "id 'a' is given twice"),
        (["a"], ValueError, "1 ids for 2 codes"),
        (["a", 1], TypeError, "ids holds int and str"),
        ([None, "a"], TypeError, "ids holds NoneType and str"),
        (["a", "\ud800"], ValueError, r"text that UTF-8 can hold, item 1 is '\\ud800'"),
        (["b", "x"], ValueError, "id 'b' is given twice or already in the index"),
        ([1, 2], TypeError, "ids are integers, the ids of this index are strings"),
        ([b"a", b"c"], TypeError, "must be integers or strings, got dtype"),
        (np.array(["a", 3], object), TypeError, "ids holds int and str; give ids of one kind"),
        (np.array([["a", "c"]]), ValueError, r"shape \(n,\)"),
        (None, ValueError, "has ids of its own"),
    ],
)
def test_wrong_string_ids_are_named_and_leave_the_index_as_it_was(ids, error, message):
    index = hamming.FlatIndex(BITS)
    index.add(codes_of([0]), ["b"])
    with pytest.raises(error, match=message):
        index.add(codes_of([1, 2]), ids)
    assert index.ids.tolist() == ["b"]


def test_ids_of_another_kind_are_refused_by_name():
    for kind, other, message in (
        ("positions", ["a"], "strings, the ids of this index are the positions"),
        ("integers", ["a"], "strings, the ids of this index are integers"),
        ("strings", [1], "integers, the ids of this index are strings"),
    ):
        index = make(kind, 20)
        for call in (index.reconstruct, index.remove, index.count):
            with pytest.raises(TypeError, match=f"ids are {message}"):
                call(other)
        with pytest.raises(TypeError, match=f"where holds {message}"):
            index.search(codes_of([1]), 1, where=other)
        assert len(index) == 20


def test_strings_whose_keys_collide_are_told_apart(monkeypatch):
    monkeypatch.setattr(names, "hash", lambda text: len(text) % 3, raising=False)
    monkeypatch.setattr(chunks, "hash", lambda text: len(text) % 3, raising=False)
    for step in (None, 2, 400):
        index = make("strings", 600, step=step)
        texts = ids_of(range(600), "strings")
        np.testing.assert_array_equal(index.reconstruct(texts[::-1]), codes_of(np.arange(600)[::-1]))
        np.testing.assert_array_equal(index.reconstruct(texts[:3]), codes_of([0, 1, 2]))
        assert "absent" not in index
        with pytest.raises(ValueError, match="already in the index"):
            index.add(codes_of([1]), [texts[5]])
        with pytest.raises(ValueError, match="given twice"):
            index.add(codes_of(range(300)), [*(f"new {i}" for i in range(299)), "new 7"])


@pytest.mark.parametrize("kind", ["integers", "strings"])
@pytest.mark.parametrize("step", [1, 50, 400])
def test_one_id_of_several_codes(engine, kind, step, tmp_path):
    """Against lists: every code is a result of its own, in insertion order."""
    n = 60 if step == 1 else 800
    numbers = np.arange(n) % 37
    names_ = ids_of(numbers, kind)
    index = hamming.Index(BITS, multi=True, kind="multi")
    for begin in range(0, n, step):
        index.add(codes_of(np.arange(begin, min(n, begin + step))), names_[begin : begin + step])
    index.save(tmp_path / "a")
    kept = np.flatnonzero((numbers != 5) & (numbers != 11))
    places = [i for wanted in (30, 2) for i in np.flatnonzero(numbers == wanted)]
    for each in (index, index.copy(), pickle.loads(pickle.dumps(index)), hamming.load(tmp_path / "a")):
        assert each.multi
        assert each.ids.tolist() == names_
        np.testing.assert_array_equal(each.reconstruct(ids_of([30, 2], kind)), codes_of(places))
        many = ids_of(range(37), kind)
        counts = [int((numbers == i).sum()) for i in range(37)]
        assert each.count([*many, *ids_of([40], kind)]).tolist() == [*counts, 0]
        order = [i for wanted in range(37) for i in np.flatnonzero(numbers == wanted)]
        np.testing.assert_array_equal(each.reconstruct(many), codes_of(order))
        each.remove(ids_of([5, 11], kind))
        assert each.ids.tolist() == [names_[i] for i in kept]
        found = each.range_search(codes_of([3]), BITS, where=ids_of([2, 3], kind))
        assert sorted(found.ids.tolist()) == sorted(n for n in names_ if n in ids_of([2, 3], kind))
        each.add(codes_of([9]), ids_of([5], kind))
        np.testing.assert_array_equal(each.reconstruct(ids_of([5], kind)), codes_of([9]))
    single = hamming.FlatIndex(BITS)
    with pytest.raises(ValueError, match="given twice"):
        single.add(codes_of(range(n)), names_)
    with pytest.raises(TypeError, match="multi must be a bool"):
        hamming.FlatIndex(BITS, multi="yes")


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_ids_are_errors_or_ignored(engine, kind):
    index = make(kind, 50)
    some = ids_of([3, 77, 8], kind)
    for call in (index.remove, lambda ids, **o: index.search(codes_of([8]), 3, where=ids, **o)):
        with pytest.raises(ValueError, match="is not in the index"):
            call(some)
        with pytest.raises(InputError, match="unknown must be 'error' or 'ignore', got 'skip'"):
            call(some, unknown="skip")
    missing = None if kind == "strings" else -1
    found = index.search(codes_of([8]), 3, where=some, unknown="ignore")
    assert found.ids[0].tolist() == [*ids_of([8, 3], kind), missing]
    assert index.range_search(codes_of([8]), 0, where=some, unknown="ignore").ids.tolist() == ids_of([8], kind)
    assert index.count(some).tolist() == [1, 0, 1]
    index.remove(some, unknown="ignore")
    assert len(index) == 48


@pytest.mark.parametrize("kind", KINDS)
def test_a_cleared_index_is_as_if_new(engine, kind):
    index = make(kind, 600, hamming.Index, kind="multi")
    index.optimize()
    index.clear()
    assert len(index) == 0 and index.ids.tolist() == []
    assert index.search(codes_of([1]), 1).distances.tolist() == [[2**31 - 1]]
    for other in KINDS:
        index.add(codes_of([4, 5]), None if other == "positions" else ids_of([4, 5], other))
        assert index.ids.tolist() == ([0, 1] if other == "positions" else ids_of([4, 5], other))
        index.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_merging_takes_codes_and_ids(engine, kind):
    for into_empty in (True, False):
        ours, theirs = make(kind, 0 if into_empty else 700), hamming.Index(BITS)
        numbers = np.arange(1000, 1900)
        theirs.add(codes_of(numbers), None if kind == "positions" else ids_of(numbers, kind))
        theirs.remove(theirs.ids[100:200])
        kept = np.delete(numbers, np.arange(100, 200))
        before = [] if into_empty else list(range(700))
        ours.merge(theirs)
        expected = [*range(len(before) + 800)] if kind == "positions" else ids_of([*before, *kept], kind)
        assert ours.ids.tolist() == expected
        np.testing.assert_array_equal(ours.reconstruct(ours.ids), codes_of([*before, *kept]))
        ours.merge(hamming.FlatIndex(BITS))
        assert len(theirs) == 800 and len(ours) == len(expected)


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_merging_indexes_that_share_ids(engine, kind):
    def pair(**options):
        ours, theirs = make(kind, 5, **options), hamming.FlatIndex(BITS)
        theirs.add(codes_of([90, 91, 92]), ids_of([4, 8, 2], kind))
        return ours, theirs

    ours, theirs = pair()
    with pytest.raises(ValueError, match="already in the index"):
        ours.merge(theirs)
    assert len(ours) == 5
    ours.merge(theirs, duplicates="keep")
    assert ours.ids.tolist() == ids_of([0, 1, 2, 3, 4, 8], kind)
    np.testing.assert_array_equal(ours.reconstruct(ids_of([4, 8], kind)), codes_of([4, 91]))
    ours, theirs = pair()
    ours.merge(theirs, duplicates="replace")
    assert ours.ids.tolist() == ids_of([0, 1, 3, 4, 8, 2], kind)
    np.testing.assert_array_equal(ours.reconstruct(ids_of([4, 2], kind)), codes_of([90, 92]))
    ours, theirs = pair(multi=True)
    ours.merge(theirs)
    assert ours.count(ids_of([2, 3, 8], kind)).tolist() == [2, 1, 1]
    with pytest.raises(InputError, match="duplicates must be"):
        ours.merge(theirs, duplicates="both")


def test_what_cannot_be_merged_is_named():
    index = make("integers", 3)
    with pytest.raises(InputError, match="codes of 64 bits, it has 8"):
        index.merge(hamming.FlatIndex(8))
    with pytest.raises(TypeError, match="must be a FlatIndex or an Index, got list"):
        index.merge([1])
    with pytest.raises(TypeError, match="of this index are integers, those of the other strings"):
        index.merge(make("strings", 3))
    with pytest.raises(TypeError, match="of this index are integers, those of the other positions of their codes"):
        index.merge(make("positions", 3))
    assert len(index) == 3


def test_memory_of_ascending_ids_is_theirs_alone():
    index = hamming.FlatIndex(8)
    index.add(np.zeros((100_000, 1), np.uint8), np.arange(100_000) * 3)
    assert 299_997 in index and 299_998 not in index
    assert index.nbytes < 100_000 * 9.2


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_a_range_of_a_column_is_the_subset_of_its_places(kind):
    column = make(kind, 50)._snapshot.column()
    for begin, end in [(0, 50), (0, 0), (7, 8), (50, 50), (13, 49)]:
        part, same = column.between(begin, end), column.subset(np.arange(begin, end))
        assert len(part) == end - begin and part.tolist() == same.tolist() == ids_of(range(begin, end), kind)
        assert part.between(0, len(part)).tolist() == part.tolist()


@pytest.mark.parametrize(("place", "wrong"), [(3, -1), (3, 2**62), (4, 0)])
def test_a_range_of_damaged_strings_is_refused(place, wrong):
    column = make("strings", 9)._snapshot.column()
    offsets = column.offsets.copy()
    offsets[place] = wrong
    with pytest.raises(hamming.FormatError, match="the file of these ids is damaged"):
        names.Strings(offsets, column.data).between(2, 6)
    assert names.Strings(offsets, column.data).between(5, 9).tolist() == ids_of(range(5, 9), "strings")
