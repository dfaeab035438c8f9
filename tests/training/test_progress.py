"""What a training says: what is planned, a line an epoch, time left; nothing on stdout, nothing wrapped."""

from __future__ import annotations

import io
import logging
import random
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.conftest import QUICK, make_dataset
from udsph.data import Dataset
from udsph.training import UDSPH, Config, evaluate
from udsph.training import trainer as trainer_module
from udsph.training.phase import Phase
from udsph.training.progress import Progress, clock, in_words

TINY = QUICK | {"label_steps": 5, "width": 32}
LINE = re.compile(
    r"(select|refit) (\d+)/\d   loss \d+\.\d{3}(   validation MAP \d\.\d{4})?   \d+:\d\d gone(, \d+:\d\d left)?"
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(params=[None, True, False], ids=["default", "asked", "forbidden"])
def progress(request: pytest.FixtureRequest) -> bool | None:
    found: bool | None = request.param
    return found


def test_nothing_is_printed_unless_asked_and_then_to_stderr(
    toy: Dataset, capsys: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    UDSPH(**TINY).fit(toy, progress=progress)
    said = capsys.readouterr()
    assert said.out == ""
    if not progress:  # stderr is no terminal here
        assert said.err == ""
        return
    first, *lines = said.err.splitlines()
    assert first == (
        "training on 72 pairs: 5 steps of the label network, 4 epochs of 3 steps, "
        "and again on all pairs for as many as were best"
    )
    assert lines[0].startswith("label 1/1") and all(LINE.fullmatch(line) for line in lines[1:]), lines
    assert [LINE.fullmatch(line)[2] for line in lines[1:5]] == list("1234")  # type: ignore[index]


def test_whoever_listens_to_the_logger_hears_the_same_once(
    toy: Dataset, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "udsph"):
        UDSPH(**TINY).fit(toy, progress=True)
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0].startswith("training on 72 pairs") and sum(line.startswith("select") for line in lines) == 4
    assert {record.name for record in caplog.records} == {"udsph.training"}
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_one_line_that_is_cleared_in_the_end(
    toy: Dataset, monkeypatch: pytest.MonkeyPatch, progress: bool | None
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr("udsph.training.progress.REDRAW_SECONDS", 0.0)
    UDSPH(**TINY | {"refit": "false"}).fit(toy, progress=progress)
    if progress is False:
        assert screen.getvalue() == ""
        return
    drawn = screen.getvalue()
    assert drawn.endswith("\r\x1b[K")
    lines = [line.rpartition("\r\x1b[K")[2] for line in drawn.split("\n")]
    assert lines[0].startswith("training on 72 pairs") and sum(line.startswith("select") for line in lines) == 4
    assert re.search(r"\rselect 2/4, 67%   loss \d+\.\d{3}   0:\d\d gone, 0:\d\d left", drawn)


def test_a_quiet_logger_silences_the_terminal(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(logging.getLogger("udsph"), "level", logging.WARNING)
    assert not Progress(None).screen and Progress(True).screen


def test_few_pairs_get_more_epochs_and_the_length_is_said_beforehand(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("udsph.training.plan.DEFAULT_EPOCHS", {"vectors": 2})
    monkeypatch.setattr("udsph.training.plan.LEAST_STEPS", 30)
    monkeypatch.setattr(trainer_module, "FORECAST_STEPS", 1)
    settings = TINY | {"epochs": 0, "refit": "false"}
    dataset = make_dataset(n=64)
    without = UDSPH(**settings).fit(dataset)
    with caplog.at_level(logging.INFO, "udsph"):
        told = UDSPH(**settings).fit(dataset)
    assert re.fullmatch(
        r"training on 48 pairs: 5 steps of the label network, 15 epochs of 2 steps "
        r"\(as many as give 30 steps; epochs=N for another number\); about \d+ s",
        caplog.records[0].getMessage(),
    )
    for name, tensor in without.tensors().items():  # the steps that were timed left nothing behind
        assert torch.equal(tensor, told.tensors()[name]), name


def test_a_forecast_counts_steps_of_both_networks_and_validations(
    toy: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that only steps move: 0.1 s for one of the label network, 0.5 s for one of the others."""
    spent, found = [0.0], []

    def label(network: Any, labels: Any, config: Config, **_: Any) -> dict[str, float]:
        spent[0] += 0.1 * config.label_steps
        return {}

    def step(self: Phase, batch: Any) -> None:
        spent[0] += 0.5

    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(perf_counter=lambda: spent[0]))
    monkeypatch.setattr(trainer_module, "train_label_network", label)
    monkeypatch.setattr(Phase, "step", step)
    monkeypatch.setattr(trainer_module.Trainer, "run", lambda self: found.append(self.forecast()) or ())
    UDSPH(**TINY | {"label_steps": 60}).fit(toy, progress=False)
    validations = 4 * 0.35 * 0.5 * 72 / 24  # of 65 fitted items and 7 held, in batches of 24
    assert found == [pytest.approx(60 * 0.1 + (4 * 3 + 4 * 3) * 0.5 + validations)]


@pytest.mark.parametrize("settings", [{}, {"label_net": False}])
def test_the_state_of_torch_is_as_before(scenes_like: Dataset, tmp_path: Path, settings: dict[str, Any]) -> None:
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002  the old generator is global, which is the point
    before, drawn = (torch.get_rng_state(), random.getstate()), np.random.RandomState(7).random()
    flushed = float(torch.tensor(1e-40) * 1)
    model = UDSPH(**TINY | settings | {"epochs": 1}).fit(scenes_like, output=tmp_path / "run", progress=False)
    evaluate(model, scenes_like)
    UDSPH.load(tmp_path / "run").encode_image(scenes_like.image)
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert np.random.random() == drawn  # noqa: NPY002
    assert float(torch.tensor(1e-40) * 1) == flushed


def test_an_interrupted_training_leaves_the_state_of_torch(toy: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("udsph.training.phase.Phase.step", stop)
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        UDSPH(**TINY).fit(toy, progress=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_times_are_written_as_people_read_them() -> None:
    assert [clock(seconds) for seconds in (0, 5.4, 65, 3605)] == ["0:00", "0:05", "1:05", "1:00:05"]
    words = [in_words(seconds) for seconds in (0.2, 7, 40, 56, 130, 4000)]
    assert words == ["5 s", "10 s", "45 s", "1 min", "3 min", "1 h 7 min"]
