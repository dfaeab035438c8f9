"""``udsph demo``: from nothing to a trained, searched and scored model on the built-in scenes."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np

from udsph.cli.evaluate import metrics_table
from udsph.cli.output import Answer, log
from udsph.cli.parser import Option, command


@command
def demo(
    output: Annotated[Path, Option(help="Folder for the run, its metrics and the picture")] = Path("demo-output"),
    pairs: Annotated[int, Option(help="Rendered image-caption pairs")] = 5000,
    bits: Annotated[int, Option(help="Length of the codes")] = 64,
    epochs: Annotated[int | None, Option(help="Passes over the training split")] = None,
    seed: Annotated[int, Option(help="Seed of scenes, weights and order")] = 0,
) -> Answer:
    """Render scenes, train on them, hash, search in both directions, score, and draw the answers."""
    from udsph.data import load
    from udsph.data.directions import DIRECTIONS
    from udsph.report.retrieval import draw_retrieval
    from udsph.training import UDSPH, Config, evaluate_run
    from udsph.training.scoring import retrieve

    started = time.perf_counter()
    run = output / "run"
    log.info("1. scenes")
    dataset = load("scenes", pairs=pairs, seed=seed)
    queries, database = dataset.splits["query"], dataset.splits["database"]
    log.info(
        f"{len(dataset):,} pairs of image and caption, {len(dataset.classes)} labels, {len(queries):,} of them queries"
    )

    log.info("2. train")
    settings = {"bits": bits, "seed": seed} | ({} if epochs is None else {"epochs": epochs})
    config = Config.from_settings(settings)
    model = UDSPH(config=config).fit(dataset, output=run)

    log.info("3. hash and search")
    examples = queries[:4]
    answers = retrieve(model, dataset, examples, 5)
    for query, target in DIRECTIONS.values():
        log.info(f"{query} to {target}: nearest of {len(database):,} codes at distances")
        for example, row in zip(examples, answers[query].distances, strict=True):
            log.info(f"  {caption(dataset, example)!r:70.70}  {' '.join(map(str, row))}")

    log.info("4. evaluate")
    metrics = evaluate_run(run, dataset=dataset)
    picture = output / "retrieval.png"
    draw_retrieval(dataset, examples, database, answers["text"].ids, answers["image"].ids, picture)
    lines = [
        metrics_table(metrics),
        f"run {run}   metrics {run / 'metrics.json'}   picture {picture}   {time.perf_counter() - started:.0f} s",
    ]
    return Answer("\n".join(lines), {"run": run, "metrics": metrics, "picture": picture})


def caption(dataset: object, item: np.integer) -> str:
    captions = getattr(dataset, "captions", None)
    return "" if captions is None else str(captions[int(item)])
