"""``udsph show``: queries of a run with what was retrieved for them, or where classes looked in them, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from udsph.cli.output import Answer, plain
from udsph.cli.parser import Argument, Option, command
from udsph.data.directions import MODALITIES
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.data import Dataset
    from udsph.encoding import Hasher
    from udsph.report.attended import Looks


@command
def show(
    run: Annotated[Path, Argument(help="Folder of a trained run whose dataset has pixels and captions")],
    output: Annotated[Path, Option(help="The picture, .png")],
    queries: Annotated[int, Option(help="Queries shown, spread evenly over all of them", least=1, most=50)] = 4,
    k: Annotated[int, Option("-k", help="Retrieved items, or surest classes, of each query", least=1, most=20)] = 5,
    attended: Annotated[
        bool, Option(help="Draw where the classes looked in the queries, not what was retrieved")
    ] = False,
) -> Answer:
    """Draw queries of both directions with the items of the database that the run retrieves for them."""
    from udsph import data
    from udsph.report.retrieval import check_drawable, draw_retrieval
    from udsph.training.scoring import check_same, load_run, retrieve

    if output.suffix.lower() != ".png" or not output.parent.is_dir():
        raise InputError(f"--output {output}: expected a .png file in a folder that exists")
    model, arguments, splits = load_run(run)
    dataset = data.load(**arguments)
    check_same(model, dataset, splits)
    check_drawable(dataset)
    every, database = dataset.splits["query"], dataset.splits["database"]
    examples = every[np.linspace(0, len(every) - 1, min(queries, len(every))).astype(np.int64)]
    if attended:
        drawn = draw_looks(model, dataset, examples, output, k)
        text = f"where the {min(k, len(dataset.classes))} surest classes looked in {drawn} items: {plain(output)}"
        return Answer(text, {"picture": output, "queries": examples, "items": drawn})
    answers = retrieve(model, dataset, examples, min(k, len(database)))
    draw_retrieval(dataset, examples, database, answers["text"].ids, answers["image"].ids, output)
    text = f"{len(examples)} queries in both directions, {len(database):,} items: {plain(output)}"
    return Answer(text, {"picture": output, "queries": examples, "items": len(database)})


def draw_looks(model: Hasher, dataset: Dataset, examples: np.ndarray, output: Path, k: int) -> int:
    """Draw where the classes looked in the pictures and the words of some items; how many were drawn."""
    from udsph.report.attended import draw_attended

    looks = [found for name in MODALITIES if (found := looks_of(model, dataset, examples, name)) is not None]
    items = [item for row in zip(*looks, strict=True) for item in row]
    draw_attended(items, dataset.classes, output, k=k)
    return len(items)


def looks_of(model: Hasher, dataset: Dataset, examples: np.ndarray, name: str) -> list[Looks] | None:
    """Where the classes looked in the pictures or the words of some items; None of what is neither.

    Raises
    ------
    InputError
        If the network of the modality has no attention.
    """
    from udsph.report.attended import Looks

    modality = getattr(dataset, name).take(examples)
    if modality.kind not in ("pixels", "tokens"):
        return None
    seen = model.attended(name, modality)
    rows = range(len(examples))
    if modality.kind == "pixels":
        pictures = (modality.values[np.array([row])][0] for row in rows)
        return [Looks(picture, seen.weights[row], seen.scores[row], seen.grid) for row, picture in enumerate(pictures)]
    return [Looks(words, seen.weights[row], seen.scores[row]) for row, words in enumerate(seen.words or ())]
