"""Half a million pairs: loading and reading batches stay below 2 GiB."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from udsph.data import tables

PAIRS = 500_000
READ = """
import resource, sys
import numpy as np
from udsph import data
pairs = data.load("folder", sys.argv[1])
draw = np.random.default_rng(0)
for _ in range(20):
    batch = draw.choice(pairs.splits["train"], 128, replace=False)
    assert pairs.image.values[batch].shape == (128, 64, 64, 3)
    assert pairs.text.values[batch].shape[0] == 128
assert pairs.image.values._kept is None
print(len(pairs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of the peak memory is known for Linux only")
def test_half_a_million_pairs(tmp_path):
    for k in range(20):
        Image.fromarray(np.full((64, 64, 3), 12 * k, np.uint8)).save(tmp_path / f"{k}.jpg")
    words = np.random.default_rng(0).integers(0, 5000, (PAIRS, 10)).tolist()
    with (tmp_path / "pairs.csv").open("w") as file:
        file.write("image,caption,labels\n")
        for k, row in enumerate(words):
            file.write(f"{k % 20}.jpg,{k} {' '.join(f'word{word}' for word in row)},class{k % 24};class{k % 7}\n")
    del words
    command = [sys.executable, "-W", "ignore", "-c", READ, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pairs, mebibytes = map(int, done.stdout.split())
    assert pairs == PAIRS
    assert mebibytes < 2048


def write_hdf5(path, array):
    """As MATLAB's ``save -v7.3`` does."""
    h5py = pytest.importorskip("h5py", reason="h5py, of the extra train, is not installed")
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("T", data=array.T).attrs["MATLAB_class"] = np.bytes_("double")


@pytest.mark.parametrize("where", ["memory", "a memory map", "a sparse array"])
def test_tables_are_read_in_blocks(tmp_path, monkeypatch, where):
    array = np.random.default_rng(0).normal(size=(50, 8))
    if where == "a sparse array":
        array *= np.random.default_rng(1).random(array.shape) < 0.05
        monkeypatch.setattr(tables, "DENSE_BYTES", 0)
    monkeypatch.setattr(tables, "BLOCK_BYTES", 8 * 8 * 7)  # seven rows
    monkeypatch.setattr(tables, "MEMORY_BYTES", 0 if where == "a memory map" else 10**9)
    write_hdf5(tmp_path / "x.mat", array)
    table = tables.read_table(tmp_path / "x.mat", "T", "mine")
    assert isinstance(table, np.memmap) is (where == "a memory map")
    assert hasattr(table, "indptr") is (where == "a sparse array")
    dense = table.toarray() if hasattr(table, "indptr") else np.asarray(table)
    np.testing.assert_allclose(dense, array.astype(np.float32))
    assert dense.dtype == np.float32


def test_a_bad_value_in_a_later_block_is_named(tmp_path, monkeypatch):
    array = np.zeros((50, 8))
    array[40, 3] = np.inf
    monkeypatch.setattr(tables, "BLOCK_BYTES", 8 * 8 * 7)
    write_hdf5(tmp_path / "x.mat", array)
    with pytest.raises(tables.InputError, match=r"mine: x\.mat: 'T' has NaN or infinite values in row 40"):
        tables.read_table(tmp_path / "x.mat", "T", "mine")
