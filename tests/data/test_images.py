"""Image files as an array: decoding, caching, threads, damage."""

import contextlib
import os
import pickle
import signal
import time
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from udsph.data import images
from udsph.data.images import Images, find_images, located
from udsph.data.problems import Problems
from udsph.errors import InputError

COLOURS = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (240, 240, 10)]


@pytest.fixture
def folder(tmp_path):
    """Four JPEG files of one colour each, of different sizes."""
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (100 + 40 * number, 90), colour).save(tmp_path / f"{number}.jpg", quality=95)
    return tmp_path


NAMES = [f"{number}.jpg" for number in range(4)]


def truncate(path):
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) * 9 // 10])


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kept", [True, False])
def test_rows_are_the_files_in_the_order_asked_for(folder, workers, kept, monkeypatch):
    monkeypatch.setattr(images, "KEPT_BYTES", 10**9 if kept else 0)
    pictures = Images(folder, NAMES, 16, workers=workers)
    assert pictures.shape == (4, 16, 16, 3)
    for _ in range(2):  # the second time from memory, where it is kept
        rows = pictures[np.array([2, 0, 2, 3])]
        assert rows.dtype == np.uint8
        np.testing.assert_allclose(rows.mean(axis=(1, 2)), [COLOURS[2], COLOURS[0], COLOURS[2], COLOURS[3]], atol=3)
    assert (pictures._kept is not None) is kept


def test_only_the_files_asked_for_are_read(folder):
    pictures = Images(folder, NAMES, 16)
    truncate(folder / "3.jpg")
    pictures[np.array([0, 1])]
    with pytest.raises(InputError, match=r"3\.jpg is no whole image .*on_error=skip"):
        pictures[np.array([3])]


def test_the_whole_picture_is_stretched(tmp_path):
    """Left half black, right half white: so it stays, whatever the sides were."""
    wide = Image.new("RGB", (600, 50))
    wide.paste((255, 255, 255), (300, 0, 600, 50))
    wide.save(tmp_path / "wide.png")
    row = Images(tmp_path, ["wide.png"], 32)[np.array([0])][0]
    assert row[:, :15].max() == 0
    assert row[:, 17:].min() == 255


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (20, 20)).save(tmp_path / f"x.{suffix}")
    assert Images(tmp_path, [f"x.{suffix}"], 8)[np.array([0])].shape == (1, 8, 8, 3)


@pytest.mark.parametrize("damage", ["truncated", "no image", "empty"])
def test_a_damaged_file_is_left_out_where_it_is_verified(folder, damage):
    path = folder / "1.jpg"
    truncate(path) if damage == "truncated" else path.write_bytes(b"" if damage == "empty" else b"hello" * 100)
    problems = Problems("mine", "skip")
    pictures, kept = find_images(folder, NAMES, problems, size=16, workers=2, verify="auto")
    assert kept.tolist() == [0, 2, 3]
    assert pictures.names == ["0.jpg", "2.jpg", "3.jpg"]
    assert len(problems.notes()) == 1
    assert "1.jpg" in problems.notes()[0]
    with pytest.raises(InputError, match=r"1\.jpg"):
        find_images(folder, NAMES, Problems("mine", "stop"), size=16, workers=2, verify="all")


def test_a_file_found_damaged_later_is_grey_warned_about_once_and_counted(folder):
    truncate(folder / "1.jpg")
    pictures, kept = find_images(folder, NAMES, Problems("mine", "skip"), size=16, workers=2, verify="none")
    assert len(kept) == 4
    with pytest.warns(UserWarning, match=r"1\.jpg is no whole image .*shown as an empty picture \(1 so far\)"):
        row = pictures[np.array([1])]
    assert (row == images.GREY).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures[np.array([1, 0])]
    assert pictures.damaged == {"1.jpg"}


def test_missing_files(folder):
    problems = Problems("mine", "skip")
    names = ["0.jpg", "none.jpg", "sub/none.jpg", "3.jpg"]
    assert located(folder, names) == ["0.jpg", "", "", "3.jpg"]
    _, kept = find_images(folder, names, problems, size=16, workers=1, verify="auto")
    assert kept.tolist() == [0, 3]
    assert problems.notes() == ("left out 2: the image does not exist (none.jpg, sub/none.jpg)",)
    with pytest.raises(InputError, match="mine: no items are left; left out 1: the image does not exist"):
        find_images(folder, ["none.jpg"], Problems("mine", "skip"), size=16, workers=1, verify="auto")


def test_a_selection_stays_lazy_and_keeps_what_is_decoded(folder):
    pictures = Images(folder, NAMES, 16)
    known = pictures[np.array([2])]
    (folder / "2.jpg").unlink()
    truncate(folder / "3.jpg")
    part = pictures.select(np.array([3, 2]))
    np.testing.assert_array_equal(part[np.array([1])], known)
    with pytest.raises(InputError, match=r"3\.jpg"):
        part[np.array([0])]


def test_travels_to_other_processes(folder):
    pictures = Images(folder, NAMES, 16, workers=2)
    pictures[np.array([0, 1])]
    copy = pickle.loads(pickle.dumps(pictures))
    np.testing.assert_array_equal(copy[np.array([1, 3])], pictures[np.array([1, 3])])


def test_names_with_backslashes_and_other_forms_of_accents_are_found(tmp_path):
    """As Windows tables and macOS file systems write them; what the disk calls them is what is opened."""
    composed, apart = (unicodedata.normalize(form, "façade/né.png") for form in ("NFC", "NFD"))
    assert composed != apart
    for stored, asked in ((composed, apart), (apart, composed)):
        root = tmp_path / str(len(stored))
        (root / stored).parent.mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(root / stored)
        names = [stored, asked, asked.replace("/", "\\"), f"./{asked}", f".\\{asked}", "façade/ne.png"]
        assert located(root, names) == [stored] * 5 + [""]
    both = tmp_path / "both"
    (both / composed).parent.mkdir(parents=True)
    (both / apart).parent.mkdir(parents=True)
    for name in (composed, apart):
        (both / name).write_bytes(b"x")
    assert located(both, [composed, apart]) == [composed, apart]
    (both / "back\\slash.png").write_bytes(b"x")
    assert located(both, ["back\\slash.png"]) == ["back\\slash.png"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("held", [False, True])
def test_a_forked_process_decodes_although_the_threads_stay_behind(folder, held, monkeypatch):
    """As the workers of a data loader do; whether or not a thread of the parent held the lock."""
    monkeypatch.setattr(images, "KEPT_BYTES", 0)
    pictures = Images(folder, NAMES, 16, workers=2)
    expected = pictures[np.arange(4)]
    with pictures._lock.here if held else contextlib.nullcontext():
        child = os.fork()
        if child == 0:
            os._exit(0 if np.array_equal(pictures[np.arange(4)], expected) else 1)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.02)
    if done == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert done == (child, 0)
