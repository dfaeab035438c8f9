"""Queries, codes and filters that are on a GPU: results are there, in the caller's kind of array, as on the CPU.

``emulated.Array`` is an array that says it is on a GPU; torch's are tried where there is one (``test_on_a_gpu.py``).
"""

import numpy as np
import pytest

import udsph.hamming as hamming
from udsph.errors import InputError
from udsph.hamming import FlatIndex

from .emulated import Array, OfEmulated, can_compile, emulate, on_gpu
from .test_search import codes_of, pair, same

pytestmark = pytest.mark.skipif(not can_compile, reason="needs a C++ compiler")


@pytest.fixture
def gpu(monkeypatch):
    return emulate(monkeypatch)


def same_there(found, expected):
    """The values of the CPU, in arrays on the GPU."""
    for array in found:
        assert type(array) is Array
    same([array.get() for array in found], expected)


@pytest.mark.parametrize("bits", [64, 100])
@pytest.mark.parametrize("ids", [None, 3 * np.arange(1500)[::-1]])
def test_queries_on_the_gpu_have_results_there(gpu, bits, ids):
    index = FlatIndex(bits)
    index.add(codes_of(1500, bits), ids)
    there, queries = index.to("cuda"), codes_of(9, bits, 1)
    for k in (5, 1600):
        same_there(there.search(on_gpu(queries), k), index.search(queries, k))
    same_there(there.search(on_gpu(queries[0]), 5), index.search(queries[0], 5))
    same_there(there.range_search(on_gpu(queries), bits // 2 - 6), index.range_search(queries, bits // 2 - 6))
    same_there(there.search(on_gpu(queries[:0]), 5), index.search(queries[:0], 5))
    same_there(there.range_search(on_gpu(queries[:0]), 5), index.range_search(queries[:0], 5))


def test_every_form_of_packed_codes(gpu):
    index, there = pair(64, 600)
    queries = codes_of(5, 64, 1)
    expected = index.search(queries, 4)
    for form in (queries ^ 128).view(np.int8), queries.view(np.uint64), queries.view(np.int64)[:, 0]:
        same_there(there.search(on_gpu(form), 4), expected)
    big = FlatIndex(64, bitorder="big", device="cuda")
    mirrored = np.packbits(np.unpackbits(codes_of(600, 64), axis=1), axis=1, bitorder="little")
    big.add(mirrored)
    of_queries = np.packbits(np.unpackbits(queries, axis=1), axis=1, bitorder="little")
    same_there(big.search(on_gpu(of_queries), 4), expected)


def test_filters_on_the_gpu_and_on_the_host(gpu):
    index, there = pair(64, 3000)
    queries, mask = codes_of(5, 64, 1), np.arange(3000) % 7 > 2
    for where in (on_gpu(mask), mask, np.flatnonzero(mask), np.array([5, 17])):
        host = np.asarray(where)
        same_there(there.search(on_gpu(queries), 9, where=where), index.search(queries, 9, where=host))
        same_there(there.range_search(on_gpu(queries), 25, where=where), index.range_search(queries, 25, where=host))
    for each in (index, there):
        each.remove([0, 8, 9, 2999])
    mask = mask[:2996]
    same_there(there.search(on_gpu(queries), 9, where=on_gpu(mask)), index.search(queries, 9, where=mask))
    same_there(there.search(on_gpu(queries), 9), index.search(queries, 9))


@pytest.mark.parametrize("bits", [64, 100, 1024, 1100])
def test_without_an_index(gpu, bits):
    codes, queries = codes_of(700, bits), codes_of(40, bits, 1)
    there = on_gpu(queries), on_gpu(codes)
    whole = {"bits": bits} if bits % 8 else {}
    same_there(hamming.search(*there, 6, **whole), hamming.search(queries, codes, 6, **whole))
    same_there([hamming.distances(*there, **whole)], [hamming.distances(queries, codes, **whole)])


def test_unused_bits_are_not_looked_at(gpu):
    codes, queries = codes_of(300, 13), codes_of(4, 13, 1)
    dirty = [array | np.array([0, 0b11100000], np.uint8) for array in (queries, codes)]
    there = [on_gpu(array) for array in dirty]
    same_there(hamming.search(*there, 6, bits=13), hamming.search(queries, codes, 6, bits=13))
    same_there([hamming.distances(*there, bits=13)], [hamming.distances(queries, codes, bits=13)])


@pytest.mark.parametrize("ids", [None, 3 * np.arange(3000)[::-1]])
def test_what_is_left_of_codes_that_were_removed(gpu, ids):
    """Few, whose positions close up so that they are no ids, and most, beside places that hold no code."""
    queries = codes_of(5, 64, 1)
    for gone in (np.arange(0, 3000, 5), np.arange(100, 2500)):
        index = FlatIndex(64)
        index.add(codes_of(3000, 64), ids)
        there = index.to("cuda")
        gone = index.ids[gone]
        for each in (index, there):
            each.remove(gone)
        mask = np.random.default_rng(0).random(len(index)) < 0.3
        for where in (None, mask):
            on_host = {} if where is None else {"where": where}
            given = {} if where is None else {"where": on_gpu(where)}
            same_there(there.search(on_gpu(queries), 9, **given), index.search(queries, 9, **on_host))
            same_there(there.range_search(on_gpu(queries), 24, **given), index.range_search(queries, 24, **on_host))


def test_radius_of_any_integer_type(gpu):
    index, there = pair(64, 600)
    queries = codes_of(5, 64, 1)
    for radius in (np.int64(25), np.uint8(25), 10**9):
        same_there(there.range_search(on_gpu(queries), radius), index.range_search(queries, radius))


def test_a_second_search_copies_nothing_between_the_memories_and_waits_for_nothing(gpu, monkeypatch):
    """Ids and the places of removed codes are there since the first."""
    index = FlatIndex(64)
    index.add(codes_of(3000, 64), 3 * np.arange(3000)[::-1])
    there, queries = index.to("cuda"), codes_of(5, 64, 1)
    gone = index.ids[::7]
    for each in (index, there):
        each.remove(gone)
    mask = np.arange(len(index)) % 3 > 0
    given = on_gpu(queries), 9, on_gpu(mask)
    there.search(*given[:2], where=given[2])

    def refused(*arguments):
        raise AssertionError("copied")

    for name in ("upload", "on_host"):
        monkeypatch.setattr(OfEmulated, name, refused)
    before = gpu.use()[2]
    found = there.search(*given[:2], where=given[2]), there.search(*given[:2])
    assert gpu.use()[2] == before
    same_there(found[0], index.search(queries, 9, where=mask))
    same_there(found[1], index.search(queries, 9))
    held = gpu.use()[0]
    there.add(codes_of(1, 64, 2), [10**6])
    for each in (there.search(on_gpu(codes_of(1, 64, 2)), 1),):
        monkeypatch.undo()
        assert each.ids.tolist() == [[10**6]]
    assert gpu.use()[0] <= held + 8 * 4  # the ids of the state before are gone


class Elsewhere(Array):
    """On another GPU."""

    __module__ = "emulated"
    place = 1


def elsewhere(array):
    return array.view(Elsewhere)


@pytest.mark.parametrize(
    ("queries", "error", "message"),
    [
        (np.zeros((2, 9), np.uint8), ValueError, r"queries of 64 bits must have shape \(n, 8\), got \(2, 9\)"),
        (np.zeros((2, 2), np.int64), ValueError, r"64-bit words must have shape \(n, 1\), got \(2, 2\)"),
        (
            np.zeros((2, 8), np.float32),
            TypeError,
            "queries must be codes packed in uint8, int8 or 64-bit words, got float",
        ),
    ],
)
def test_queries_of_a_wrong_form(gpu, queries, error, message):
    there = FlatIndex(64, device="cuda")
    with pytest.raises(error, match=message):
        there.search(on_gpu(queries), 1)


def test_arrays_in_another_place(gpu):
    index, there = pair(64, 10)
    rows = codes_of(2, 64)
    with pytest.raises(InputError, match=r"queries are on GPU 0, the index is in host memory: .*index.to\('cuda'\)"):
        index.search(on_gpu(rows), 1)
    with pytest.raises(InputError, match="queries are on GPU 1, the index is on GPU 0"):
        there.search(elsewhere(on_gpu(rows)), 1)
    with pytest.raises(InputError, match="queries is in host memory, others are on GPU 0: bring all to one place"):
        hamming.search(rows, on_gpu(rows), 1)
    for call in (hamming.distances, lambda *both: hamming.search(*both, 1)):
        with pytest.raises(InputError, match="codes is in host memory, others are on GPU 0: bring all to one place"):
            call(on_gpu(rows), rows)
    with pytest.raises(InputError, match="queries is on GPU 1, others are on GPU 0: bring all to one GPU"):
        hamming.distances(elsewhere(on_gpu(rows)), on_gpu(rows))
    with pytest.raises(InputError, match="where is on GPU 1"):
        there.search(on_gpu(rows), 1, where=elsewhere(on_gpu(np.ones(10, bool))))


def test_what_the_gpu_does_not_do(gpu):
    rows = codes_of(10, 64)
    there = on_gpu(rows)
    index = FlatIndex(64, device="cuda")
    index.add(rows, [f"code {i}" for i in range(10)])
    with pytest.raises(InputError, match="ids that are strings cannot be on a GPU: bring the queries to the host"):
        index.search(there, 1)
    index = FlatIndex(64, device="cuda")
    index.add(rows)
    with pytest.raises(ValueError, match=r"where on a GPU must be a mask of bools of shape \(10,\), got int64"):
        index.search(there, 1, where=on_gpu(np.arange(10)))
    with pytest.raises(InputError, match="radius must be one int for queries on a GPU"):
        index.range_search(there, np.arange(10))
    with pytest.raises(InputError, match="radius must be at least 0, got -1"):
        index.range_search(there, -1)
    with pytest.raises(TypeError, match="radius must be an int"):
        index.range_search(there, True)
    with pytest.raises(ValueError, match="k must be from 1 to 281474976710655"):
        hamming.search(there, there, 1 << 60)
    with pytest.raises(ValueError, match="k must be from 1 to"):
        index.search(there, 0)
    with pytest.raises(InputError, match="metric='tanimoto' is not for codes on a GPU"):
        hamming.search(there, there, 1, metric="tanimoto")

    class Other(Array):
        __module__ = "jaxlib.xla"

    with pytest.raises(TypeError, match="queries is an array of jaxlib on a GPU: give one of torch or cupy"):
        index.search(there.view(Other), 1)
