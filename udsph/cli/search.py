"""``udsph search``: an index by texts or images and a trained model, or bare files of codes by codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from udsph import files
from udsph.cli.codes import is_index, read_codes
from udsph.cli.output import Answer, plain, table
from udsph.cli.parser import Argument, Option, command
from udsph.cli.results import check_output, write_neighbours, write_rows
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.encoding.indexed import Items

Codes = Annotated[
    str | None,
    Option(
        help="Packed codes (n, width): uint8, int8 or 64-bit words; .npy, FILE.mat:NAME, or .txt: a line of hex each",
        metavar="FILE",
    ),
]


@command
def search(
    run: Annotated[Path | None, Argument(help="A trained run or a shared model; or give --database, --queries")] = None,
    index: Annotated[Path | None, Argument(help="The collection that 'udsph index RUN' made with that model")] = None,
    text: Annotated[list[str] | None, Option(help="Find what belongs to these words; repeatable")] = None,
    image: Annotated[
        list[Path] | None, Option(help="Find what belongs to this picture; repeatable", metavar="FILE")
    ] = None,
    k: Annotated[int, Option("-k", help="Neighbours per query", least=1)] = 10,
    show: Annotated[Path | None, Option(help="Draw queries and answers: .png")] = None,
    output: Annotated[Path | None, Option(help="Write the answers: .json or .csv; of bare files .npz too")] = None,
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    database: Annotated[str | None, Option(help="Bare codes, a collection, an index file", metavar="PATH")] = None,
    queries: Codes = None,
    bits: Annotated[int | None, Option(help="Width of bare codes", default="all bits of a row", least=1)] = None,
    bitorder: Annotated[Literal["little", "big"], Option(help="Of bare codes' bytes")] = "little",
    rows: Annotated[int, Option(help="Of bare codes: print the results of this many queries", least=0)] = 5,
) -> Answer:
    """Find the k nearest items of every query, exactly: by words or pictures, or of bare files of codes.

    udsph search RUN INDEX --text "a red star" --show found.png    of what 'udsph index RUN' wrote
    udsph search --database db.npy --queries q.npy                 with NumPy alone
    """
    if run is None and index is None:
        if database is None or queries is None or text or image or show is not None:
            raise InputError("give RUN, INDEX and --text or --image; or --database and --queries")
        check_output(output, (".npz", ".json", ".csv"))
        return _of_codes(database, queries, k, bits, bitorder, output, rows)
    if run is None or index is None or database or queries or not (text or image):
        raise InputError("give RUN, INDEX and --text or --image; bare files of codes go without a run")
    check_output(output, (".json", ".csv"))
    check_output(show, (".png",), "--show")
    return _of_index(run, index, text or [], image or [], k, device, output, show)


def _of_codes(
    database: str, queries: str, k: int, bits: int | None, bitorder: Any, output: Path | None, rows: int
) -> Answer:
    from udsph import hamming
    from udsph.hamming.results import NO_DISTANCE

    wanted = read_codes(queries, "--queries")
    indexed = is_index(Path(database))
    codes = _loaded(database) if indexed else read_codes(database, "--database")
    try:
        if indexed:
            distances, ids = codes.search(wanted, k)
        else:
            distances, ids = hamming.search(wanted, codes, k, bits=bits, bitorder=bitorder)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{queries} in {database}: {error}") from None
    lines = []
    if output is not None:
        write_neighbours(output, distances, ids)
        lines.append(f"{len(ids):,} queries, {k} neighbours each: {plain(output)}")
    shown = [
        [query, "  ".join(f"{i} ({d})" for i, d in zip(ids[query], distances[query], strict=True) if d < NO_DISTANCE)]
        for query in range(min(rows, len(ids)))
    ]
    if shown:
        lines.append(table(["query", "ids (distance)"], shown, f"Nearest of {len(codes):,} codes"))
    return Answer("\n".join(lines), {"k": k, "codes": len(codes), "ids": ids, "distances": distances})


def _loaded(database: str) -> Any:
    """A collection or an index file; its errors name it themselves."""
    from udsph import hamming

    try:
        return hamming.Collection.open(database) if Path(database).is_dir() else hamming.load(database)
    except ValueError as error:
        raise InputError(f"--database {error}") from None


def _of_index(
    run: Path, place: Path, texts: list[str], images: list[Path], k: int, device: str, output: Path | None,
    show: Path | None,
) -> Answer:  # fmt: skip
    from udsph.encoding import Hasher
    from udsph.encoding.indexed import model_mark, read_items

    index, items = read_items(place)
    hasher = Hasher.load(run, device)
    if model_mark(hasher) != items.model:
        raise InputError(f"{place} was made with another model than {run}; make it again with 'udsph index RUN'")
    codes = [hasher.encode_text(texts)] if texts else []
    codes += [hasher.encode_image(images)] if images else []
    distances, ids = index.search(np.concatenate(codes), min(k, len(index)))
    queries = [*texts, *map(str, images)]
    answers: list[dict[str, Any]] = [
        {"query": query, "found": [_found(items, i, d) for i, d in zip(*map(np.ndarray.tolist, row), strict=True)]}
        for query, *row in zip(queries, ids, distances, strict=True)
    ]
    if output is not None:
        _write(output, answers)
    lines = []
    for answer in answers:
        rows = [[rank, found["distance"], items.label(found["id"])] for rank, found in enumerate(answer["found"], 1)]
        lines.append(table(["rank", "distance", items.modality], rows, answer["query"]))
    lines += [] if output is None else [f"written: {plain(output)}"]
    if show is not None:
        _draw(items, texts, images, answers, show)
        lines.append(f"picture: {plain(show)}")
    return Answer("\n".join(lines), {"k": k, "codes": len(index), "answers": answers})


def _found(items: Items, id: Any, distance: int) -> dict[str, Any]:
    caption = items.caption(id)
    return {"id": id, "distance": distance, "name": items.name(id), **({} if caption is None else {"caption": caption})}


def _write(path: Path, answers: list[dict[str, Any]]) -> None:
    if path.suffix.lower() == ".json":
        files.write_json(path, answers)
        return
    rows = [
        (answer["query"], rank, found["id"], found["distance"], found["name"], found.get("caption", ""))
        for answer in answers
        for rank, found in enumerate(answer["found"], start=1)
    ]
    write_rows(path, ("query", "rank", "id", "distance", "name", "caption"), rows)


def _draw(items: Items, texts: list[str], images: list[Path], answers: list[dict[str, Any]], path: Path) -> None:
    from udsph.cli.pictures import read_picture, shown_items
    from udsph.report.answers import draw_answers

    shown = shown_items(items)
    drawn = [
        [(shown(found["id"]), f"{rank}. distance {found['distance']}") for rank, found in enumerate(answer["found"], 1)]
        for answer in answers
    ]
    draw_answers([*texts, *map(read_picture, images)], drawn, path)
