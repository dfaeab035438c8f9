"""Two processes on one CPU train the same model as one, within noise."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
import torch
from pathlib import Path
from tests.training.conftest import QUICK, make_dataset
from udsph.training import UDSPH, evaluate
from udsph.training.launch import first_process

output, devices = Path(sys.argv[1]), int(sys.argv[2])
dataset = make_dataset(n=320)
settings = QUICK | {"epochs": 10, "devices": devices, "batch_size": 48, "refit": "true", "accumulate": 2}
model = UDSPH(**settings).fit(dataset, output=output, progress=False)
if first_process():
    world = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    (output / "found.json").write_text(json.dumps({**evaluate(model, dataset), "processes": world}))
"""


# One labelled item in 20, so that a process may have none of a batch; no label at all; parts that no loss looks at.
FEW = """
import sys, dataclasses
import numpy as np
import torch
from tests.training.conftest import QUICK, make_dataset
from udsph.training import UDSPH

whole = make_dataset(("regions", "tokens"), n=80, multi=True)
few = dataclasses.replace(whole, supervised=np.isin(np.arange(80), whole.splits["train"][:3]))
bare = dataclasses.replace(whole, labels=None, classes=(), known=None, supervised=None)
for dataset, more in ((few, {}), (bare, {}), (whole, {"attention": "none"}), (few, {"adversarial": "features"})):
    settings = QUICK | {"epochs": 2, "devices": 2, "batch_size": 12, "label_steps": 5, "width": 32} | more
    model = UDSPH(**settings).fit(dataset, progress=False)
    sums = torch.stack([value.double().sum() for value in model.tensors().values() if value.is_floating_point()])
    both = [torch.empty_like(sums) for _ in range(2)]
    torch.distributed.all_gather(both, sums)
    assert torch.isfinite(sums).all()
    names = [name for name, value in model.tensors().items() if value.is_floating_point()]
    apart = [name for name, a, b in zip(names, *both) if a != b and "running" not in name]
    assert not apart, apart
"""


def test_a_process_without_labelled_items_goes_along(tmp_path: Path) -> None:
    run(tmp_path, FEW)


def run(folder: Path, text: str, *arguments: str) -> None:
    """Run a script that starts its second process itself."""
    script = folder / "train.py"
    script.write_text(text)
    root = Path(__file__).parents[2]
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "RANK", "WORLD_SIZE")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        env=environment, capture_output=True, text=True, timeout=300, cwd=root,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def train(folder: Path, devices: int) -> tuple[dict, list[dict[str, str]]]:
    """The metrics and the log of a training by that many processes."""
    output = folder / f"run{devices}"
    run(folder, SCRIPT, str(output), str(devices))
    with (output / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return json.loads((output / "found.json").read_text()), rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[dict, list[dict[str, str]]]]:
    folder = tmp_path_factory.mktemp("processes")
    return {devices: train(folder, devices) for devices in (1, 2)}


def test_the_same_result_within_noise(trained) -> None:
    one, two = trained[1][0], trained[2][0]
    assert (one["processes"], two["processes"]) == (1, 2)
    assert one["label_to_label"] == two["label_to_label"], "the label network is trained alike in every process"
    for direction in ("image_to_text", "text_to_image"):
        assert one[direction]["map"] > one["chance"] + 0.5
        assert abs(one[direction]["map"] - two[direction]["map"]) < 0.05


def test_each_epoch_is_logged_once_and_the_losses_fall_alike(trained) -> None:
    logs = {devices: trained[devices][1] for devices in (1, 2)}
    for rows in logs.values():
        epochs = [(row["phase"], row["epoch"]) for row in rows]
        assert len(set(epochs)) == len(epochs)
        assert epochs[0] == ("label", "1") and epochs[-1][0] == "refit"
    # The critics of features, whose losses fell the most, have no part in it where all items have labels.
    first, last = (
        {devices: [float(row["loss"]) for row in rows if row["phase"] == "select"][k] for devices, rows in logs.items()}
        for k in (0, -1)
    )
    assert last[1] < 0.8 * first[1] and last[2] < 0.8 * first[2]
    assert abs(first[1] - first[2]) < 0.25 * first[1]
