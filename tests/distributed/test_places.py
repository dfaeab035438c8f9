"""Sources by URI: what is read of them, this machine's copies, and what is said of those that cannot be read."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time

import numpy as np
import pytest

from udsph.distributed import ShardError, places, source
from udsph.errors import MissingExtra
from udsph.hamming import FormatError

from .sources import codes_of, collection_of, files_of, ids_of, index_of, opened, same

pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def copies(tmp_path, monkeypatch):
    """A folder for copies of the test's own."""
    folder = tmp_path / "copies"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_index_files_and_collections_are_read_by_uri(tmp_path, copies):
    codes, ids = codes_of(3000, 64), ids_of(3000, "strings")
    (tmp_path / "files").mkdir()
    files = files_of(tmp_path / "files", codes, ids, 64, [1000])
    truth, queries = index_of(codes, ids, 64), codes_of(9, 64, 3)
    for place in ([path.as_uri() for path in files], (tmp_path / "files").as_uri()):
        same(opened(place, 3).search(queries, 10), truth.search(queries, 10))
    collection = collection_of(tmp_path / "c", codes, None, 64, np.arange(50))
    same(opened((tmp_path / "c").as_uri(), 3).search(queries, 10), collection.search(queries, 10))
    held = len(list(copies.rglob("*.udsph")))
    opened(files[0].as_uri(), 1)
    assert held == len(list(copies.rglob("*.udsph"))) == 2, "each file is copied once"


def test_a_damaged_copy_is_made_anew_and_a_replaced_file_is_another_one(tmp_path, copies):
    (tmp_path / "files").mkdir()
    (path,) = files_of(tmp_path / "files", codes_of(2000, 64), None, 64, [])
    first = opened(path.as_uri(), 1)
    (copy,) = copies.rglob("*.udsph")
    copy.write_bytes(copy.read_bytes()[:9000] + b"\1\2\3" + copy.read_bytes()[9003:])
    queries = codes_of(5, 64, 3)
    same(opened(path.as_uri(), 1).search(queries, 3), first.search(queries, 3))
    files_of(tmp_path / "files", codes_of(2000, 64, 8), None, 64, [])
    truth = index_of(codes_of(2000, 64, 8), None, 64)
    same(opened(path.as_uri(), 1).search(queries, 3), truth.search(queries, 3))


def test_a_file_that_was_replaced_is_refused_until_it_is_opened_again(tmp_path):
    (path,) = files_of(tmp_path, codes_of(2000, 64), None, 64, [])
    found = source.find(path)
    files_of(tmp_path, codes_of(2000, 64, 8), None, 64, [])
    with pytest.raises(ShardError, match=r"shard 1 of 1 \(00.udsph\): .* is another file than it was"):
        from udsph.distributed.shard import Shard

        Shard(found.specs(1, False)[0], 1)


@pytest.mark.parametrize("kind", ["files", "collection"])
def test_a_file_that_is_written_over_in_place_is_refused_and_one_that_is_touched_is_not(tmp_path, kind):
    codes, queries = codes_of(2000, 64), codes_of(5, 64, 3)
    if kind == "files":
        place, path = tmp_path, files_of(tmp_path, codes, None, 64, [])[0]
    else:
        place = tmp_path / "c"
        collection_of(place, codes, None, 64)
        path = max(place.glob("*.segment"), key=lambda file: file.stat().st_size)
    truth = index_of(codes, None, 64)
    index = opened(place, 2)
    same(index.search(queries, 50), truth.search(queries, 50))
    os.utime(path, (1, 1))
    time.sleep(0.11)  # files are looked at ten times a second
    same(index.search(queries, 50), truth.search(queries, 50))
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(255 - byte for byte in content[4096:])
    path.write_bytes(content)
    os.utime(path, (2, 2))
    time.sleep(0.11)
    with pytest.raises(ShardError, match=f"shard . of 2 .*{path.name}.*damaged"):
        index.search(queries, 50)


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ("nosuch://bucket/codes", ValueError, "nosuch://bucket/codes cannot be read: .*"),
        ("file:///nowhere/codes.udsph", OSError, r"No such file or directory: 'file:///nowhere/codes.udsph'"),
        ("/nowhere/codes.udsph", OSError, r"No such file or directory: '/nowhere/codes.udsph'"),
        ([], ValueError, "source is an empty list"),
        (["/a", "/a"], ValueError, "source names /a twice"),
        (7, TypeError, "source must be a collection, paths or URIs, got int"),
    ],
)
def test_what_cannot_be_read_is_one_error(place, error, message):
    with pytest.raises(error, match=message):
        source.find(place)


def test_a_folder_without_codes_and_a_damaged_file_are_named(tmp_path):
    with pytest.raises(FormatError, match=re.escape(f"{tmp_path} is no collection and holds no index files (*.udsph)")):
        source.find(tmp_path)
    (tmp_path / "a.udsph").write_bytes(b"nothing")
    with pytest.raises(FormatError, match=r"a.udsph is not an index"):
        source.find(tmp_path)


@pytest.mark.parametrize(
    ("bits", "options", "message"),
    [
        (32, {}, r"00.udsph has bits 64, .*b/00.udsph has 32; shards must be alike"),
        (64, {"bitorder": "big"}, r"00.udsph has bitorder little, .*b/00.udsph has big; shards must be alike"),
        (64, {"multi": True}, r"00.udsph has multi False, .*b/00.udsph has True; shards must be alike"),
    ],
)
def test_files_that_are_not_alike_are_named(tmp_path, bits, options, message):
    one = files_of(tmp_path, codes_of(600, 64), np.arange(600), 64, [])
    (tmp_path / "b").mkdir()
    two = files_of(tmp_path / "b", codes_of(600, bits), np.arange(600, 1200), bits, [], **options)
    with pytest.raises(ValueError, match=message):
        source.find([*one, *two])


def test_without_fsspec_the_extra_is_named(monkeypatch):
    for name in ("fsspec", "fsspec.core"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"a source by URI needs the extra 'distributed'"):
        source.find("memory://codes")


def test_kinds_of_ids_that_do_not_go_together_are_named(tmp_path):
    one = files_of(tmp_path, codes_of(600, 64), None, 64, [])
    (tmp_path / "b").mkdir()
    two = files_of(tmp_path / "b", codes_of(600, 64), np.arange(600), 64, [])
    with pytest.raises(ValueError, match=r"ids of .*00.udsph are positions, of .*00.udsph integers; give all of them"):
        source.find([*one, *two])


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_an_id_in_two_files_is_found_wherever_they_lie(tmp_path, kind):
    ids = np.random.default_rng(0).permutation(3000)
    ids = ids if kind == "integers" else [f"item {i}" for i in ids]
    files = files_of(tmp_path, codes_of(3000, 64), ids, 64, [1000, 2000])
    opened(files, 2)
    (tmp_path / "more").mkdir()
    more = files_of(tmp_path / "more", codes_of(5, 64), ids[:5], 64, [])
    for shards in (1, 3):
        with pytest.raises(ValueError, match=r"the id .* is in .*00.udsph and in .*more/00.udsph; each"):
            opened([*files, *more], shards)


def test_uris_are_told_from_paths():
    assert places.is_uri("s3://a/b") and not places.is_uri("/a/b")
    assert places.joined("s3://a/b/", "c") == "s3://a/b/c"
    assert places.base("s3://a/b/") == "b"
    assert places.name_of("a").startswith("/")
    with pytest.raises(TypeError, match="paths or URIs as str"):
        places.name_of(b"a")
