"""``udsph index``: a stored collection from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from udsph import hamming

from .command import udsph


@pytest.fixture
def codes(tmp_path: Path) -> np.ndarray:
    rows: np.ndarray = np.random.default_rng(0).integers(0, 256, (300, 8), dtype=np.uint8)
    lines = [f"{row.tobytes().hex()} photo {number}\n" for number, row in enumerate(rows)]
    (tmp_path / "codes.txt").write_text("".join(lines))
    np.save(tmp_path / "codes.npy", rows)
    return rows


def test_a_collection_lives_on_the_command_line(tmp_path: Path, codes: np.ndarray) -> None:
    place = tmp_path / "a collection"
    for arguments, said in (
        (("create", place, "--bits", 64), "made, for codes of 64 bits"),
        (("add", place, tmp_path / "codes.txt"), "300 codes read, 300 are there"),
        (("add", place, tmp_path / "codes.txt", "--duplicates", "keep"), "300 codes read, 300 are there"),
        (("verify", place), "300 codes in 1 files are as they were written"),
        (("info", place), "strings"),
        (("export", place, tmp_path / "out.fps"), "300 codes: "),
        (("export", place, tmp_path / "dataset"), "300 codes: "),
        (("import", tmp_path / "other", tmp_path / "dataset"), "300 codes read, 300 are there"),
    ):
        done = udsph("index", *arguments)
        assert done.exit_code == 0 and said in done.stdout, done.output
    (tmp_path / "gone.txt").write_text("photo 5\nphoto 7\n")
    done = udsph("index", "remove", place, tmp_path / "gone.txt", "--json")
    assert json.loads(done.stdout)["gone"] == 2
    assert "1 files" in udsph("index", "compact", place, "--tables", "yes").stdout
    assert json.loads(udsph("index", "info", place, "--json").stdout)["codes"] == 298
    done = udsph("index", "search", place, tmp_path / "codes.npy", "-k", 2, "--rows", 1)
    assert done.exit_code == 0 and "photo 0 (0)" in done.stdout
    for suffix in ("json", "csv", "npz"):
        done = udsph("index", "search", place, tmp_path / "codes.npy", "-k", 2, "--output", tmp_path / f"a.{suffix}")
        assert done.exit_code == 0, done.output
    with hamming.Collection.open(place) as collection:
        ids = collection.search(codes, 2).ids
    assert json.loads((tmp_path / "a.json").read_text())["ids"] == ids.tolist()
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["ids"], ids.astype(str))
    with (tmp_path / "a.csv").open(newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ids.reshape(-1).tolist()


def test_an_import_makes_the_collection(tmp_path: Path, codes: np.ndarray) -> None:
    place, again = tmp_path / "new", tmp_path / "again"
    done = udsph("index", "import", place, tmp_path / "codes.txt", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["bits"] == 64
    assert "300 codes: " in udsph("index", "export", place, tmp_path / "codes.csv").stdout
    assert "300 codes read" in udsph("index", "import", again, tmp_path / "codes.csv", "--bits", 64).stdout
    np.testing.assert_array_equal(hamming.Collection.open(again).reconstruct(["photo 7"]), codes[[7]])
    refused = udsph("index", "export", again, tmp_path / "out.usearch")
    assert refused.exit_code == 2 and "keys of USearch are integers" in refused.stderr
    (tmp_path / "none.csv").write_text("id,code\n")
    for said, *arguments in (
        ("--bits 8 is for a new collection", place, tmp_path / "codes.csv", "--bits", 8),
        ("has no codes: say their width by --bits", tmp_path / "other", tmp_path / "none.csv"),
        (".xyz is not read", tmp_path / "other", tmp_path / "a.xyz"),
        ("No such file", tmp_path / "other", tmp_path / "a.csv"),
    ):
        done = udsph("index", "import", *arguments)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "other").exists()


def test_positions_are_ids_too(tmp_path: Path, codes: np.ndarray) -> None:
    place = tmp_path / "c"
    udsph("index", "create", place, "--bits", 64, "--keep", 2)
    assert udsph("index", "add", place, tmp_path / "codes.npy").exit_code == 0
    (tmp_path / "gone.txt").write_text("5\n700\n")
    done = udsph("index", "remove", place, tmp_path / "gone.txt")
    assert done.exit_code == 2 and "id 700 is not in the index" in done.stderr
    done = udsph("index", "remove", place, tmp_path / "gone.txt", "--unknown", "ignore")
    assert done.exit_code == 0 and "1 codes removed, 299 are there" in done.stdout
    (tmp_path / "gone.txt").write_text("five\n")
    done = udsph("index", "remove", place, tmp_path / "gone.txt")
    assert done.exit_code == 2 and "are whole numbers" in done.stderr
    done = udsph("index", "search", place, tmp_path / "codes.npy", "-k", 400, "--rows", 1)
    assert done.exit_code == 0 and "-1" not in done.stdout


@pytest.mark.parametrize("what", ["add", "remove", "compact", "verify", "info", "search", "export"])
def test_what_is_no_collection_is_one_line(tmp_path: Path, codes: np.ndarray, what: str) -> None:
    more = [] if what in ("compact", "verify", "info") else [tmp_path / "codes.npy"]
    done = udsph("index", what, tmp_path, *more)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "is no collection" in done.stderr


def test_a_damaged_file_and_a_second_writer_are_one_line(tmp_path: Path, codes: np.ndarray) -> None:
    place = tmp_path / "c"
    udsph("index", "create", place, "--bits", 64)
    udsph("index", "add", place, tmp_path / "codes.npy")
    with hamming.Collection.open(place, "a"):
        done = udsph("index", "compact", place)
        assert done.exit_code == 2 and "held by process" in done.stderr and done.stderr.count("\n") == 1
    (file,) = place.glob("*.segment")
    data = bytearray(file.read_bytes())
    data[8192] ^= 1
    file.write_bytes(data)
    done = udsph("index", "verify", place)
    assert done.exit_code == 2 and "of the section 'codes' are damaged" in done.stderr
