"""``udsph cluster``: build, search, evaluate and encode on a Ray cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from udsph.cli.arrays import read_array
from udsph.cli.codes import Form, as_packed, read_codes
from udsph.cli.evaluate import lists_of, write_metrics
from udsph.cli.output import Answer, plain, progress, table
from udsph.cli.parser import Argument, Option, command
from udsph.cli.results import check_output, write_neighbours
from udsph.errors import InputError
from udsph.hamming.results import NO_DISTANCE

Address = Annotated[
    str | None,
    Option(
        help="auto: the cluster that runs here; local: one of this machine, for this command; or HOST:PORT of a head",
        default="RAY_ADDRESS, auto or local",
        metavar="auto|local|HOST",
    ),
]
Shards = Annotated[int | None, Option(help="Parts of the codes", default="one a file, or a node", least=1)]
Threads = Annotated[int | None, Option(help="Threads of each process", default="its share of the node", least=1)]
_AT_ONCE = 1 << 14  # queries between two looks at the progress


@command
def cluster_build(
    codes: Annotated[Path, Argument(help="Packed codes: .npy, or .parquet with a column of codes")],
    path: Annotated[str, Argument(help="New folder, or a URI, of the collection")],
    shards: Shards = None,
    bits: Annotated[int | None, Option(help="Width of the codes", default="all bits of a row", least=1)] = None,
    bitorder: Annotated[Literal["little", "big"], Option(help="Of the bits in packed bytes")] = "little",
    code_column: Annotated[str, Option(help="Column of codes, of a Parquet file", metavar="NAME")] = "code",
    id_column: Annotated[
        str | None,
        Option(help="Column of ids, of a Parquet file", default="id, where there is one", metavar="NAME"),
    ] = None,
    address: Address = None,
) -> Answer:
    """Make a collection, its files written side by side on the nodes of a cluster."""
    from udsph.distributed import ShardedIndex

    try:
        index = ShardedIndex.build(
            codes, path, shards=shards, bits=bits, bitorder=bitorder, code_column=code_column, id_column=id_column,
            address=address,
        )  # fmt: skip
    except TypeError as error:
        raise InputError(f"{codes}: {error}") from None
    with index:
        found = {"codes": len(index), "bits": index.bits, "shards": index.shards}
        files = _counted(len(index.shards), "file")
        return Answer(f"{len(index):,} codes of {index.bits} bits in {files}: {plain(path)}", found)


@command
def cluster_search(
    source: Annotated[list[str], Option(help="A collection, a folder of index files, or a URI; or files, repeatable")],
    queries: Annotated[
        str,
        Option(help="Packed codes (n, width); .npy, FILE.mat:NAME, or .txt: a line of hex each", metavar="FILE"),
    ],
    k: Annotated[int, Option("-k", help="Neighbours per query", least=1)] = 10,
    shards: Shards = None,
    replicas: Annotated[int, Option(help="Processes for each shard", least=1)] = 1,
    threads: Threads = None,
    output: Annotated[Path | None, Option(help="Write the neighbours: .npz, .json or .csv")] = None,
    rows: Annotated[int, Option(help="Print the results of this many queries", least=0)] = 5,
    address: Address = None,
) -> Answer:
    """Find the k nearest codes of every query in shards on a cluster: the answers of one index."""
    from udsph.distributed import ShardedIndex

    check_output(output, (".npz", ".json", ".csv"))
    wanted = read_codes(queries, "--queries")
    place: Any = source[0] if len(source) == 1 else source
    index = ShardedIndex.open(place, shards=shards, replicas=replicas, threads=threads, address=address)
    with index, progress("search", "queries") as advance:
        parts = []
        try:
            for begin in range(0, max(1, len(wanted)), _AT_ONCE):
                parts.append(index.search(wanted[begin : begin + _AT_ONCE], k))
                advance(min(len(wanted), begin + _AT_ONCE), len(wanted))
        except (TypeError, ValueError) as error:
            raise InputError(f"{queries} in {source[0]}: {error}") from None
        distances, ids = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        lines = []
        if output is not None:
            write_neighbours(output, distances, ids)
            lines.append(f"{len(ids):,} queries, {k} neighbours each: {plain(output)}")
        shown = [[query, _neighbours(ids[query], distances[query])] for query in range(min(rows, len(ids)))]
        if shown:
            title = f"Nearest of {len(index):,} codes in {_counted(len(index.shards), 'shard')}"
            lines.append(table(["query", "ids (distance)"], shown, title))
        found = {"k": k, "codes": len(index), "shards": index.shards, "ids": ids, "distances": distances}
    return Answer("\n".join(lines), found)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _neighbours(ids: Any, distances: Any) -> str:
    return "  ".join(f"{i} ({d})" for i, d in zip(ids, distances, strict=True) if d < NO_DISTANCE)


@command
def cluster_evaluate(
    query_codes: Annotated[str, Option(help="Codes of the queries, as for 'udsph evaluate'", metavar="FILE")],
    database_codes: Annotated[str, Option(help="Codes of the database", metavar="FILE")],
    query_labels: Annotated[str, Option(help="Multi-hot (n, classes) or class numbers (n,)", metavar="FILE")],
    database_labels: Annotated[str, Option(help="Of the database", metavar="FILE")],
    codes: Annotated[Form, Option(help="Form of the codes")] = "auto",
    bitorder: Annotated[Literal["little", "big"], Option(help="Of packed codes, where others are values")] = "little",
    convention: Annotated[str | None, Option(help="Whose MAP: dcmh, hashnet, trec_eval, ...")] = None,
    ties: Annotated[
        Literal["expected", "insertion", "optimistic", "pessimistic"] | None,
        Option(help="Order of items at one distance", default="expected"),
    ] = None,
    cutoffs: Annotated[str | None, Option(help="Ranks k with commas between", metavar="K,K,...")] = None,
    metrics: Annotated[str | None, Option(help="Some metrics only", metavar="NAME,...")] = None,
    chunks: Annotated[int | None, Option(help="Pieces of the database", default="two a processor", least=1)] = None,
    output: Annotated[Path | None, Option(help="Write the metrics: .json or .csv")] = None,
    address: Address = None,
) -> Answer:
    """Print what 'udsph evaluate' prints of bare files, counted on a cluster: equal to the last bit."""
    from udsph.distributed import evaluate

    check_output(output, (".json", ".csv"))
    named = {"--query-codes": query_codes, "--database-codes": database_codes}
    arrays = [as_packed(read_codes(place, flag), codes, f"{flag} {place}", bitorder) for flag, place in named.items()]
    arrays += [read_array(query_labels, "--query-labels"), read_array(database_labels, "--database-labels")]
    options = lists_of(cutoffs, metrics)
    try:
        with progress("evaluate", "pairs") as advance:
            result = evaluate(
                *arrays, convention=convention, ties=ties, chunks=chunks, progress=advance, address=address, **options
            )
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(str(error)) from None
    found = result.to_dict()
    if output is not None:
        write_metrics(output, found, list(found.items()))
    return Answer(repr(result), {"metrics": found, "queries": result.n_queries, "items": result.n_items})


@command
def cluster_encode(
    model: Annotated[Path, Argument(help="Folder of a trained run, or of a shared model")],
    modality: Annotated[Literal["image", "text"], Option(help="Which of the model's networks")],
    input_: Annotated[Path, Option(help="Folder of images, text file (one a line), .npy or .parquet")],
    output: Annotated[Path, Option(help="New folder, which becomes a collection under the items' names")],
    on_error: Annotated[
        Literal["stop", "skip"], Option(help="What a bad item does; skip leaves it out and counts it")
    ] = "stop",
    workers: Annotated[int | None, Option(help="Processes", default="one a GPU, or a processor", least=1)] = None,
    encoding: Annotated[str, Option(help="Encoding of a text file")] = "utf-8",
    device: Annotated[str, Option(help="auto, cpu, cuda, ...")] = "auto",
    precision: Annotated[Literal["32-true", "bf16-mixed"], Option(help="bf16-mixed is faster")] = "32-true",
    column: Annotated[str | None, Option(help="Of a table", default="image or text", metavar="NAME")] = None,
    address: Address = None,
) -> Answer:
    """Turn items into a collection of codes on a cluster; the same command continues an interrupted one."""
    from udsph.distributed import encode

    with progress("encode") as advance:
        tally = encode(
            model, input_, output, modality=modality, on_error=on_error, workers=workers, encoding=encoding,
            device=device, precision=precision, column=column, report=advance, address=address,
        )  # fmt: skip
    notes = [*tally.left_out, *tally.remarks]
    left = f"; {len(tally.left_out):,} items left out" if tally.left_out else ""
    text = [*map(plain, notes), f"{tally.encoded:,} codes: {plain(output)}{left}"]
    found = {"collection": output, "encoded": tally.encoded, "left_out": tally.left_out, "remarks": tally.remarks}
    return Answer("\n".join(text), found)
