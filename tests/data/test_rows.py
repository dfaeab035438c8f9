"""Tables: the same pairs mean the same from every program that writes them, held against pandas."""

import csv
import io

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from udsph import data
from udsph.data.rows import inside, names_in, read_rows
from udsph.errors import InputError

ANY = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from([*"\\\"',;|\t\n\r\x0b\x0c\x1c\x85\u2028\ufeff[]", "\0"]),
)
NAMES = [f"photos/{k}.png" for k in range(6)]
CAPTIONS = [
    "a cat, a dog; and a\tmat", 'he said "no"', "two\nlines", "Größe 环", "a\u2028b\x0bc\x85d", "trailing blank "
]  # fmt: skip
LABELS = [["cat", "dog"], ["dog"], ["big cat"], ["cat"], ["dog"], ["cat", "big cat"]]


def frame(joined=True):
    labels = [";".join(names) for names in LABELS] if joined else LABELS
    return pd.DataFrame({"image": NAMES, "caption": CAPTIONS, "labels": labels})


@pytest.fixture
def root(tmp_path):
    (tmp_path / "photos").mkdir()
    for k, name in enumerate(NAMES):
        Image.new("RGB", (8, 8), (40 * k, 0, 0)).save(tmp_path / name)
    return tmp_path


def loaded(root, name, **settings):
    found = data.load("folder", root, table=name, size=8, **settings)
    assert not [note for note in found.notes if note.startswith("left out")]
    reds = found.image.values[np.arange(len(found))][:, 0, 0, 0]
    named = [tuple(found.classes[c] for c in np.flatnonzero(row)) for row in found.labels]
    return {int(red) // 40: (caption, names) for red, caption, names in zip(reds, found.captions, named, strict=True)}


EXPECTED = {k: (CAPTIONS[k].strip(), tuple(sorted(LABELS[k]))) for k in range(6)}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_any_program_is_one_table(root, separator, encoding, end):
    path = root / "pairs.csv"
    frame().to_csv(path, sep=separator, encoding=encoding, index=False, lineterminator=end)
    assert loaded(root, "pairs.csv") == EXPECTED


@pytest.mark.parametrize(
    "first", ["sep=;\r\n", '"sep=;"\r\n', "#TYPE System.Management.Automation\r\n", "\r\n", "\n\n"]
)
def test_what_programs_write_before_the_heading_is_no_heading(root, first):
    content = frame().to_csv(index=False, sep=";", quoting=csv.QUOTE_ALL)
    (root / "pairs.csv").write_bytes(("\ufeff" + first + content).encode())
    assert loaded(root, "pairs.csv") == EXPECTED


def test_columns_in_any_order_among_others(root):
    table = frame()[["labels", "caption", "image"]].assign(**{"größe": 1, "empty": ""})
    table.to_csv(root / "pairs.csv", index=True)
    assert loaded(root, "pairs.csv") == EXPECTED


@pytest.mark.parametrize("joined", [True, False])
def test_parquet_and_csv_of_one_frame_are_one_dataset(root, joined):
    """Lists of labels too: pandas writes them into a CSV as Python does."""
    frame(joined).to_csv(root / "pairs.csv", index=False)
    frame(joined).to_parquet(root / "pairs.parquet")
    assert loaded(root, "pairs.csv") == loaded(root, "pairs.parquet") == EXPECTED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cells=st.lists(st.tuples(st.text(ANY, max_size=9), st.text(ANY, max_size=9)), min_size=1, max_size=4),
    separator=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_text_in_a_cell_is_the_same_from_csv_and_parquet(tmp_path, cells, separator, encoding, end):
    columns = ("größe", "text")
    with (tmp_path / "a.csv").open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
        writer.writerows([columns, *cells])
    pd.DataFrame(cells, columns=columns).to_parquet(tmp_path / "a.parquet")
    one, other = (list(read_rows(tmp_path / name, columns, layout="mine")) for name in ("a.csv", "a.parquet"))
    assert one == other
    for row, (_, text) in zip(one, cells, strict=True):
        if not row.fault:
            assert " ".join(row.fields["text"].split()) == " ".join(text.split())


def test_a_list_of_labels_is_not_parted_again(root):
    table = frame().assign(labels=[["a;b", "c|d"]] * 6)
    table.to_parquet(root / "pairs.parquet")
    for separator in (";", "|"):
        assert data.load("folder", root, table="pairs.parquet", separator=separator).classes == ("a;b", "c|d")


def test_nan_is_an_unknown_label_and_no_class(root):
    table = frame().assign(labels=[1.0, np.nan, 2.0, 1.0, 2.0, 1.0], split=["train"] * 4 + ["query"] * 2)
    table.to_parquet(root / "pairs.parquet")
    table.to_csv(root / "pairs.csv", index=False)
    for name in ("pairs.parquet", "pairs.csv"):
        found = data.load("folder", root, table=name)
        assert found.classes == ("1.0", "2.0")
        assert np.flatnonzero(~found.known).tolist() == [1]
        assert found.notes[:1] == ("1 of 6 rows have no labels: theirs are not known",)


def test_rows_of_nothing_are_counted_and_blank_lines_count_in_numbers(root):
    lines = frame().head(2).to_csv(index=False).splitlines()
    text = "\n".join([lines[0], "", ",,", lines[1], ",,,,", "x.png,,dog,,", "", lines[2].replace("no", "yes"), ""])
    (root / "pairs.csv").write_text(text)
    rows = list(read_rows(root / "pairs.csv", ("image", "caption", "labels"), layout="mine"))
    assert [(row.number, row.fault) for row in rows] == [
        (2, "the row is empty"), (3, ""), (4, "the row is empty"), (5, ""), (7, ""),
    ]  # fmt: skip
    assert rows[-1].fields["caption"] == 'he said "yes"'


def test_a_workbook_and_a_disguised_parquet_are_seen_by_their_first_bytes(root):
    frame().to_parquet(root / "pairs.csv")
    assert loaded(root, "pairs.csv") == EXPECTED
    (root / "book.csv").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InputError, match=r"folder: book\.csv is a workbook or an archive; save the table as CSV"):
        data.load("folder", root, table="book.csv")


def test_pictures_within_a_parquet_table_are_one_short_error(root):
    pixels = io.BytesIO()
    Image.new("RGB", (300, 300)).save(pixels, "png")
    table = frame().assign(image=[{"bytes": pixels.getvalue() * 100, "path": name} for name in NAMES])
    table.to_parquet(root / "pairs.parquet")
    with pytest.raises(InputError, match=r"the column 'image' holds struct<bytes: .*its path within the folder") as no:
        data.load("folder", root, table="pairs.parquet")
    assert len(str(no.value)) < 400
    frame().assign(image=[pixels.getvalue()] * 6).to_parquet(root / "pairs.parquet")
    with pytest.raises(InputError, match="no items are left; left out 6: the row is not utf-8") as no:
        data.load("folder", root, table="pairs.parquet")
    assert len(str(no.value)) < 1000


def test_columns_that_are_missing_or_stand_there_twice(root):
    (root / "pairs.csv").write_text("image,caption,caption,labels\n")
    with pytest.raises(InputError, match=r"folder: pairs\.csv has the column 'caption' twice"):
        data.load("folder", root)
    (root / "pairs.csv").write_text("image,text\n")
    with pytest.raises(InputError, match=r"folder: pairs\.csv has no column 'caption'; it has image, text"):
        data.load("folder", root)


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        ("cat;dog", ["cat", "dog"]),
        (" cat ; ; dog;", ["cat", "dog"]),
        (["cat;dog", " x "], ["cat;dog", "x"]),
        ("['cat', \"it's\"]", ["cat", "it's"]),
        ('["cat", "a, b"]', ["cat", "a, b"]),
        ("[1, 2]", ["1", "2"]),
        ("[cat, dog]", ["cat", "dog"]),
        ("[]", []),
        ("", []),
        ("cafe\u0301", ["café"]),
    ],
)
def test_names_in_a_cell(cell, names):
    assert names_in(cell, ";") == names


@pytest.mark.parametrize("cell", ["['cat' 'dog']", "[cat", "['cat', [1]]"])
def test_what_only_looks_like_a_list_is_not_guessed(cell):
    if cell.endswith("]"):
        with pytest.raises(ValueError, match="the list is none"):
            names_in(cell, ";")
    else:
        assert names_in(cell, ";") == [cell]


def test_paths_inside_a_folder():
    assert inside("a/b.png") == inside("./a/b.png") == inside(r"a\b.png") == inside(r".\a\b.png") == "a/b.png"
    for path in ("", "/etc/x", "../x", "a/../../x", r"a\..\x", r"\x", "C:/x", r"c:\x"):
        assert inside(path) == ""
    assert inside("a..b.png") == "a..b.png"


def test_the_only_tsv_is_the_table_where_there_is_no_other(root):
    frame().to_csv(root / "pairs.tsv", sep="\t", index=False)
    assert loaded(root, None) == EXPECTED
    frame().head(5).to_csv(root / "pairs.csv", index=False)
    assert len(data.load("folder", root)) == 5


def test_a_list_of_captions_is_not_guessed_from(root):
    captions = [["a cat", "a pet"], ["a dog"], *CAPTIONS[2:]]
    frame().assign(caption=[one if isinstance(one, list) else [one] for one in captions]).to_parquet(root / "p.parquet")
    found = data.load("folder", root)
    assert found.notes[0].startswith(
        "left out 1: the caption is a list of several texts; give each a row (p.parquet, r"
    )
    assert found.captions[0] == "a dog"


@pytest.mark.parametrize("in_lists", [False, True])
def test_a_text_of_parquet_that_is_no_utf_8_costs_its_row_only(root, in_lists):
    raw = pyarrow.array([b"cat", b"caf\xe9", *[b"dog"] * 4]).view(pyarrow.string())
    names = pyarrow.ListArray.from_arrays(list(range(7)), raw) if in_lists else raw
    parquet.write_table(pyarrow.table({"image": NAMES, "caption": CAPTIONS, "labels": names}), root / "pairs.parquet")
    found = data.load("folder", root)
    assert found.classes == ("cat", "dog") and len(found) == 5
    assert found.notes[0].startswith(
        "left out 1: the row is not utf-8 (encoding=NAME for another) (pairs.parquet, row 2"
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(form=st.sampled_from(["csv", "parquet"]), place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_never_shows_a_foreign_error(tmp_path, form, place, byte):
    path = tmp_path / f"a.{form}"
    if form == "csv":
        frame().to_csv(path, index=False)
    else:
        frame(joined=False).to_parquet(path)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] = byte
    path.write_bytes(content)
    try:
        list(read_rows(path, ("image", "caption", "labels"), layout="mine"))  # a byte may be of no consequence
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
