"""Codes from and to files of other programs."""

import os

import numpy as np
import pytest
from collection_helpers import codes_of, same

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.collection import collection, exchange

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(exchange, "_BATCH", 700)
    monkeypatch.setattr(collection, "_MOST_UNCOMMITTED", 16 * 1500)


def new(path, bits=64, **settings):
    return hamming.Collection.create(path, bits, durability="none", **settings)


@pytest.mark.parametrize("suffix", [".parquet", ".fps", ".txt", ".hex"])
@pytest.mark.parametrize("bits", [12, 64])
def test_what_is_exported_is_imported(tmp_path, suffix, bits):
    with new(tmp_path / "a", bits) as ours:
        ours.add(codes_of(range(4000), bits), [f"né {n}" for n in range(4000)])
        ours.remove([f"né {n}" for n in range(100, 1500)])
        seen = []
        ours.export_codes(tmp_path / f"codes{suffix}", progress=lambda share, what: seen.append(share))
        assert seen == sorted(seen) and seen[-1] == 1
        with new(tmp_path / "b", bits) as other:
            assert other.import_codes(tmp_path / f"codes{suffix}", id_column="id") == 2600
            assert other.generation > (bits == 64)  # in steps, if there is much
            same(ours, other)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", f"codes{suffix}"]


@pytest.mark.parametrize("bitorder", ["little", "big"])
def test_packed_arrays_go_out_and_in(tmp_path, bitorder):
    codes = codes_of(range(3000))
    np.save(tmp_path / "codes.npy", codes)
    with new(tmp_path / "a", bitorder=bitorder) as ours:
        assert ours.import_codes(tmp_path / "codes.npy") == 3000
        ours.export_codes(tmp_path / "again.npy")
        ours.export_codes(tmp_path / "codes.parquet")
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "codes.npy").read_bytes()
    table = parquet.read_table(tmp_path / "codes.parquet")
    assert table["code"].type == pyarrow.binary(8) and table["id"].to_pylist() == list(range(3000))
    assert b"".join(table["code"].to_pylist()) == codes.tobytes()


def test_words_and_binary_columns_are_codes_too(tmp_path):
    codes = codes_of(range(1500))
    np.save(tmp_path / "words.npy", codes.view(np.uint64))
    table = pyarrow.table({"hash": pyarrow.array([row.tobytes() for row in codes]), "number": np.arange(1500) * 3})
    parquet.write_table(table, tmp_path / "hashes.parquet")
    truth = hamming.FlatIndex(64)
    truth.add(codes)
    with new(tmp_path / "a") as ours:
        ours.import_codes(tmp_path / "words.npy")
        same(truth, ours)
        ours.clear()
        ours.import_codes(tmp_path / "hashes.parquet", code_column="hash", id_column="number")
        assert ours.ids.tolist() == list(range(0, 4500, 3))


def test_an_import_that_was_interrupted_is_finished(tmp_path):
    with open(tmp_path / "codes.txt", "w") as file:
        file.writelines(f"{row.tobytes().hex()} id{n}\n" for n, row in enumerate(codes_of(range(3000))))
        file.write("zz\n")
    with new(tmp_path / "a") as ours:
        with pytest.raises(InputError, match=r"codes\.txt, line 3001: expected a code in hexadecimal"):
            ours.import_codes(tmp_path / "codes.txt")
        assert 1400 < len(ours) < 3000
        text = (tmp_path / "codes.txt").read_text().removesuffix("zz\n")
        (tmp_path / "codes.txt").write_text(text)
        with pytest.raises(InputError, match="already in the index"):
            ours.import_codes(tmp_path / "codes.txt")
        ours.import_codes(tmp_path / "codes.txt", duplicates="keep")
        assert ours.ids.tolist() == [f"id{n}" for n in range(3000)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "x", "codes are not read"),
        ("a", "x", "of no suffix codes are not read"),
        ("a.npy", "x", "is no array of NumPy"),
        ("a.parquet", "x", "is no Parquet file"),
        ("a.txt", "00ff\n00\n", "line 2: expected codes of one length"),
        ("a.txt", "00ff a\n00ff\n", "line 2: expected an id in every line or in none"),
        ("a.txt", "00ff\n", "row"),
        ("a.fps", "#FPS1\n\n00 a\nxx b\n", "line 4: expected a code in hexadecimal"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with new(tmp_path / "c") as ours:
        with pytest.raises(ValueError, match=message):
            ours.import_codes(tmp_path / name)
        assert len(ours) == 0
        ours.rollback()
        if name in ("a.csv", "a"):
            with pytest.raises(InputError, match="is not written"):
                ours.export_codes(tmp_path / name)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"other": [b"x"]}, "has no column 'code', it has other"),
        ({"code": [b"12345678", None]}, "has 1 values that are missing"),
        ({"code": [b"12345678", b"1"]}, "several lengths"),
        ({"code": [1, 2]}, "holds int64; expected codes as fixed-size binary"),
        ({"code": [b"12345678"], "id": [0.5]}, "holds double; expected ids"),
        ({"code": [b"12345678"], "id": pyarrow.array([None], pyarrow.int64())}, "has 1 values that are missing"),
    ],
)
def test_columns_that_are_no_codes_are_refused_by_name(tmp_path, columns, message):
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with new(tmp_path / "c") as ours, pytest.raises(InputError, match=message):
        ours.import_codes(tmp_path / "a.parquet", id_column="id" if "id" in columns else None)


def test_ids_that_lines_cannot_hold_are_refused(tmp_path):
    with new(tmp_path / "c") as ours:
        for id in ("", "two\nlines", " space"):
            ours.add(codes_of([1]), [id])
            with pytest.raises(InputError, match="cannot hold the id"):
                ours.export_codes(tmp_path / "a.txt")
            ours.rollback()
    assert os.listdir(tmp_path) == ["c"]


@pytest.mark.parametrize("ids", [["x", "y", "z"], [7, 5, 3]])
def test_ids_of_parquet_come_back_by_themselves(tmp_path, ids):
    codes = np.arange(24, dtype=np.uint8).reshape(3, 8)
    with hamming.Collection.create(tmp_path / "a", 64) as ours:
        ours.add(codes, ids)
        ours.export_codes(tmp_path / "codes.parquet")
    with hamming.Collection.create(tmp_path / "b", 64) as other:
        other.import_codes(tmp_path / "codes.parquet")
        assert other.ids.tolist() == ids
    with hamming.Collection.create(tmp_path / "c", 64) as positions:
        positions.import_codes(tmp_path / "codes.parquet", id_column="")
        assert positions.ids.tolist() == [0, 1, 2]
