"""``udsph search``: exact neighbours of packed codes in ``.npy`` files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from udsph.cli.arrays import read_array
from udsph.cli.output import Answer, plain, table
from udsph.cli.parser import Option, command
from udsph.cli.results import check_output, write_neighbours
from udsph.errors import InputError


@command
def search(
    database: Annotated[Path, Option(help="Packed codes of the database: uint8, int8 or 64-bit words, (n, width)")],
    queries: Annotated[Path, Option(help="Packed codes of the queries, as --database")],
    k: Annotated[int, Option("-k", help="Neighbours per query", least=1)] = 10,
    bits: Annotated[int | None, Option(help="Width of the codes", default="all bits of a row", least=1)] = None,
    bitorder: Annotated[Literal["little", "big"], Option(help="Of the bits in a byte")] = "little",
    output: Annotated[Path | None, Option(help="Write distances and ids: .npz, .json or .csv")] = None,
    rows: Annotated[int, Option(help="Print the results of this many queries", least=0)] = 5,
) -> Answer:
    """Find the k nearest codes of every query, exactly."""
    from udsph.hamming import FlatIndex

    check_output(output, (".npz", ".json", ".csv"))
    codes, wanted = read_array(str(database), "--database"), read_array(str(queries), "--queries")
    try:
        width = 8 * codes.dtype.itemsize * codes.shape[-1] if codes.ndim == 2 else 8
        index = FlatIndex(width if bits is None else bits, bitorder=bitorder)
        index.add(codes)
        distances, ids = index.search(wanted, k)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{queries} in {database}: {error}") from None
    lines = []
    if output is not None:
        write_neighbours(output, distances, ids)
        lines.append(f"{len(ids):,} queries, {k} neighbours each: {plain(output)}")
    shown = [
        [query, "  ".join(f"{i} ({d})" for i, d in zip(ids[query], distances[query], strict=True) if i >= 0)]
        for query in range(min(rows, len(ids)))
    ]
    if shown:
        lines.append(table(["query", "ids (distance)"], shown, f"Nearest of {len(codes):,} codes"))
    return Answer("\n".join(lines), {"k": k, "codes": len(codes), "ids": ids, "distances": distances})
