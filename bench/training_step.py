"""How long a training step takes by each form of the attention, in one process.

    OMP_NUM_THREADS=1 python bench/training_step.py            CPU: reference, gram, auto
    python bench/training_step.py --device cuda

Two cases, on random values: pixels with captions at the default settings (32 pairs of a batch, 64 dimensions),
and 36 regions of 2048 dimensions with captions as in SCAN (all 128 pairs of the batch, 256 dimensions). The forms take
turns, step by step, on networks of the same weights; after a warm-up the medians count. The whole step counts: reading
the batch, both networks, all losses, backward, optimisers, moving average, discriminators.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from udsph.data import Dataset, Modality
from udsph.training import Config
from udsph.training.launch import launch
from udsph.training.plan import Plan
from udsph.training.progress import Progress
from udsph.training.trainer import Trainer

FORMS = ("reference", "gram", "auto")
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


def step_of(data: Dataset, backend: str, device: str, settings: dict[str, int]) -> Callable[[], float]:
    """A function that makes one training step and returns its seconds."""
    asked = Config.from_settings({"backend": backend, "device": device, "label_steps": 1, **settings})
    plan = Plan.of(asked, data)
    fabric = launch(plan.config)
    trainer = Trainer(fabric, plan, data, plan.new_model(data, fabric.device), Progress(False))
    trainer.begin("select")
    batch = plan.fitted[: plan.config.batch_size]

    def step() -> float:
        started = time.perf_counter()
        trainer.networks.step(batch)
        if fabric.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=15)
    arguments = parser.parse_args()
    print("| case | " + " | ".join(f"{form}, ms" for form in FORMS) + " | gram : auto | reference : auto |")
    print("| --- | " + "---: | " * (len(FORMS) + 2))
    for kind, settings in (("pixels", {}), ("regions", {"attention_pairs": 128, "part_width": 256})):
        data = dataset(kind)
        steps = {form: step_of(data, form, arguments.device, settings) for form in FORMS}
        times: dict[str, list[float]] = {form: [] for form in FORMS}
        for k in range(arguments.steps + 2):
            for form in FORMS:
                taken = steps[form]()
                if k >= 2:
                    times[form].append(taken)
        median = {form: statistics.median(times[form]) for form in FORMS}
        cells = [f"{1e3 * median[form]:.0f}" for form in FORMS]
        cells += [f"{median[form] / median['auto']:.2f}" for form in ("gram", "reference")]
        print(f"| {kind} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
