"""``udsph evaluate``: MAP of a run, or of bare files of codes and labels."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from udsph.cli.app import command, console
from udsph.errors import InputError


@command
def evaluate(
    run: Annotated[Path | None, typer.Argument(help="Folder of a trained run; or give the four files instead")] = None,
    database: Annotated[
        str, typer.Option(help="database, or query: rank the query pairs' other modality")
    ] = "database",
    query_codes: Annotated[Path | None, typer.Option(help="Packed codes, uint8 (n, bytes), .npy")] = None,
    database_codes: Annotated[Path | None, typer.Option(help="Packed codes, uint8 (n, bytes), .npy")] = None,
    query_labels: Annotated[
        Path | None, typer.Option(help="Multi-hot (n, classes) or class numbers (n,), .npy")
    ] = None,
    database_labels: Annotated[Path | None, typer.Option(help="As --query-labels, of the database")] = None,
    convention: Annotated[str | None, typer.Option(help="Whose MAP: dcmh, hashnet, trec_eval, ...")] = None,
    ties: Annotated[str | None, typer.Option(help="expected, insertion, optimistic, pessimistic")] = None,
) -> None:
    """Print the MAP of a run in both directions and write RUN/metrics.json, or print the metrics of bare files."""
    files = {
        "--query-codes": query_codes,
        "--database-codes": database_codes,
        "--query-labels": query_labels,
        "--database-labels": database_labels,
    }
    missing = [name for name, path in files.items() if path is None]
    if run is None:
        if missing:
            raise InputError(f"give the folder of a run, or all four files (missing: {', '.join(missing)})")
        from udsph.evaluation import evaluate_files

        shown = Console(stderr=True)
        with Progress(console=shown, transient=True, disable=not shown.is_terminal) as bars:
            bar = bars.add_task("pairs", total=None)
            result = evaluate_files(
                *files.values(),  # type: ignore[arg-type]
                convention=convention,
                ties=ties,
                progress=lambda done, total: bars.update(bar, completed=done, total=total),
            )
        console.print(repr(result), highlight=False, markup=False, soft_wrap=True)
        return
    if len(missing) < len(files) or convention is not None or ties is not None:
        raise InputError(
            "a run is evaluated by its own definition; --convention, --ties and files of codes go without one"
        )
    from udsph.training import evaluate_run

    print_metrics(evaluate_run(run, database=database))
    console.print(f"written: {run / ('metrics.json' if database == 'database' else 'metrics-query.json')}")


def print_metrics(metrics: dict[str, Any]) -> None:
    """A table of MAP, one row a direction."""
    size = f"{metrics['n_query']:,} queries, {metrics['n_database']:,} items"
    title = f"MAP, {metrics['bits']} bits, {size}, ties {metrics['ties']}"
    table = Table("query", "database", "MAP", title=title)
    for direction in ("image_to_text", "text_to_image"):
        query, _, target = direction.partition("_to_")
        table.add_row(query, target, f"{metrics[direction]['map']:.4f}")
    for reference in ("label_to_label", "chance"):
        if reference in metrics:
            value = metrics[reference]
            table.add_row(
                reference.replace("_", " "),
                "",
                f"{value['map'] if isinstance(value, dict) else value:.4f}",
                style="dim",
            )
    console.print(table)
