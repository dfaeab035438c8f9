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


def test_strided_tensors_and_tensors_that_begin_anywhere(gpu):
    index = FlatIndex(104)
    index.add(codes_of(900, 104))
    there, queries, mask = index.to("cuda"), codes_of(9, 104, 1), np.arange(900) % 3 > 0
    rows = torch.from_numpy(queries)
    wide = torch.full((27, 31), 255, dtype=torch.uint8)
    wide[1:19:2, 5:31:2] = rows
    shifted = torch.cat([torch.zeros(3, dtype=torch.uint8), rows.flatten()])[3:].view(9, 13)
    whole = torch.nn.functional.pad(rows, (0, 3), value=0).view(torch.int64)  # 104 bits in two words
    words = torch.stack([whole, whole], 2)[:, :, 0]
    masks = torch.from_numpy(np.stack([mask, ~mask], 1))
    for form in (wide[1:19:2, 5:31:2], shifted, words):
        found = there.search(form, 5, where=masks[:, 0])
        same_there(found, index.search(queries, 5, where=mask))
        same_there(there.range_search(form, 40), index.range_search(queries, 40))
    codes = torch.from_numpy(index.reconstruct(np.arange(900)))
    for form in (wide[1:19:2, 5:31:2], shifted):
        same_there(hamming.search(form, codes.T.contiguous().T, 5, bits=104), index.search(queries, 5))


def test_without_an_index_and_with_bits_the_other_way_round(gpu):
    codes, queries = codes_of(300, 13), codes_of(4, 13, 1)
    there = torch.from_numpy(queries), torch.from_numpy(codes)
    same_there(hamming.search(*there, 5, bits=13), hamming.search(queries, codes, 5, bits=13))
    same_there([hamming.distances(*there, bits=13)], [hamming.distances(queries, codes, bits=13)])
    mirrored = [np.packbits(np.unpackbits(rows, axis=1, bitorder="little"), axis=1) for rows in (queries, codes)]
    there = [torch.from_numpy(rows) for rows in mirrored]
    same_there(hamming.search(*there, 5, bits=13, bitorder="big"), hamming.search(queries, codes, 5, bits=13))
