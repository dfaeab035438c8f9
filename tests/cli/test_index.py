"""``udsph index RUN`` and the search of what it makes by words and pictures."""

from __future__ import annotations

import csv
import json
import shutil
import zlib
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
        assert [item["id"] for item in answer["found"]] == [f"scenes {database[i]}" for i in ids]
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
    index = hamming.Collection.open(place, verify=True)
    assert [item["distance"] for item in by_image["found"]] == index.search(codes, 3).distances[0].tolist()
    assert index.ids.tolist() == sorted(f"{'sub/' if k % 2 else ''}[b]{k} ü.png" for k in range(6))
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


def test_a_second_time_the_collection_follows_its_source(run: Path, photos: Path, tmp_path: Path) -> None:
    place = tmp_path / "i"
    assert udsph("index", run, photos, "--output", place).exit_code == 0
    with hamming.Collection.open(place, "a") as collection:
        before = collection.generation
        collection.add(np.zeros((1, 2), np.uint8), ["of another source"])
    assert "0 items are new or changed, 0 are gone" in udsph("index", run, photos, "--output", place).stdout
    assert hamming.Collection.open(place).generation == before + 1
    (photos / "sub" / "[b]3 ü.png").unlink()
    shutil.copy(photos / "[b]0 ü.png", photos / "new.png")
    shutil.copy(photos / "[b]2 ü.png", photos / "sub" / "[b]1 ü.png")
    done = udsph("index", run, photos, "--output", place)
    assert "2 items are new or changed, 1 are gone" in done.stdout or "1 items are new" in done.stdout, done.output
    with hamming.Collection.open(place, verify=True) as collection:
        assert set(collection.ids) == {
            "of another source", "new.png", "sub/[b]1 ü.png", "sub/[b]5 ü.png", *(f"[b]{k} ü.png" for k in (0, 2, 4)),
        }  # fmt: skip
        same = collection.reconstruct(["[b]2 ü.png", "sub/[b]1 ü.png"])
        assert (same[0] == same[1]).all()
    found = answers(udsph("search", run, place, "--text", "a star", "--json"))[0]["found"]
    assert {item["name"] for item in found} == set(collection_ids(place))
    for source in (photos / "sub", None):
        done = udsph("index", run, *([] if source is None else [source]), "--output", place)
        assert done.exit_code == 2 and "holds items of another source; give a new folder" in done.stderr
    assert len(collection_ids(place)) == 7


def collection_ids(place: Path) -> list[str]:
    ids: list[str] = hamming.Collection.open(place).ids.tolist()
    return ids


def test_names_that_repeat_or_are_no_text_become_ids_each_once() -> None:
    from udsph.encoding.indexed import ids_of

    names = ["a", "b", "a", "a #2", "a", "caf\udce9", "b"]
    assert ids_of(names) == ["a", "b", "a #2", "a #2 #2", "a #3", "caf\\xe9", "b #2"]


def test_an_index_file_of_an_earlier_release_is_searched(run: Path, photos: Path, tmp_path: Path) -> None:
    from udsph.encoding.indexed import model_mark

    place, hasher = tmp_path / "old.index", Hasher.load(run)
    files = sorted(photos.glob("*.png"))
    index = hamming.FlatIndex(hasher.bits)
    index.add(hasher.encode_image(files))
    index.save(place)
    items = {
        "format": "udsph items 1", "modality": "image", "names": [file.name for file in files], "captions": None,
        "source": {"folder": str(photos)}, "model": model_mark(hasher),
        "index": {"bytes": place.stat().st_size, "crc32": zlib.crc32(place.read_bytes())},
    }  # fmt: skip
    (tmp_path / "old.index.items.json").write_text(json.dumps(items))
    found = answers(udsph("search", run, place, "--image", files[1], "-k", 1, "--json"))[0]["found"]
    id = int(index.search(hasher.encode_image(files[1:2]), 1).ids[0, 0])
    assert found == [{"id": id, "distance": 0, "name": files[id].name}]
    place.write_bytes(place.read_bytes() + b" ")
    done = udsph("search", run, place, "--image", files[1])
    assert done.exit_code == 2 and "is not of the index beside it" in done.stderr
    (tmp_path / "old.index.items.json").unlink()
    done = udsph("search", run, place, "--image", files[1])
    assert done.exit_code == 2 and "old.index.items.json is missing" in done.stderr
    done = udsph("index", run, photos, "--output", place)
    assert done.exit_code == 2 and "old.index is a file; give a new folder" in done.stderr


def test_what_does_not_belong_together_is_refused(run: Path, photos: Path, tmp_path: Path) -> None:
    place, other = tmp_path / "one.index", tmp_path / "two.index"
    assert udsph("index", run, photos, "--output", place).exit_code == 0
    assert udsph("index", run, photos / "sub", "--output", other).exit_code == 0
    second = tmp_path / "second"
    assert udsph("train", "--data", "scenes", "--output", second, *SMALL_SCENES, "--seed", 1).exit_code == 0
    items, words = other / "items.json", ("--text", "a star")

    def refused(said: str, *arguments: object) -> None:
        done = udsph("search", *arguments)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr

    refused("made with another model than", second, place, *words)
    refused("No such file", run, tmp_path / "none", *words)
    refused("give RUN, INDEX and --text or --image", run, place)
    refused("bare files of codes go without a run", run, place, *words, "--queries", "q.npy")
    with hamming.Collection.create(tmp_path / "lone", 16) as lone:
        lone.add(np.zeros((1, 2), np.uint8), ["x"])
    refused("has no items.json, which names the items", run, tmp_path / "lone", *words)
    kept = json.loads(items.read_text())
    for damage, said in (("{", "is damaged"), ("[]", "does not describe"), ('{"format": "udsph items 9"}', "items 9")):
        items.write_text(damage)
        refused(said, run, other, *words)
    for change in ({"captions": ["x"]}, {"names": [1, 2, 3]}, {"source": 5}):
        items.write_text(json.dumps(kept | change))
        refused("does not describe", run, other, *words)
    (other / "000000000001.manifest").write_bytes(b"UDSPHIDX")
    refused("two.index", run, other, *words)


def test_what_cannot_be_indexed_is_one_line(run: Path, photos: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((run, photos), "required: --output"),
        ((run, tmp_path / "none", "--output", tmp_path / "i"), "none"),
        ((run, photos, "--modality", "text", "--output", tmp_path / "i"), "is a folder"),
        ((run, tmp_path / "a.npy", "--output", tmp_path / "i"), "--modality image or --modality text"),
        ((run, photos, "--data", "scenes", "--output", tmp_path / "i"), "not both"),
        ((run, photos, "--output", tmp_path), "is no collection of items; give a new folder"),
        ((run, photos, "--output", tmp_path / "none" / "i"), "to be made in one that exists"),
        ((tmp_path, photos, "--output", tmp_path / "i"), "is not a run"),
    ):
        done = udsph("index", *arguments)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
