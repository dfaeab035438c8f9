"""``udsph train``: a model from a dataset."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from udsph.cli.data import OnError, Root, left_out
from udsph.cli.flags import settings_of
from udsph.cli.output import Answer, plain
from udsph.cli.parser import Option, command
from udsph.errors import InputError


def check_known(settings: Iterable[str], dataset: str) -> None:
    """Refuse settings that neither the training nor the dataset has, with those of both that they may have meant."""
    from udsph.data import settings_of as known_of
    from udsph.encoding import Config

    mine, theirs = Config.names(), tuple(known_of(dataset))
    for key in settings:
        if key in theirs:
            continue
        near = [f"{name} (training)" for name in difflib.get_close_matches(key, mine)]
        near += [f"data.{name} ({dataset})" for name in difflib.get_close_matches(key, theirs)]
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else (f"known of the dataset: {', '.join(theirs) or 'none'}; of the training: {', '.join(mine)}")
        )
        raise InputError(f"unknown setting '{key}': neither the training nor the dataset {dataset} has it; {hint}")


@command
def train(
    output: Annotated[Path, Option(help="Folder of the run: configuration, splits, checkpoints, log")],
    data: Annotated[str | None, Option(help="Dataset: scenes, wiki, ... (udsph data list)", metavar="NAME")] = None,
    root: Root = None,
    config: Annotated[
        Path | None, Option(help="A run or its config.json, to train again as it was; other options change it")
    ] = None,
    bits: Annotated[int | None, Option(help="Length of the codes", default="64")] = None,
    epochs: Annotated[
        int | None, Option(help="Passes over the training split", default="by the kind and number of items")
    ] = None,
    seed: Annotated[int | None, Option(help="Seed of weights, order, validation part", default="0")] = None,
    device: Annotated[str | None, Option(help="auto, cpu, cuda, cuda:1, ...", default="auto")] = None,
    on_error: OnError = None,
    set_: Annotated[
        list[str] | None,
        Option("--set", help="Of training or dataset (data.KEY=VALUE: the dataset only)", metavar="KEY=VALUE"),
    ] = None,
) -> Answer:
    """Train a model; the same command resumes a run that was interrupted."""
    from udsph.data import load
    from udsph.encoding.run_folder import read_recipe
    from udsph.training import UDSPH, Config
    from udsph.training.launch import first_process

    settings, name, place, loader_settings = ({}, None, None, {}) if config is None else read_recipe(config)
    if data is not None and data != name:
        name, place, loader_settings = data, None, {}
    if name is None:
        raise InputError("name a dataset (--data) or an earlier run (--config)")
    place = place if root is None else str(root)
    given = settings_of(set_)
    settings |= {key: value for key, value in given.items() if not key.startswith("data.")}
    options = {"bits": bits, "epochs": epochs, "seed": seed, "device": device}
    settings |= {key: value for key, value in options.items() if value is not None}
    mine, rest = Config.part(settings)
    model = UDSPH(config=Config.from_settings(mine))  # a wrong setting is said before anything is loaded
    # A key that both know, such as the seed, means the training; with the prefix it reaches the dataset.
    loader_settings |= rest
    loader_settings |= {key.removeprefix("data."): value for key, value in given.items() if key.startswith("data.")}
    check_known(rest, name)
    if on_error is not None:
        loader_settings["on_error"] = on_error
    dataset = load(name, root=place, **loader_settings)
    model.fit(dataset, output=output)
    if not first_process():
        return Answer("")
    notes = left_out(dataset)
    following = f"udsph evaluate {shlex.quote(str(output))}"
    lines = [*map(plain, notes), f"trained: {plain(output)}    next: {plain(following)}"]
    return Answer("\n".join(lines), {"run": output, "notes": notes})
