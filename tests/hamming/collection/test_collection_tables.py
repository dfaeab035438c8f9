"""Tables that are stored in a collection's file."""

import shutil
import struct

import numpy as np
import pytest
from collection_helpers import codes_of, same
from collection_mutations import Parts
from test_collection_damage import rewrite_segment, segments

from udsph import hamming
from udsph.hamming import Collection, FormatError, backend
from udsph.hamming.multi import Multi

pytestmark = pytest.mark.skipif(backend.name() != "native", reason="tables need native code")


def tabled(path, bits=64, n=2000, copies=1):
    """A collection with tables, and the same in memory."""
    truth = hamming.FlatIndex(bits)
    rows = codes_of(np.arange(n) // copies, bits)
    with Collection.create(path, bits, durability="none") as writer:
        writer.kind = "multi"
        for index in (writer, truth):
            index.add(rows, [f"né {number}" for number in range(n)])
            index.remove(["né 5", f"né {n - 1}"])
        writer.compact(tables=True)
    return truth


def in_tables(collection):
    return sum(len(part) for part in collection._snapshot.segments if isinstance(part, Multi))


@pytest.mark.parametrize("copies", [1, 3])
@pytest.mark.parametrize("bits", [20, 64, 128, 200])
def test_stored_tables_are_searched_after_opening(tmp_path, bits, copies):
    truth = tabled(tmp_path / "c", bits, copies=copies)
    reader = Collection.open(tmp_path / "c", verify=True)
    assert in_tables(reader) == reader.stats()["codes_in_tables"] == 1536
    same(truth, reader)
    where = np.arange(len(truth)) % 3 == 0
    queries = codes_of(range(5), bits)
    for ours, theirs in zip(reader.search(queries, 9, where=where), truth.search(queries, 9, where=where), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    parts = reader.explain(queries, k=3)["parts"]
    assert [part["how"] for part in parts] == ["tables", "scan"] and parts[0]["why"] == "its tables are stored"


def test_tables_stay_in_the_file_while_the_collection_grows(tmp_path):
    truth = tabled(tmp_path / "c")
    reader = Collection.open(tmp_path / "c")
    with Collection.open(tmp_path / "c", "a", durability="none") as writer:
        for begin in (5000, 5100, 6000):
            numbers = range(begin, begin + 600)
            for index in (writer, truth):
                if begin == 5100:
                    index.remove([f"né {number}" for number in range(5100, 5600)])
                index.add(codes_of(numbers), [f"né {number}" for number in numbers])
            writer.commit()
            for other in (writer, reader, Collection.open(tmp_path / "c", verify=True)):
                other.refresh()
                assert in_tables(other) == 1536
                same(truth, other)
        assert writer.stats()["files"] == 2
        writer.kind = "multi"
        writer.compact()  # with tables, since there are some
        assert in_tables(writer) == len(truth) // 512 * 512 and writer.compact() == writer.generation
        same(truth, Collection.open(tmp_path / "c", verify=True))
        before = writer.generation
        writer.compact(tables=False)
        assert (writer.generation, in_tables(writer), writer.stats()["codes_in_tables"]) == (before + 1, 0, 0)
        same(truth, writer)


def test_tables_of_optimize_are_written_as_they_are(tmp_path, monkeypatch):
    with Collection.create(tmp_path / "c", 64, durability="none") as writer:
        writer.kind = "multi"
        writer.add(codes_of(range(1600)))
        writer.optimize()
        monkeypatch.setattr(hamming.index, "build", None)
        seen = []
        writer.compact(lambda share, what: seen.append(share))
        assert seen == sorted(seen) and seen[-1] == 1
    assert in_tables(Collection.open(tmp_path / "c", verify=True)) == 1536


def test_optimize_reads_stored_tables_into_memory(tmp_path, monkeypatch):
    truth = tabled(tmp_path / "c")
    reader = Collection.open(tmp_path / "c")
    before = reader._snapshot.segments[0]
    monkeypatch.setattr(hamming.index, "build", None)
    reader.optimize()
    after = reader._snapshot.segments[0]
    assert isinstance(after, Multi) and after is not before and after.tables.nbytes == before.tables.nbytes
    same(truth, reader)
    assert reader.explain(codes_of([1]), k=1)["parts"][0]["why"] == "its tables were stored"
    monkeypatch.setattr("udsph.memory.available", lambda: 1000)
    with pytest.raises(MemoryError, match=r"its tables take .* but 1.0 kB are free"):
        Collection.open(tmp_path / "c").optimize()
    with Collection.open(tmp_path / "c", "a", durability="none") as writer:
        for index in (writer, truth):
            index.add(codes_of(range(5000, 5100)), [f"né {number}" for number in range(5000, 5100)])
    assert reader.refresh() and reader._snapshot.segments[0] is after
    same(truth, reader)


def test_damaged_tables_are_built_anew_by_compaction(tmp_path):
    truth = tabled(tmp_path / "c", n=1538)  # 1536 are there
    (file,) = segments(tmp_path / "c")
    parts = Parts(file.read_bytes())
    parts.replace("entries", bytes(len(parts.section("entries"))))
    rewrite_segment(tmp_path / "c", file, *parts.joined())
    with Collection.open(tmp_path / "c", "a", durability="none") as writer:
        writer.kind = "multi"
        for index in (writer, truth):
            index.add(codes_of([9000]), ["more"])
        writer.compact()
    reader = Collection.open(tmp_path / "c", verify=True)
    assert in_tables(reader) == 1536
    same(truth, reader)


def test_of_few_codes_no_tables_are_written(tmp_path):
    with Collection.create(tmp_path / "c", 64, durability="none") as writer:
        writer.add(codes_of(range(1600)))
        assert writer.compact(tables=True) == 1 and writer.compact(tables=True) == 1
        assert writer.stats()["codes_in_tables"] == 0


def test_another_backend_passes_over_tables(tmp_path, monkeypatch):
    truth = tabled(tmp_path / "c")
    monkeypatch.setattr(backend, "name", lambda: "numpy")
    monkeypatch.setattr(backend, "_chosen", ("numpy", __import__("udsph.hamming.reference", fromlist=["x"])))
    reader = Collection.open(tmp_path / "c", verify=True)
    assert in_tables(reader) == 0
    assert reader.search(codes_of([7]), 1).ids.tolist() == truth.search(codes_of([7]), 1).ids.tolist()


@pytest.mark.parametrize(("bits", "copies"), [(64, 1), (64, 3), (200, 1)])
def test_wrong_tables_are_refused_by_verification_and_read_nothing_beyond_them(tmp_path, bits, copies):
    tabled(tmp_path / "c", bits, copies=copies)
    (file,) = segments(tmp_path / "c")
    kept, manifests = file.read_bytes(), {path: path.read_bytes() for path in (tmp_path / "c").glob("*.manifest")}
    rng = np.random.default_rng(0)
    for section, said in (
        ("directories", "directory|bucket"),
        ("entries", "item"),
        ("rows", "rows are not the codes"),
        *((("firsts", "firsts|equal"), ("postings", "listed|ascend|equal")) if copies > 1 else ()),
    ):
        for wrong in (0, 1, 2**31, 2**32 - 1, None):
            parts = Parts(kept)
            words = np.frombuffer(parts.section(section), "<u4").copy()
            if wrong is None:
                words[:] = rng.integers(0, 2**32, len(words), dtype=np.uint32)
            else:
                words[rng.integers(1, len(words) - 1, max(1, len(words) // 3))] = wrong
            parts.replace(section, words.tobytes())
            rewrite_segment(tmp_path / "c", file, *parts.joined())
            with pytest.raises(FormatError, match=f"the tables are wrong: .*({said})"):
                Collection.open(tmp_path / "c", verify=True)
            reader = Collection.open(tmp_path / "c")
            for queries in (codes_of(range(50), bits), codes_of([3], bits)[0]):
                for where in (None, np.arange(len(reader)) % 2 == 0):
                    reader.search(queries, 10, where=where)
                    reader.range_search(queries, 3, where=where)
            for path, content in manifests.items():
                path.write_bytes(content)
    file.write_bytes(kept)
    Collection.open(tmp_path / "c", verify=True)


def test_tables_of_no_possible_shape_are_refused_when_opened(tmp_path):
    tabled(tmp_path / "c")
    (file,) = segments(tmp_path / "c")
    kept = file.read_bytes()
    form = struct.Struct("<IIQQII5d")
    values = list(form.unpack_from(Parts(kept).section("tables")))
    rest = Parts(kept).section("tables")[form.size :]

    def with_about(about):
        parts = Parts(kept)
        parts.replace("tables", about)
        rewrite_segment(tmp_path / "c", file, *parts.joined())

    for place, wrong, said in (
        (1, 2**31, "chunks in"),
        (1, 2, "chunks in"),
        (2, 1024, "over 1024 codes, there are 1536"),
        (3, 1000, "other items than codes"),
        (4, 1, "the section 'firsts' is missing"),
        (4, 2, "chunks in"),
        (6, float("nan"), "costs are"),
        (10, 0.0, "costs are"),
    ):
        with_about(form.pack(*values[:place], wrong, *values[place + 1 :]) + rest)
        with pytest.raises(FormatError, match=said):
            Collection.open(tmp_path / "c")
    for chunks in ([(64, 8)], [(32, 8), (31, 8)], [(32, 0), (32, 8)], [(32, 33), (32, 8)], [(0, 0), (64, 8)], []):
        about = form.pack(0, len(chunks), *values[2:]) + b"".join(struct.pack("<II", *chunk) for chunk in chunks)
        with_about(about)
        with pytest.raises(FormatError, match=r"tables|directories"):
            Collection.open(tmp_path / "c")
    with_about(form.pack(1, *values[1:]) + rest)  # a form of a later release, which is not needed
    reader = Collection.open(tmp_path / "c", verify=True)
    assert in_tables(reader) == 0 and len(reader.search(codes_of([7]), 1).ids) == 1
    data = bytearray(kept)
    data[Parts(kept).entry("tables")["offset"] + 20] ^= 1
    file.write_bytes(data)
    with pytest.raises(FormatError, match="the section 'tables' is wrong: its checksum differs"):
        Collection.open(tmp_path / "c")


def test_codes_are_saved_from_a_file_whose_tables_are_damaged(tmp_path):
    truth = tabled(tmp_path / "c")
    (file,) = segments(tmp_path / "c")
    data = bytearray(file.read_bytes())
    data[Parts(data).entry("entries")["offset"] + 20] ^= 1
    file.write_bytes(data)
    with pytest.raises(FormatError, match="of the section 'entries' are damaged"):
        Collection.open(tmp_path / "c", verify=True)
    with Collection.open(tmp_path / "c", "a") as writer:
        writer.compact(tables=False)
    same(truth, Collection.open(tmp_path / "c", verify=True))


def test_a_reader_that_knows_no_tables_passes_over_them(tmp_path):
    """As the first releases of version 2 do: no section of tables is required."""
    tabled(tmp_path / "c")
    (file,) = segments(tmp_path / "c")
    for entry in Parts(file.read_bytes()).entries:
        name = entry["name"].rstrip(b"\0").decode()
        assert entry["flags"] == (0 if name in hamming.collection.tables.SECTIONS else 1), name
    shutil.copytree(tmp_path / "c", tmp_path / "d")
    same(Collection.open(tmp_path / "c"), Collection.open(tmp_path / "d"))
