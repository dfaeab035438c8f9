"""Damaged, truncated, missing, foreign and later files: an error that names the file, or right answers."""

import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from collection_helpers import codes_of, same
from collection_mutations import Parts, make, manifest, rewrite_manifest, rewrite_segment, segments, try_mutated, use

from udsph import hamming
from udsph.hamming import FormatError
from udsph.hamming.collection import Collection, handle

ROUNDS = int(os.environ.get("UDSPH_COLLECTION_ROUNDS", "1"))
STORED = Path(__file__).parent.parent / "stored"


@pytest.mark.parametrize("form", ["positions", "integers", "strings", "tables"])
def test_mutated_files_are_refused_or_give_right_answers(tmp_path, form):
    """Every kind of damage, with checksums that were mended; without verification too nothing worse than an error."""
    rounds = 250 * ROUNDS
    assert 0.5 * rounds < try_mutated(tmp_path / "c", form, rounds, random.Random(form)) < rounds


@pytest.mark.parametrize("form", ["positions", "strings", "tables"])
def test_every_damaged_byte_of_headers_and_tables_is_noticed_when_opened(tmp_path, form):
    path = make(tmp_path / "c", form)
    for file in (manifest(path), segments(path)[0]):
        data = file.read_bytes()
        table = Parts(data).header["place"]
        for place in [*range(64), *range(table, len(data))]:
            file.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
            with pytest.raises(FormatError, match=file.name):
                Collection.open(path)
        file.write_bytes(data)
    assert len(Collection.open(path)) == 3098


def test_damage_of_codes_and_ids_is_noticed_by_verification_and_never_copied(tmp_path):
    for section in ("codes", "offsets", "text"):
        path = make(tmp_path / section)
        file = segments(path)[-1]
        data = bytearray(file.read_bytes())
        data[Parts(data).entry(section)["offset"] + 11] ^= 64
        file.write_bytes(data)
        with pytest.raises(FormatError, match=rf"{file.name}: bytes 0 to \d+ of the section '{section}' are damaged"):
            Collection.open(path, verify=True)
        writer = Collection.open(path, "a")
        for change in (writer.verify, writer.compact):
            with pytest.raises(FormatError, match=f"section '{section}' are damaged"):
                change()
        with pytest.raises(FormatError, match=f"section '{section}' are damaged|file of these ids is damaged"):
            writer.add(codes_of([1], 20), ["more"])
            writer.commit()  # which would write the small file again
        writer.rollback()
        writer.close()


def test_truncation_anywhere_is_noticed_when_opened(tmp_path):
    path = make(tmp_path / "c")
    for file in (manifest(path), *segments(path)):
        data = file.read_bytes()
        for length in [0, 1, 8, 63, 64, 4095, 4096, len(data) // 2, len(data) - 1]:
            file.write_bytes(data[:length])
            with pytest.raises(FormatError, match=file.name):
                Collection.open(path)
        file.write_bytes(data + b"more")
        with pytest.raises(FormatError, match=file.name):
            Collection.open(path)
        file.write_bytes(data)


def test_a_missing_or_exchanged_file_is_named(tmp_path):
    path = make(tmp_path / "c")
    reader = Collection.open(path)
    large, small = segments(path)
    kept, other = large.read_bytes(), small.read_bytes()
    large.unlink()
    for call in (lambda: Collection.open(path), lambda: Collection.open(path, "a"), reader.verify):
        with pytest.raises(FormatError, match=f"{large.name}.* is missing"):
            call()
    use(reader)  # has it still, as every process that had it open
    large.write_bytes(other)
    with pytest.raises(FormatError, match="is another file than the manifest names"):
        Collection.open(path)
    large.write_bytes(kept)
    os.replace(manifest(path), path / "000000000099.manifest")
    with pytest.raises(FormatError, match="is the manifest of generation 3"):
        Collection.open(path)
    os.remove(path / "000000000099.manifest")
    with pytest.raises(FormatError, match="is no collection"):
        Collection.open(path)


def test_files_that_are_cut_under_a_reader_are_an_error(tmp_path, monkeypatch):
    """Where it is noticed in time: a search of a map whose file has just been cut ends by a signal."""
    path = make(tmp_path / "c")
    reader, file = Collection.open(path), segments(path)[0]
    kept = file.read_bytes()
    use(reader)
    monkeypatch.setattr(handle, "_LOOK_EVERY", -1)
    os.truncate(file, 5000)
    with pytest.raises(FormatError, match="is truncated or was changed since it was opened"):
        reader.verify()
    for call in (
        lambda: len(reader),
        lambda: reader.search(codes_of([1], 20), 3),
        lambda: reader.reconstruct(["né 1"]),
    ):
        with pytest.raises(FormatError, match=f"{file.name} was truncated since it was opened"):
            call()
    with pytest.raises(FormatError, match="is truncated"):
        Collection.open(path)
    file.write_bytes(kept)
    use(reader)


def test_what_a_later_release_writes_is_refused_by_name_or_passed_over(tmp_path):
    path = make(tmp_path / "c")
    file = segments(path)[0]
    data, kept = file.read_bytes(), manifest(path).read_bytes()
    for fields, entry, message in (
        ({"version": 3}, None, "has format version 3; this release reads version 2"),
        ({"flags": 4}, None, "flags 0x4 have a meaning that this release does not know"),
        ({}, {"flags": 1}, "section 'news' is of a later release"),
        ({}, {"flags": 2}, "section 'news' has flags 0x2"),
        ({}, {"flags": 0}, None),
    ):
        parts = Parts(data)
        if entry is not None:
            parts.entries.append(
                {"name": b"news", "offset": 4096, "length": 16, "checksum": 0, "flags": 0, "reserved": 0}
            )
            parts.entries[-1].update(entry)
        rewrite_segment(path, file, *parts.joined(**fields))
        if message is None:
            use(Collection.open(path, verify=True))
        else:
            with pytest.raises(FormatError, match=message):
                Collection.open(path)
        manifest(path).write_bytes(kept)
    file.write_bytes(data)
    rewrite_manifest(path, lambda values: values.update(colour="red"))
    use(Collection.open(path))
    rewrite_manifest(path, lambda values: values.update(requires=["shards"]))
    with pytest.raises(FormatError, match=r"requires \['shards'\] of a later release"):
        Collection.open(path)


def test_an_earlier_release_names_the_version(tmp_path):
    path = make(tmp_path / "c")
    with pytest.raises(FormatError, match="format version 2; this release reads version 1"):
        hamming.load(segments(path)[0])


def test_wrong_ids_under_right_checksums_are_refused(tmp_path):
    for form, edit, message in (
        ("integers", lambda ids: ids.__setitem__(7, -3), "holds a negative id"),
        ("integers", lambda ids: ids.__setitem__(7, ids[8]), "has the id 27 twice"),
        ("positions", lambda ids: ids.__setitem__(7, ids[8]), "do not ascend"),
        ("positions", lambda ids: ids.__setitem__(-1, 9999), "the next id 3100 is not beyond the id 9999"),
    ):
        path = make(tmp_path / message[:12], form)
        with Collection.open(path, "a") as writer:
            writer.compact()
        (file,) = segments(path)
        parts = Parts(file.read_bytes())
        ids = np.frombuffer(parts.section("ids"), "<i8").copy()
        edit(ids)
        parts.replace("ids", ids.tobytes())
        rewrite_segment(path, file, *parts.joined())
        assert len(Collection.open(path)) == 3098  # nothing is read
        with pytest.raises(FormatError, match=message):
            Collection.open(path, verify=True)


def test_damaged_offsets_of_strings_take_no_memory(tmp_path):
    path = make(tmp_path / "c")
    file = segments(path)[0]
    kept = Parts(file.read_bytes())
    for place, wrong in ((7, 2**31), (7, -1), (7, 2**62), (8, 0)):
        parts, offsets = Parts(file.read_bytes()), np.frombuffer(kept.section("offsets"), "<i8").copy()
        offsets[place] = wrong
        parts.replace("offsets", offsets.tobytes())
        rewrite_segment(path, file, *parts.joined())
        collection = Collection.open(path)
        for call in (
            lambda c=collection: c.ids,
            lambda c=collection: c.copy().ids,
            lambda c=collection: c.search(codes_of([7], 20), 3000),
            lambda c=collection: "x" in c,
            lambda c=collection: c.search(codes_of([7], 20), 2, where=["né 7", "né 8"]),
        ):
            with pytest.raises(FormatError, match="the file of these ids is damaged"):
                call()


def test_a_copy_of_the_folder_is_a_collection(tmp_path):
    path = make(tmp_path / "c")
    shutil.copytree(path, tmp_path / "d")
    same(Collection.open(path), Collection.open(tmp_path / "d", verify=True))


@pytest.mark.parametrize("name", ["positions", "integers", "strings", "repeated", "own", "tables", "tables-distinct"])
def test_collections_of_version_2_open_for_ever(engine, tmp_path, name):
    """Written by the first releases that had them; a code follows from the number that its id stands for."""
    shutil.copytree(STORED / f"version-2-{name}", tmp_path / "c")
    collection = Collection.open(tmp_path / "c", "a", verify=True)
    numbers = np.delete(np.arange(2520), [3, 2510])
    if name == "own":
        numbers = np.r_[0:100, 500:720]
    if name.startswith("tables"):
        numbers = np.arange(700)
        assert collection.stats()["codes_in_tables"] == (512 if engine.startswith("native") else 0)
    ids = {
        "integers": [5 * n + 2**40 for n in numbers.tolist()],
        "strings": [f"é{n}" if n else "" for n in numbers.tolist()],
        "repeated": [n // 3 for n in range(2520) if n // 3 not in (1, 2510 // 3)],
    }.get(name, numbers.tolist())
    assert collection.ids.tolist() == ids
    assert collection.bitorder == ("big" if name == "integers" else "little")
    if name == "repeated":
        numbers = np.array([n for n in range(2520) if n // 3 not in (1, 2510 // 3)])
    expected = codes_of(numbers // 3 if name == "tables-distinct" else numbers, collection.bits)
    distinct = list(dict.fromkeys(ids))
    np.testing.assert_array_equal(collection.reconstruct(distinct), expected)
    collection.compact()
    collection.close()
    np.testing.assert_array_equal(Collection.open(tmp_path / "c", verify=True).reconstruct(distinct), expected)


def test_an_order_that_is_wrong_is_refused_by_verification_and_else_not_used(tmp_path):
    n, ids = 17_000, np.random.default_rng(1).permutation(17_000)
    with Collection.create(tmp_path / "c", 20, durability="none") as writer:
        writer.add(codes_of(range(n), 20), ids)
        writer.remove([int(ids[0])])
        writer.compact()
    (file,) = segments(tmp_path / "c")
    kept = file.read_bytes()
    right = np.frombuffer(Parts(kept).section("order"), "<u4")
    for wrong in (right[::-1], np.zeros_like(right), right + 1, np.roll(right, 1), np.where(right == 5, 6, right)):
        parts = Parts(kept)
        parts.replace("order", wrong.astype("<u4").tobytes())
        rewrite_segment(tmp_path / "c", file, *parts.joined())
        with pytest.raises(FormatError, match="'order' is not the order of the ids"):
            Collection.open(tmp_path / "c", verify=True)
        np.testing.assert_array_equal(
            Collection.open(tmp_path / "c").reconstruct(ids[[9, 16_999]]), codes_of([9, 16_999], 20)
        )
    parts.replace("order", wrong.astype("<u4").tobytes()[:-4])
    rewrite_segment(tmp_path / "c", file, *parts.joined())
    with pytest.raises(FormatError, match="'order' has 67992 bytes, 67996 were expected"):
        Collection.open(tmp_path / "c")
