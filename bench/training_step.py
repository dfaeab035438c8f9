"""How long a training step takes with and without attention, and by each form of the matching of parts, in one process.

    OMP_NUM_THREADS=1 python bench/training_step.py            CPU: reference, gram, auto
    python bench/training_step.py --device cuda

The first table has the queries of the classes against the same layers with uniform weights and against none, in a step
and in the encoding of a batch, for pixels with captions and 24 classes.

The second has the matching of parts, which is off by default (``weight_match``). Two cases, on random values: pixels
with captions at the default settings (32 pairs of a batch, 64 dimensions), and 36 regions of 2048 dimensions with
captions as in SCAN (all 128 pairs of the batch, 256 dimensions). The forms take turns, step by step, on networks of the
same weights; after a warm-up the medians count. The whole step counts: reading the batch, both networks, all losses,
backward, optimisers, moving average, discriminators.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from udsph.data import Dataset, Modality
from udsph.data.directions import MODALITIES
from udsph.encoding.batches import sequence
from udsph.training import Config
from udsph.training.launch import launch
from udsph.training.plan import Plan
from udsph.training.progress import Progress
from udsph.training.trainer import Trainer

FORMS = ("reference", "gram", "auto")
ATTENTION = ("none", "uniform", "label")
ITEMS, CLASSES, WORDS = 512, 24, 200


def dataset(kind: str) -> Dataset:
    """Random items; captions of 6 to 21 words, 10.5 in the mean, as in COCO."""
    random = np.random.default_rng(0)
    if kind == "pixels":
        image = Modality("pixels", random.integers(0, 256, (ITEMS, 64, 64, 3), dtype=np.uint8))
    else:
        image = Modality("regions", random.standard_normal((ITEMS, 36, 2048)).astype(np.float32))
    lengths = random.poisson(10.5, ITEMS).clip(6, 21).astype(np.int32)
    words = random.integers(1, WORDS, (ITEMS, 21)).astype(np.int32)
    words[np.arange(21) >= lengths[:, None]] = 0
    text = Modality("tokens", words, lengths, ("<pad>", *map(str, range(WORDS - 1))))
    labels = (random.random((ITEMS, CLASSES)) < 0.15).astype(np.uint8)
    labels[np.arange(ITEMS), np.arange(ITEMS) % CLASSES] = 1
    order = np.arange(ITEMS)
    splits = {"query": order[:64], "train": order[64:], "database": order[64:]}
    return Dataset(kind, image, text, labels, tuple(map(str, range(CLASSES))), splits)


def trainer_of(data: Dataset, device: str, settings: Mapping[str, Any]) -> Trainer:
    """A trainer that has begun the phase in which the modality networks are trained."""
    asked = Config.from_settings({"device": device, "label_steps": 1, **settings})
    plan = Plan.of(asked, data)
    fabric = launch(plan.config)
    trainer = Trainer(fabric, plan, data, plan.new_model(data, fabric.device), Progress(False))
    trainer.begin("select")
    return trainer


def timed(trainer: Trainer, work: Callable[[], object]) -> Callable[[], float]:
    """A function that does some work and returns its seconds."""

    def seconds() -> float:
        started = time.perf_counter()
        work()
        if trainer.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    return seconds


def step_of(data: Dataset, device: str, settings: Mapping[str, Any]) -> Callable[[], float]:
    """A function that makes one training step and returns its seconds."""
    trainer = trainer_of(data, device, settings)
    trainer.networks.pair.train()
    batch = trainer.plan.fitted[: trainer.plan.config.batch_size]
    return timed(trainer, lambda: trainer.networks.step(batch))


def encoding_of(data: Dataset, device: str, settings: Mapping[str, Any]) -> Callable[[], float]:
    """A function that encodes 256 items of both modalities and returns its seconds."""
    trainer = trainer_of(data, device, settings)

    def encode() -> None:
        for name in MODALITIES:
            rows = sequence(getattr(data, name), np.arange(256), 256, trainer.fabric.device)
            trainer.model.encode(name, rows)

    return timed(trainer, encode)


def medians(works: Mapping[str, Callable[[], float]], times: int) -> dict[str, float]:
    """Seconds of each work; they take turns, and the first two of each do not count."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for k in range(times + 2):
        for name, work in works.items():
            taken = work()
            if k >= 2:
                found[name].append(taken)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def attention_table(device: str, steps: int) -> None:
    """With and without the queries of the classes."""
    print("| pixels | " + " | ".join(f"{form}, ms" for form in ATTENTION) + " | uniform : none | label : none |")
    print("| --- | " + "---: | " * (len(ATTENTION) + 2))
    data = dataset("pixels")
    for title, of in (("training step", step_of), ("encoding 256 pairs", encoding_of)):
        median = medians({form: of(data, device, {"attention": form}) for form in ATTENTION}, steps)
        cells = [f"{1e3 * median[form]:.0f}" for form in ATTENTION]
        cells += [f"{median[form] / median['none']:.2f}" for form in ("uniform", "label")]
        print(f"| {title} | " + " | ".join(cells) + " |")


def matching_table(device: str, steps: int) -> None:
    """The forms of the matching of parts."""
    print("| case | " + " | ".join(f"{form}, ms" for form in FORMS) + " | gram : auto | reference : auto |")
    print("| --- | " + "---: | " * (len(FORMS) + 2))
    for kind, settings in (("pixels", {}), ("regions", {"attention_pairs": 128, "part_width": 256})):
        data = dataset(kind)
        settings |= {"attention": "none", "weight_match": 0.2}
        median = medians({form: step_of(data, device, {"backend": form, **settings}) for form in FORMS}, steps)
        cells = [f"{1e3 * median[form]:.0f}" for form in FORMS]
        cells += [f"{median[form] / median['auto']:.2f}" for form in ("gram", "reference")]
        print(f"| {kind} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=15)
    arguments = parser.parse_args()
    attention_table(arguments.device, arguments.steps)
    print()
    matching_table(arguments.device, arguments.steps)


if __name__ == "__main__":
    main()
