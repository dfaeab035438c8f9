"""Whether the network waits for the data: encoding a folder of images, and training on memory-mapped features.

``python bench/streams.py encode [FOLDER]`` prints the rate at which images are encoded and the rate at which the same
threads only decode them, for the pictures of a folder (several megapixels a second of real photographs) and for
64 x 64 files that it writes itself. ``python bench/streams.py train`` prints the share of a training step that is spent
on reading the batch.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from udsph import data
from udsph.models.networks import ModalitySpec
from udsph.training import UDSPH, trainer
from udsph.training.config import Config
from udsph.training.inputs import Inputs
from udsph.training.model import Description, Model
from udsph.training.streaming import Tally, encode_file, image_batches

SIDE, WORKERS, ROUNDS = 64, 2, 3


def untrained(bits: int = 64) -> UDSPH:
    """The small network for 64 x 64 pixels, with its initial weights."""
    specs = ModalitySpec("pixels", (SIDE, SIDE, 3)), ModalitySpec("tokens", (16,), 100)
    made = UDSPH(bits=bits)
    made.inputs = Inputs(side=SIDE)
    made.model = Model(Description(*specs, tuple("abcd")), Config(bits=bits), torch.device("cpu"))
    return made


def compare(folder: Path, what: str) -> None:
    """Best of some rounds, decoding and encoding in turns."""
    model, best = untrained(), {"decode": 0.0, "encode": 0.0}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        count = sum(len(batch.items) for batch in image_batches(folder, SIDE, WORKERS, Tally()))
        best["decode"] = max(best["decode"], count / (time.perf_counter() - started))
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as place:
            encode_file(model, folder, Path(place) / "codes.npy", modality="image", workers=WORKERS)
        best["encode"] = max(best["encode"], count / (time.perf_counter() - started))
    share = best["encode"] / best["decode"]
    print(f"{what}: decode {best['decode']:.0f}/s, encode {best['encode']:.0f}/s, {share:.0%}", flush=True)


def encode(folder: str | None) -> None:
    """Photographs (each linked several times, so that the run is long enough) and files of 64 x 64 pixels."""
    with tempfile.TemporaryDirectory() as place:
        if folder is not None:
            photographs = sorted(Path(folder).rglob("*.jpg"))
            linked = Path(place) / "photographs"
            linked.mkdir()
            for number in range(1500):
                source = photographs[number % len(photographs)].resolve()
                (linked / f"{number}.jpg").symlink_to(source)
            sizes = {Image.open(path).size for path in photographs[:20]}
            compare(linked, f"photographs of {min(sizes)} to {max(sizes)}")
        small = Path(place) / "small"
        small.mkdir()
        scenes = data.load("scenes", pairs=2000)
        for number, pixels in enumerate(scenes.image.values):
            Image.fromarray(pixels).save(small / f"{number}.jpg", quality=90)
        compare(small, "files of 64 x 64")


def train() -> None:
    """One epoch on 20,000 pairs of 4096 and 1386 numbers; the clock runs around every read of a batch."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        labels = (random.random((20_000, 24)) < 0.15).astype(np.uint8)
        labels[:, 0] |= labels.sum(1) == 0
        for name, dims in (("image", 4096), ("text", 1386)):
            array = np.lib.format.open_memmap(Path(place) / f"{name}.npy", "w+", np.float32, (len(labels), dims))
            for start in range(0, len(labels), 1000):
                array[start : start + 1000] = random.standard_normal((1000, dims), np.float32)
            array.flush()
        np.save(Path(place) / "labels.npy", labels)
        dataset = data.load("features", root=place)
        spent = {"read": 0.0, "step": 0.0, "steps": 0.0}
        real_read, real_step = trainer.read, trainer.Trainer._step

        def read(*arguments):
            started = time.perf_counter()
            found = real_read(*arguments)
            spent["read"] += time.perf_counter() - started
            return found

        def step(self, *arguments, **options):
            started = time.perf_counter()
            found = real_step(self, *arguments, **options)
            spent["step"] += time.perf_counter() - started
            spent["steps"] += 1
            return found

        trainer.read, trainer.Trainer._step = read, step
        UDSPH(bits=64, epochs=1, refit="false", label_steps=20, device="cpu").fit(dataset, progress=False)
        per_step = spent["step"] / spent["steps"] * 1e3
        print(f"{spent['steps']:.0f} steps of {per_step:.1f} ms, reading {spent['read'] / spent['step']:.1%} of them")


if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        train()
    else:
        encode(sys.argv[2] if len(sys.argv) > 2 else None)
