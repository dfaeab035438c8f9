"""Scenes: built-in image-caption pairs, generated from a seed; needs no files.

``world`` draws what a scene holds and its labels, ``drawing`` renders it, ``grammar`` describes it in words.
Each item depends on the seed and its own number only: any number of processes gives the same pairs, and a larger set
begins with the smaller one.
"""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from udsph.data.dataset import Dataset, Modality
from udsph.data.layouts.scenes.drawing import draw_pixels
from udsph.data.layouts.scenes.grammar import LONGEST, VOCABULARY, write_caption
from udsph.data.layouts.scenes.world import CLASSES, SIDE, draw_scene, generator, labels_of
from udsph.data.registry import Layout
from udsph.data.settings import Setting
from udsph.data.tokens import tokenise
from udsph.errors import InputError
from udsph.threads import cores

SETTINGS = {
    "pairs": Setting(5000, int, "number of image-caption pairs, 5000", least=10),
    "seed": Setting(0, int, "seed of all pairs, 0", least=0),
    "query": Setting(None, int, "number of queries, a tenth of the pairs", least=1),
    "train": Setting(None, int, "number of training pairs, all but the queries", least=2),
    "noise": Setting(0.05, float, "standard deviation of the pixel noise, 0.05 of the full range", least=0, most=1),
    "omit": Setting(0.1, float, "probability that a caption leaves a detail out, 0.1", least=0, most=1),
    "workers": Setting(None, int, "processes that generate, one per processor", least=1, stored=False),
}
CHUNK = 250  # pairs of one task
Part = tuple[np.ndarray, np.ndarray, list[str]]


def load(
    root: Path | None, *, pairs: int, seed: int, query: int | None, train: int | None, noise: float, omit: float,
    workers: int | None,
) -> Dataset:  # fmt: skip
    """Generate the scenes: first the queries, then the database, whose first ``train`` items are the training pairs.

    Returns
    -------
    Dataset
        Images are ``pixels`` ``(pairs, 64, 64, 3)``, captions ``tokens`` and as written, classes 24.
    """
    query = pairs // 10 if query is None else query
    if query > pairs - 2:
        raise InputError(f"scenes: query={query} leaves no training pairs of pairs={pairs}; give fewer")
    train = pairs - query if train is None else train
    if train > pairs - query:
        raise InputError(f"scenes: train={train} and query={query} together exceed pairs={pairs}; give fewer")

    images = np.empty((pairs, SIDE, SIDE, 3), dtype=np.uint8)
    labels = np.empty((pairs, len(CLASSES)), dtype=np.uint8)
    captions: list[str] = []
    starts = range(0, pairs, CHUNK)
    for start, (part_images, part_labels, part_captions) in zip(
        starts, _generate(pairs, seed, noise, omit, workers or cores()), strict=True
    ):
        images[start : start + CHUNK] = part_images
        labels[start : start + CHUNK] = part_labels
        captions += part_captions
    return Dataset(
        name="scenes",
        image=Modality("pixels", images),
        text=tokenise(captions, VOCABULARY, LONGEST),
        labels=labels,
        classes=CLASSES,
        splits={
            "query": np.arange(query),
            "train": np.arange(query, query + train),
            "database": np.arange(query, pairs),
        },
        settings={"query": query, "train": train},
        captions=tuple(captions),
    )


def make_pair(seed: int, item: int, noise: float, omit: float) -> tuple[np.ndarray, np.ndarray, str]:
    """One item: image uint8 ``(64, 64, 3)``, labels uint8 ``(24,)``, caption."""
    scene = draw_scene(generator(seed, item, 0))
    caption = write_caption(scene, omit, generator(seed, item, 1))
    return draw_pixels(scene, noise, generator(seed, item, 2)), labels_of(scene), caption


def _make_part(seed: int, noise: float, omit: float, items: range) -> Part:
    images, labels, captions = zip(*(make_pair(seed, item, noise, omit) for item in items), strict=True)
    return np.stack(images), np.stack(labels), list(captions)


def _generate(pairs: int, seed: int, noise: float, omit: float, workers: int) -> Iterable[Part]:
    """The chunks of all pairs in order."""
    chunks = [range(start, min(start + CHUNK, pairs)) for start in range(0, pairs, CHUNK)]
    make = partial(_make_part, seed, noise, omit)
    workers = min(workers, len(chunks))
    # A daemonic process (a data loader's worker) may not have children of its own.
    if workers == 1 or multiprocessing.current_process().daemon:
        yield from map(make, chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context(_start_method())) as pool:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
            parts = pool.map(make, chunks)
        yield from parts


def _start_method() -> str:
    """How processes start. Forked ones start at once and work from scripts without a main guard.

    They touch NumPy only, so the threads that a torch in this process may run, about which Python warns, do no harm.
    """
    return "fork" if sys.platform == "linux" else "spawn"


LAYOUT = Layout(load, SETTINGS, reads_files=False)
