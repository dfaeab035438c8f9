"""``udsph index create|add|...``: a stored collection of codes. NumPy only, but for Parquet and Arrow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from udsph.cli.codes import read_codes
from udsph.cli.output import Advance, Answer, plain, progress, table
from udsph.cli.parser import Argument, Option, command
from udsph.cli.results import check_output, write_neighbours
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.hamming import Collection

Folder = Annotated[Path, Argument(help="The collection's folder")]
Source = Annotated[
    Path,
    Argument(
        help="Codes: .npy, .parquet, .arrow, .csv, .fps, .faiss, .usearch, .txt or .hex with one in every line, or the "
        "folder of a dataset of Hugging Face"
    ),
]
Columns = Annotated[str, Option(help="Column of codes, of files that have columns", metavar="NAME")]
Ids = Annotated[
    str | None, Option(help="Column of ids, likewise; '' for none", default="id, where there is one", metavar="NAME")
]
Twice = Annotated[
    Literal["error", "keep", "replace"], Option(help="What happens where an id is there already, or comes again")
]


@command
def index_create(
    path: Folder,
    bits: Annotated[int, Option(help="Width of the codes", least=1)],
    bitorder: Annotated[Literal["little", "big"], Option(help="Of the bits in packed bytes")] = "little",
    multi: Annotated[bool, Option(help="One id may have several codes")] = False,
    keep: Annotated[int, Option(help="Generations that stay", least=1)] = 1,
) -> Answer:
    """Make an empty collection, to which 'udsph index add' adds codes."""
    from udsph.hamming import Collection

    with Collection.create(path, bits, bitorder=bitorder, multi=multi, keep=keep) as collection:
        return Answer(f"made, for codes of {bits} bits: {plain(path)}", collection.stats())


@command
def index_add(
    path: Folder,
    source: Source,
    code_column: Columns = "code",
    id_column: Ids = None,
    duplicates: Twice = "error",
) -> Answer:
    """Add the codes of a file, and commit. What an import that was stopped has committed stays: '--duplicates keep'."""
    return _imported(path, source, code_column, id_column, duplicates)


@command
def index_import(
    path: Folder,
    source: Source,
    bits: Annotated[
        int | None, Option(help="Width of the codes, of a new collection", default="as the file has", least=1)
    ] = None,
    bitorder: Annotated[Literal["little", "big"], Option(help="Of a new collection")] = "little",
    code_column: Columns = "code",
    id_column: Ids = None,
    duplicates: Twice = "error",
) -> Answer:
    """Add the codes of a file, and make the collection where there is none yet."""
    from udsph.hamming import Collection
    from udsph.hamming.collection import formats

    if not path.exists() or not any(path.iterdir()):
        found = formats.open_source(source, formats.Columns(code_column, id_column, bits))
        width = formats.bits_of(found)
        if width is None and bits is None:
            raise InputError(f"{source} has no codes: say their width by --bits")
        Collection.create(path, bits or width or 0, bitorder=bitorder, multi=found.multi).close()
    elif bits is not None:
        raise InputError(f"bits={bits} is for a new collection, {path} is there already")
    return _imported(path, source, code_column, id_column, duplicates)


@command
def index_remove(
    path: Folder,
    ids: Annotated[Path, Argument(help="Ids: a file with one in every line")],
    unknown: Annotated[Literal["error", "ignore"], Option(help="What an id is that no code has")] = "error",
) -> Answer:
    """Remove the codes of ids, and commit."""
    with _opened(path, "a") as collection:
        before = len(collection)
        wanted: list[Any] = ids.read_text(encoding="utf-8-sig").splitlines()
        if collection.stats()["ids"] != "strings":
            try:
                wanted = [int(id) for id in wanted]
            except ValueError as error:
                raise InputError(f"{ids}: the ids of {path} are whole numbers ({error})") from None
        collection.remove(wanted, unknown=unknown)
        collection.commit()
        removed = before - len(collection)
        stats = collection.stats()
    return Answer(f"{removed:,} codes removed, {stats['codes']:,} are there: {plain(path)}", {"gone": removed, **stats})


@command
def index_compact(
    path: Folder,
    tables: Annotated[
        Literal["yes", "no"] | None,
        Option(help="Write tables, which are searched as soon as it is opened", default="as it was"),
    ] = None,
) -> Answer:
    """Write one file without what was removed, and tables that let a search look up instead of scanning."""
    with _opened(path, "a") as collection, progress("compact", "per mille") as advance:
        before = collection.stats()
        collection.compact(progress=_told(advance), tables=None if tables is None else tables == "yes")
        stats = collection.stats()
    text = f"{before['files']} files, {before['bytes']:,} bytes before; {stats['files']}, {stats['bytes']:,} now"
    if stats["codes_in_tables"]:
        text += f", {stats['codes_in_tables']:,} codes in tables"
    return Answer(f"{text}: {plain(path)}", stats)


@command
def index_verify(path: Folder) -> Answer:
    """Read all files and compare their checksums."""
    with _opened(path) as collection, progress("verify", "per mille") as advance:
        collection.verify(progress=_told(advance))
        stats = collection.stats()
    return Answer(f"{stats['codes']:,} codes in {stats['files']} files are as they were written: {plain(path)}", stats)


@command
def index_info(path: Folder) -> Answer:
    """Print what a collection holds."""
    with _opened(path) as collection:
        stats = {**collection.stats(), "bitorder": collection.bitorder, "generations": collection.generations}
    left_out = ("changed", "codes_in_files")
    rows = [[name.replace("_", " "), value] for name, value in stats.items() if name not in left_out]
    return Answer(table(["", str(path)], rows), stats)


@command
def index_search(
    path: Folder,
    queries: Annotated[str, Argument(help="Packed codes: .npy, FILE.mat:NAME, or .txt: a line of hexadecimal each")],
    k: Annotated[int, Option("-k", help="Neighbours per query", least=1)] = 10,
    output: Annotated[Path | None, Option(help="Write the answers: .npz, .json or .csv")] = None,
    rows: Annotated[int, Option(help="Print the results of this many queries", least=0)] = 5,
) -> Answer:
    """Find the k nearest codes of every query, exactly."""
    check_output(output, (".npz", ".json", ".csv"))
    wanted = read_codes(queries, "QUERIES")
    with _opened(path) as collection:
        distances, ids = collection.search(wanted, k)
        count, bits = len(collection), collection.bits
    lines = []
    if output is not None:
        write_neighbours(output, distances, ids)
        lines.append(f"{len(ids):,} queries, {k} neighbours each: {plain(output)}")
    shown = [
        [query, "  ".join(f"{i} ({d})" for i, d in zip(ids[query], distances[query], strict=True) if d <= bits)]
        for query in range(min(rows, len(ids)))
    ]
    if shown:
        lines.append(table(["query", "ids (distance)"], shown, f"Nearest of {count:,} codes"))
    return Answer("\n".join(lines), {"k": k, "codes": count, "ids": ids, "distances": distances})


@command
def index_export(
    path: Folder,
    output: Annotated[
        Path,
        Argument(
            help="Where: .npy (codes alone), .parquet, .arrow, .csv, .fps, .faiss, .usearch, .txt, .hex, or without a "
            "suffix a dataset of Hugging Face"
        ),
    ],
    code_column: Columns = "code",
    id_column: Annotated[str, Option(help="Column of ids, likewise", metavar="NAME")] = "id",
) -> Answer:
    """Write all codes and their ids to a file of another program, or to a dataset of Hugging Face."""
    with _opened(path) as collection, progress("export", "per mille") as advance:
        collection.export_codes(output, code_column=code_column, id_column=id_column, progress=_told(advance))
        count = len(collection)
    return Answer(f"{count:,} codes: {plain(output)}", {"codes": count, "output": output})


def _imported(path: Path, source: Path, code_column: str, id_column: str | None, duplicates: Any) -> Answer:
    with _opened(path, "a") as collection, progress("add", "per mille") as advance:
        count = collection.import_codes(
            source, code_column=code_column, id_column=id_column, duplicates=duplicates, progress=_told(advance)
        )
        stats = collection.stats()
    return Answer(f"{count:,} codes read, {stats['codes']:,} are there: {plain(path)}", {"read": count, **stats})


@contextlib.contextmanager
def _opened(path: Path, mode: Literal["r", "a"] = "r") -> Iterator[Collection]:
    """An open collection; errors of what is done with it are the user's."""
    from udsph.hamming import Collection

    try:
        with Collection.open(path, mode) as collection:
            yield collection
    except InputError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(str(error)) from None


def _told(advance: Advance) -> Any:
    """What the library tells of its progress, told on."""
    return lambda share, what: advance(round(1000 * share), 1000, what)
