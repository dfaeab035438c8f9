"""Evaluation of bare ``.npy`` files, for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.evaluation.from_codes import evaluate
from udsph.evaluation.plan import DEFAULT_CUTOFFS
from udsph.evaluation.problem import Progress
from udsph.evaluation.report import Evaluation
from udsph.hamming.codes import BitOrder

Path = str | PathLike[str]

_NPY = b"\x93NUMPY"  # the first bytes of such a file


def evaluate_files(
    query_codes: Path,
    database_codes: Path,
    query_labels: Path,
    database_labels: Path,
    *,
    metrics: Sequence[str] | None = None,
    cutoffs: Sequence[int] = DEFAULT_CUTOFFS,
    convention: str | None = None,
    ties: str | None = None,
    empty: str | None = None,
    denominator: str | None = None,
    empty_lookup: str | None = None,
    bits: int | None = None,
    bitorder: BitOrder = "little",
    threads: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """``evaluate`` on four ``.npy`` files, which are mapped and not loaded; every mistake in them is an ``InputError``.

    The other parameters are those of ``evaluate``.
    """
    paths = {
        "query codes": query_codes,
        "database codes": database_codes,
        "query labels": query_labels,
        "database labels": database_labels,
    }
    arrays = [open_array(path, what) for what, path in paths.items()]
    try:
        return evaluate(
            *arrays,
            metrics=metrics,
            cutoffs=cutoffs,
            convention=convention,
            ties=ties,
            empty=empty,
            denominator=denominator,
            empty_lookup=empty_lookup,
            bits=bits,
            bitorder=bitorder,
            threads=threads,
            progress=progress,
        )
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(str(error)) from None


def open_array(path: Path, what: str) -> Any:
    """A ``.npy`` file as a memory map."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(_NPY))
    except FileNotFoundError:
        raise InputError(f"{what}: the file {path} does not exist") from None
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read: {error.strerror}") from None
    if start != _NPY:
        archive = ", but a ZIP archive such as .npz" if start.startswith(b"PK") else ""
        raise InputError(f"{what}: {path} is not a .npy file{archive}; numpy.save writes one")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{what}: {path} is damaged, or holds no numbers ({error})") from None
