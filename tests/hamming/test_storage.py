import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import storage


def make(bits=100, n=1500, ids=None, bitorder="little"):
    index = hamming.FlatIndex(bits, bitorder=bitorder)
    rng = np.random.default_rng(bits)
    index.add(np.packbits(rng.random((n, bits)) < 0.5, axis=1, bitorder=bitorder), ids)
    return index


def same(a, b, n_queries=25):
    assert (len(a), a.bits, a.bitorder) == (len(b), b.bits, b.bitorder)
    if len(a) == 0:
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
    monkeypatch.setattr(storage.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make(16, 500).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
