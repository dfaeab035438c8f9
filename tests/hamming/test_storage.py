import gzip
import io
import os
import pickle
import stat
import threading
from pathlib import Path

import numpy as np
import pytest
from forging import forged

from udsph import hamming
from udsph.hamming import storage

STORED = Path(__file__).parent / "stored"


def make(bits=100, n=1500, ids=None, bitorder="little"):
    index = hamming.FlatIndex(bits, bitorder=bitorder)
    rng = np.random.default_rng(bits)
    index.add(np.packbits(rng.random((n, bits)) < 0.5, axis=1, bitorder=bitorder), ids)
    return index


def same(a, b, n_queries=25):
    assert (len(a), a.bits, a.bitorder) == (len(b), b.bits, b.bitorder)
    if len(a) < 25:
        query = np.zeros((1, (a.bits + 7) // 8), np.uint8)
        assert a.range_search(query, a.bits).ids.tolist() == b.range_search(query, a.bits).ids.tolist()
        return
    queries = a.reconstruct(
        a.search(a.reconstruct(a.search(np.zeros((1, (a.bits + 7) // 8), np.uint8), 25).ids[0]), 1).ids[:, 0]
    )
    for ours, other in zip(a.search(queries, 30), b.search(queries, 30), strict=True):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("bits", [1, 16, 64, 100, 1024])
def test_what_is_saved_is_loaded(engine, tmp_path, bits, mmap):
    for index in (make(bits), make(bits, ids=np.arange(1500) * 2**33), make(bits, bitorder="big"), make(bits, 0)):
        index.save(tmp_path / "codes.index")
        same(index, hamming.load(tmp_path / "codes.index", mmap=mmap))
    assert [path.name for path in tmp_path.iterdir()] == ["codes.index"]


def test_a_file_of_one_engine_serves_every_other(engine, tmp_path):
    from udsph.hamming import backend

    make().save(tmp_path / "codes.index")
    backend.use("numpy")
    truth = hamming.load(tmp_path / "codes.index")
    backend.use(engine.partition("-")[0])
    same(truth, hamming.load(tmp_path / "codes.index"))


def test_a_mapped_index_grows_and_shrinks_in_memory_only(engine, tmp_path):
    make().save(tmp_path / "codes.index")
    before = (tmp_path / "codes.index").read_bytes()
    mapped, truth = hamming.load(tmp_path / "codes.index"), make()
    more = truth.reconstruct(np.arange(700))
    for index in (mapped, truth):
        index.add(more)
        index.remove(np.arange(5, 900))
        index.add(more)
    same(truth, mapped)
    mapped.save(tmp_path / "codes.index")  # over the file that it maps
    same(truth, hamming.load(tmp_path / "codes.index"))
    assert before != (tmp_path / "codes.index").read_bytes()


def test_removed_ids_are_not_given_again_after_loading(tmp_path):
    index = make(8, 4)
    index.remove([3])
    index.save(tmp_path / "a")
    loaded = hamming.load(tmp_path / "a")
    loaded.add(np.zeros((1, 1), np.uint8))
    assert sorted(loaded.search(np.zeros((1, 1), np.uint8), 4).ids[0]) == [0, 1, 2, 4]


def test_every_damaged_byte_of_the_header_is_noticed(tmp_path):
    path = tmp_path / "a"
    make(16, 100, ids=np.arange(100)).save(path)
    data = path.read_bytes()
    for place in range(storage._HEADER.size + 2 * storage._SECTION.size):
        path.write_bytes(data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :])
        with pytest.raises(hamming.FormatError):
            hamming.load(path)


def test_damage_in_the_contents_is_noticed(tmp_path):
    path = tmp_path / "a"
    make(16, 100, ids=np.arange(100)).save(path)
    data = bytearray(path.read_bytes())
    data[4096 + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(hamming.FormatError, match="section 'codes' is damaged"):
        hamming.load(path)
    assert len(hamming.load(path, verify=False)) == 100
    data[4096 + 5] ^= 1
    data[8192] ^= 1
    path.write_bytes(data)
    with pytest.raises(hamming.FormatError, match="section 'ids' is damaged"):
        hamming.load(path)


def test_truncation_anywhere_is_noticed(tmp_path):
    path = tmp_path / "a"
    make(16, 1000).save(path)
    data = path.read_bytes()
    for length in [*range(0, 110, 3), 4095, 4096, 5000, len(data) - 1]:
        path.write_bytes(data[:length])
        for verify in (True, False):
            with pytest.raises(hamming.FormatError, match=r"truncated|not an index"):
                hamming.load(path, verify=verify)


def test_foreign_files_are_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"IBxF" + bytes(1000))
    with pytest.raises(hamming.FormatError, match="is not an index of"):
        hamming.load(path)
    make(16, 10).save(path)
    data = bytearray(path.read_bytes())
    data[8] = 9
    path.write_bytes(data)
    with pytest.raises(hamming.FormatError, match="version 9"):
        hamming.load(path)
    with pytest.raises(FileNotFoundError):
        hamming.load(tmp_path / "b")
    assert issubclass(hamming.FormatError, ValueError)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    make(16, 10).save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make(16, 500).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("n", [0, 1, 511, 512, 513, 1024, 1025])
def test_any_number_of_codes_is_saved(engine, tmp_path, n):
    """Also where the last piece written is one block."""
    index = make(64, n)
    index.save(tmp_path / "a")
    same(index, hamming.load(tmp_path / "a"))
    with_gaps = make(64, n + 150)
    with_gaps.remove(np.arange(50, 150))
    with_gaps.save(tmp_path / "a")
    loaded = hamming.load(tmp_path / "a")
    kept = np.delete(np.arange(n + 150), np.arange(50, 150))
    np.testing.assert_array_equal(loaded.reconstruct(kept), make(64, n + 150).reconstruct(kept))


@pytest.mark.parametrize("path", sorted(STORED.glob("*.index")), ids=lambda path: path.name)
def test_files_of_version_1_open_for_ever(engine, path):
    """Written by the release before snapshots; a code follows from its id or, without removals, from its position."""
    index = hamming.load(path)
    ids = np.sort(index.range_search(np.zeros((1, (index.bits + 7) // 8), np.uint8), index.bits).ids)
    expected = {
        "version-1.index": np.arange(20),
        "version-1-removed.index": np.delete(np.arange(600), np.arange(100, 150)),
        "version-1-ids-big.index": np.arange(70) * 2**40 + 3,
        "version-1-repeated.index": np.arange(600) // 7 * 7,
        "version-1-strings.index": np.sort([f"é{i}" if i else "" for i in range(0, 600, 3)]),
    }[path.name]
    np.testing.assert_array_equal(ids, expected)
    if "strings" in path.name:
        ids, numbers = index.ids, np.arange(0, 600, 3)
    elif "repeated" in path.name:
        assert index.multi
        ids, numbers = np.arange(0, 600, 7), np.arange(600)
    else:
        numbers = ids
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    bits = np.unpackbits((mixed ^ (mixed >> np.uint64(29))).view(np.uint8).reshape(-1, 8), axis=1, bitorder="little")
    order = "big" if "big" in path.name else "little"
    np.testing.assert_array_equal(
        hamming.unpack(index.reconstruct(ids), index.bits, bitorder=order), bits[:, : index.bits]
    )
    if not index._snapshot.ids.custom:
        index.add(index.reconstruct([0]))
        assert ids[-1] + 1 in index.range_search(index.reconstruct([0]), 0).ids


def test_file_objects_bytes_and_pickles_hold_the_same_index(engine, tmp_path):
    index = make(100, 700, ids=np.arange(700) * 3)
    index.remove([9])
    same(index, hamming.FlatIndex.from_bytes(index.to_bytes()))
    with gzip.open(tmp_path / "a.gz", "wb") as file:  # cannot go back to write a header
        index.save(file)
    with gzip.open(tmp_path / "a.gz") as file:
        same(index, hamming.load(file))
    with open(tmp_path / "b", "w+b") as file:
        file.write(b"before")
        index.save(file)
        file.write(b"after")
        file.seek(6)
        same(index, hamming.load(io.BytesIO(file.read()[: len(index.to_bytes())])))
        file.seek(-5, 2)
        assert file.read() == b"after"
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        same(index, pickle.loads(pickle.dumps(index, protocol)))


def test_a_pickle_hands_its_codes_over_out_of_band():
    index, buffers = make(64, 20_000), []
    data = pickle.dumps(index, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    assert sum(len(buffer.raw()) for buffer in buffers) == len(index.to_bytes())
    same(index, pickle.loads(data, buffers=buffers))


def test_many_threads_save_to_one_path_and_each_file_is_whole(tmp_path):
    failures = []

    def work(n):
        try:
            for _ in range(10):
                make(64, n).save(tmp_path / "a")
                assert len(hamming.load(tmp_path / "a")) in (500, 600, 700, 800)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in (500, 600, 700, 800)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name == "nt", reason="modes and links of POSIX")
def test_saving_keeps_a_link_and_a_mode(tmp_path):
    make(8, 3).save(tmp_path / "real")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to("real")
    make(8, 5).save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and len(hamming.load(tmp_path / "real")) == 5
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o600


def write_ids(ids):
    def edit(table, data):
        row = next(row for row in table if row[0].startswith(b"ids"))
        data[row[1] : row[1] + row[2]] = np.asarray(ids, "<i8").tobytes()
        return data

    return edit


def twice(table, data):
    table.append(list(table[0]))
    return data


def beyond(table, data):
    table[0][1] = 1 << 40
    return data


def stray_bit(table, data):
    data[table[0][1] + 63] |= 128  # code 511 of a block of 4
    return data


@pytest.mark.parametrize(
    ("custom", "fields", "message"),
    [
        (False, {"next_id": 3}, "next id is 3"),
        (False, {"next_id": 2**63 - 1}, "next id is"),
        (False, {"next_id": 2**63}, "beyond 2"),
        (False, {"n": 2**63, "next_id": 2**63}, "beyond 2"),
        (False, {"flags": 16}, "flags 0x10"),
        (False, {"flags": 2}, "ids are missing"),
        (False, {"edit": twice}, "there twice"),
        (False, {"edit": beyond}, "truncated"),
        (False, {"edit": stray_bit}, "bits beyond its 4 codes"),
        (True, {"flags": 0}, "do not ascend|next id"),
        (True, {"edit": write_ids([5, 6, 6, 8])}, "id 6 occurs twice"),
        (True, {"edit": write_ids([5, 6, -6, 8])}, "negative id"),
    ],
)
def test_wrong_contents_under_right_checksums_are_refused(engine, tmp_path, custom, fields, message):
    path = tmp_path / "a"
    make(16, 4, ids=[9, 5, 7, 8] if custom else None).save(path)
    data = path.read_bytes()
    assert forged(data) == data
    path.write_bytes(forged(data, **fields))
    with pytest.raises(hamming.FormatError, match=message):
        hamming.load(path)


def test_ids_of_removed_codes_must_ascend_below_the_next(tmp_path):
    index = make(16, 5)
    index.remove([2])
    index.save(tmp_path / "a")
    data = (tmp_path / "a").read_bytes()
    for fields, message in (
        ({"next_id": 4}, "next id 4 is not beyond the id 4"),
        ({"edit": write_ids([0, 1, 4, 3])}, "do not ascend"),
    ):
        (tmp_path / "a").write_bytes(forged(data, **fields))
        with pytest.raises(hamming.FormatError, match=message):
            hamming.load(tmp_path / "a")


def test_an_unknown_section_is_passed_over(tmp_path):
    """A reader ignores sections whose names it does not know."""

    def add(table, data):
        table.append([b"news", 0, 0, 0, 0, 0])
        return data

    make(16, 5).save(tmp_path / "a")
    (tmp_path / "a").write_bytes(forged((tmp_path / "a").read_bytes(), edit=add))
    assert len(hamming.load(tmp_path / "a")) == 5


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted by way of Linux")
def test_mapped_indexes_hold_no_descriptors(engine, tmp_path):
    make(64, 2000, ids=np.arange(2000) * 5).save(tmp_path / "a")
    before = len(os.listdir("/proc/self/fd"))
    indexes = [hamming.load(tmp_path / "a") for _ in range(50)]
    assert len(os.listdir("/proc/self/fd")) == before
    same(indexes[0], indexes[-1])


def test_a_folder_or_an_empty_file_is_named(tmp_path):
    for mmap in (True, False):
        with pytest.raises(OSError, match=str(tmp_path)):
            hamming.load(tmp_path, mmap=mmap)
        (tmp_path / "empty").write_bytes(b"")
        with pytest.raises(hamming.FormatError, match="is not an index"):
            hamming.load(tmp_path / "empty", mmap=mmap)
