"""A folder of one's own: CSV and Parquet tables, splits, and rows that cannot be used."""

import csv

import numpy as np
import pytest
from PIL import Image

from udsph import data
from udsph.errors import InputError

COLUMNS = ("image", "caption", "labels")
ROWS = [
    (f"photos/{k}.png", f"a {'cat' if k % 2 else 'dog'} on picture {k}", "pet;cat" if k % 2 else "pet")
    for k in range(10)
]


def write(path, rows, columns=COLUMNS, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    for k in range(10):
        Image.new("RGB", (12, 9), (25 * k, 0, 0)).save(tmp_path / "photos" / f"{k}.png")
    write(tmp_path / "pairs.csv", ROWS)
    return tmp_path


def test_a_csv_table(root):
    found = data.load("folder", root, size=8)
    assert found.classes == ("cat", "pet")
    np.testing.assert_array_equal(found.labels, [[k % 2, 1] for k in range(10)])
    np.testing.assert_array_equal(found.image.values[np.arange(10)][:, 0, 0, 0], 25 * np.arange(10))
    assert found.captions[3] == "a cat on picture 3"
    assert {name: len(index) for name, index in found.splits.items()} == {"query": 2, "train": 8, "database": 8}


def test_a_parquet_table(root):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, of the extra data, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    image, caption, labels = zip(*ROWS, strict=True)
    table = {"image": image, "text": caption, "labels": [one.split(";") for one in labels]}
    parquet.write_table(pyarrow.table(table), root / "pairs.parquet")
    from_csv = data.load("folder", root, table="pairs.csv")
    found = data.load("folder", root, table="pairs.parquet", caption="text")
    assert found.captions == from_csv.captions
    np.testing.assert_array_equal(found.labels, from_csv.labels)
    (root / "pairs.parquet").write_bytes((root / "pairs.parquet").read_bytes()[:100])
    with pytest.raises(InputError, match=r"pairs\.parquet is no whole Parquet file"):
        data.load("folder", root, table="pairs.parquet")


def test_splits_of_the_table(root):
    splits = ["query"] * 2 + ["train"] * 5 + ["database"] * 3
    write(root / "pairs.csv", [(*row, split) for row, split in zip(ROWS, splits, strict=True)], (*COLUMNS, "split"))
    found = data.load("folder", root)
    assert {name: index.tolist() for name, index in found.splits.items()} == {
        "query": [0, 1], "train": [2, 3, 4, 5, 6], "database": [2, 3, 4, 5, 6, 7, 8, 9],
    }  # fmt: skip
    write(
        root / "pairs.csv",
        [(*row, split) for row, split in zip(ROWS, ["", *splits[1:]], strict=True)],
        (*COLUMNS, "split"),
    )
    with pytest.raises(InputError, match=r"1 rows of pairs\.csv have no split, others have one"):
        data.load("folder", root)


def test_rows_that_cannot_be_used_are_counted_or_stop(root):
    (root / "classes.txt").write_text("pet\ncat\n")
    bad = [
        ("photos/none.png", "no picture", "pet"),
        ("photos/0.png", "", "pet"),
        ("photos/0.png", "no labels", " ; "),
        ("photos/0.png", "unknown class", "pet;dragon"),
        ("../secret.png", "outside", "pet"),
        ROWS[0],
    ]
    write(root / "pairs.csv", [*ROWS, *bad])
    found = data.load("folder", root)
    assert len(found) == 10
    assert found.classes == ("pet", "cat")  # in the order of classes.txt
    assert list(found.notes) == [
        "left out 1: the caption is empty (pairs.csv, row 12: photos/0.png)",
        "left out 1: the labels name no class; an empty cell is for a pair whose labels are not known "
        "(pairs.csv, row 13: photos/0.png)",
        "left out 1: the class 'dragon' is not in classes.txt (pairs.csv, row 14: photos/0.png)",
        "left out 1: the image's path leaves the folder or is empty (pairs.csv, row 15: ../secret.png)",
        "left out 1: the id or the pair is repeated (pairs.csv, row 16: photos/0.png)",
        "left out 1: the image does not exist (photos/none.png)",
    ]
    with pytest.raises(InputError, match=r"the caption is empty: pairs\.csv, row 12"):
        data.load("folder", root, on_error="stop")


def test_repeated_ids(root):
    write(root / "pairs.csv", [(*row, min(k, 8)) for k, row in enumerate(ROWS)], (*COLUMNS, "id"))
    found = data.load("folder", root)
    assert found.notes == ("left out 1: the id or the pair is repeated (pairs.csv, row 10: photos/9.png)",)


def test_another_encoding(root):
    write(root / "pairs.csv", [(image, "café crème café", labels) for image, _, labels in ROWS], encoding="latin-1")
    assert "café" in data.load("folder", root, encoding="latin-1").text.vocabulary
    with pytest.raises(InputError, match=r"no items are left; left out 10: the row is not utf-8 \(encoding=NAME"):
        data.load("folder", root)
    with pytest.raises(InputError, match=r"pairs\.csv is not utf-16 \(encoding=NAME"):
        data.load("folder", root, encoding="utf-16")


def test_rows_that_are_no_whole_text_or_have_too_many_fields(root):
    path = root / "pairs.csv"
    lines = path.read_bytes().splitlines()
    lines[3] = b"photos/2.png,caf\xe9,pet"
    lines[5] = b"photos/4.png,a dog, and a mat,pet"
    path.write_bytes(b"\n".join(lines))
    found = data.load("folder", root)
    assert found.notes == (
        "left out 1: the row is not utf-8 (encoding=NAME for another) (pairs.csv, row 3: photos/2.png)",
        "left out 1: the row has 4 fields, not 3; quote what holds the separator (pairs.csv, row 5: photos/4.png)",
    )
    with pytest.raises(InputError, match=r"the row is not utf-8 .* row 3"):
        data.load("folder", root, on_error="stop")


def test_tables_of_another_form(root):
    with pytest.raises(InputError, match=r"pairs\.csv has no column 'text'; it has image, caption, labels"):
        data.load("folder", root, caption="text")
    with pytest.raises(InputError, match=r"the table 'none\.csv' is missing"):
        data.load("folder", root, table="none.csv")
    write(root / "other.csv", ROWS)
    with pytest.raises(
        InputError, match=r"must hold one table \(\.csv, \.tsv, \.parquet\), found other\.csv, pairs\.csv"
    ):
        data.load("folder", root)
    write(root / "other.csv", [])
    with pytest.raises(InputError, match="folder: no items are left; the lists are empty"):
        data.load("folder", root, table="other.csv")


def test_captions_without_labels(root):
    write(root / "pairs.csv", [row[:2] for row in ROWS], COLUMNS[:2])
    with pytest.raises(InputError, match=r"no column 'labels'; it has image, caption; .*labels=none is for pairs with"):
        data.load("folder", root)
    found = data.load("folder", root, labels="none")
    assert not found.labelled and found.labels.shape == (10, 0) and found.classes == ()
    assert found.captions == tuple(caption for _, caption, _ in ROWS)
    assert found.notes == () and found.settings["labels"] == "none"
    (root / "classes.txt").write_text("cat\n")  # of no concern
    assert data.load("folder", root, labels="none").classes == ()


@pytest.mark.parametrize("written", ["val", "validation", "dev"])
def test_a_split_of_another_name_is_said_where_it_leaves_none(root, written):
    splits = [written] * 2 + ["train"] * 8
    write(root / "pairs.csv", [(*row, split) for row, split in zip(ROWS, splits, strict=True)], (*COLUMNS, "split"))
    message = (
        rf"folder: the split 'query' is empty; left out 2: the split '{written}' is none of train, database, query"
    )
    with pytest.raises(InputError, match=message):
        data.load("folder", root)


def test_a_split_named_test_is_that_of_the_queries(root):
    splits = ["Test"] * 2 + ["train"] * 8
    write(root / "pairs.csv", [(*row, split) for row, split in zip(ROWS, splits, strict=True)], (*COLUMNS, "split"))
    found = data.load("folder", root)
    assert found.splits["query"].tolist() == [0, 1] and found.notes == ()


def test_empty_labels_are_unknown_ones(root):
    rows = [(image, caption, "" if k in (1, 4) else labels) for k, (image, caption, labels) in enumerate(ROWS)]
    write(root / "pairs.csv", rows)
    found = data.load("folder", root)
    assert len(found) == 10 and np.flatnonzero(~found.known).tolist() == [1, 4]
    assert found.notes == ("2 of 10 rows have no labels: theirs are not known",)
    np.testing.assert_array_equal(found.labels.any(axis=1), found.known)
    write(root / "pairs.csv", [(image, caption, "") for image, caption, _ in ROWS])
    assert not data.load("folder", root).labelled
    (root / "classes.txt").write_text("pet\ncat\n")
    with pytest.warns(UserWarning, match="no item has the class pet, cat"):
        assert not data.load("folder", root).known.any()


def test_an_empty_list_is_no_empty_cell(root):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow, of the extra data, is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    image, caption, _ = zip(*ROWS, strict=True)
    lists = [None, [], *([["pet"]] * 8)]
    parquet.write_table(pyarrow.table({"image": image, "caption": caption, "labels": lists}), root / "a.parquet")
    write(root / "b.csv", [(*row[:2], {0: "", 1: "[]"}.get(k, "pet")) for k, row in enumerate(ROWS)])
    for table in ("a.parquet", "b.csv"):
        found = data.load("folder", root, table=table)
        assert len(found) == 9 and np.flatnonzero(~found.known).tolist() == [0]
        assert found.notes[0].startswith("left out 1: the labels name no class; an empty cell is for a pair whose")
