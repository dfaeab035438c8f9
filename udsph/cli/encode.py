"""``udsph encode`` and ``share``: codes from a trained model, and the model as a folder for others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from udsph.cli.output import Answer, plain, progress
from udsph.cli.parser import Argument, Option, command
from udsph.errors import InputError
from udsph.files import read_json

Model = Annotated[Path, Argument(help="Folder of a trained run, or of a shared model")]
Modality = Literal["image", "text"]


@command
def encode(
    model: Model,
    modality: Annotated[Modality, Option(help="Which of the model's networks")],
    input_: Annotated[Path, Option(help="Folder of images, text file (one a line), or .npy as in training")],
    output: Annotated[Path, Option(help="Packed codes, uint8 (n, bytes), .npy; NAME.items.txt names the rows")],
    on_error: Annotated[
        Literal["stop", "skip"], Option(help="What a bad item does; skip leaves it out and counts it")
    ] = "stop",
    workers: Annotated[
        int | None, Option(help="Threads that decode images", default="one per processor", least=1)
    ] = None,
    encoding: Annotated[str, Option(help="Encoding of a text file")] = "utf-8",
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    precision: Annotated[
        Literal["32-true", "bf16-mixed"],
        Option(help="bf16-mixed is faster, few bits differ; the same for queries and database"),
    ] = "32-true",
) -> Answer:
    """Turn items of one modality into packed binary codes, however many there are."""
    from udsph.encoding import Hasher, encode_file

    if output.suffix != ".npy" or not output.parent.is_dir():
        raise InputError(f"--output {output}: expected a .npy file in a folder that exists")
    trained = Hasher.load(model, device)
    with progress("encode") as advance:
        tally = encode_file(
            trained, input_, output, modality=modality, on_error=on_error, workers=workers, encoding=encoding,
            precision=precision, report=advance,
        )  # fmt: skip
    notes = [*tally.left_out, *tally.remarks]
    left = f"; {len(tally.left_out):,} items left out" if tally.left_out else ""
    text = [*map(plain, notes), f"{tally.encoded:,} codes of {trained.bits} bits: {plain(output)}{left}"]
    found = {"codes": output, "encoded": tally.encoded, "bits": trained.bits, "left_out": tally.left_out}
    return Answer("\n".join(text), found | {"remarks": tally.remarks})


@command
def share(
    run: Annotated[Path, Argument(help="Folder of a trained run")],
    output: Annotated[Path, Option(help="New folder: weights, configuration, model card")],
    licence: Annotated[str, Option(help="The hub's name of the weights' licence: apache-2.0, ...")] = "unknown",
    name: Annotated[str, Option(help="Name on the model card; the folder's by default")] = "",
) -> Answer:
    """Write a trained model as a folder for others, with the metrics that 'udsph evaluate' found."""
    from udsph.encoding import Hasher

    found = run / "metrics.json"
    metrics = read_json(found) if found.exists() else None
    Hasher.load(run, device="cpu").share(output, licence=licence, metrics=metrics, name=name)
    missing = "" if metrics else "    without metrics: run 'udsph evaluate' first to have them on the card"
    return Answer(f"shared model: {plain(output)}{missing}", {"model": output, "metrics": metrics is not None})
