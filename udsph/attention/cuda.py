"""The CUDA kernel: its part of the CUDA library, and tensors turned into the struct that it takes.

``csrc/attention/cuda/cross_attention.h`` is the interface. Every call goes to torch's current stream on
the tensors' device.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import udsph.cuda
from udsph.attention.formula import NORMALIZATIONS, POOLS, Formula
from udsph.attention.rows import on_device
from udsph.errors import InputError

_TYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}


class Problem(ctypes.Structure):
    """``UdsphAttention`` of the C interface; the comments there say what the fields mean."""

    _fields_ = (
        *((name, ctypes.c_double) for name in ("smooth", "pool_temperature")),
        *((name, ctypes.c_int64) for name in ("type", "pool", "normalize")),
        *((name, ctypes.c_int64) for name in ("query_items", "context_items", "queries", "max_queries")),
        *((name, ctypes.c_int64) for name in ("gram_width", "chunks")),
        *((name, ctypes.c_void_p) for name in ("query_offsets", "context_offsets")),
        *((name, ctypes.c_void_p) for name in ("affinity", "gram", "query_norms", "scores")),
        *((name, ctypes.c_void_p) for name in ("grad_scores", "grad_affinity", "grad_gram", "grad_norms")),
    )


class Library(udsph.cuda.Library):
    """The attention kernel of the CUDA library. Tests put its emulation on the host in place of it.

    Raises
    ------
    OSError
        Where it cannot be loaded, or was built from other sources than this file.
    """

    def __init__(self, path: Path = udsph.cuda.LIBRARY) -> None:
        super().__init__(path)
        for name in ("struct_size", "chunks", "shared_bytes"):
            self._function(name).restype = ctypes.c_int64
        self._function("chunks").argtypes = [ctypes.c_int64, ctypes.c_int64]
        self._function("shared_bytes").argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
        for name in ("forward", "backward"):
            self._function(name).argtypes = [ctypes.POINTER(Problem), ctypes.c_void_p]
        if self._function("struct_size")() != ctypes.sizeof(Problem):
            raise OSError(f"{path.name} was built from another version of udsph")

    def _function(self, name: str) -> Any:
        return getattr(self.functions, f"udsph_attention_{name}")

    def has_code_for(self, device: torch.device) -> bool:
        """Whether the library was compiled for this GPU, or for one that it can stand in for."""
        with torch.cuda.device(device):
            return self.has_code(self._function("check")())

    def chunks(self, query_items: int, context_items: int) -> int:
        return int(self._function("chunks")(query_items, context_items))

    def shared_bytes(self, type: int, max_queries: int, gram_width: int, backward: bool) -> int:
        """Bytes of shared memory that a block of threads needs."""
        return int(self._function("shared_bytes")(type, max_queries, gram_width, backward))

    def run(self, problem: Problem, backward: bool, device: torch.device) -> None:
        """Launch one pass on the current stream of the device.

        Raises
        ------
        InputError
            Where the library holds no code for the GPU, or an item is too long for the GPU's shared memory.
        RuntimeError
            For any other CUDA error.
        """
        with torch.cuda.device(device):
            code = self.launch(problem, backward, torch.cuda.current_stream(device).cuda_stream)
            if code:
                raise self._launch_error(code, problem)

    def launch(self, problem: Problem, backward: bool, stream: int) -> int:
        """The code that the C function returns."""
        return int(self._function("backward" if backward else "forward")(ctypes.byref(problem), stream))

    def _launch_error(self, code: int, problem: Problem) -> Exception:
        error, limit = self.error(code, "backend='gram'"), self.shared_limit()
        needed = self.shared_bytes(problem.type, problem.max_queries, problem.gram_width, True)
        if isinstance(error, InputError) or limit is None or needed <= limit:
            return error
        return InputError(
            f"items of {problem.max_queries} queries and {problem.gram_width} context rows need {needed} bytes of "
            f"shared memory, {self.describe()[0]} has {limit}: shorten them, or use backend='gram' "
            f"({self.error_name(code)})"
        )


@cache
def has_code_for(device: torch.device) -> bool:
    """Whether the library, which must be there, serves this GPU."""
    return library().has_code_for(device)


@cache
def library() -> Library:
    """The library, loaded on the first use."""
    return Library()


def forward(
    formula: Formula,
    affinity: Tensor,
    gram: Tensor,
    query_norms: Tensor,
    query_lengths: Tensor,
    context_lengths: Tensor,
) -> Tensor:
    """(query items, context items) scores; arguments as for ``udsph::attention_scores``."""
    scores = gram.new_empty(query_lengths.shape[0], context_lengths.shape[0])
    _run(formula, [affinity, gram, query_norms], query_lengths, context_lengths, {"scores": scores})
    return scores


def backward(
    formula: Formula,
    grad_scores: Tensor,
    affinity: Tensor,
    gram: Tensor,
    query_norms: Tensor,
    query_lengths: Tensor,
    context_lengths: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of affinity, gram and query_norms."""
    queries, context_items = affinity.shape[0], context_lengths.shape[0]
    chunks = library().chunks(query_lengths.shape[0], context_items)
    arrays = {
        "grad_scores": grad_scores.contiguous(),
        "grad_affinity": affinity.new_empty(affinity.shape[1], queries),
        # Partial sums: blocks of threads that share a target write to one place each, and are summed in one order.
        "grad_gram": gram.new_empty(chunks, *gram.shape),
        "grad_norms": query_norms.new_empty(context_items, queries),
    }
    _run(formula, [affinity, gram, query_norms], query_lengths, context_lengths, arrays)
    return arrays["grad_affinity"].mT, arrays["grad_gram"].sum(0), arrays["grad_norms"].sum(0)


def _run(
    formula: Formula,
    inputs: list[Tensor],
    query_lengths: Tensor,
    context_lengths: Tensor,
    arrays: dict[str, Tensor],
) -> None:
    affinity, gram, query_norms = inputs[0].mT.contiguous(), inputs[1].contiguous(), inputs[2].contiguous()
    arrays = {"affinity": affinity, "gram": gram, "query_norms": query_norms, **arrays}
    arithmetic = torch.float64 if affinity.dtype == torch.float64 else torch.float32
    for name, array in arrays.items():
        expected = affinity.dtype if name.endswith("affinity") else arithmetic
        if array.dtype != expected:
            raise TypeError(f"{name} has dtype {array.dtype}: expected {expected} beside {affinity.dtype} affinities")
        if array.device != affinity.device:
            raise ValueError(f"{name} is on {array.device}, the affinities on {affinity.device}")
    queries, context_rows = int(query_lengths.sum()), int(context_lengths.sum())
    longest = int(context_lengths.max())
    if affinity.shape != (context_rows, queries) or query_norms.shape != (queries,):
        raise ValueError(
            f"affinity {tuple(inputs[0].shape)} and norms {tuple(query_norms.shape)} do not fit the lengths"
        )
    if gram.shape[0] != context_lengths.shape[0] or not longest <= gram.shape[1] == gram.shape[2]:
        raise ValueError(f"gram {tuple(gram.shape)} does not fit the lengths")
    offsets = [_offsets(lengths, affinity.device) for lengths in (query_lengths, context_lengths)]
    problem = Problem(
        smooth=formula.smooth,
        pool_temperature=formula.pool_temperature,
        type=_TYPES[affinity.dtype],
        pool=POOLS.index(formula.pool),
        normalize=NORMALIZATIONS.index(formula.normalize),
        query_items=query_lengths.shape[0],
        context_items=context_lengths.shape[0],
        queries=queries,
        max_queries=int(query_lengths.max()),
        gram_width=gram.shape[1],
        chunks=library().chunks(query_lengths.shape[0], context_lengths.shape[0]),
        query_offsets=offsets[0].data_ptr(),
        context_offsets=offsets[1].data_ptr(),
        **{name: array.data_ptr() for name, array in arrays.items()},
    )
    library().run(problem, "grad_scores" in arrays, affinity.device)


def _offsets(lengths: Tensor, device: torch.device) -> Tensor:
    """(items + 1,) first row of every item, and the number of all rows, on the device."""
    return on_device(torch.nn.functional.pad(lengths.cumsum(0), (1, 0)), device)
