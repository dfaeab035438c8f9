"""The figures of the data paths: does the network wait for the data, how fast does a large training start.

``python bench/streams.py all DATA`` prints one table, each figure beside the one asked for; ``encode``, ``train``,
``start`` or ``coco`` instead of ``all`` print their rows alone. DATA is the folder of real data (``coco-mini`` and
``coco``); without it the rows that need it are left out.

``encode``: images of a folder are encoded, and only decoded by the same threads, in turns; medians. Photographs as they
are, and files of 64 x 64 that are written here. ``train``: the share of a training step that is spent on reading the
batch. ``start``: a process of its own trains on half a million pairs until the first step; its memory is what is
resident beside mapped files. ``coco``: the captions of 5000 images.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from udsph import data
from udsph.data.coco_json import read_annotations
from udsph.data.problems import Problems
from udsph.encoding import Config, Hasher
from udsph.encoding.hasher import PRECISIONS
from udsph.encoding.inputs import Inputs
from udsph.encoding.model import Description, Model
from udsph.encoding.streaming import Tally, encode_file, image_batches
from udsph.models.networks import ModalitySpec
from udsph.training import UDSPH, objective, phase

SIDE, WORKERS, ROUNDS = 64, 2, 5
PHOTOGRAPHS, SMALL_FILES, STEP_PAIRS, PAIRS = 800, 4000, 8000, 500_000
Row = tuple[str, str, str]


def untrained(bits: int = 64) -> Hasher:
    """The small network for 64 x 64 pixels, with its initial weights."""
    specs = ModalitySpec("pixels", (SIDE, SIDE, 3)), ModalitySpec("tokens", (16,), 100)
    model = Model(Description(*specs, tuple("abcd")), Config(bits=bits), torch.device("cpu"))
    return Hasher(model, Inputs(side=SIDE))


def compare(folder: Path, what: str) -> list[Row]:
    """Decoding and encoding in each precision, in turns; medians."""
    model = untrained()
    rates: dict[str, list[float]] = {"decode": [], **{precision: [] for precision in PRECISIONS}}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        count = sum(len(batch.names) for batch in image_batches(folder, (SIDE, SIDE), WORKERS, Tally())[1])
        rates["decode"].append(count / (time.perf_counter() - started))
        for precision in PRECISIONS:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory() as place:
                output = Path(place) / "codes.npy"
                encode_file(model, folder, output, modality="image", workers=WORKERS, precision=precision)
            rates[precision].append(count / (time.perf_counter() - started))
    decode = statistics.median(rates["decode"])
    rows = []
    for precision in PRECISIONS:
        encoded = statistics.median(rates[precision])
        measured = f"{encoded / decode:.0%} ({encoded:.0f} of {decode:.0f} images/s)"
        rows.append((f"encoding {what} in {precision}, of the rate of decoding", measured, "80%"))
    return rows


def encode(root: Path | None) -> list[Row]:
    """Photographs (each linked several times, so that a round is long enough) and files of 64 x 64 pixels."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        if root is not None:
            photographs = sorted((root / "coco-mini").rglob("*.jpg"))
            linked = Path(place) / "photographs"
            linked.mkdir()
            for number in range(PHOTOGRAPHS):
                (linked / f"{number}.jpg").symlink_to(photographs[number % len(photographs)].resolve())
            rows.extend(compare(linked, "photographs (COCO) at 64 x 64"))
        small = Path(place) / "small"
        small.mkdir()
        for number, pixels in enumerate(data.load("scenes", pairs=SMALL_FILES).image.values):
            Image.fromarray(pixels).save(small / f"{number}.jpg", quality=90)
        rows.extend(compare(small, "files of 64 x 64"))
    return rows


def write_features(folder: Path, pairs: int, image: int, text: int) -> None:
    """Random features as ``udsph extract`` would write them, with 24 classes."""
    random = np.random.default_rng(0)
    labels = (random.random((pairs, 24)) < 0.15).astype(np.uint8)
    labels[:, 0] |= labels.sum(1) == 0
    np.save(folder / "labels.npy", labels)
    arrays = {"labels": [list(labels.shape), "uint8"]}
    for name, dims in (("image", image), ("text", text)):
        array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, (pairs, dims))
        for start in range(0, pairs, 10_000):
            block = array[start : start + 10_000]
            block[:] = random.standard_normal(block.shape, np.float32)
        array.flush()
        arrays[name] = [[pairs, dims], "float32"]
    content = {"arrays": arrays, "image": {"kind": "vectors"}, "text": {"kind": "vectors"}}
    (folder / "features.json").write_text(json.dumps(content))


def train(_: Path | None) -> list[Row]:
    """One epoch on memory-mapped features; the clock runs around every read of a batch."""
    spent = {"read": 0.0, "step": 0.0, "steps": 0.0}
    real_read, real_step = phase.read, phase.Phase.step

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

    with tempfile.TemporaryDirectory() as place:
        write_features(Path(place), STEP_PAIRS, 4096, 1386)
        dataset = data.load("features", root=place)
        phase.read, phase.Phase.step = read, step
        try:
            UDSPH(bits=64, epochs=1, refit="false", label_steps=20, device="cpu").fit(dataset, progress=False)
        finally:
            phase.read, phase.Phase.step = real_read, real_step
    share = f"{spent['read'] / spent['step']:.1%} of {spent['step'] / spent['steps'] * 1e3:.0f} ms"
    return [("data waiting, of a step on mapped features (4096 and 1386 numbers)", share, "under 5%")]


def write_folder(folder: Path) -> None:
    """A table of half a million rows, each with an image file of its own (linked to a few) and ten words."""
    random = np.random.default_rng(0)
    (folder / "base").mkdir()
    for number in range(20):
        pixels = random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "base" / f"{number}.jpg")
    with (folder / "pairs.csv").open("w") as table:
        table.write("image,caption,labels\n")
        for row, words in enumerate(random.integers(0, 5000, (PAIRS, 10)).tolist()):
            name = f"part{row % 20}/{row}.jpg"
            (folder / name).parent.mkdir(exist_ok=True)
            os.link(folder / "base" / f"{row % 20}.jpg", folder / name)
            table.write(f"{name},{row} {' '.join(f'word{word}' for word in words)},class{row % 24};class{row % 7}\n")


def start(_: Path | None) -> list[Row]:
    """Half a million pairs, from images and a table and from mapped features."""
    rows = []
    forms: dict[str, Callable[[Path], None]] = {
        "folder": write_folder,
        "features": lambda folder: write_features(folder, PAIRS, 512, 300),
    }
    for name, fill in forms.items():
        with tempfile.TemporaryDirectory() as place:
            fill(Path(place))
            command = [sys.executable, "-W", "ignore", __file__, "first-step", name, place, repr(time.time())]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        what = f"start of training on {PAIRS:,} pairs, {name}"
        measured = f"{found['seconds']:.1f} s ({found['processor']:.1f} s of processor time)"
        rows.append((f"{what}: first step", measured, "under 10 s"))
        rows.append((f"{what}: memory beside the page cache", f"{found['mebibytes']:.0f} MiB", "under 2 GiB"))
    return rows


class _Started(Exception):
    """The first step has begun: that of the label network, which is trained first."""


def first_step(name: str, root: str, started: float) -> None:
    """In a process of its own: train until the first step, and print when it was done and what memory was needed."""
    found = {"mebibytes": 0.0}

    def losses(*arguments):
        found["seconds"], found["processor"] = time.time() - started, time.process_time()
        raise _Started

    def watch() -> None:
        while True:
            status = Path("/proc/self/status").read_text()
            kibibytes = int(status.partition("RssAnon:")[2].split()[0])
            found["mebibytes"] = max(found["mebibytes"], kibibytes / 1024)
            time.sleep(0.02)

    threading.Thread(target=watch, daemon=True).start()
    objective.label_losses = losses
    dataset = data.load(name, root)
    try:
        UDSPH(bits=64, epochs=1, device="cpu").fit(dataset, progress=False)
    except _Started:
        print(json.dumps(found))


def coco(root: Path | None) -> list[Row]:
    """The captions of all images of val2017."""
    if root is None:
        return []
    spent = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        found = read_annotations(root / "coco" / "captions_val2017.json", Problems("coco", "stop"))
        spent.append(time.perf_counter() - started)
    what = f"{sum(map(len, found.of_image.values())):,} COCO captions of {len(found.images):,} images"
    return [(what, f"{statistics.median(spent):.2f} s", "under 2 s")]


PARTS: dict[str, Callable[[Path | None], list[Row]]] = {"encode": encode, "train": train, "start": start, "coco": coco}


def main(arguments: list[str]) -> None:
    """Print the rows of a part, or of all."""
    if arguments[:1] == ["first-step"]:
        first_step(arguments[1], arguments[2], float(arguments[3]))
        return
    if not arguments or arguments[0] not in (*PARTS, "all"):
        sys.exit(f"usage: python bench/streams.py {'|'.join(PARTS)}|all [DATA]")
    root = Path(arguments[1]) if len(arguments) > 1 else None
    print("| case | measured | asked |\n| --- | ---: | ---: |")
    for name in PARTS if arguments[0] == "all" else arguments[:1]:
        for row in PARTS[name](root):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
