"""Encoding as a stream: folders, text files and arrays; the same codes as at once; bad items named and counted."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from udsph.encoding import encode_file, streaming
from udsph.errors import InputError


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(streaming, "BATCH", 7)


@pytest.fixture
def pictures(scenes, tmp_path):
    """Thirty of the scenes as PNG files, in two folders; their names in the order of the rows."""
    for item in range(30):
        place = tmp_path / "in" / ("b" if item >= 10 else "a")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scenes.image.values[item]).save(place / f"{item:03}.png")
    return tmp_path / "in"


def test_a_folder_of_images(model, scenes, pictures, tmp_path):
    (pictures / "notes.txt").write_text("mine")
    tally = encode_file(model, pictures, tmp_path / "c.npy", modality="image", workers=2)
    codes = np.load(tmp_path / "c.npy")
    assert tally.encoded == 30 and not tally.left_out
    assert tally.remarks == ["1 files have no image's suffix and were not read"]
    np.testing.assert_array_equal(codes, model.encode_image(scenes.image.values[:30]))
    names = (tmp_path / "c.items.txt").read_text().splitlines()
    assert names[0] == "a/000.png" and names[10] == "b/010.png" and len(names) == 30
    assert {path.name for path in tmp_path.iterdir()} == {"in", "c.npy", "c.items.txt"}


def test_in_bfloat16_most_bits_are_the_same(model, scenes, pictures, tmp_path):
    encode_file(model, pictures, tmp_path / "c.npy", modality="image", workers=2, precision="bf16-mixed")
    codes = np.load(tmp_path / "c.npy")
    pixels = scenes.image.values[:30]
    np.testing.assert_array_equal(codes, model.encode_image(pixels, precision="bf16-mixed"))
    flipped = np.unpackbits(codes ^ model.encode_image(pixels))
    assert flipped.mean() < 0.2  # of a network that has hardly learnt, whose logits all lie near the threshold
    with pytest.raises(InputError, match=r"precision=half: expected one of 32-true, bf16-mixed"):
        model.encode_image(pixels, precision="half")


def test_a_damaged_image_stops_or_is_left_out(model, pictures, tmp_path):
    whole = (pictures / "a" / "003.png").read_bytes()
    (pictures / "a" / "003.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "b" / "015.png").write_bytes(b"not an image")
    with pytest.raises(InputError, match=r"a/003\.png"):
        encode_file(model, pictures, tmp_path / "c.npy", modality="image")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]  # no half output
    tally = encode_file(model, pictures, tmp_path / "c.npy", modality="image", on_error="skip")
    assert tally.encoded == 28 and len(tally.left_out) == 2 and "b/015.png" in tally.left_out[1]
    names = (tmp_path / "c.items.txt").read_text().splitlines()
    assert len(np.load(tmp_path / "c.npy")) == len(names) == 28 and "a/003.png" not in names


def test_a_text_file(model, scenes, tmp_path):
    lines = list(scenes.captions)
    (tmp_path / "t.txt").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    tally = encode_file(model, tmp_path / "t.txt", tmp_path / "c.npy", modality="text")
    assert tally.encoded == len(lines) and not tally.remarks
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), model.encode_text(scenes.text))
    assert (tmp_path / "c.items.txt").read_text().split() == [str(k + 1) for k in range(len(lines))]


def test_bad_lines_stop_or_are_left_out(model, scenes, tmp_path):
    raw = [scenes.captions[0].encode(), b"", "rot grün".encode("latin-1"), b"zzz qqq", scenes.captions[1].encode()]
    (tmp_path / "t.txt").write_bytes(b"\n".join(raw))
    with pytest.raises(InputError, match="line 2, is empty"):
        encode_file(model, tmp_path / "t.txt", tmp_path / "c.npy", modality="text")
    tally = encode_file(model, tmp_path / "t.txt", tmp_path / "c.npy", modality="text", on_error="skip")
    assert (tmp_path / "c.items.txt").read_text().split() == ["1", "4", "5"]
    assert tally.left_out[1].startswith("t.txt, line 3, is not utf-8")
    assert tally.remarks == ["texts without a word of the vocabulary: 1; they share one code"]
    again = encode_file(
        model, tmp_path / "t.txt", tmp_path / "d.npy", modality="text", on_error="skip", encoding="latin-1"
    )
    assert again.encoded == 4
    with pytest.raises(InputError, match="not known"):
        encode_file(model, tmp_path / "t.txt", tmp_path / "c.npy", modality="text", encoding="utf-99")


def test_longer_texts_are_cut_as_in_training(model, scenes, tmp_path):
    word = next(word for word in scenes.captions[0].split() if word in scenes.text.vocabulary)
    longest = model.inputs.longest
    (tmp_path / "t.txt").write_text(f"{' '.join([word] * (longest + 5))}\n{' '.join([word] * longest)}\n")
    tally = encode_file(model, tmp_path / "t.txt", tmp_path / "c.npy", modality="text")
    codes = np.load(tmp_path / "c.npy")
    np.testing.assert_array_equal(codes[0], codes[1])
    assert tally.remarks == [f"texts with more than {longest} known words: 1; the first ones are read"]


def test_an_array_is_read_in_pieces(model, scenes, tmp_path):
    np.save(tmp_path / "i.npy", scenes.image.values)
    encode_file(model, tmp_path / "i.npy", tmp_path / "c.npy", modality="image")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), model.encode_image(scenes.image))
    assert not (tmp_path / "c.items.txt").exists()


def test_it_says_how_many_are_done_and_of_how_many(model, scenes, pictures, tmp_path):
    (tmp_path / "t.txt").write_text("a\n\nb\n" * 20)
    np.save(tmp_path / "i.npy", scenes.image.values)
    (pictures / "a" / "003.png").write_bytes(b"not an image")
    for source, modality, total in ((pictures, "image", 30), ("t.txt", "text", 60), ("i.npy", "image", 80)):
        said = []
        output, report = tmp_path / "c.npy", lambda *given, kept=said: kept.append(given)
        encode_file(model, tmp_path / source, output, modality=modality, on_error="skip", report=report)
        done = [given[0] for given in said]
        assert done == sorted(done) and len(said) > 2 and said[-1] == (total, total)
        assert {given[1] for given in said} == {total}


def test_links_to_folders_are_counted(model, pictures, tmp_path):
    (pictures / "linked").symlink_to(pictures / "a", target_is_directory=True)
    tally = encode_file(model, pictures, tmp_path / "c.npy", modality="image")
    assert tally.encoded == 30 and tally.remarks == ["1 links to folders were not followed"]


def test_a_text_file_of_another_program_means_the_same(model, scenes, tmp_path):
    """UTF-16 with its mark, as PowerShell writes it; and a separator that ends no line."""
    lines = [*scenes.captions[:9], "red\u2028circle"]
    (tmp_path / "t.txt").write_bytes("\r\n".join(lines).encode("utf-16"))
    encode_file(model, tmp_path / "t.txt", tmp_path / "c.npy", modality="text")
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), model.encode_text(lines))


def test_memory_is_bounded_by_the_batches(model, pictures, monkeypatch, tmp_path):
    """Never more images are decoded than the look-ahead allows beyond those that have their codes."""
    decoded, encoded, most = [0], [0], [0]
    real_decode, real_encode = streaming.pixels_of, model.codes_of

    def decode(*arguments):
        decoded[0] += 1
        most[0] = max(most[0], decoded[0] - encoded[0])
        return real_decode(*arguments)

    def encode(modality, items, **settings):
        encoded[0] += len(items)
        return real_encode(modality, items, **settings)

    monkeypatch.setattr(streaming, "pixels_of", decode)
    monkeypatch.setattr(streaming, "BATCH", 2)
    monkeypatch.setattr(model, "codes_of", encode)
    encode_file(model, pictures, tmp_path / "c.npy", modality="image", workers=1)
    assert encoded[0] == 30 and most[0] <= 2 * (1 + 2 + 2)


def test_what_cannot_be_encoded_is_refused(model, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.jpg").write_bytes(b"x")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY")
    output = tmp_path / "c.npy"
    for source, modality, message in (
        ("none", "image", "does not exist"),
        ("empty", "image", "holds no images"),
        ("empty", "text", "texts come in a file"),
        ("x.jpg", "image", "neither a folder of images nor"),
        ("bad.npy", "image", "not a readable"),
    ):
        with pytest.raises(InputError, match=message):
            encode_file(model, tmp_path / source, output, modality=modality)
    with pytest.raises(InputError, match="expected skip or stop"):
        encode_file(model, tmp_path / "empty", output, modality="image", on_error="ignore")
    (tmp_path / "t.txt").write_text("\n\n")
    with pytest.raises(InputError, match="no item could be encoded"):
        encode_file(model, tmp_path / "t.txt", output, modality="text", on_error="skip")
    assert not output.exists()
