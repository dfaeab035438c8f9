"""Codes from and to files of rows of other programs: tables, lists, arrays, datasets."""

import csv
import json
import os
import shutil
import sqlite3
import subprocess

import numpy as np
import pytest
from collection_helpers import codes_of, new, same

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.collection import formats
from udsph.hamming.collection.formats import arrow

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


pytestmark = pytest.mark.usefixtures("small_steps")


def told(collection, path, **settings):
    """The shares that an import tells."""
    shares = []
    collection.import_codes(path, **settings, progress=lambda share, what: shares.append(share))
    return shares


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather", "", ".csv", ".fps", ".txt", ".hex"])
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
        ("a.xyz", "x", ".xyz is not read, of these codes are: .npy"),
        ("a", "x", "no suffix is not read"),
        ("a.csv", "", "is empty"),
        ("a.csv", "hash\n00\n", "must name a column 'code' once, it has hash"),
        ("a.csv", "code,code\n00,00\n", "must name a column 'code' once"),
        ("a.csv", "code,id\n00,1\nzz,2\n", "line 3: 'zz' is no code in hexadecimal"),
        ("a.csv", "code,id\n00,1\n0000,2\n", "line 3: expected codes of one length"),
        ("a.csv", "code,id\n00\n", "line 2: 1 fields, 2 columns have names"),
        ("a.csv", 'code,id\n"00,1\n', "line 3: unexpected end of data"),
        ("a.csv", f"code\n{'01' * 32}\nff\n", "line 3: 'ff' is no code in bits"),
        ("a.csv", "code\n0101010101010101\nff\n", "line 3: expected codes of one length"),
        ("a.arrow", "x", "is no Arrow file"),
        ("a.faiss", "IxF2", "whose codes are not binary"),
        ("a.usearch", "x", "is no index of USearch"),
        ("a.fps", "#FPS1\n#num_bits=166\n00 a\n", "has codes of 166 bits, this collection of 64"),
        ("a.npy", "x", "is no array of NumPy"),
        ("a.parquet", "x", "is no Parquet file"),
        ("a.txt", "00ff\n00\n", "line 2: expected codes of one length"),
        ("a.txt", "00ff a\n00ff\n", "line 2: expected an id in every line or in none"),
        ("a.txt", "00ff\n", "row"),
        ("a.fps", "#FPS1\n\n00\ta\nxx\tb\n", "line 4: expected a code in hexadecimal"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with new(tmp_path / "c") as ours:
        with pytest.raises(ValueError, match=message):
            ours.import_codes(tmp_path / name)
        assert len(ours) == 0
        ours.rollback()
        if name in ("a.xyz", "a"):
            with pytest.raises(InputError, match="is not written" if "." in name else "is there already"):
                ours.export_codes(tmp_path / name)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"other": [b"x"]}, "has no column 'code', it has other"),
        ({"code": [b"12345678", None]}, "has 1 values that are missing"),
        ({"code": [b"12345678", b"1"]}, "several lengths"),
        ({"code": [1, 2]}, "holds int64; expected codes as binary of one length"),
        ({"code": [b"12345678"], "id": [0.5]}, "holds double; expected ids"),
        ({"code": [b"12345678"], "id": pyarrow.array([None], pyarrow.int64())}, "has 1 values that are missing"),
    ],
)
def test_columns_that_are_no_codes_are_refused_by_name(tmp_path, columns, message):
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    with new(tmp_path / "c") as ours, pytest.raises(InputError, match=message):
        ours.import_codes(tmp_path / "a.parquet", id_column="id" if "id" in columns else None)


def test_datasets_of_hugging_face_are_read_from_their_folders(tmp_path):
    codes = codes_of(range(2000))
    (tmp_path / "data").mkdir()
    names = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
    forms = (pyarrow.list_(pyarrow.uint8()), pyarrow.list_(pyarrow.uint8(), 8), pyarrow.binary())
    for form in forms:
        for name, begin in zip(names, (0, 1500), strict=True):
            part = codes[begin : begin + 1500]
            values = [row.tobytes() if form == pyarrow.binary() else row.tolist() for row in part]
            table = pyarrow.table(
                {"hash": pyarrow.array(values, form), "id": [f"x{begin + i}" for i in range(len(part))]}
            )
            with pyarrow.ipc.new_stream(str(tmp_path / "data" / name), table.schema) as writer:
                writer.write_table(table, max_chunksize=400)
        (tmp_path / "data" / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": name} for name in names]})
        )
        with new(tmp_path / f"c{forms.index(form)}") as ours:
            shares = told(ours, tmp_path / "data", code_column="hash")
            assert shares == sorted(shares) and len(shares) > 3 and shares[-1] == 1
            assert ours.ids.tolist() == [f"x{number}" for number in range(2000)]
            np.testing.assert_array_equal(ours.reconstruct(ours.ids), codes)
    for state, said in (
        ({"_data_files": [{"filename": "../x.arrow"}]}, "which is no file of this folder"),
        ({}, "names no files"),
        ({"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}, "flatten_indices"),
    ):
        (tmp_path / "data" / "state.json").write_text(json.dumps(state))
        with new(tmp_path / "d") as ours, pytest.raises(InputError, match=said):
            ours.import_codes(tmp_path / "data", code_column="hash")
        shutil.rmtree(tmp_path / "d")
    (tmp_path / "data" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    with new(tmp_path / "d") as ours, pytest.raises(InputError, match="has the splits train, test"):
        ours.import_codes(tmp_path / "data")
    with new(tmp_path / "e") as ours, pytest.raises(InputError, match="without Arrow or Parquet files"):
        ours.import_codes(tmp_path)


def test_a_dataset_of_hugging_face_is_written_as_it_writes_them(tmp_path, monkeypatch):
    """As ``Dataset.save_to_disk`` of version 5.2 does, whose ``load_from_disk`` opened what this wrote."""
    monkeypatch.setattr(arrow, "_FILE_OF_DATASET", 1500 * 16)
    (tmp_path / "data").mkdir(mode=0o750)
    with new(tmp_path / "c") as ours:
        ours.add(codes_of(range(3000)))
        ours.remove(range(700, 1400))
        ours.export_codes(tmp_path / "data", code_column="hash", id_column="number")
    names = [f"data-0000{number}-of-00003.arrow" for number in range(3)]
    assert sorted(os.listdir(tmp_path / "data")) == [*names, "dataset_info.json", "state.json"]
    assert (tmp_path / "data").stat().st_mode & 0o777 == (0o750 if os.name != "nt" else 0o777)
    state = json.loads((tmp_path / "data" / "state.json").read_text())
    assert int(state.pop("_fingerprint"), 16) >= 0
    assert state == {
        "_data_files": [{"filename": name} for name in names],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    info = json.loads((tmp_path / "data" / "dataset_info.json").read_text())
    assert info["features"] == {
        "hash": {"feature": {"dtype": "uint8", "_type": "Value"}, "length": 8, "_type": "Sequence"},
        "number": {"dtype": "int64", "_type": "Value"},
    }
    rows, numbers = [], []
    for name in names:
        table = pyarrow.ipc.open_stream(tmp_path / "data" / name).read_all()
        assert json.loads(table.schema.metadata[b"huggingface"]) == {"info": {"features": info["features"]}}
        assert table.schema.field("hash").type == pyarrow.list_(pyarrow.uint8(), 8)
        rows += table["hash"].to_pylist()
        numbers += table["number"].to_pylist()
    assert numbers == [*range(700), *range(1400, 3000)]
    np.testing.assert_array_equal(rows, codes_of(numbers))
    with new(tmp_path / "d") as ours, pytest.raises(InputError, match="data is there already; give the path of a new"):
        ours.export_codes(tmp_path / "data")
    with new(tmp_path / "e") as ours, pytest.raises(FileNotFoundError, match=r"gone.data"):
        ours.export_codes(tmp_path / "gone" / "data")


def test_an_empty_collection_goes_out_and_in(tmp_path):
    pytest.importorskip("usearch.index")
    with new(tmp_path / "a") as ours, new(tmp_path / "b") as other:
        for suffix in formats.WRITTEN:
            ours.export_codes(tmp_path / f"codes{suffix}")
            assert other.import_codes(tmp_path / f"codes{suffix}") == 0, suffix
        ours.export_codes(tmp_path / "codes")
        assert other.import_codes(tmp_path / "codes") == 0


def test_a_folder_of_parquet_files_is_read_in_the_order_of_their_names(tmp_path):
    codes = codes_of(range(900))
    (tmp_path / "data").mkdir()
    for number in range(3):
        part = {"code": [row.tobytes() for row in codes[300 * number : 300 * number + 300]]}
        parquet.write_table(pyarrow.table(part), tmp_path / "data" / f"{number}.parquet")
    with new(tmp_path / "c") as ours:
        assert ours.import_codes(tmp_path / "data") == 900
        np.testing.assert_array_equal(ours.reconstruct(np.arange(900)), codes)


def test_rows_of_databases_are_read(tmp_path):
    codes = codes_of(range(1500))
    forms = {
        "bits": lambda row: "".join(map(str, np.unpackbits(row, bitorder="little"))),
        "bytea": lambda row: f"\\x{row.tobytes().hex()}",
        "quote": lambda row: f"X'{row.tobytes().hex().upper()}'",
        "0x": lambda row: f"0x{row.tobytes().hex()}",
        "bare": lambda row: row.tobytes().hex(),
    }
    for name, form in forms.items():
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["n", "phash", "title"])
            writer.writerows([3 * n, form(row), f'a "b", {n}\nc'] for n, row in enumerate(codes))
        for column, ids in (("n", list(range(0, 4500, 3))), ("title", [f'a "b", {n}\nc' for n in range(1500)])):
            with new(tmp_path / f"{name} {column}") as ours:
                assert ours.import_codes(tmp_path / f"{name}.csv", code_column="phash", id_column=column) == 1500
                assert ours.ids.tolist() == ids
                np.testing.assert_array_equal(ours.reconstruct(ours.ids), codes)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
def test_what_sqlite_writes_is_read(tmp_path):
    codes = codes_of(range(50))
    base = sqlite3.connect(tmp_path / "a.db")
    base.execute("create table photos (id text, phash blob)")
    base.executemany("insert into photos values (?, ?)", [(f"p,{n}", row.tobytes()) for n, row in enumerate(codes)])
    base.commit()
    for value in ("quote(phash)", "hex(phash)"):
        command = ["sqlite3", "-csv", "-header", tmp_path / "a.db", f"select id, {value} as code from photos"]
        (tmp_path / "a.csv").write_bytes(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        with new(tmp_path / value[:4]) as ours:
            ours.import_codes(tmp_path / "a.csv")
            np.testing.assert_array_equal(ours.reconstruct([f"p,{n}" for n in range(50)]), codes)


def test_lists_of_pdq_hashes_and_fingerprints_are_read(tmp_path):
    codes = codes_of(range(20), 256)
    (tmp_path / "pdq.txt").write_text(
        "".join(f"{row.tobytes().hex()},{n},a b/{n}.jpg\n" for n, row in enumerate(codes))
    )
    with new(tmp_path / "a", 256) as ours:
        ours.import_codes(tmp_path / "pdq.txt")
        np.testing.assert_array_equal(ours.reconstruct([f"a b/{n}.jpg" for n in range(20)]), codes)
    codes = codes_of(range(20), 166)
    lines = [f"{row.tobytes().hex()}\tmolecule {n}\t1.5\n" for n, row in enumerate(codes)]
    (tmp_path / "a.fps").write_text("#FPS1\n#num_bits=166\n#type=RDKit-MACCS166/2\n" + "".join(lines))
    with new(tmp_path / "b", 166) as ours:
        ours.import_codes(tmp_path / "a.fps")
        np.testing.assert_array_equal(ours.reconstruct([f"molecule {n}" for n in range(20)]), codes)


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_an_id_that_comes_twice_in_a_file_keeps_or_replaces(tmp_path, kind):
    codes, ids = codes_of(range(1500)), np.arange(1500) % 900
    table = {"code": [row.tobytes() for row in codes], "id": ids if kind == "integers" else [f"x{i}" for i in ids]}
    parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    for duplicates, first in (("keep", True), ("replace", False)):
        with new(tmp_path / duplicates) as ours:
            ours.add(codes_of([7]), [5 if kind == "integers" else "x5"])
            assert ours.import_codes(tmp_path / "a.parquet", duplicates=duplicates) == 1500
            assert len(ours) == 900
            expected = (
                codes[np.arange(900)]
                if first
                else codes[np.where(np.arange(900) < 600, np.arange(900) + 900, np.arange(900))]
            )
            expected[5] = codes_of([7])[0] if first else expected[5]
            np.testing.assert_array_equal(ours.reconstruct(list(dict.fromkeys(table["id"]))), expected)
    with new(tmp_path / "error") as ours, pytest.raises(ValueError, match="given twice or already"):
        ours.import_codes(tmp_path / "a.parquet")
    with new(tmp_path / "wrong") as ours, pytest.raises(InputError, match="duplicates must be"):
        ours.import_codes(tmp_path / "a.parquet", duplicates="both")
    with new(tmp_path / "multi", multi=True) as ours:
        ours.import_codes(tmp_path / "a.parquet", duplicates="keep")
        assert len(ours) >= 900


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
