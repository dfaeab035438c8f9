"""``udsph demo``: from nothing to a trained model, its scores, and an index that is searched by words."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Annotated, Any

from udsph.cli.evaluate import metrics_table
from udsph.cli.index import index
from udsph.cli.output import Answer, clock, log, plain
from udsph.cli.parser import Option, command
from udsph.cli.search import search

QUERIES = ("a red star", "a yellow heart")
# With as few pairs and passes as fit in minutes: twice as many steps as by default, and twice as long.
SETTINGS: dict[str, Any] = {"batch_size": 64, "learning_rate": 0.002}


@command
def demo(
    output: Annotated[Path, Option(help="Folder for the run, its metrics, the index and the pictures")] = Path(
        "demo-output"
    ),
    pairs: Annotated[int, Option(help="Rendered image-caption pairs")] = 3000,
    bits: Annotated[int, Option(help="Length of the codes")] = 64,
    epochs: Annotated[int, Option(help="Passes over the training split", least=1)] = 18,
    seed: Annotated[int, Option(help="Seed of scenes, weights and order")] = 0,
) -> Answer:
    """Render scenes, train on them, score both directions, index the images, and search them by words."""
    from udsph.data import load
    from udsph.training import UDSPH, evaluate_run

    started = time.perf_counter()
    run, place, picture = output / "run", output / "images.index", output / "found.png"
    dataset = load("scenes", pairs=pairs, seed=seed)
    held = len(dataset.splits["query"])
    log.info(f"1. scenes: {len(dataset):,} pairs of image and caption, {held:,} of them held out as queries")
    log.info(f"2. train: {epochs} epochs; with the defaults 1 to 2 minutes on two cores of today, 3 to 4 on older ones")
    UDSPH(bits=bits, seed=seed, epochs=epochs, **SETTINGS).fit(dataset, output=run)
    log.info("3. evaluate: queries against the database, both ways")
    metrics = evaluate_run(run, dataset=dataset)
    draw_queries(run, dataset, output / "retrieval.png")
    log.info("4. index the images of the database, and search them by words")
    index(run, output=place)
    found = search(run, place, text=list(QUERIES), k=5, show=picture)
    lines = [
        *metrics_table(metrics).splitlines(),
        "",
        *found.text.splitlines(),
        f"queries of both directions: {plain(output / 'retrieval.png')}",
        f"{clock(time.perf_counter() - started)} in all. The same by hand:",
        *(f"  {plain(line)}" for line in commands(output, pairs, bits, epochs, seed)),
    ]
    written = {"run": run, "index": place, "pictures": [output / "retrieval.png", picture]}
    return Answer("\n".join(lines), {"metrics": metrics, **written, **found.data})


def commands(output: Path, pairs: int, bits: int, epochs: int, seed: int) -> list[str]:
    """What to type for the steps of the demo."""
    run, place = shlex.quote(str(output / "run")), shlex.quote(str(output / "images.index"))
    given = SETTINGS | {"data.pairs": pairs, "data.seed": seed}
    settings = " ".join(f"--set {name}={value}" for name, value in given.items())
    return [
        f"udsph train --data scenes --bits {bits} --epochs {epochs} --seed {seed} {settings} --output {run}",
        f"udsph evaluate {run}",
        f"udsph index {run} --output {place}",
        f"udsph search {run} {place} --text '{QUERIES[0]}' --show found.png",
    ]


def draw_queries(run: Path, dataset: Any, picture: Path) -> None:
    """Draw four queries of both directions with what the run retrieves for them."""
    from udsph.report.retrieval import draw_retrieval
    from udsph.training import UDSPH
    from udsph.training.scoring import retrieve

    examples = dataset.splits["query"][:4]
    answers = retrieve(UDSPH.load(run), dataset, examples, 5)
    draw_retrieval(dataset, examples, dataset.splits["database"], answers["text"].ids, answers["image"].ids, picture)
