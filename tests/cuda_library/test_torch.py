"""Tensors of torch, as they are taken and made on a GPU: here in host memory, which the emulation takes for a GPU's."""

import importlib

import numpy as np
import pytest

import udsph.hamming as hamming
from udsph.hamming import FlatIndex
from udsph.hamming.gpu import arrays

from .emulated import can_compile, emulate
from .test_search import codes_of, same

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(not can_compile, reason="needs a C++ compiler")


class OnHost(arrays.OfTorch):
    stream = 1

    def __init__(self, device):
        super().__init__(device)
        self._place = torch.device("cpu")


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setitem(arrays._LIBRARIES, "torch", OnHost)
    for name in ("gpu", "gpu.arrays", "gpu.calls", "gpu.rows"):
        module = importlib.import_module(f"udsph.hamming.{name}")
        monkeypatch.setattr(module, "on_device", lambda values: isinstance(values, torch.Tensor))
    return emulate(monkeypatch)


def same_there(found, expected):
    for array in found:
        assert isinstance(array, torch.Tensor)
    same([array.numpy() for array in found], expected)


@pytest.mark.parametrize("ids", [None, 3 * np.arange(900)[::-1]])
def test_searches(gpu, ids):
    index = FlatIndex(64)
    index.add(codes_of(900, 64), ids)
    there, queries, mask = index.to("cuda"), codes_of(9, 64, 1), np.arange(900) % 3 > 0
    rows = torch.from_numpy(queries)
    for form in (rows, (rows ^ 128).view(torch.int8), rows.view(torch.int64), rows.view(torch.int64)[:, 0]):
        same_there(there.search(form, 5), index.search(queries, 5))
    same_there(there.search(rows[0], 5), index.search(queries[0], 5))
    same_there(there.search(rows, 5, where=torch.from_numpy(mask)), index.search(queries, 5, where=mask))
    same_there(there.range_search(rows, 24), index.range_search(queries, 24))
    same_there(there.range_search(rows[:0], 24), index.range_search(queries[:0], 24))
    every = torch.from_numpy(codes_of(9, 64, 1)).T.contiguous().T  # not contiguous
    same_there(there.search(every, 5), index.search(queries, 5))


def test_without_an_index_and_with_bits_the_other_way_round(gpu):
    codes, queries = codes_of(300, 13), codes_of(4, 13, 1)
    there = torch.from_numpy(queries), torch.from_numpy(codes)
    same_there(hamming.search(*there, 5, bits=13), hamming.search(queries, codes, 5, bits=13))
    same_there([hamming.distances(*there, bits=13)], [hamming.distances(queries, codes, bits=13)])
    mirrored = [np.packbits(np.unpackbits(rows, axis=1, bitorder="little"), axis=1) for rows in (queries, codes)]
    there = [torch.from_numpy(rows) for rows in mirrored]
    same_there(hamming.search(*there, 5, bits=13, bitorder="big"), hamming.search(queries, codes, 5, bits=13))
