"""``udsph train``: a model from a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from udsph.cli.app import command, console, settings_of
from udsph.cli.data import print_left_out
from udsph.errors import InputError

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value of the training or the dataset (data.key=value: the dataset only)"),
]


@command
def train(
    output: Annotated[Path, typer.Option(help="Folder of the run: configuration, splits, checkpoints, log")],
    data: Annotated[str | None, typer.Option(help="Dataset: scenes, wiki, features, ...")] = None,
    root: Annotated[Path | None, typer.Option(help="Folder or file of the dataset")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A run or its config.json, to train again as it was; other options change it")
    ] = None,
    bits: Annotated[int | None, typer.Option(help="Length of the codes", show_default="64")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order, validation part", show_default="0")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ...", show_default="auto")] = None,
    on_error: Annotated[str | None, typer.Option(help="skip or stop: what a bad item of the dataset does")] = None,
    set_: Settings = None,
) -> None:
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
    given = settings_of(set_ or [])
    settings |= {key: value for key, value in given.items() if not key.startswith("data.")}
    options = {"bits": bits, "epochs": epochs, "seed": seed, "device": device}
    settings |= {key: value for key, value in options.items() if value is not None}
    training, rest = Config.from_settings(settings, rest=True)
    # A key that both know, such as the seed, means the training; with the prefix it reaches the dataset.
    loader_settings |= rest
    loader_settings |= {key.removeprefix("data."): value for key, value in given.items() if key.startswith("data.")}
    if on_error is not None:
        loader_settings["on_error"] = on_error
    dataset = load(name, root=place, **loader_settings)
    UDSPH(config=training).fit(dataset, output=output, progress=True)
    if first_process():
        print_left_out(dataset)
        console.print(f"trained: {output}    next: udsph evaluate {output}")
