"""``udsph search``: exact neighbours of packed codes in ``.npy`` files."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from udsph import hamming
from udsph.cli.app import command, console, load_array
from udsph.errors import InputError


@command
def search(
    database: Annotated[Path, typer.Option(help="Packed codes of the database, uint8 (n, bytes), .npy")],
    queries: Annotated[Path, typer.Option(help="Packed codes of the queries, uint8 (n, bytes), .npy")],
    k: Annotated[int, typer.Option("--k", "-k", help="Neighbours per query")] = 10,
    output: Annotated[Path | None, typer.Option(help="Write distances and ids to this .npz")] = None,
    show: Annotated[int, typer.Option(help="Print the results of this many queries")] = 5,
) -> None:
    """Find the k nearest codes of every query, exactly."""
    codes = load_array(database, "--database")
    wanted = load_array(queries, "--queries")
    if output is not None and not output.parent.is_dir():
        raise InputError(f"--output: the folder {output.parent} does not exist")
    try:
        distances, ids = hamming.search(wanted, codes, k)
    except (TypeError, ValueError) as error:
        raise InputError(f"{queries} in {database}: {error}") from None
    if output is not None:
        part = output.with_name(output.name + ".part")
        with part.open("wb") as stream:
            np.savez(stream, distances=distances, ids=ids)
        part.replace(output)
        console.print(f"{len(ids):,} queries, {k} neighbours each: {output}")
    table = Table("query", "ids (distance)", title=f"Nearest of {len(codes):,} codes")
    for query in range(min(show, len(ids))):
        found = "  ".join(f"{i} ({d})" for i, d in zip(ids[query], distances[query], strict=True) if i >= 0)
        table.add_row(str(query), found)
    if show:
        console.print(table)
