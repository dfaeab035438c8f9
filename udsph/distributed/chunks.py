"""Items that are encoded on a cluster, in chunks: what each chunk is of, and its items as they are read on a node."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import Modality
from udsph.data.lines import Line, check_encoding, raw_lines, read_each_line
from udsph.data.pixels import DamagedImage, pixels_of
from udsph.encoding import Hasher
from udsph.encoding.items import as_modality, from_pixels, picture_size
from udsph.encoding.streaming import BATCH, Batch, Tally, check_taken, images_of, read_images
from udsph.errors import InputError
from udsph.hamming.collection.formats import arrow

WHOLE = "whole"  # a file beside those of a Dataset, when all are there
IMAGES, LINES = 16 * BATCH, 64 * BATCH  # items of a chunk

Chunk = dict[str, Any]


def chunks_of(
    model: Hasher,
    source: Any,
    modality: str,
    encoding: str,
    column: str,
    id_column: str | None,
    root: str,
    tally: Tally,
) -> Iterator[Chunk]:
    """What each chunk is of. All of it that a process needs goes with it, but for what lies in files.

    Parameters
    ----------
    source : path
        As of ``encode``.
    root : path
        From where paths in a table begin.
    tally : Tally
        Is told what is left aside.

    Raises
    ------
    InputError
        The source is none, or not of what the model takes.
    """
    place, spec, inputs = Path(os.path.abspath(source)), model.model.spec(modality), model.inputs
    if not place.exists():
        raise InputError(f"'{place}' does not exist")
    if place.suffix == ".npy" and not place.is_dir():
        array = _mapped(place)
        if len(array):
            as_modality(array[:1], modality, spec, inputs)  # says at once what is wrong with its form
        for number, begin, count in _parts(len(array), LINES):
            yield {"number": number, "kind": "rows", "place": str(place), "begin": begin, "count": count}
        return
    check_taken(place, modality, spec, inputs)
    tables = sorted(place.glob("*.parquet")) if place.is_dir() else [place] * (place.suffix == ".parquet")
    if tables or (place / WHOLE).exists():
        yield from _row_groups(tables, column, id_column, root)
    elif modality == "image":
        if not place.is_dir():
            raise InputError(f"'{place.name}' is neither a folder of images nor a .npy or .parquet file")
        names = images_of(place, tally)
        for number, begin, count in _parts(len(names), IMAGES):
            part = names[begin : begin + count]
            yield {"number": number, "kind": "images", "place": str(place), "names": part, "count": count}
    else:
        if place.is_dir():
            raise InputError(f"'{place}' is a folder; texts come in a file, one a line")
        check_encoding(encoding)
        lines = sum(1 for _ in raw_lines(place, encoding))
        for number, begin, count in _parts(lines, LINES):
            where = {"place": str(place), "begin": begin, "count": count}
            yield {"number": number, "kind": "lines", **where, "encoding": encoding}


def state_of(chunk: Chunk) -> str:
    """What tells whether pictures of a chunk are as they were: a mark of their sizes and times; "" of other chunks."""
    mark = hashlib.sha256()
    for name in chunk.get("names", ()):
        try:
            state = os.stat(os.path.join(chunk["place"], name))
            mark.update(b"%d %d\n" % (state.st_size, state.st_mtime_ns))
        except OSError:
            mark.update(b"none\n")
    return mark.hexdigest() if "names" in chunk else ""


def _parts(n: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Numbers of parts, where they begin, and how long they are."""
    return ((number, begin, min(size, n - begin)) for number, begin in enumerate(range(0, n, size)))


def _mapped(place: Path) -> np.ndarray:
    try:
        return np.load(place, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{place} is not a readable .npy file ({error})") from None


def _row_groups(tables: list[Path], column: str, id_column: str | None, root: str) -> Iterator[Chunk]:
    """A chunk for each row group that is not empty."""
    number = base = 0
    kinds: dict[str, Path] = {}
    for path in tables:
        with _table(path) as file:
            schema = file.schema_arrow
            ids = arrow.USUAL_IDS if id_column is None and arrow.USUAL_IDS in schema.names else id_column or ""
            for name in (column, ids):
                if name and name not in schema.names:
                    raise InputError(f"{path} has no column {name!r}, it has {', '.join(schema.names)}")
            kinds.setdefault(str(schema.field(ids).type) if ids else "no column of them", path)
            for group in range(file.metadata.num_row_groups):
                if not (count := file.metadata.row_group(group).num_rows):
                    continue
                yield {
                    "number": number, "kind": "table", "place": str(path), "group": group, "column": column,
                    "ids": ids, "root": root, "begin": base, "count": count,
                }  # fmt: skip
                number, base = number + 1, base + count
    if len(kinds) > 1:
        (kind, one), (another, two) = list(kinds.items())[:2]
        raise InputError(f"ids of {one} are {kind}, of {two} {another}; give all of them one kind")


def _table(path: Path) -> Any:
    pyarrow = arrow._pyarrow("Parquet")
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise InputError(f"{path} is no Parquet file: {error}") from None


class Reader:
    """Reads chunks, on a node: items in batches, and the faults of those that are none."""

    def __init__(self, hasher: Hasher, modality: str) -> None:
        self._spec, self._inputs, self._modality = hasher.model.spec(modality), hasher.inputs, modality
        self.cut = self.unknown = 0  # texts and words, as ``Inputs.remarks`` counts them
        self._lines: Iterator[Line] = iter(())
        self._next: tuple[str, int] | None = None  # file and line that they give next

    def batches(self, chunk: Chunk) -> Iterator[tuple[Modality | None, list[Any], list[str]]]:
        """Items, their ids, and the faults of others."""
        self.cut = self.unknown = 0
        kind, place = chunk["kind"], Path(chunk["place"])
        if kind == "images":
            for names in _some(chunk["names"], BATCH):
                batch = read_images(place, names, self._size, self._prepared)
                yield batch.items, batch.names, batch.faults
        elif kind == "lines":
            for part in _some(self._lines_of(chunk), 4 * BATCH):
                faults = [f"{place.name}, line {line.number}, {line.fault}" for line in part if line.fault]
                whole = [line for line in part if not line.fault]
                yield self._texts([line.text for line in whole]), [line.number for line in whole], faults
        elif kind == "rows":
            rows = range(chunk["begin"], chunk["begin"] + chunk["count"])
            items, _ = as_modality(_mapped(place)[rows.start : rows.stop], self._modality, self._spec, self._inputs)
            for part in _some(rows, 4 * BATCH):
                yield items.take(np.array(part) - rows.start), part, []
        else:
            yield from self._rows(chunk)

    @property
    def _size(self) -> tuple[int, int]:
        return picture_size(self._spec, self._inputs)

    def _prepared(self, pixels: np.ndarray) -> Modality:
        return from_pixels(pixels, self._spec, self._inputs)

    def _lines_of(self, chunk: Chunk) -> Iterator[Line]:
        """Lines of a chunk. A file is read from its start, but on from the chunk before if this one comes later."""
        place, begin, count = chunk["place"], chunk["begin"], chunk["count"]
        if self._next is None or self._next[0] != place or self._next[1] > begin:
            self._lines, self._next = read_each_line(Path(place), chunk["encoding"]), (place, 0)
        lines, at = self._lines, self._next[1]
        self._next = None  # where this is not taken to its end
        yield from itertools.islice(lines, begin - at, begin - at + count)
        self._next = place, begin + count

    def _rows(self, chunk: Chunk) -> Iterator[tuple[Modality | None, list[Any], list[str]]]:
        """Rows of a row group."""
        pyarrow, base = arrow._pyarrow("Parquet"), chunk["begin"]
        wanted = [name for name in (chunk["column"], chunk["ids"]) if name]
        with _table(Path(chunk["place"])) as file:
            size = BATCH if self._modality == "image" else 4 * BATCH
            for part in file.iter_batches(size, row_groups=[chunk["group"]], columns=wanted):
                values = part.column(chunk["column"]).to_pylist()
                if chunk["ids"]:
                    where = f"column {chunk['ids']!r} of {chunk['place']}"
                    ids = list(arrow._ids(pyarrow, part.column(chunk["ids"]), where))
                    ids = [id if isinstance(id, str) else int(id) for id in ids]
                else:
                    ids = list(range(base, base + len(values)))
                    base += len(values)
                if self._modality == "image":
                    batch = self._pictures(ids, values, chunk["root"])
                    yield batch.items, batch.names, batch.faults
                else:
                    kept = [isinstance(text, str) and bool(text.strip()) for text in values]
                    faults = [f"item {id!r} has no text" for id, there in zip(ids, kept, strict=True) if not there]
                    texts = [text.strip() for text, there in zip(values, kept, strict=True) if there]
                    yield self._texts(texts), list(itertools.compress(ids, kept)), faults

    def _pictures(self, ids: list[Any], values: list[Any], root: str) -> Batch:
        """Pictures of a table: contents of files, paths, or both in the form of Hugging Face; or pixels."""
        pixels, kept, faults = [], [], []
        for id, value in zip(ids, values, strict=True):
            if isinstance(value, dict):
                value = value.get("bytes") or value.get("path")
            if isinstance(value, str):
                value = os.path.join(root, value)
            try:
                if value is None:
                    raise DamagedImage(f"item {id!r} has no picture")
                pixels.append(pixels_of(value, self._size, f"item {id!r}"))
                kept.append(id)
            except (DamagedImage, InputError, TypeError) as error:
                named = "" if str(error).startswith("item") else f"item {id!r}: "
                faults.append(f"{named}{error}")
        return Batch(self._prepared(np.stack(pixels)) if pixels else None, kept, faults)

    def _texts(self, texts: list[str]) -> Modality | None:
        if not texts:
            return None
        read, cut, unknown = self._inputs.texts(texts)
        self.cut, self.unknown = self.cut + cut, self.unknown + unknown
        return read


def _some(items: Iterable[Any], count: int) -> Iterator[list[Any]]:
    """Lists of so many of the items."""
    rest = iter(items)
    while part := list(itertools.islice(rest, count)):
        yield part
