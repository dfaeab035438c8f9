"""``udsph index`` and the search of it by words and pictures."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udsph import Hasher, data, hamming

from .command import SMALL_SCENES, Result, udsph


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "my run"
    done = udsph("train", "--data", "scenes", "--output", folder, *SMALL_SCENES)
    assert done.exit_code == 0, done.output
    assert f"next: udsph evaluate '{folder}'" in done.stdout  # quoted for a shell
    return folder


@pytest.fixture(scope="module")
def scenes() -> data.Dataset:
    return data.load("scenes", pairs=120, workers=1)


@pytest.fixture
def photos(scenes: data.Dataset, tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for k in range(6):
        Image.fromarray(scenes.image.values[k]).save(folder / ("sub" if k % 2 else ".") / f"[b]{k} ü.png")
    return folder


def answers(done: Result) -> list[dict[str, list[dict[str, object]]]]:
    assert done.exit_code == 0, done.stderr
    found: list[dict[str, list[dict[str, object]]]] = json.loads(done.stdout)["answers"]
    return found


def test_a_dataset_is_indexed_and_searched_by_words(run: Path, scenes: data.Dataset, tmp_path: Path) -> None:
    place = tmp_path / "an index"
    done = udsph("index", run, "--output", place)
    assert done.exit_code == 0, done.stderr
    assert f"next: udsph search '{run}' '{place}' --text 'WORDS'" in done.stdout
    texts = ["a red star", "a row of [red]blue[/red] circles"]
    found = answers(udsph("search", run, place, "--text", texts[0], "--text", texts[1], "-k", 4, "--json"))
    hasher, database = Hasher.load(run), scenes.splits["database"]
    codes = hasher.encode_image(scenes.image.take(database))
    expected = hamming.search(hasher.encode_text(texts), codes, 4)
    for answer, text, distances, ids in zip(found, texts, *expected, strict=True):
        assert answer["query"] == text
        assert [item["id"] for item in answer["found"]] == ids.tolist()
        assert [item["distance"] for item in answer["found"]] == distances.tolist()
        assert scenes.captions is not None
        assert [item["caption"] for item in answer["found"]] == [scenes.captions[database[i]] for i in ids]
        assert [item["name"] for item in answer["found"]] == [f"scenes {database[i]}" for i in ids]
    shown = udsph("search", run, place, "--text", texts[1], "-k", 500)
    assert texts[1] in shown.stdout and shown.stdout.count("\n") == 2 + len(database)


def test_a_folder_is_indexed_by_name_and_drawn(run: Path, photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib, of the extra report, is not installed")
    place, picture = tmp_path / "photos.index", tmp_path / "found.png"
    assert udsph("index", run, photos, "--output", place).exit_code == 0
    query = photos / "sub" / "[b]3 ü.png"
    done = udsph("search", run, place, "--image", query, "--text", "a $x$ star", "-k", 3, "--show", picture, "--json")
    by_text, by_image = answers(done)
    assert by_image["query"] == str(query) and by_text["query"] == "a $x$ star"
    assert {item["name"] for item in by_image["found"]} <= {f"{'sub/' if k % 2 else ''}[b]{k} ü.png" for k in range(6)}
    codes = Hasher.load(run).encode_image([query])
    np.save(tmp_path / "codes.npy", codes)
    bare = udsph("search", "--database", place, "--queries", tmp_path / "codes.npy", "-k", 3, "--json")
    assert json.loads(bare.stdout)["ids"] == [[item["id"] for item in by_image["found"]]]
    index = hamming.load(place)
    assert [item["distance"] for item in by_image["found"]] == index.search(codes, 3).distances[0].tolist()
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG" and np.asarray(drawn).std() > 10
    lost = udsph("search", run, place, "--image", tmp_path / "none.png")
    assert lost.exit_code == 2 and "none.png" in lost.stderr and lost.stderr.count("\n") == 1
    photos.rename(tmp_path / "elsewhere")
    lost = udsph("search", run, place, "--text", "a star", "--show", picture)
    assert lost.exit_code == 2 and str(photos) in lost.stderr and lost.stderr.count("\n") == 1


def test_a_file_of_texts_is_indexed_by_its_lines(run: Path, photos: Path, tmp_path: Path) -> None:
    lines = ["\ufeffa red star", "", "three blue circles", "a green heart and a star"]
    (tmp_path / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    place = tmp_path / "texts.index"
    refused = udsph("index", run, tmp_path / "texts.txt", "--output", place)
    assert refused.exit_code == 2 and "line 2" in refused.stderr and "--on-error skip" in refused.stderr
    assert not place.exists()
    done = udsph("index", run, tmp_path / "texts.txt", "--output", place, "--on-error", "skip")
    assert done.exit_code == 0 and "3 texts" in done.stdout, done.stderr
    found = answers(udsph("search", run, place, "--image", photos / "[b]0 ü.png", "--json"))[0]["found"]
    assert {(item["name"], item["caption"]) for item in found} == {
        ("1", "a red star"), ("3", "three blue circles"), ("4", "a green heart and a star"),
    }  # fmt: skip


def test_answers_in_files(run: Path, photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "i"
    assert udsph("index", run, photos, "--output", place).exit_code == 0
    for name in ("a.json", "a.csv"):
        assert udsph("search", run, place, "--text", "a star", "-k", 2, "--output", tmp_path / name).exit_code == 0
    stored = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader((tmp_path / "a.csv").open(encoding="utf-8", newline="")))
    assert [row["name"] for row in rows] == [item["name"] for item in stored[0]["found"]]
    assert [row["rank"] for row in rows] == ["1", "2"]


def test_what_does_not_belong_together_is_refused(run: Path, photos: Path, tmp_path: Path) -> None:
    place, other = tmp_path / "one.index", tmp_path / "two.index"
    assert udsph("index", run, photos, "--output", place).exit_code == 0
    assert udsph("index", run, photos / "sub", "--output", other).exit_code == 0
    second = tmp_path / "second"
    assert udsph("train", "--data", "scenes", "--output", second, *SMALL_SCENES, "--seed", 1).exit_code == 0
    items, words = other.with_name("two.index.items.json"), ("--text", "a star")

    def refused(said: str, *arguments: object) -> None:
        done = udsph("search", *arguments)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr

    refused("made with another model than", second, place, *words)
    refused("No such file", run, tmp_path / "none", *words)
    refused("give RUN, INDEX and --text or --image", run, place)
    refused("bare files of codes go without a run", run, place, *words, "--queries", "q.npy")
    shutil.copy(other, tmp_path / "lone.index")
    refused("lone.index.items.json is missing", run, tmp_path / "lone.index", *words)
    shutil.copy(place, other)
    refused("is not of the index beside it", run, other, *words)
    for damage, said in (("{", "is damaged"), ("[]", "does not describe"), ('{"format": "udsph items 9"}', "items 9")):
        items.write_text(damage)
        refused(said, run, other, *words)
    other.write_bytes(b"UDSPHIDX")
    refused("two.index", run, other, *words)


def test_what_cannot_be_indexed_is_one_line(run: Path, photos: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((run, photos), "required: --output"),
        ((run, tmp_path / "none", "--output", tmp_path / "i"), "none"),
        ((run, photos, "--modality", "text", "--output", tmp_path / "i"), "is a folder"),
        ((run, tmp_path / "a.npy", "--output", tmp_path / "i"), "--modality image or --modality text"),
        ((run, photos, "--data", "scenes", "--output", tmp_path / "i"), "not both"),
        ((run, photos, "--output", tmp_path), "expected a file"),
        ((run, photos, "--output", tmp_path / "none" / "i"), "a folder that exists"),
        ((tmp_path, photos, "--output", tmp_path / "i"), "is not a run"),
    ):
        done = udsph("index", *arguments)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
