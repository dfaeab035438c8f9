"""``udsph index RUN``: codes of a folder of images, of texts or of a dataset in a collection under the items' names."""

from __future__ import annotations

import shlex
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from udsph.cli.data import DataSettings, OnError, Root
from udsph.cli.encode import Modality, Model
from udsph.cli.flags import settings_of
from udsph.cli.output import Answer, plain, progress
from udsph.cli.parser import Argument, Option, command
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.encoding.indexed import Items

_CHUNK = 1024  # items of a dataset that are encoded between two reports


@command
def index(
    run: Model,
    source: Annotated[
        Path | None, Argument(help="Folder of images, text file (one a line), or .npy as in training; or a dataset")
    ] = None,
    *,
    output: Annotated[Path, Option(help="The collection: a new folder, or one made so before", metavar="FOLDER")],
    data: Annotated[str | None, Option(help="Dataset", default="that of the run", metavar="NAME")] = None,
    root: Root = None,
    split: Annotated[
        Literal["database", "train", "query", "all"], Option(help="Which items of the dataset")
    ] = "database",
    modality: Annotated[
        Modality | None, Option(help="Of a dataset's items, or of a .npy file", default="image")
    ] = None,
    on_error: OnError = None,
    encoding: Annotated[str, Option(help="Encoding of a text file")] = "utf-8",
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    set_: DataSettings = None,
) -> Answer:
    """Encode items and write a collection of their codes under their names, which 'udsph search' searches by words.

    udsph index RUN photos/ --output FOLDER
    udsph search RUN FOLDER --text "a red star"

    Once more with the same source, the collection is brought up to date: new items come in, changed ones get their new
    codes, and what the source has no more goes.
    """
    from udsph.encoding import Hasher
    from udsph.encoding.indexed import check_place, write_items

    check_place(output)  # before everything is encoded
    hasher = Hasher.load(run, device)
    if source is not None:
        if data is not None or root is not None or set_:
            raise InputError(f"give either {source} or a dataset (--data), not both")
        codes, items, notes = _of_files(hasher, source, modality, on_error or "stop", encoding)
    else:
        settings: dict[str, Any] = settings_of(set_)
        settings |= {} if on_error is None else {"on_error": on_error}
        codes, items, notes = _of_dataset(hasher, data, root, settings, split, modality or "image")
    changed, removed = write_items(output, codes, hasher.bits, items)
    if changed < len(codes) or removed:
        notes = [*notes, f"{changed:,} items are new or changed, {removed:,} are gone"]
    example = "--text 'WORDS'" if items.modality == "image" else "--image FILE"
    lines = [
        *notes,
        f"{len(codes):,} {items.modality}s, {hasher.bits} bits: {output}",
        f"next: udsph search {shlex.quote(str(run))} {shlex.quote(str(output))} {example}",
    ]
    found = {"index": output, "items": len(codes), "bits": hasher.bits, "modality": items.modality, "notes": notes}
    found |= {"changed": changed, "removed": removed}
    return Answer("\n".join(map(plain, lines)), found)


def _of_files(
    hasher: Any, source: Path, modality: str | None, on_error: str, encoding: str
) -> tuple[np.ndarray, Items, list[str]]:
    """Codes of a folder of images or of a file of texts; the file's lines are the captions."""
    from udsph.encoding import encode_file
    from udsph.encoding.indexed import Items, ids_of, model_mark

    if modality is None and source.suffix == ".npy":
        raise InputError(f"{source}: say whether these are images or texts: --modality image or --modality text")
    modality = modality or ("image" if source.is_dir() else "text")
    with tempfile.TemporaryDirectory() as folder, progress("encode") as advance:
        output = Path(folder) / "codes.npy"
        tally = encode_file(
            hasher, source, output, modality=modality, on_error=on_error, encoding=encoding, report=advance
        )
        codes = np.load(output)
        listed = output.with_suffix(".items.txt")
        rows = listed.read_bytes().decode("utf-8", "surrogateescape").split("\n")[:-1] if listed.exists() else []
    names = rows or [str(row) for row in range(len(codes))]
    captions = _lines(source, names, encoding) if rows and modality == "text" else None
    place = {"folder": str(source.resolve())} if source.is_dir() else {"file": str(source.resolve())}
    items = Items(modality, names, captions, place, model_mark(hasher), ids_of(names))
    return codes, items, [*tally.left_out, *tally.remarks]


def _lines(source: Path, numbers: list[str], encoding: str) -> list[str]:
    """The lines of a text file with these numbers, from 1 and ascending."""
    wanted, lines = set(numbers), []
    with source.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if str(number) in wanted:
                lines.append(line.decode(encoding).removeprefix("\ufeff").strip())
    return lines


def _of_dataset(
    hasher: Any, name: str | None, root: Path | None, settings: dict[str, Any], split: str, modality: str
) -> tuple[np.ndarray, Items, list[str]]:
    """Codes of the items of a dataset, of the run's own where none is named."""
    from udsph import data
    from udsph.encoding.indexed import Items, ids_of, model_mark

    place: dict[str, Any] = {"name": name, "root": None if root is None else str(root), "settings": settings}
    if name is None or name == hasher.data.get("name"):
        own = hasher.data
        place = {"name": own["name"], "root": place["root"] or own["root"], "settings": {**own["settings"], **settings}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was left out is printed at the end
        dataset = data.load(place["name"], place["root"], **place["settings"])
    chosen = np.arange(len(dataset)) if split == "all" else dataset.splits[split]
    encode, items = getattr(hasher, f"encode_{modality}"), getattr(dataset, modality)
    with progress("encode") as advance:
        parts = []
        for start in range(0, len(chosen), _CHUNK):
            parts.append(encode(items.take(chosen[start : start + _CHUNK])))
            advance(start + len(parts[-1]), len(chosen))
    files = getattr(dataset.image.values, "names", None)
    names = [files[i] if files else f"{dataset.name} {i}" for i in chosen.tolist()]
    captions = None if dataset.captions is None else [dataset.captions[i] for i in chosen.tolist()]
    origin = {"data": place, "split": split}
    items = Items(modality, names, captions, origin, model_mark(hasher), ids_of(names))
    return np.concatenate(parts), items, list(dataset.notes)
