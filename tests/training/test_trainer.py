"""The trainer's promises: accumulation, early stopping, precision, checkpoints of something else, rare classes."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.conftest import QUICK, make_dataset
from udsph.data import Dataset
from udsph.errors import InputError
from udsph.evaluation import mean_average_precision
from udsph.training import UDSPH, Config, evaluate
from udsph.training.checkpoint import read_checkpoint, write_checkpoint
from udsph.training.launch import launch
from udsph.training.phase import Phase
from udsph.training.plan import Plan
from udsph.training.progress import Progress, append_row
from udsph.training.trainer import Trainer


def trainer_of(dataset: Dataset, **settings) -> Trainer:
    plan = Plan.of(Config.of(QUICK | settings), dataset)
    fabric = launch(plan.config)
    trainer = Trainer(fabric, plan, dataset, plan.new_model(dataset, fabric.device), Progress(False))
    trainer.begin("select")
    return trainer


def log_of(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_label_network_is_fixed_while_it_supervises(scenes_like):
    trainer = trainer_of(scenes_like, adversarial="features")
    before = {name: value.clone() for name, value in trainer.model.teacher.state_dict().items()}
    networks = {name: value.clone() for name, value in trainer.networks.pair.state_dict().items()}
    critics = {name: value.clone() for name, value in trainer.networks.adversary.critics.state_dict().items()}
    trainer.networks.step(trainer.plan.fitted[:24])
    assert all(torch.equal(before[name], value) for name, value in trainer.model.teacher.state_dict().items())
    assert all(p.grad is None for p in trainer.model.teacher.parameters())
    assert any(not torch.equal(networks[name], value) for name, value in trainer.networks.pair.state_dict().items())
    assert any(
        not torch.equal(critics[name], value) for name, value in trainer.networks.adversary.critics.state_dict().items()
    )


@pytest.mark.parametrize("settings", [{"adversarial": False}, {"weight_adversary": 0.0}, {}])
def test_without_the_adversarial_part_no_discriminator_moves(scenes_like, settings):
    trainer = trainer_of(scenes_like, **settings)
    critics = {name: value.clone() for name, value in trainer.networks.adversary.critics.state_dict().items()}
    found = trainer.networks.step(trainer.plan.fitted[:24])
    assert not [name for name in found if "critic" in name or "adversary" in name]
    assert all(
        torch.equal(critics[name], value) for name, value in trainer.networks.adversary.critics.state_dict().items()
    )


def test_accumulated_gradients_are_the_mean_over_their_batches(scenes_like, monkeypatch):
    """Three batches at 2 a step: a step of two, then a step of the one that is left, with its whole weight."""
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, closure=None: None)
    monkeypatch.setattr(Phase, "_update_average", lambda self: None)
    kept: list[dict[str, torch.Tensor]] = []

    def keep(self: Phase) -> None:
        kept.append({n: p.grad.clone() for n, p in self.pair.named_parameters() if p.grad is not None})

    monkeypatch.setattr("lightning_fabric.Fabric.clip_gradients", lambda fabric, *a, **k: keep(trainer.networks))
    settings = {"batch_size": 24, "augment": False, "attention": False, "adversarial": False}
    singles, grouped = [], []
    for accumulate, into in ((1, singles), (2, grouped)):
        kept.clear()
        trainer = trainer_of(scenes_like, accumulate=accumulate, **settings)
        torch.manual_seed(1)  # dropout
        trainer._epoch()
        into.extend({n: g.clone() for n, g in gradients.items()} for gradients in kept)
    assert len(singles) == 3 and len(grouped) == 2
    for name in singles[0]:
        torch.testing.assert_close(grouped[0][name], (singles[0][name] + singles[1][name]) / 2, rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(grouped[1][name], singles[2][name], rtol=1e-3, atol=1e-5)


def test_early_stopping_ends_the_selection_and_keeps_its_best_epoch(tmp_path, monkeypatch):
    dataset = make_dataset(n=96)
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1] + [0.0] * 40)
    monkeypatch.setattr("udsph.training.trainer.validate", lambda *_: {"map": next(scores)})
    settings = QUICK | {"epochs": 40, "patience": 5, "refit": "true"}
    UDSPH(**settings).fit(dataset, output=tmp_path / "run", progress=False)
    rows = log_of(tmp_path / "run")
    selected = [row for row in rows if row["phase"] == "select"]
    # Measured every fourth epoch; the best is epoch 8, and 5 epochs without a better one are over at epoch 16.
    assert [row["epoch"] for row in selected][-1] == "16"
    assert [row["validation_map"] for row in selected][3:8] == ["0.1", "", "", "", "0.5"]
    assert [row["epoch"] for row in rows if row["phase"] == "refit"][-1] == "8"


def test_impatience_waits_for_the_first_measurement(tmp_path):
    UDSPH(**QUICK | {"epochs": 20, "patience": 1}).fit(make_dataset(n=40), output=tmp_path / "run", progress=False)
    assert any(row["validation_map"] for row in log_of(tmp_path / "run"))


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "64-true"])
@pytest.mark.parametrize("kinds", [("pixels", "tokens"), ("vectors", "vectors")])
def test_other_precisions_train_as_well(kinds, precision):
    dataset = make_dataset(kinds, n=160)
    metrics = evaluate(UDSPH(**QUICK | {"epochs": 10, "precision": precision}).fit(dataset, progress=False), dataset)
    for direction in ("image_to_text", "text_to_image"):
        assert metrics[direction]["map"] > metrics["chance"] + 0.3


def unfinished(dataset: Dataset, run: Path, monkeypatch: pytest.MonkeyPatch, **settings) -> None:
    original = Trainer._epoch

    def stops(self):
        if self.done_epochs == 2:
            raise KeyboardInterrupt
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_epoch", stops)
        with pytest.raises(KeyboardInterrupt):
            UDSPH(**QUICK | settings).fit(dataset, output=run, progress=False)


def test_a_checkpoint_with_other_bits_is_refused(toy, tmp_path, monkeypatch):
    unfinished(toy, tmp_path / "16", monkeypatch)
    unfinished(toy, tmp_path / "32", monkeypatch, bits=32)
    (tmp_path / "16" / "checkpoint.pt").replace(tmp_path / "32" / "checkpoint.pt")
    with pytest.raises(InputError, match="checkpoint is of another training"):
        UDSPH(**QUICK | {"bits": 32}).fit(toy, output=tmp_path / "32", progress=False)


def test_epochs_after_the_checkpoint_are_logged_once(toy, tmp_path, monkeypatch):
    """The log is further than the checkpoint where the process ends between two of them."""
    run = tmp_path / "run"
    unfinished(toy, run, monkeypatch)
    state = read_checkpoint(run)
    assert (state["phase"], state["done_epochs"]) == ("select", 2)
    append_row(run / "log.csv", {**log_of(run)[-1], "epoch": 3})
    with (run / "log.csv").open("a") as stream:
        stream.write("sele")
    UDSPH(**QUICK).fit(toy, output=run, progress=False)
    selected = [row["epoch"] for row in log_of(run) if row["phase"] == "select"]
    assert selected == ["1", "2", "3", "4"]


def test_a_checkpoint_of_another_version_is_refused(toy, tmp_path, monkeypatch):
    unfinished(toy, tmp_path / "run", monkeypatch)
    state = read_checkpoint(tmp_path / "run")
    monkeypatch.setattr("udsph.training.checkpoint.__version__", "0.0.1")
    write_checkpoint(tmp_path / "run", {name: value for name, value in state.items() if name != "udsph"})
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"checkpoint.pt is of version 0\.0\.1"):
        UDSPH(**QUICK).fit(toy, output=tmp_path / "run", progress=False)


@pytest.mark.parametrize("multi", [False, True])
def test_a_rare_class_is_learnt_beside_common_ones(multi):
    """One class in twenty items: its queries find it far above chance."""
    dataset = make_dataset(n=400, seed=2, multi=False)
    random = np.random.default_rng(0)
    rare = np.flatnonzero(dataset.labels[:, 0])
    common = np.flatnonzero(dataset.labels[:, 0] == 0)
    keep = np.sort(np.concatenate([random.choice(rare, 15, replace=False), common]))
    labels = dataset.labels[keep].copy()
    if multi:
        labels[labels[:, 1] > 0, 2] = 1
    order = np.arange(len(keep))
    splits = {"query": order[::4], "train": order[order % 4 > 0], "database": order[order % 4 > 0]}
    dataset = dataclasses.replace(
        dataset, image=dataset.image.take(keep), text=dataset.text.take(keep), labels=labels, splits=splits
    )
    model = UDSPH(**QUICK | {"epochs": 10}).fit(dataset, progress=False)
    queries = splits["query"][labels[splits["query"], 0] > 0]
    assert 0 < len(queries) < 8
    score = mean_average_precision(
        model.encode_image(dataset.image.take(queries)), model.encode_text(dataset.text.take(splits["database"])),
        labels[queries], labels[splits["database"]],
    )  # fmt: skip
    assert score > 0.25  # chance is 0.05, and this is a short training


def test_items_too_few_for_the_processes_are_refused(toy, monkeypatch):
    few = dataclasses.replace(toy, splits={**toy.splits, "train": toy.splits["train"][:4]})
    trainer_of(few)
    monkeypatch.setattr("lightning_fabric.Fabric.world_size", 2)
    with pytest.raises(InputError, match="give fewer devices"):
        trainer_of(few)


def test_the_losses_of_the_label_network_are_checked(toy, monkeypatch):
    monkeypatch.setattr("udsph.training.losses.quantisation", lambda codes: codes.sum() * torch.nan)
    with pytest.raises(FloatingPointError, match="label_quantisation is nan in label step 1 of 60"):
        UDSPH(**QUICK).fit(toy, progress=False)
