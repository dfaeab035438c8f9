"""The CUDA kernel: the library, loaded with ctypes, and tensors turned into the struct that it takes.

``csrc/cuda/cross_attention.h`` is the interface. Every call goes to torch's current stream on the tensors' device.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from udsph.attention.backends import CUDA_LIBRARY
from udsph.attention.formula import NORMALIZATIONS, POOLS, Formula
from udsph.errors import InputError

_TYPES = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}
_WRONG_ARCHITECTURE = (
    "cudaErrorNoKernelImageForDevice",
    "cudaErrorInvalidDeviceFunction",
    "cudaErrorUnsupportedPtxVersion",
    "cudaErrorInvalidKernelImage",
)


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


class Library:
    """The C interface. Tests put its emulation on the host in place of it.

    Raises
    ------
    OSError
        Where it cannot be loaded, or was built from other sources than this file.
    """

    def __init__(self, path: Path) -> None:
        self._library = library = ctypes.CDLL(str(path))
        for name in ("udsph_cuda_error_name", "udsph_cuda_error_text"):
            getattr(library, name).restype = ctypes.c_char_p
        for name in ("struct_size", "chunks", "shared_bytes"):
            getattr(library, f"udsph_attention_{name}").restype = ctypes.c_int64
        library.udsph_attention_chunks.argtypes = [ctypes.c_int64, ctypes.c_int64]
        library.udsph_attention_shared_bytes.argtypes = [ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
        for name in ("forward", "backward"):
            getattr(library, f"udsph_attention_{name}").argtypes = [ctypes.POINTER(Problem), ctypes.c_void_p]
        if library.udsph_attention_struct_size() != ctypes.sizeof(Problem):
            raise OSError(f"{path.name} was built from another version of udsph")

    def device_state(self) -> str:
        """``"available"``, or why no GPU can be used."""
        count = ctypes.c_int()
        code = self._library.udsph_cuda_device_count(ctypes.byref(count))
        if code:
            return f"no GPU can be used: {self._error_text(code)}"
        return "available" if count.value else "no GPU can be used: there is none"

    def has_code_for(self, device: torch.device) -> bool:
        """Whether the library was compiled for this GPU, or for one that it can stand in for."""
        with torch.cuda.device(device):
            code = self._library.udsph_attention_check()
        if code and self._error_name(code) not in _WRONG_ARCHITECTURE:
            raise RuntimeError(f"udsph attention on {device}: {self._error_text(code)}")
        return code == 0

    def chunks(self, query_items: int, context_items: int) -> int:
        return int(self._library.udsph_attention_chunks(query_items, context_items))

    def run(self, problem: Problem, backward: bool, device: torch.device) -> None:
        """Launch one pass on the current stream of the device.

        Raises
        ------
        InputError
            Where the library holds no code for the GPU, or an item is too long for the GPU's shared memory.
        RuntimeError
            For any other CUDA error.
        """
        launch = self._library.udsph_attention_backward if backward else self._library.udsph_attention_forward
        with torch.cuda.device(device):
            code = launch(ctypes.byref(problem), torch.cuda.current_stream(device).cuda_stream)
        if code:
            raise self._error(code, problem, device)

    def _error(self, code: int, problem: Problem, device: torch.device) -> Exception:
        name, gpu = self._error_name(code), torch.cuda.get_device_name(device)
        if name in _WRONG_ARCHITECTURE:
            major, minor = torch.cuda.get_device_capability(device)
            return InputError(
                f"the CUDA library of udsph holds no code for {gpu} (compute capability {major}.{minor}): reinstall "
                f"udsph with UDSPH_CUDA_ARCHS={major}{minor}, or use backend='gram' ({name})"
            )
        limit = ctypes.c_int()
        with torch.cuda.device(device):
            limit_code = self._library.udsph_cuda_shared_limit(ctypes.byref(limit))
        needed = self._library.udsph_attention_shared_bytes(problem.type, problem.max_queries, problem.gram_width, 1)
        if limit_code == 0 and needed > limit.value:
            return InputError(
                f"items of {problem.max_queries} queries and {problem.gram_width} context rows need {needed} bytes of "
                f"shared memory, {gpu} has {limit.value}: shorten them, or use backend='gram' ({name})"
            )
        return RuntimeError(f"udsph attention on {gpu}: {self._error_text(code)} ({name})")

    def _error_name(self, code: int) -> str:
        return str(self._library.udsph_cuda_error_name(code).decode())

    def _error_text(self, code: int) -> str:
        return str(self._library.udsph_cuda_error_text(code).decode())


@cache
def has_code_for(device: torch.device) -> bool:
    """Whether the library, which must be there, serves this GPU."""
    return library().has_code_for(device)


@cache
def library() -> Library:
    """The library, loaded on the first use."""
    return Library(CUDA_LIBRARY)


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
    return torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(device)
