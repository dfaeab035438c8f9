"""Encoding on a cluster gives the codes, the names and the remarks of one process, whatever the items come in."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pyarrow")

import pyarrow.parquet  # noqa: E402
from PIL import Image  # noqa: E402

from tests.encoding.conftest import model, scenes  # noqa: E402, F401
from tests.encoding.test_extractors import CAPTIONS, extracted  # noqa: E402, F401
from udsph.distributed import chunks, encode, encoding, overlap  # noqa: E402
from udsph.encoding import Hasher, encode_file  # noqa: E402
from udsph.errors import InputError  # noqa: E402
from udsph.hamming import Collection  # noqa: E402

from . import here  # noqa: E402

DAMAGED = "no whole image (cannot identify image file)"


@pytest.fixture(autouse=True)
def small(monkeypatch, request):
    """Several chunks, each of several batches; encoded in this process where a test needs no cluster."""
    monkeypatch.setattr(chunks, "IMAGES", 12)
    monkeypatch.setattr(chunks, "LINES", 12)
    monkeypatch.setattr(chunks, "BATCH", 5)
    if "cluster" in request.keywords:
        return
    here.use(monkeypatch)
    monkeypatch.setattr(encoding, "_run", _run)
    monkeypatch.setattr(overlap, "check_distinct", lambda *_: None)


def _run(waiting, settings, workers):
    """What a pool does, in this process; the chunk that is named by ``workers`` ends it."""
    made = encoding.Encoder(*settings)
    for chunk in waiting:
        if chunk["number"] == workers:
            raise KeyboardInterrupt
        row = made({"chunk": [chunk]})
        if row["error"][0]:
            raise InputError(row["error"][0])
        yield int(row["count"][0])


@pytest.fixture(scope="session")
def run(model, tmp_path_factory):  # noqa: F811
    """Folder of a model that tells the scenes apart."""
    folder = tmp_path_factory.mktemp("model") / "run"
    model.save(folder)
    return folder


@pytest.fixture
def files(scenes):  # noqa: F811
    """Thirty pictures as the contents of files."""
    made = []
    for item in range(30):
        with io.BytesIO() as stream:
            Image.fromarray(scenes.image.values[item]).save(stream, "PNG")
            made.append(stream.getvalue())
    return made


@pytest.fixture
def texts(model):  # noqa: F811
    """Thirty texts of the model's words."""
    words = model.inputs.vocabulary[1:]
    return [" ".join(words[(7 * row + k) % len(words)] for k in range(1 + row % 9)) for row in range(30)]


def found(run, source, output, **options):
    """Names and codes in the order of the collection, and the tally."""
    tally = encode(run, source, output, **options)
    collection = Collection.open(output, verify=True)
    assert not Path(f"{output}.parts").exists()
    ids = collection.ids
    return ids.tolist(), collection.reconstruct(ids), tally


def as_one(model, source, folder, **options):  # noqa: F811
    """The same of one process."""
    tally = encode_file(model, source, folder / "one.npy", **options)
    listed = folder / "one.items.txt"
    names = listed.read_text().splitlines() if listed.exists() else None
    return names, np.load(folder / "one.npy"), tally


def alike(ours, theirs):
    assert list(map(str, ours[0])) == (theirs[0] or [str(row) for row in range(len(theirs[1]))])
    np.testing.assert_array_equal(ours[1], theirs[1])
    assert (ours[2].encoded, ours[2].left_out, ours[2].remarks) == (
        theirs[2].encoded, theirs[2].left_out, theirs[2].remarks,
    )  # fmt: skip


def folder_of(place, files):
    for row, content in enumerate(files):
        path = place / ("b" if row >= 10 else "a") / f"{row:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return place


def write(path, size=None, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=size)
    return path


def test_a_folder_of_images(run, model, files, tmp_path):  # noqa: F811
    place = folder_of(tmp_path / "in", files)
    (place / "notes.txt").write_text("mine")
    (place / "link").symlink_to(place / "a")
    (place / "a" / "003.png").write_bytes(files[3][:90])
    (place / "b" / "029.png").write_bytes(b"no picture")
    options = {"modality": "image", "on_error": "skip"}
    theirs = as_one(model, place, tmp_path, **options)
    assert len(theirs[2].left_out) == 2 and len(theirs[2].remarks) >= 2
    alike(found(run, place, tmp_path / "c", **options), theirs)


@pytest.mark.parametrize("code", ["utf-8", "utf-16"])
def test_a_text_file(run, model, texts, tmp_path, code):  # noqa: F811
    place = tmp_path / "texts.txt"
    texts[4], texts[29] = " ", "xyzzy"
    remarked = bool(model.inputs.remarks(0, 1))
    place.write_text("\r\n".join(texts) + "\r\n", encoding=code)
    options = {"modality": "text", "on_error": "skip", "encoding": code}
    theirs = as_one(model, place, tmp_path, **options)
    assert theirs[2].left_out == ["texts.txt, line 5, is empty"] and bool(theirs[2].remarks) == remarked
    alike(found(run, place, tmp_path / "c", **options), theirs)


def test_photographs_and_texts_for_a_model_of_features(extracted, tmp_path):  # noqa: F811
    hasher, photos, lines = Hasher.load(extracted / "run"), extracted / "photos", tmp_path / "texts.txt"
    lines.write_text("\n".join([*CAPTIONS, "zebra"]) + "\n")
    for source, modality in ((photos, "image"), (lines, "text")):
        theirs = as_one(hasher, source, tmp_path, modality=modality)
        alike(found(extracted / "run", source, tmp_path / modality, modality=modality), theirs)
        assert theirs[2].remarks


def test_lines_are_read_wherever_a_process_goes_on(run, model, texts, tmp_path):  # noqa: F811
    (tmp_path / "t.txt").write_text("\n".join(texts))
    reader = chunks.Reader(model, "text")
    parts = list(chunks.chunks_of(model, tmp_path / "t.txt", "text", "utf-8", "text", None, "", encoding.Tally()))
    assert [part["count"] for part in parts] == [12, 12, 6]
    for number in (0, 2, 1, 1, 0):
        ids = [id for _, some, _ in reader.batches(parts[number]) for id in some]
        begin = parts[number]["begin"]
        assert ids == list(range(begin + 1, begin + 1 + parts[number]["count"]))
    next(reader.batches(parts[0]))  # one that ended early
    assert [id for _, some, _ in reader.batches(parts[1]) for id in some] == list(range(13, 25))


def test_arrays(run, model, scenes, texts, tmp_path):  # noqa: F811
    np.save(tmp_path / "pixels.npy", np.asarray(scenes.image.values[:30]))
    np.save(tmp_path / "tokens.npy", model.inputs.tokens(texts)[0].values)
    for modality, name in (("image", "pixels.npy"), ("text", "tokens.npy")):
        theirs = as_one(model, tmp_path / name, tmp_path, modality=modality)
        alike(found(run, tmp_path / name, tmp_path / modality, modality=modality), theirs)


def pictures_as(form, files, folder):
    if form == "contents":
        return files
    folder_of(folder / "in", files)
    paths = [f"in/{'b' if row >= 10 else 'a'}/{row:03}.png" for row in range(30)]
    if form == "paths":
        return [str(folder / path) if row % 2 else path for row, path in enumerate(paths)]
    return [{"bytes": content if row % 2 else None, "path": paths[row]} for row, content in enumerate(files)]


@pytest.mark.parametrize("form", ["contents", "paths", "both"])
def test_pictures_of_a_table(run, model, files, tmp_path, form):  # noqa: F811
    theirs = as_one(model, folder_of(tmp_path / "all", files), tmp_path, modality="image")
    column = pictures_as(form, files, tmp_path)
    place = write(tmp_path / "t.parquet", 8, image=column)
    ids, codes, tally = found(run, place, tmp_path / "c", modality="image")
    assert ids == list(range(30)) and tally.encoded == 30 and not tally.left_out
    np.testing.assert_array_equal(codes, theirs[1])


def test_large_jpegs_of_a_table_are_decoded_as_files_are(run, model, tmp_path):  # noqa: F811
    pixels = np.random.default_rng(0).integers(0, 256, (40, 25, 3), dtype=np.uint8)
    contents = []
    for row in range(4):
        with io.BytesIO() as stream:
            Image.fromarray(pixels).resize((800 + 100 * row, 700)).save(stream, "JPEG")
            contents.append(stream.getvalue())
    spec = model.model.spec("image").shape[:2]
    for row, content in enumerate(contents):
        (tmp_path / f"{row}.jpg").write_bytes(content)
        np.testing.assert_array_equal(chunks.pixels_of(content, spec), chunks.pixels_of(tmp_path / f"{row}.jpg", spec))


def test_texts_of_several_tables_with_ids(run, model, texts, tmp_path):  # noqa: F811
    (tmp_path / "t").mkdir()
    names = [f"text {row}" for row in range(30)]
    write(tmp_path / "t" / "1.parquet", 7, caption=texts[:20], id=names[:20])
    write(tmp_path / "t" / "0.parquet", 7, caption=[*texts[20:], None, "  "], id=[*names[20:], "none", "blank"])
    options = {"modality": "text", "column": "caption"}
    with pytest.raises(InputError, match=r"item 'none' has no text; on_error=skip leaves such items out"):
        found(run, tmp_path / "t", tmp_path / "c", **options)
    ids, codes, tally = found(run, tmp_path / "t", tmp_path / "c", on_error="skip", **options)
    assert ids == names[20:] + names[:20]
    np.testing.assert_array_equal(codes, model.encode_text(texts[20:] + texts[:20]))
    assert tally.left_out == ["item 'none' has no text", "item 'blank' has no text"]


def test_bad_pictures_of_a_table_are_named(run, files, tmp_path):
    column = [files[0], b"no picture", files[2][:90], None, files[4]]
    place = write(tmp_path / "t.parquet", image=column, id=[f"p{row}" for row in range(5)])
    with pytest.raises(InputError, match=r"^item 'p1' is no whole image \(cannot identify image file\); on_error=skip"):
        found(run, place, tmp_path / "c", modality="image")
    ids, _, tally = found(run, place, tmp_path / "c", modality="image", on_error="skip")
    assert ids == ["p0", "p4"] and len(tally.left_out) == 3
    assert tally.left_out[0] == f"item 'p1' is {DAMAGED}"
    assert tally.left_out[1].startswith("item 'p2' is no whole image (")
    assert tally.left_out[2] == "item 'p3' has no picture"
    paths = write(tmp_path / "paths.parquet", image=["gone.png"], id=["x"])
    with pytest.raises(InputError, match=r"item 'x': .*gone.png does not exist; on_error"):
        found(run, paths, tmp_path / "d", modality="image")


def test_what_is_no_source_is_named_and_leaves_nothing(run, model, files, texts, tmp_path):  # noqa: F811
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "bad.npy").write_bytes(b"nothing")
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    np.save(tmp_path / "flat.npy", np.zeros((5, 7), np.float32))
    np.save(tmp_path / "none.npy", np.zeros((0, 7), np.float32))
    write(tmp_path / "t.parquet", caption=texts)
    (tmp_path / "two").mkdir()
    write(tmp_path / "two" / "0.parquet", text=texts, id=list(range(30)))
    write(tmp_path / "two" / "1.parquet", text=texts, id=list(map(str, range(30))))
    write(tmp_path / "null.parquet", text=texts[:2], id=[1, None])
    write(tmp_path / "blank.parquet", text=[" ", ""])
    for name, modality, message in (
        ("nowhere", "image", "'.*nowhere' does not exist"),
        ("empty", "image", "'.*empty' holds no images"),
        ("empty", "text", "'.*empty' is a folder; texts come in a file"),
        ("empty.txt", "text", "empty.txt: no item could be encoded"),
        ("empty.txt", "image", "'empty.txt' is neither a folder of images nor a .npy or .parquet file"),
        ("bad.npy", "image", "bad.npy is not a readable .npy file"),
        ("bad.parquet", "text", "bad.parquet is no Parquet file"),
        ("flat.npy", "image", "images: an array of 5 x 7|images: an array of 1 x 7"),
        ("none.npy", "image", "none.npy: no item could be encoded"),
        ("t.parquet", "text", "t.parquet has no column 'text', it has caption"),
        ("two", "text", "ids of .*0.parquet are int64, of .*1.parquet string; give all of them one kind"),
        ("null.parquet", "text", "column 'id' of .*null.parquet has 1 values that are missing"),
        ("blank.parquet", "text", "blank.parquet: no item could be encoded"),
    ):
        with pytest.raises(InputError, match=message):
            encode(run, tmp_path / name, tmp_path / "c", modality=modality, on_error="skip")
        assert not (tmp_path / "c").exists()
        parts = tmp_path / "c.parts"
        assert name == "null.parquet" or not parts.exists(), name
        with contextlib.suppress(FileNotFoundError):
            (parts / "plan.json").unlink()
    with pytest.raises(InputError, match=r"has no column 'name'"):
        encode(run, tmp_path / "t.parquet", tmp_path / "c", modality="text", column="caption", id_column="name")
    with pytest.raises(InputError, match="modality=sound: expected image or text"):
        encode(run, tmp_path / "t.parquet", tmp_path / "c", modality="sound")
    with pytest.raises(InputError, match="is not a run"):
        encode(tmp_path / "empty", tmp_path / "t.parquet", tmp_path / "c", modality="text")


def test_an_interrupted_call_goes_on_and_does_nothing_twice(run, model, files, tmp_path):  # noqa: F811
    place = folder_of(tmp_path / "in", files)
    (place / "a" / "003.png").write_bytes(b"no picture")
    options = {"modality": "image", "on_error": "skip"}
    with pytest.raises(KeyboardInterrupt):
        encode(run, place, tmp_path / "c", workers=2, **options)
    assert not (tmp_path / "c").exists()
    with pytest.raises(InputError, match=r"a/003.png is no whole image.*; on_error=skip"):
        encode(run, place, tmp_path / "c", modality="image")
    told = []
    done = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "c.parts").glob("*.npy")}
    assert sorted(done) == ["00000000.npy", "00000001.npy"]
    theirs = as_one(model, place, tmp_path, **options)
    alike(found(run, place, tmp_path / "c", report=lambda *pair: told.append(pair), **options), theirs)
    assert told == [(24, 30), (30, 30)]


def test_pictures_that_changed_meanwhile_are_encoded_anew(run, model, files, tmp_path):  # noqa: F811
    place = folder_of(tmp_path / "in", files)
    with pytest.raises(KeyboardInterrupt):
        encode(run, place, tmp_path / "c", modality="image", workers=2)
    picture = place / "a" / "003.png"
    picture.write_bytes(files[29])
    os.utime(picture, (1, 1))  # also where the clock is coarse
    told = []
    theirs = as_one(model, place, tmp_path, modality="image")
    ours = found(run, place, tmp_path / "c", modality="image", report=lambda *pair: told.append(pair))
    alike(ours, theirs)
    np.testing.assert_array_equal(ours[1][3], ours[1][29])
    assert told[0] == (12, 30), "the other chunk that was done is kept"


def test_an_unfinished_encoding_of_other_items_is_refused(run, model, files, texts, tmp_path):  # noqa: F811
    place = tmp_path / "t.txt"
    place.write_text("\n".join(texts))
    with pytest.raises(KeyboardInterrupt):
        encode(run, place, tmp_path / "c", modality="text", workers=1)
    place.write_text("\n".join(reversed(texts)))
    os.utime(place, (1, 1))
    with pytest.raises(InputError, match=r"c.parts holds an unfinished encoding of other items or by another model"):
        encode(run, place, tmp_path / "c", modality="text")
    pictures = folder_of(tmp_path / "in", files)
    with pytest.raises(KeyboardInterrupt):
        encode(run, pictures, tmp_path / "d", modality="image", workers=1)
    (pictures / "a" / "000.png").rename(pictures / "a" / "zero.png")
    with pytest.raises(InputError, match=r"d.parts holds an unfinished encoding"):
        encode(run, pictures, tmp_path / "d", modality="image")
    (pictures / "a" / "zero.png").rename(pictures / "a" / "000.png")
    other = tmp_path / "other"
    changed = type(model).load(run)
    with torch.no_grad():
        next(iter(changed.model.pair.parameters())).add_(1)
    changed.save(other)
    with pytest.raises(InputError, match="or by another model"):
        encode(other, pictures, tmp_path / "d", modality="image")
    assert found(run, pictures, tmp_path / "d", modality="image")[2].encoded == 30


# -- on a cluster ------------------------------------------------------------------------------------------------------


def workers() -> list[int]:
    """Processes that hold the model."""
    named = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"Encoder" in (place / "cmdline").read_bytes():
                named.append(int(place.name))
    return named


def none_left() -> bool:
    """Whether all have ended, for which they are given some seconds."""
    for _ in range(500):
        if not workers():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.cluster
def test_a_killed_process_costs_nothing(cluster, run, model, files, tmp_path):  # noqa: F811
    place = folder_of(tmp_path / "in", files)
    theirs = as_one(model, place, tmp_path, modality="image")
    killed = []

    def kill(done, total):
        if not killed:
            killed.extend(workers())
            os.kill(killed[0], signal.SIGKILL)

    alike(found(run, place, tmp_path / "c", modality="image", workers=1, report=kill), theirs)
    assert len(killed) == 1


@pytest.mark.cluster
def test_a_dataset_of_ray_whose_bad_item_leaves_no_process(cluster, run, model, files, texts, tmp_path):  # noqa: F811
    import ray.data

    rows = [{"image": content, "id": f"p{row}"} for row, content in enumerate(files)]
    rows[7]["image"] = b"no picture"
    theirs = as_one(model, folder_of(tmp_path / "in", files), tmp_path, modality="image")
    dataset = ray.data.from_items(rows, override_num_blocks=4)
    with pytest.raises(InputError, match="the Dataset has no column 'text', it has"):
        encode(run, dataset, tmp_path / "c", modality="text")
    assert not (tmp_path / "c.parts").exists()
    with pytest.raises(InputError, match=r"item 'p7' is no whole image .*; on_error=skip"):
        encode(run, dataset, tmp_path / "c", modality="image", workers=1)
    assert none_left()
    ids, codes, tally = found(run, dataset, tmp_path / "c", modality="image", on_error="skip", workers=1)
    assert ids == [f"p{row}" for row in range(30) if row != 7] and tally.left_out == [f"item 'p7' is {DAMAGED}"]
    np.testing.assert_array_equal(codes, np.delete(theirs[1], 7, 0))
