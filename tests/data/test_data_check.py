"""``udsph data check``: what was found, or what is missing and where people get it."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from udsph.cli.app import main


def check(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = main(["data", "check", *map(str, arguments)])
    return code, output.getvalue()


@pytest.fixture
def folder(tmp_path):
    rows = ["image,caption,labels"]
    for k in range(10):
        Image.fromarray(np.full((9, 9, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
        rows.append(f"{k}.png,a thing number {k},{'odd' if k % 2 else 'even'}")
    rows.append("none.png,a thing that is not there,odd")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    return tmp_path


def test_says_what_was_found(folder):
    code, output = check("folder", "--root", folder)
    assert code == 0, output
    assert "folder: 10 pairs (train 8, database 8, query 2)" in output
    assert "pixels 64 x 64 x 3" in output
    assert "even" in output
    assert "left out 1: the image does not exist (none.png)" in " ".join(output.split())
    assert "1 notes" in output


def test_stops_where_it_is_told_to(folder):
    code, output = check("folder", "--root", folder, "--on-error", "stop")
    assert code == 2
    assert "the image does not exist: none.png" in output


def test_settings_reach_the_layout(folder):
    code, output = check("folder", "--root", folder, "--set", "size=16")
    assert code == 0
    assert "pixels 16 x 16 x 3" in output


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("mirflickr", "mirflickr25k_annotations_v080.zip"),
        ("nuswide", "NUS_WID_Tags"),
        ("coco", "cocodataset.org"),
        ("webnews", "testset_txt_img_cat.list"),
        ("emotions", "emotions.mat"),
        ("folder", "columns image, caption, labels"),
    ],
)
def test_says_where_people_get_what_is_missing(tmp_path, name, source):
    (tmp_path / "empty").mkdir()
    code, output = check(name, "--root", tmp_path / "empty")
    assert code == 2
    assert source in output
    assert output.startswith(f"udsph: {name}: ")


def test_unknown_names_and_missing_roots():
    code, output = check("flickr")
    assert code == 2
    assert "unknown dataset 'flickr'; known: coco, emotions" in output
    code, output = check("coco")
    assert code == 2
    assert "give their place as --root PATH" in output


def test_says_how_many_are_labelled(folder):
    table = folder / "pairs.csv"
    table.write_text(table.read_text().replace("number 3,odd", "number 3,").replace("number 4,even", "number 4,"))
    code, output = check("folder", "--root", folder, "--set", "labelled=3")
    assert code == 0, output
    words = " ".join(output.split())
    assert "labelled: 8 of 10 pairs (query " in words and "training uses the labels of 3 of 8 pairs" in words
    assert "2 of 10 rows have no labels: theirs are not known" in words
    code, output = check("folder", "--root", folder, "--set", "labelled=3", "--json")
    found = json.loads(output)["labelled"]
    assert found["training uses"] == 3 and found["query"] + found["database"] == 8
    code, output = check("folder", "--root", folder, "--set", "labels=none")
    assert code == 0 and "no labels" in output
