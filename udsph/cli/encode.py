"""``udsph encode`` and ``share``: codes from a trained model, and the model as a folder for others."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from udsph.cli.app import command, console
from udsph.errors import InputError

Model = Annotated[Path, typer.Argument(help="Folder of a trained run, or of a shared model")]


@command
def encode(
    model: Model,
    modality: Annotated[str, typer.Option(help="image or text")],
    input_: Annotated[
        Path, typer.Option("--input", help="Folder of images, text file (one a line), or .npy as in training")
    ],
    output: Annotated[Path, typer.Option(help="Packed codes, uint8 (n, bytes), .npy; NAME.items.txt names the rows")],
    on_error: Annotated[str, typer.Option(help="A bad item: stop, or skip (leave it out, count it)")] = "stop",
    workers: Annotated[int | None, typer.Option(help="Threads that decode images; one per processor", min=1)] = None,
    encoding: Annotated[str, typer.Option(help="Encoding of a text file")] = "utf-8",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[
        str, typer.Option(help="32-true, or bf16-mixed: faster, few bits differ; the same for queries and database")
    ] = "32-true",
) -> None:
    """Turn items of one modality into packed binary codes, however many there are."""
    from udsph.encoding import encode_file

    if modality not in ("image", "text"):
        raise InputError(f"--modality {modality}: expected image or text")
    if output.suffix != ".npy" or not output.parent.is_dir():
        raise InputError(f"--output {output}: expected a .npy file in a folder that exists")
    trained = load_model(model, device)
    columns = (TextColumn("encode"), MofNCompleteColumn(), TextColumn("items"), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("encode", total=None)
        tally = encode_file(
            trained, input_, output, modality=modality, on_error=on_error, workers=workers, encoding=encoding,
            precision=precision, report=lambda done: bar.update(task, completed=done),
        )  # fmt: skip
    for line in (*tally.left_out, *tally.remarks):
        console.print(line, highlight=False, markup=False)
    left = f"; {len(tally.left_out):,} items left out" if tally.left_out else ""
    console.print(f"{tally.encoded:,} codes of {trained.bits} bits: {output}{left}")


@command
def share(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run")],
    output: Annotated[Path, typer.Option(help="New folder: weights, configuration, model card")],
    licence: Annotated[str, typer.Option(help="The hub's name of the weights' licence: apache-2.0, ...")] = "unknown",
    name: Annotated[str, typer.Option(help="Name on the model card; the folder's by default")] = "",
) -> None:
    """Write a trained model as a folder for others, with the metrics that 'udsph evaluate' found."""
    from udsph.training import UDSPH

    found = run / "metrics.json"
    metrics = json.loads(found.read_text(encoding="utf-8")) if found.exists() else None
    UDSPH.load(run, device="cpu").save_pretrained(output, licence=licence, metrics=metrics, name=name)
    missing = "" if metrics else "    without metrics: run 'udsph evaluate' first to have them on the card"
    console.print(f"shared model: {output}{missing}")


def load_model(folder: Path, device: str) -> Any:
    """The model of a run or of a shared folder."""
    from udsph.training import UDSPH

    if _is_shared(folder):
        return UDSPH.from_pretrained(folder, device=device)
    return UDSPH.load(folder, device=device)


def _is_shared(folder: Path) -> bool:
    try:
        return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
