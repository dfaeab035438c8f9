"""Training as it runs on a GPU: items and pixels a second, how long the GPU waits, the share of the attention kernels.

    python bench/gpu_training.py [--device cuda] [--steps 30]

Random pixels with captions at the default settings, and 36 regions with the matching of parts. Steps go through the
items as a training does, reading included. "Busy" is the time of kernels as torch's profiler sums it up, against the
time of the same steps: what is missing is the CPU's, the loader's above all. On a CPU there is no such column.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from training_step import dataset, trainer_of  # noqa: E402

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "pixels 64 x 64, default": ("pixels", {}),
    "pixels 64 x 64, batch 256": ("pixels", {"batch_size": 256}),
    "36 regions of 2048, matching of parts": (
        "regions",
        {"attention": "none", "weight_match": 0.2, "attention_pairs": 128, "part_width": 256, "batch_size": 128},
    ),
}
ATTENTION = "attention_kernel"  # in the names of the kernels of csrc/attention


def measured(kind: str, settings: Mapping[str, Any], device: str, steps: int) -> list[str]:
    """The cells of a case."""
    data = dataset(kind)
    trainer = trainer_of(data, device, settings)
    trainer.networks.pair.train()
    size = trainer.plan.config.batch_size
    batches = [trainer.plan.fitted[first : first + size] for first in range(0, len(trainer.plan.fitted), size)]
    batches = [batch for batch in batches if len(batch) == len(batches[0])]

    def run(count: int) -> float:
        wait(device)
        began = time.perf_counter()
        for i in range(count):
            trainer.networks.step(batches[i % len(batches)])
        wait(device)
        return time.perf_counter() - began

    run(3)
    taken = run(steps)
    items = steps * len(batches[0])
    shape = data.image.values.shape
    pixels = f"{items * shape[1] * shape[2] / taken / 1e6:.1f}" if kind == "pixels" else ""
    cells = [f"{1e3 * taken / steps:.1f}", f"{items / taken:.0f}", pixels]
    if device == "cpu":
        return [*cells, "", ""]
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        run(steps)
    kernels = [event for event in profiled.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA]
    busy = sum(event.self_device_time_total for event in kernels) / 1e6
    own = sum(event.self_device_time_total for event in kernels if ATTENTION in event.key) / 1e6
    return [*cells, f"{busy / taken:.0%}", f"{own / busy:.0%}" if busy else ""]


def wait(device: str) -> None:
    """For what the GPU still does."""
    if device != "cpu":
        torch.cuda.synchronize()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=30)
    given = parser.parse_args()
    print("| training | ms a step | items/s | 10^6 pixels/s | GPU busy | of that attention kernels |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    failed = 0
    for name, (kind, settings) in CASES.items():
        try:
            cells = measured(kind, settings, given.device, given.steps)
        except Exception as error:  # one case loses nothing of the others
            cells, failed = [f"{type(error).__name__}: {error}"[:150].replace("|", "/"), "", "", "", ""], failed + 1
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
