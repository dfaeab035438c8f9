"""Collections written by several tasks are those that one writer would have filled, whatever the codes come from."""

from __future__ import annotations

import numpy as np
import pytest

from udsph.distributed import ShardedIndex, rows
from udsph.distributed.build import build
from udsph.hamming import Collection

from . import here
from .sources import IDS, codes_of, ids_of, index_of, same

pytest.importorskip("pyarrow")


@pytest.fixture
def at_once(monkeypatch):
    """Tasks in this process."""
    here.use(monkeypatch)


def built(codes, path, ids=None, **options):
    given = {"shards": 3, "bits": None, "bitorder": "little", "multi": False, "keep": 1}
    given |= {"code_column": "code", "id_column": None}
    build(codes, path, ids=ids, **given | options)
    return Collection.open(path, verify=True)


@pytest.mark.parametrize("n", [0, 100, 5000])
def test_an_array_becomes_a_collection_of_a_file_for_each_shard(tmp_path, at_once, n):
    codes = codes_of(n, 64) if n else np.empty((0, 8), np.uint8)
    found = built(codes, tmp_path / "c")
    truth = index_of(codes, None, 64)
    assert len(found.stats()["codes_in_files"]) == min(3, -(-n // 512))
    queries = codes_of(5, 64, 2)
    same(found.search(queries, 9), truth.search(queries, 9))
    with Collection.open(tmp_path / "c", "a") as writer:
        writer.add(codes_of(3, 64))
    assert len(Collection.open(tmp_path / "c")) == n + 3


def test_forms_of_codes_are_those_of_an_index(tmp_path, at_once):
    codes = codes_of(2000, 64)
    np.save(tmp_path / "codes.npy", codes)
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert isinstance(rows.of(mapped, None, "code", None), rows._Map)
    assert isinstance(rows.of(mapped[3:], None, "code", None), rows._Array)
    numbers = codes.view("<u8")[:, 0]
    forms = [mapped, tmp_path / "codes.npy", str(tmp_path / "codes.npy"), numbers.reshape(-1, 1), numbers.tolist()]
    for number, form in enumerate(forms):
        found = built(form, tmp_path / f"c{number}", bits=64)
        np.testing.assert_array_equal(found.reconstruct(np.arange(2000)), codes)


@pytest.mark.parametrize("kind", IDS)
def test_parquet_and_arrow_are_read_by_row_groups(tmp_path, at_once, kind, monkeypatch):
    monkeypatch.setattr("udsph.distributed.overlap.check_distinct", lambda *_: None)
    import pyarrow
    import pyarrow.parquet

    codes, ids = codes_of(3000, 64), ids_of(3000, kind)
    with Collection.create(tmp_path / "truth", 64) as truth:
        truth.add(codes, ids)
        truth.commit()
        truth.export_codes(tmp_path / "a.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    pyarrow.parquet.write_table(table.slice(0, 1100), tmp_path / "b.parquet", row_group_size=300)
    pyarrow.parquet.write_table(table.slice(1100), tmp_path / "c.parquet", row_group_size=700)
    id_column = "" if kind == "positions" else None
    found = built([tmp_path / "b.parquet", tmp_path / "c.parquet"], tmp_path / "built", id_column=id_column)
    truth = index_of(codes, ids, 64)
    np.testing.assert_array_equal(found.ids, truth.ids)
    same(found.search(codes[:9], 20), truth.search(codes[:9], 20))
    column = built(table.column("code"), tmp_path / "arrow", bits=64)
    np.testing.assert_array_equal(column.reconstruct(np.arange(3000)), codes)


def test_what_cannot_be_built_is_named_and_leaves_nothing(tmp_path, at_once):
    codes = codes_of(2000, 64)
    with pytest.raises(ValueError, match="ids must have one entry per code: 3 ids for 2000 codes"):
        built(codes, tmp_path / "c", ids=[1, 2, 3])
    with pytest.raises(ValueError, match=r"codes=.*: expected a .npy file or .parquet files"):
        built("codes.txt", tmp_path / "c")
    with pytest.raises(ValueError, match="bits must be given"):
        built(codes.view("<u8")[:, 0].tolist(), tmp_path / "c")
    with pytest.raises((TypeError, ValueError)):
        built(codes, tmp_path / "c", bits=32)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine.txt").touch()
    with pytest.raises(ValueError, match="is there already"):
        built(codes, tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["mine.txt"]


@pytest.mark.cluster
def test_a_ray_dataset_becomes_an_index_in_its_order(cluster, tmp_path):
    import pyarrow
    import ray.data

    codes, ids = codes_of(3000, 64), ids_of(3000, "strings")
    binary = pyarrow.array([row.tobytes() for row in codes], pyarrow.binary(8))
    table = pyarrow.table({"code": binary, "id": ids})
    dataset = ray.data.from_arrow([table.slice(i, 700) for i in range(0, 3000, 700)])
    truth = index_of(codes, ids, 64)
    with ShardedIndex.build(dataset, tmp_path / "c", shards=3) as index:
        np.testing.assert_array_equal(index.ids, truth.ids)
        same(index.search(codes[:9], 20), truth.search(codes[:9], 20))
    with pytest.raises(ValueError, match="the id 'twice' is given twice"):
        ShardedIndex.build(codes, tmp_path / "d", shards=2, ids=["twice", *ids[1:-1], "twice"])
    assert not (tmp_path / "d").exists()
