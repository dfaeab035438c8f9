"""Codes from and to indexes of FAISS and USearch."""

import contextlib
import os
import shutil
import sys

import numpy as np
import pytest
from collection_helpers import codes_of, new, same

from udsph.errors import InputError, MissingExtra
from udsph.hamming.collection.formats import usearch as usearch_files

pytestmark = pytest.mark.usefixtures("small_steps")


@pytest.mark.parametrize("kind", ["flat", "ids", "ivf", "hash"])
def test_indexes_of_faiss_go_in_and_out(tmp_path, kind):
    faiss = pytest.importorskip("faiss")
    codes, ids = codes_of(range(2000)), np.arange(2000)
    quantizer = faiss.IndexBinaryFlat(64)
    theirs = faiss.IndexBinaryHash(64, 6) if kind == "hash" else faiss.IndexBinaryFlat(64)
    if kind == "ivf":
        theirs = faiss.IndexBinaryIVF(quantizer, 64, 5)
        theirs.train(codes)
    if kind == "ids":
        inner, theirs = theirs, faiss.IndexBinaryIDMap(theirs)
        ids = np.random.default_rng(0).permutation(9000)[:2000]
        theirs.add_with_ids(codes, ids)
        del inner
    else:
        theirs.add(codes)
    faiss.write_index_binary(theirs, str(tmp_path / "a.faiss"))
    with new(tmp_path / "c") as ours:
        assert ours.import_codes(tmp_path / "a.faiss") == 2000
        np.testing.assert_array_equal(ours.reconstruct(ids), codes)
        ours.remove(ids[:100])
        ours.export_codes(tmp_path / "b.faiss")
        back = faiss.read_index_binary(str(tmp_path / "b.faiss"))
        queries = codes_of(range(900, 905))
        np.testing.assert_array_equal(back.search(queries, 3)[0], ours.search(queries, 3).distances)
        assert back.search(queries, 1)[1][:, 0].tolist() == ours.search(queries, 1).ids[:, 0].tolist()


@pytest.mark.parametrize("suffix", [".faiss", ".usearch"])
@pytest.mark.parametrize("ids", ["positions", "own", "integers", "repeated"])
def test_indexes_of_others_that_are_exported_are_imported(tmp_path, suffix, ids):
    pytest.importorskip("usearch.index")
    bits, multi = (64 if suffix == ".faiss" else 12), ids == "repeated"
    given = {"integers": np.arange(1500)[::-1] * 3, "repeated": np.arange(1500) // 3}.get(ids)
    with new(tmp_path / "a", bits, multi=multi) as ours:
        ours.add(codes_of(range(1500), bits), given)
        if ids != "positions":
            ours.remove(ours.ids[[3, 800]])
        seen = []
        ours.export_codes(tmp_path / f"a{suffix}", progress=lambda share, what: seen.append(share))
        assert seen == sorted(seen) and seen[-1] == 1
        with new(tmp_path / "b", bits, multi=multi) as other:
            other.import_codes(tmp_path / f"a{suffix}")
            same(ours, other)


def test_exported_indexes_are_searched_by_usearch(tmp_path):
    usearch = pytest.importorskip("usearch.index")
    codes, ids = codes_of(range(900)), np.random.default_rng(0).permutation(9000)[:900]
    with new(tmp_path / "c") as ours:
        ours.add(codes, ids)
        ours.export_codes(tmp_path / "a.usearch")
    theirs = usearch.Index.restore(str(tmp_path / "a.usearch"))
    assert len(theirs) == 900 and theirs.ndim == 64
    assert theirs.search(codes, 1).keys[:, 0].tolist() == ids.tolist()  # by its graph


def test_what_an_index_of_others_cannot_hold_is_refused_by_name(tmp_path, monkeypatch):
    with new(tmp_path / "a", 12) as odd, new(tmp_path / "b") as named:
        odd.add(codes_of(range(3), 12))
        named.add(codes_of(range(3)), ["x", "y", "z"])
        with pytest.raises(InputError, match=r"a\.faiss: codes of FAISS are whole bytes, these have 12 bits"):
            odd.export_codes(tmp_path / "a.faiss")
        with pytest.raises(InputError, match=r"a\.faiss: ids of FAISS are integers"):
            named.export_codes(tmp_path / "a.faiss")
        with pytest.raises(InputError, match=r"a\.usearch: keys of USearch are integers"):
            named.export_codes(tmp_path / "a.usearch")
        with pytest.raises(InputError, match="code_column and id_column are both 'id'"):
            named.export_codes(tmp_path / "a.parquet", code_column="id")
        with monkeypatch.context() as full:
            full.setattr(usearch_files, "beside", lambda path: contextlib.nullcontext(tmp_path / "none" / "a.usearch"))
            with pytest.raises(OSError, match=r"a\.usearch cannot be written: "):
                odd.export_codes(tmp_path / "a.usearch")
        monkeypatch.setattr(usearch_files.memory, "available", lambda: 1000)
        with pytest.raises(MemoryError, match=r"the graph of USearch takes some 1.1 kB, but 1.0 kB are free"):
            odd.export_codes(tmp_path / "a.usearch")
        monkeypatch.undo()
        monkeypatch.setitem(sys.modules, "usearch.index", None)
        with pytest.raises(MissingExtra, match="an index of USearch needs the extra 'usearch'"):
            odd.export_codes(tmp_path / "a.usearch")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_indexes_of_usearch_are_read(tmp_path):
    usearch = pytest.importorskip("usearch.index")
    codes, keys = codes_of(range(2000)), np.random.default_rng(0).permutation(9000)[:2000].astype(np.uint64)
    theirs = usearch.Index(ndim=64, dtype="b1", metric="hamming", connectivity=7)
    theirs.add(keys, codes)
    theirs.remove(int(keys[3]))
    theirs.save(str(tmp_path / "a.usearch"))
    with new(tmp_path / "c") as ours:
        assert ours.import_codes(tmp_path / "a.usearch") == 1999
        np.testing.assert_array_equal(ours.reconstruct(np.delete(keys, 3)), np.delete(codes, 3, axis=0))
        assert int(keys[3]) not in ours
    right = (tmp_path / "a.usearch").read_bytes()
    for length in [*range(0, 200, 7), 8 + 16_000 + 30, 8 + 16_000 + 80, len(right) - 1]:
        (tmp_path / "b.usearch").write_bytes(right[:length])
        with new(tmp_path / "d") as ours, pytest.raises(InputError, match=r"USearch|truncated"):
            ours.import_codes(tmp_path / "b.usearch")
        shutil.rmtree(tmp_path / "d")
    other = usearch.Index(ndim=8, dtype="f32")
    other.add(1, np.ones(8, np.float32))
    other.save(str(tmp_path / "f.usearch"))
    with new(tmp_path / "d") as ours, pytest.raises(InputError, match="vectors of another kind than bits"):
        ours.import_codes(tmp_path / "f.usearch")
