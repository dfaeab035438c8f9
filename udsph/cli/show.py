"""``udsph show``: queries of a run with what was retrieved for them, as a picture."""

from pathlib import Path
from typing import Annotated

import numpy as np

from udsph.cli.output import Answer, plain
from udsph.cli.parser import Argument, Option, command
from udsph.errors import InputError


@command
def show(
    run: Annotated[Path, Argument(help="Folder of a trained run whose dataset has pixels and captions")],
    output: Annotated[Path, Option(help="The picture, .png")],
    queries: Annotated[int, Option(help="Queries shown, spread evenly over all of them", least=1, most=50)] = 4,
    k: Annotated[int, Option("-k", help="Retrieved items of each query", least=1, most=20)] = 5,
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
    answers = retrieve(model, dataset, examples, min(k, len(database)))
    draw_retrieval(dataset, examples, database, answers["text"].ids, answers["image"].ids, output)
    text = f"{len(examples)} queries in both directions, {len(database):,} items: {plain(output)}"
    return Answer(text, {"picture": output, "queries": examples, "items": len(database)})
