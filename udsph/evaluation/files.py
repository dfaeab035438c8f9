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

Path = str | PathLike[str]


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
            threads=threads,
            progress=progress,
        )
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError(str(error)) from None


def open_array(path: Path, what: str) -> Any:
    """A ``.npy`` file as a memory map."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{what}: the file {path} does not exist") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{what}: {path} is not a readable .npy file ({error})") from None
