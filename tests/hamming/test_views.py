"""The C functions of udsph.h, called through ctypes, which holds no lock of the interpreter meanwhile."""

from __future__ import annotations

import ctypes
import itertools
import sys
import threading
from ctypes import CFUNCTYPE, POINTER, byref, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import udsph
from udsph import hamming
from udsph.hamming import backend

pytestmark = pytest.mark.skipif("native" not in backend.available(), reason="native code is not built here")
OK, BAD_ARGUMENT, NO_MEMORY, NO_FILE, BAD_FILE, FAILED = range(6)
SIZE, ROWS, VIEW, INTS, LONGS = c_size_t, c_void_p, c_void_p, c_void_p, c_void_p


class Range(ctypes.Structure):
    _fields_ = (
        ("offsets", POINTER(c_int64)),
        ("distances", POINTER(c_int32)),
        ("ids", POINTER(c_int64)),
        ("m", c_void_p),
    )


def function(result: Any, *arguments: Any) -> Any:
    return CFUNCTYPE(result, *arguments)


class Api(ctypes.Structure):
    _fields_ = (
        ("version", c_uint32),
        ("struct_size", c_uint32),
        ("message", function(c_char_p)),
        ("open", function(c_int, c_char_p, POINTER(VIEW))),
        ("from_codes", function(c_int, ROWS, SIZE, SIZE, LONGS, POINTER(VIEW))),
        ("snapshot", function(c_int, c_void_p, POINTER(VIEW))),
        ("close", function(None, VIEW)),
        ("count", function(SIZE, VIEW)),
        ("bits", function(SIZE, VIEW)),
        ("search", function(c_int, VIEW, ROWS, SIZE, SIZE, ROWS, SIZE, INTS, LONGS)),
        ("range_search", function(c_int, VIEW, ROWS, SIZE, SIZE, ROWS, SIZE, POINTER(Range))),
        ("release", function(None, POINTER(Range))),
        ("text", function(c_int, VIEW, c_int64, POINTER(POINTER(c_uint8)), POINTER(SIZE))),
        ("distances", function(c_int, ROWS, SIZE, ROWS, SIZE, SIZE, SIZE, INTS)),
        ("nearest", function(c_int, ROWS, ROWS, SIZE, SIZE, SIZE, INTS, LONGS)),
        ("within", function(c_int, ROWS, ROWS, SIZE, SIZE, SIZE, SIZE, INTS, LONGS, POINTER(SIZE))),
    )


@pytest.fixture(scope="module")
def api() -> Api:
    from udsph.hamming import _native

    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = c_void_p, [ctypes.py_object, c_char_p]
    return Api.from_address(pointer(_native.api, b"udsph.hamming._native.api"))


class View:
    """A view that Python closes."""

    def __init__(self, api: Api, made: Any, *arguments: Any) -> None:
        self.api, self.handle = api, VIEW()
        self.status = made(*arguments, byref(self.handle))

    def __enter__(self) -> View:
        assert self.status == OK, self.api.message()
        return self

    def __exit__(self, *_: Any) -> None:
        self.api.close(self.handle)

    def search(self, queries: Any, k: int, where: Any = None, threads: int = 1) -> tuple[Any, Any]:
        near, ids = np.empty((len(queries), k), np.int32), np.empty((len(queries), k), np.int64)
        mask = None if where is None else np.packbits(where, bitorder="little")
        data = None if mask is None else mask.ctypes.data
        arguments = (queries.ctypes.data, len(queries), k, data, threads, near.ctypes.data, ids.ctypes.data)
        assert self.api.search(self.handle, *arguments) == OK, self.api.message()
        return near, ids

    def range_search(self, queries: Any, radius: int, where: Any = None) -> tuple[Any, Any, Any]:
        found = Range()
        mask = None if where is None else np.packbits(where, bitorder="little")
        data = None if mask is None else mask.ctypes.data
        arguments = (queries.ctypes.data, len(queries), radius, data, 2, byref(found))
        assert self.api.range_search(self.handle, *arguments) == OK, self.api.message()
        offsets = np.array(found.offsets[: len(queries) + 1])
        near, ids = (np.array(part[: offsets[-1]], np.int64) for part in (found.distances, found.ids))
        self.api.release(byref(found))
        assert not found.offsets
        return offsets, near, ids


def snapshot(api: Api, index: hamming.FlatIndex) -> View:
    return View(api, api.snapshot, id(index))


def random_codes(n: int, bits: int = 40, seed: int = 0) -> Any:
    """Codes with many ties."""
    rng = np.random.default_rng(seed)
    return hamming.pack((rng.random((n, bits)) < 0.9) ^ (rng.random((n, 1)) < 0.5))


def assert_alike(view: View, index: hamming.FlatIndex, queries: Any, where: Any = None) -> None:
    for k in (1, 7, len(index) + 2):
        near, ids = view.search(queries, k, where)
        expected = index.search(queries, k, where=where)
        np.testing.assert_array_equal(near, expected.distances)
        np.testing.assert_array_equal(ids, expected.ids)
    for radius in (0, 3, 100):
        for part, right in zip(
            view.range_search(queries, radius, where), index.range_search(queries, radius, where=where), strict=True
        ):
            np.testing.assert_array_equal(part, right)


def indexes() -> list[tuple[str, hamming.FlatIndex]]:
    """Of all kinds: empty, scanned, of several segments, with tables and a tail, with removed codes, with ids."""
    codes = random_codes(1500)
    empty, flat, tables, named = (
        hamming.FlatIndex(40),
        hamming.FlatIndex(40),
        hamming.Index(40, kind="multi"),
        hamming.FlatIndex(40),
    )
    flat.add(codes)
    tables.add(codes)
    tables.optimize()
    tables.add(random_codes(300, seed=1))
    removed = tables.copy()
    removed.remove(np.arange(3, 1700, 7))
    named.add(codes, ids=np.arange(1500)[::-1] * 10**12)
    named.remove([0, 10**12])
    made = {"empty": empty, "flat": flat, "tables": tables, "removed": removed, "named": named}
    return list(made.items())


@pytest.mark.parametrize(("name", "index"), indexes(), ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("filtered", [False, True])
def test_a_view_finds_what_the_index_finds(api: Api, name: str, index: hamming.FlatIndex, filtered: bool) -> None:
    where = np.random.default_rng(2).random(len(index)) < 0.5 if filtered else None
    with snapshot(api, index) as view:
        assert (api.count(view.handle), api.bits(view.handle)) == (len(index), 40)
        assert_alike(view, index, random_codes(9, seed=3), where)


def test_a_view_of_an_index_of_another_backend(api: Api) -> None:
    backend.use("numpy")
    try:
        index = hamming.FlatIndex(40)
        index.add(random_codes(700))
        with snapshot(api, index) as view:
            assert_alike(view, index, random_codes(3, seed=3))
    finally:
        backend.use(None)


def test_a_view_of_a_file_and_of_codes(api: Api, tmp_path: Path) -> None:
    codes, ids = random_codes(700), np.arange(700)[::-1] + 5
    index = hamming.FlatIndex(40)
    index.add(codes, ids=ids)
    index.save(tmp_path / "é.udsph")
    queries = random_codes(3, seed=3)
    with View(api, api.open, str(tmp_path / "é.udsph").encode()) as view:
        assert_alike(view, index, queries)
    given = np.ascontiguousarray(ids, np.int64)
    with View(api, api.from_codes, codes.ctypes.data, 700, 40, given.ctypes.data) as view:
        codes[:] = 0
        given[:] = 0
        assert_alike(view, index, queries)


def test_a_view_of_a_collection_and_of_its_folder(api: Api, tmp_path: Path) -> None:
    folder, queries = str(tmp_path / "collection"), random_codes(3, seed=3)
    with hamming.Collection.create(folder, 40) as collection:
        for seed in range(3):
            collection.add(random_codes(700, seed=seed))
            collection.commit()
        collection.remove([5, 900])
        collection.commit()
        expected = collection.copy()
        with snapshot(api, collection) as view:
            assert_alike(view, expected, queries)
    with View(api, api.open, folder.encode()) as view:
        assert_alike(view, expected, queries)


def test_a_view_stays_while_the_index_changes_and_goes(api: Api) -> None:
    index = hamming.Index(40)
    index.add(random_codes(1000), ids=[f"name {i}" for i in range(1000)])
    before, queries = index.copy(), random_codes(5, seed=3)
    with snapshot(api, index) as view:
        index.remove([f"name {i}" for i in range(900)])
        index.optimize()
        del index
        near, ids = view.search(queries, 4)
        expected = before.search(queries, 4)
        np.testing.assert_array_equal(near, expected.distances)
        text, length = POINTER(c_uint8)(), SIZE()
        for number, name in zip(ids.ravel(), expected.ids.ravel(), strict=True):
            assert api.text(view.handle, int(number), byref(text), byref(length)) == OK
            assert bytes(text[: length.value]).decode() == name
        assert api.text(view.handle, 1000, byref(text), byref(length)) == BAD_ARGUMENT
        assert api.message() == b"no string has the id 1000"


def test_a_view_gives_back_what_it_showed(api: Api) -> None:
    index = hamming.FlatIndex(40)
    index.add(random_codes(600), ids=np.arange(600) * 2)
    index.remove([0])
    words = index._snapshot.alive_words()
    counts = []
    for _ in range(3):
        with snapshot(api, index):
            counts.append((sys.getrefcount(words), sys.getrefcount(index)))
        counts.append((sys.getrefcount(words) + 1, sys.getrefcount(index)))
    assert len(set(counts)) == 1


@pytest.mark.parametrize("bits", [8, 13, 64, 100, 512, 1100])
@pytest.mark.parametrize("n", [0, 1, 30, 2500])
def test_packed_rows(api: Api, bits: int, n: int) -> None:
    codes, query = random_codes(n, bits), random_codes(1, bits, seed=1)
    near = np.empty((1, n), np.int32)
    assert api.distances(query.ctypes.data, 1, codes.ctypes.data, n, bits, 1, near.ctypes.data) == OK
    np.testing.assert_array_equal(near, hamming.distances(query, codes, bits=bits))
    for k in (1, 7, n + 3):
        near, rows = np.empty((1, k), np.int32), np.empty((1, k), np.int64)
        assert api.nearest(query.ctypes.data, codes.ctypes.data, n, bits, k, near.ctypes.data, rows.ctypes.data) == OK
        expected = hamming.search(query, codes, k, bits=bits)
        np.testing.assert_array_equal(near, expected.distances)
        np.testing.assert_array_equal(rows, expected.ids)
    index = hamming.FlatIndex(bits)
    index.add(codes)
    for radius, room in itertools.product((0, bits // 3, bits), (0, 5, n)):
        expected_range = index.range_search(query, radius)
        found, near, rows = SIZE(), np.full(room, -7, np.int32), np.full(room, -7, np.int64)
        arguments = (query.ctypes.data, codes.ctypes.data, n, bits, radius, room, near.ctypes.data, rows.ctypes.data)
        assert api.within(*arguments, byref(found)) == OK
        assert found.value == len(expected_range.ids)
        count = min(room, found.value)
        np.testing.assert_array_equal(near[:count], expected_range.distances[:count])
        np.testing.assert_array_equal(rows[:count], expected_range.ids[:count])
        assert (rows[count:] == -7).all()


def test_what_is_wrong_has_a_code_and_a_message(api: Api, tmp_path: Path) -> None:
    codes, wide, negative = np.zeros((4, 2), np.uint8), np.full((1, 2), 255, np.uint8), np.array([-1, 0, 0, 0])
    out, rows, view = np.empty(4, np.int32), np.empty(4, np.int64), VIEW(5)
    at, near, places, made = codes.ctypes.data, out.ctypes.data, rows.ctypes.data, byref(view)
    none, damaged = str(tmp_path / "none").encode(), str(tmp_path / "damaged").encode()
    (tmp_path / "damaged").write_bytes(b"UDSPHIDX" + bytes(100))
    opened, given = api.open, api.from_codes
    wrong = [
        (NO_FILE, b"No such file", opened, none, made),
        (BAD_FILE, b"version 0", opened, damaged, made),
        (BAD_ARGUMENT, b"the path is NULL", opened, None, made),
        (BAD_ARGUMENT, b"view is NULL", opened, none, None),
        (BAD_ARGUMENT, b"index must be a FlatIndex or an Index, got str", api.snapshot, id("text"), made),
        (BAD_ARGUMENT, b"bits must be from 1 to 8192, got 8193", given, at, 4, 8193, None, made),
        (BAD_ARGUMENT, b"bits set beyond its width of 12 in row 0", given, wide.ctypes.data, 1, 12, None, made),
        (BAD_ARGUMENT, b"ids must be 0 or more, item 0 is -1", given, at, 4, 16, negative.ctypes.data, made),
        (BAD_ARGUMENT, b"view is NULL", api.search, None, at, 1, 1, None, 1, near, places),
        (BAD_ARGUMENT, b"found is NULL", api.range_search, None, at, 1, 1, None, 1, None),
        (BAD_ARGUMENT, b"codes is NULL", api.distances, at, 1, None, 4, 16, 1, near),
        (BAD_ARGUMENT, b"threads must be 1 or more", api.distances, at, 1, at, 4, 16, 0, near),
        (BAD_ARGUMENT, b"k must be from 1", api.nearest, at, at, 4, 16, 0, near, places),
        (BAD_ARGUMENT, b"place for results is NULL", api.within, at, at, 4, 16, 0, 4, near, places, None),
    ]
    for code, text, called, *arguments in wrong:
        assert called(*arguments) == code
        assert text in api.message()
        assert not view.value, "a call that failed leaves no view"
    with View(api, given, at, 4, 16, None) as small:
        assert api.search(small.handle, at, 1 << 40, 1 << 40, None, 1, near, places) == BAD_ARGUMENT
        assert b"beyond all memory" in api.message()
        utf8, length = POINTER(c_uint8)(), SIZE()
        assert api.text(small.handle, 0, byref(utf8), byref(length)) == BAD_ARGUMENT
        assert api.message() == b"the ids of this view are integers, it has no strings"
        assert api.search(small.handle, None, 0, 1, None, 1, None, None) == OK


def test_a_failure_in_one_thread_is_not_that_of_another(api: Api) -> None:
    api.nearest(None, None, 0, 8, 1, None, None)
    assert api.message() == b"query is NULL"
    seen = []
    thread = threading.Thread(target=lambda: seen.append(api.message()))
    thread.start()
    thread.join()
    assert seen == [b""] and api.message() == b"query is NULL"


def test_threads_open_search_and_close_while_the_index_changes(api: Api) -> None:
    codes, queries = random_codes(3000), random_codes(4, seed=3)
    index = hamming.Index(40, kind="multi")
    index.add(codes)
    wrong: list[Any] = []

    def look() -> None:
        for _ in range(30):
            with snapshot(api, index) as view:
                n = api.count(view.handle)
                expected = hamming.search(queries, np.concatenate([codes] * (n // 3000)), 5, bits=40)
                near, ids = view.search(queries, 5)
                if (near != expected.distances).any() or (ids != expected.ids).any():
                    wrong.append(n)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        index.add(codes)
        index.optimize(threads=1)
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_header_is_in_the_package() -> None:
    header = Path(udsph.get_include()) / "udsph.h"
    text = header.read_text()
    assert (
        [name for name, _ in Api._fields_[2:]]
        == [  # the order is the contract
            line.split("(*")[1].split(")")[0]
            for line in text[text.index("typedef struct udsph_api") :].splitlines()
            if "(*" in line
        ]
    )
