"""``udsph train``: a model from a dataset."""

from pathlib import Path
from typing import Annotated, Any

import typer

from udsph.cli.app import command, console, settings_of
from udsph.cli.data import print_left_out

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value of the training or the dataset (data.key=value: the dataset only)"),
]


@command
def train(
    data: Annotated[str, typer.Option(help="Dataset: scenes, wiki, features, ...")],
    output: Annotated[Path, typer.Option(help="Folder of the run: configuration, splits, checkpoints, log")],
    root: Annotated[Path | None, typer.Option(help="Folder or file of the dataset")] = None,
    bits: Annotated[int, typer.Option(help="Length of the codes")] = 64,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training split")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and splits")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    on_error: Annotated[str | None, typer.Option(help="skip or stop: what a bad item of the dataset does")] = None,
    set_: Settings = None,
) -> None:
    """Train a model; the same command resumes a run that was interrupted."""
    from udsph.data import load
    from udsph.training import UDSPH, Config
    from udsph.training.launch import first_process

    given = settings_of(set_ or [])
    settings: dict[str, Any] = {key: value for key, value in given.items() if not key.startswith("data.")}
    settings |= {"bits": bits, "seed": seed, "device": device}
    if epochs is not None:
        settings["epochs"] = epochs
    config, loader_settings = Config.from_settings(settings, rest=True)
    # A key that both know, such as the seed, means the training; with the prefix it reaches the dataset.
    loader_settings |= {key.removeprefix("data."): value for key, value in given.items() if key.startswith("data.")}
    if on_error is not None:
        loader_settings["on_error"] = on_error
    dataset = load(data, root=root, **loader_settings)
    UDSPH(config=config).fit(dataset, output=output, progress=True)
    if first_process():
        print_left_out(dataset)
        console.print(f"trained: {output}    next: udsph evaluate {output}")
