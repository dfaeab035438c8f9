"""Web news: a small folder in the same layout, its damage, and the real one where it is at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udsph import data
from udsph.errors import InputError

TOPICS = ("经济发展", "体育比赛")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "categories.list").write_text("economy\nsports\n")
    for split, items in (("train", range(1, 9)), ("test", range(9, 13))):
        lines = []
        for item in items:
            Image.new("RGB", (40, 30), (20 * item, 0, 0)).save(tmp_path / "images" / f"{item}.jpg")
            text = f"{TOPICS[item % 2]},第{item}号。"
            (tmp_path / "texts" / f"{item}.txt").write_text(text, encoding="utf-8")
            lines.append(f"{item}\t{item}\t{item % 2 + 1}")
        (tmp_path / f"{split}set_txt_img_cat.list").write_text("\n".join(lines))
    return tmp_path


def change_line(path, number, line):
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines))


def test_reads_the_layout(folder):
    news = data.load("webnews", folder, size=16)
    assert {name: len(index) for name, index in news.splits.items()} == {"train": 8, "database": 8, "query": 4}
    assert news.classes == ("economy", "sports")
    assert news.image.kind == "pixels"
    rows = news.image.values[news.splits["query"]]
    np.testing.assert_allclose(rows[..., 0].mean(axis=(1, 2)), [180, 200, 220, 240], atol=3)
    np.testing.assert_array_equal(news.labels.argmax(axis=1), [1, 0] * 6)
    assert news.captions[0] == "体育比赛,第1号。"
    assert {"经济", "济发", "发展", "体育"} <= set(news.text.vocabulary)
    assert news.notes == ()
    again = data.load("webnews", news.root, **news.settings)
    np.testing.assert_array_equal(again.text.values, news.text.values)


def test_missing_and_damaged_items_are_counted_or_stop(folder):
    (folder / "images" / "3.jpg").unlink()
    (folder / "texts" / "10.txt").unlink()
    (folder / "texts" / "4.txt").write_bytes("中国".encode("gb18030"))
    (folder / "texts" / "5.txt").write_text("")
    path = folder / "images" / "6.jpg"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.warns(UserWarning, match="left out 1: the image does not exist"):
        news = data.load("webnews", folder, **{"on-error": "skip"})
    assert len(news) == 7
    assert len(news.splits["train"]) == 4
    assert len(news.splits["query"]) == 3
    assert [note.split(": ")[1].split(" (")[0] for note in news.notes] == [
        "the text is not utf-8",
        "the text is empty",
        "the text does not exist",
        "the image does not exist",
        "the image is damaged",
    ]
    assert all(note.startswith("left out 1:") for note in news.notes)
    # What is left belongs together: image 7 has the text 7.
    item = news.captions.index("体育比赛,第7号。")
    assert news.image.values[np.array([item])][..., 0].mean() == pytest.approx(140, abs=3)
    with pytest.raises(InputError, match=r"webnews: the text is not utf-8.*4\.txt"):
        data.load("webnews", folder, on_error="stop")


def test_another_encoding(folder):
    for path in (folder / "texts").iterdir():
        path.write_bytes(path.read_text(encoding="utf-8").encode("gb18030"))
    news = data.load("webnews", folder, encoding="gb18030")
    assert news.captions[0] == "体育比赛,第1号。"
    with pytest.raises(InputError, match="webnews: no items are left; left out 12: the text is not utf-8"):
        data.load("webnews", folder)
    with pytest.raises(InputError, match="encoding=klingon: not known"):
        data.load("webnews", folder, encoding="klingon")


def test_unknown_classes_and_repeated_pairs(folder):
    change_line(folder / "trainset_txt_img_cat.list", 2, "2\t2\t7")
    change_line(folder / "trainset_txt_img_cat.list", 4, "3\t3\t2")
    news = data.load("webnews", folder)
    assert len(news.splits["train"]) == 6
    assert "the class is not one of 1 to 2 (trainset_txt_img_cat.list, line 2" in news.notes[0]
    assert "the pair is listed before (trainset_txt_img_cat.list, line 4" in news.notes[1]


def test_a_pair_of_both_lists_is_no_query(folder):
    change_line(folder / "testset_txt_img_cat.list", 2, "3\t3\t2")
    news = data.load("webnews", folder)
    assert {name: len(index) for name, index in news.splits.items()} == {"train": 8, "database": 8, "query": 3}
    assert news.notes[0].startswith("left out 1: the pair is listed before (testset_txt_img_cat.list, line 2")


def test_a_text_in_both_splits_is_said_and_kept(folder):
    (folder / "texts" / "9.txt").write_text((folder / "texts" / "1.txt").read_text())
    news = data.load("webnews", folder)
    assert len(news.splits["query"]) == 4
    assert any("1 of the queries have the text of a training pair word for word (9.txt)" in n for n in news.notes)


@pytest.mark.parametrize("line", ["1\t1", "1\t1\tsport", "../1\t1\t1", ""])
def test_a_line_of_another_form_is_named(folder, line):
    change_line(folder / "testset_txt_img_cat.list", 2, line)
    with pytest.raises(InputError, match=r"testset_txt_img_cat.list, line 2: .*expected text id, image id and class"):
        data.load("webnews", folder)


def test_a_missing_list_is_named(folder):
    (folder / "testset_txt_img_cat.list").unlink()
    with pytest.raises(InputError, match=r"webnews: 'testset_txt_img_cat.list' is missing"):
        data.load("webnews", folder)


@pytest.mark.skipif("UDSPH_DATA" not in os.environ, reason="UDSPH_DATA, the folder of real data, is not set")
def test_the_real_news():
    root = Path(os.environ["UDSPH_DATA"]) / "webnews"
    with pytest.warns(UserWarning, match="left out 10: the image does not exist"):
        news = data.load("webnews", root)
    assert {name: len(index) for name, index in news.splits.items()} == {"train": 1693, "database": 1693, "query": 497}
    assert len(news.classes) == 10
    assert len(news.text.vocabulary) == 10001
    assert "中国" in news.text.vocabulary[:10]
    assert news.image.values[news.splits["query"][:8]].std() > 20
    with pytest.raises(InputError, match=r"the image does not exist: images/22\.jpg"):
        data.load("webnews", root, on_error="stop")


def test_the_class_minus_one_is_not_known(folder):
    change_line(folder / "trainset_txt_img_cat.list", 3, "3\t3\t-1")
    change_line(folder / "trainset_txt_img_cat.list", 5, "5\t5\t-1")
    news = data.load("webnews", folder, size=8)
    assert len(news) == 12 and np.flatnonzero(~news.known).tolist() == [2, 4]
    assert not news.labels[[2, 4]].any() and news.labels.sum() == 10
    for wrong in ("3\t3", "3\t3\t-2", "3\t3\tx"):
        change_line(folder / "trainset_txt_img_cat.list", 3, wrong)
        with pytest.raises(InputError, match=r"line 3: .* expected text id, image id and class"):
            data.load("webnews", folder, size=8)
