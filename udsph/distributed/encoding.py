"""Codes of many items on a cluster: Ray Data hands chunks of items to a pool of processes that hold the model.

A chunk that is done is two files beside the output, so that the same call goes on where one was interrupted. At the
end all codes become a collection under the items' names.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data import Modality
from udsph.data.lines import check_encoding, raw_lines, read_each_line
from udsph.data.pixels import DamagedImage, pixels_of
from udsph.distributed import cluster
from udsph.distributed.rows import Parts
from udsph.encoding import Hasher
from udsph.encoding.collapse import Collapse
from udsph.encoding.items import as_modality, takes
from udsph.encoding.streaming import BATCH, SUFFIXES, Batch, Tally, list_images, read_images
from udsph.errors import InputError
from udsph.files import read_json, replacing, write_json
from udsph.hamming.collection.formats import arrow

IMAGES, LINES = 16 * BATCH, 64 * BATCH  # items of a chunk
PLAN = "plan.json"

Report = Callable[[int, int | None], None]
Read = tuple[Modality | None, list[Any], list[str]]  # items, their ids, the faults of others


def encode(
    model: Any,
    source: Any,
    output: Any,
    *,
    modality: str,
    on_error: str = "stop",
    workers: int | None = None,
    encoding: str = "utf-8",
    device: str = "auto",
    precision: str = "32-true",
    column: str | None = None,
    id_column: str = "id",
    report: Report | None = None,
    address: str | None = None,
) -> Tally:
    """Encode items on a cluster and write the codes as a collection.

    Parameters
    ----------
    model : path
        Folder of a trained run or of a shared model, which every node must see.
    source : path, or Ray Dataset
        A folder of images, with its sub-folders; a text file, one text a line; ``.npy``, an array of what the model
        takes; ``.parquet`` or a Dataset with a column of pictures (files as bytes, or paths) or of texts.
    output : path
        A new folder, which becomes a collection. Its ids are the images' paths below the folder, the lines' numbers
        from 1, the rows' numbers from 0, or the column of ids of a table.
    modality : {"image", "text"}
    on_error : {"stop", "skip"}
        A bad item is an error, or left out and counted.
    workers : int, optional
        Processes that hold the model: by default one for each GPU of the cluster, else one for each processor.
    encoding, device, precision
        As for ``udsph.encoding.encode_file``.
    column, id_column : str
        Of a table: its items, by default "image" or "text", and its ids, if it has such a column.
    report : callable, optional
        Called with the number of items done, and of all.
    address : str, optional
        As for ``connect``.

    Returns
    -------
    Tally
        How many were encoded, which were left out and why, and what else is worth knowing.

    Raises
    ------
    InputError
        The model does not take such items, an item is bad and ``on_error`` is "stop", or the output is there already.
    """
    if modality not in ("image", "text"):
        raise InputError(f"modality={modality}: expected image or text")
    if on_error not in ("stop", "skip"):
        raise InputError(f"on_error={on_error}: expected skip or stop")
    place, target = os.path.abspath(model), Path(os.path.abspath(output))
    parts = target.with_name(target.name + ".parts")
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(f"{target} is there already; choose another output")
    trained, tally = Hasher.load(place, "cpu"), Tally()
    cluster.connect(address)
    parts.mkdir(parents=True, exist_ok=True)
    if hasattr(source, "write_parquet"):
        source = _written(source, parts / "source")
    chunks = list(_chunks(trained, source, modality, encoding, column or modality, id_column, tally))
    _check_plan(parts, [place, str(source), modality, precision, len(chunks)])
    total = sum(chunk["count"] for chunk in chunks)
    waiting = [chunk for chunk in chunks if not (parts / f"{chunk['number']:08}.json").exists()]
    done = total - sum(chunk["count"] for chunk in waiting)
    for count in _run(waiting, (place, device, modality, precision, str(parts), on_error), workers):
        done += count
        if report is not None:
            report(done, total)
    _gather(trained, modality, parts, len(chunks), target, tally)
    shutil.rmtree(parts)
    return tally


def _written(dataset: Any, folder: Path) -> Path:
    """The files of a Dataset, which has none of its own that a second call would find again."""
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        dataset.write_parquet(str(folder))
        (folder / "whole").touch()
    return folder


def _check_plan(parts: Path, plan: list[Any]) -> None:
    mark = hashlib.sha256(repr(plan).encode()).hexdigest()
    if (parts / PLAN).exists() and read_json(parts / PLAN) != mark:
        raise InputError(f"{parts} holds an unfinished encoding of other items or by another model; remove it first")
    write_json(parts / PLAN, mark)


def _chunks(
    model: Hasher, source: Any, modality: str, encoding: str, column: str, id_column: str, tally: Tally
) -> Iterator[dict[str, Any]]:
    """What each chunk is of. All of it that a process needs goes with it, but for what lies in files."""
    place, spec, inputs = Path(os.path.abspath(source)), model.model.spec(modality), model.inputs
    if not place.exists():
        raise InputError(f"'{place}' does not exist")
    tables = sorted(place.glob("*.parquet")) if place.is_dir() else [place] * (place.suffix == ".parquet")
    if place.suffix == ".npy" and not place.is_dir():
        n = len(np.load(place, mmap_mode="r", allow_pickle=False))
        for number, begin in enumerate(range(0, n, LINES)):
            count = min(LINES, n - begin)
            yield {"number": number, "kind": "rows", "place": str(place), "begin": begin, "count": count}
        return
    if (modality == "text" and not inputs.vocabulary) or (modality == "image" and spec.kind != "pixels"):
        raise InputError(f"'{place.name}': the model takes {takes(spec, inputs)}; give a .npy file of such")
    if tables:
        yield from _row_groups(tables, column, id_column)
    elif modality == "image":
        if not place.is_dir():
            raise InputError(f"'{place.name}' is neither a folder of images, nor a .npy or .parquet file")
        names, others, _ = list_images(place)
        if others:
            tally.remarks.append(f"{others:,} files have no image's suffix and were not read")
        if not names:
            raise InputError(f"'{place}' holds no images ({', '.join(SUFFIXES)})")
        for number, begin in enumerate(range(0, len(names), IMAGES)):
            part = names[begin : begin + IMAGES]
            yield {"number": number, "kind": "images", "place": str(place), "names": part, "count": len(part)}
    else:
        if place.is_dir():
            raise InputError(f"'{place}' is a folder; texts come in a file, one a line")
        check_encoding(encoding)
        count, base = sum(1 for _ in raw_lines(place, encoding)), 0
        for number in range(-(-count // LINES)):
            n = min(LINES, count - base)
            where = {"place": str(place), "begin": base, "count": n}
            yield {"number": number, "kind": "lines", **where, "encoding": encoding}
            base += n


def _row_groups(tables: list[Path], column: str, id_column: str) -> Iterator[dict[str, Any]]:
    number = base = 0
    for path in tables:
        with arrow._pyarrow("Parquet").parquet.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise InputError(f"{path} has no column {column!r}, it has {', '.join(file.schema_arrow.names)}")
            ids = id_column if id_column in file.schema_arrow.names else None
            for group in range(file.metadata.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                yield {
                    "number": number, "kind": "table", "place": str(path), "group": group, "column": column,
                    "ids": ids, "begin": base, "count": count,
                }  # fmt: skip
                number, base = number + 1, base + count


def _run(chunks: list[dict[str, Any]], settings: tuple[Any, ...], workers: int | None) -> Iterator[int]:
    """Encode chunks in a pool; yields the number of items of each as it is done."""
    if not chunks:
        return
    engine = cluster.ray()
    import ray.data

    gpus = int(engine.cluster_resources().get("GPU", 0))
    count = workers or gpus or max(1, sum(node.cpus for node in cluster.nodes()))
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.from_items([{"chunk": chunk} for chunk in chunks], override_num_blocks=len(chunks))
    encoded = dataset.map_batches(
        _Encoder,
        fn_constructor_args=settings,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(chunks))),
        num_cpus=1,
        num_gpus=min(1, gpus),
    )
    for row in encoded.iter_rows():
        if row["error"]:
            raise InputError(row["error"])
        yield int(row["count"])


def _gather(model: Hasher, modality: str, parts: Path, chunks: int, target: Path, tally: Tally) -> None:
    """All chunks as a collection, and what became of the items."""
    from udsph.distributed.build import build

    rows = Parts([parts / f"{number:08}" for number in range(chunks)], model.bits)
    tally.encoded, cut, unknown = rows.n, 0, 0
    collapse = Collapse(modality, len(model.classes), model.bits)
    for number in range(chunks):
        about = read_json(parts / f"{number:08}.json")
        tally.left_out += about["faults"]
        cut, unknown = cut + about["cut"], unknown + about["unknown"]
        collapse.add(np.load(parts / f"{number:08}.npy"))
    if not rows.n:
        raise InputError(f"{parts}: no item could be encoded")
    tally.remarks += [*model.inputs.remarks(cut, unknown), *collapse.remarks()]
    build(
        rows, target, shards=None, bits=model.bits, bitorder="little", ids=None, multi=False, keep=1,
        code_column="", id_column="",
    )  # fmt: skip


# -- in a process of the pool ------------------------------------------------------------------------------------------


class _Encoder:
    """Holds the model, and encodes chunks."""

    def __init__(self, model: str, device: str, modality: str, precision: str, parts: str, on_error: str) -> None:
        self._hasher = Hasher.load(model, device)
        self._modality, self._precision = modality, precision
        self._parts, self._on_error = Path(parts), on_error

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        chunk = batch["chunk"][0]
        names: list[Any] = []
        codes: list[np.ndarray] = []
        about: dict[str, Any] = {"faults": [], "cut": 0, "unknown": 0}
        for items, ids, faults in self._batches(chunk, about):
            about["faults"] += faults
            if faults and self._on_error == "stop":
                error = f"{faults[0]}; on_error=skip leaves such items out and counts them"
                return {"count": np.array([0]), "error": np.array([error])}
            if items is not None:
                codes.append(self._hasher.codes_of(self._modality, items, precision=self._precision))
                names += ids
        width = -(-self._hasher.bits // 8)
        with replacing(self._parts / f"{chunk['number']:08}.npy") as file:
            np.save(file, np.concatenate(codes) if codes else np.empty((0, width), np.uint8))
        write_json(self._parts / f"{chunk['number']:08}.json", about | {"ids": names})  # last: now the chunk is done
        return {"count": np.array([chunk["count"]]), "error": np.array([""])}

    def _batches(self, chunk: dict[str, Any], about: dict[str, Any]) -> Iterator[Read]:
        spec, inputs, kind = self._hasher.model.spec(self._modality), self._hasher.inputs, chunk["kind"]
        if kind == "images":
            for names in _some(chunk["names"], BATCH):
                batch = read_images(Path(chunk["place"]), names, (spec.shape[0], spec.shape[1]))
                yield batch.items, batch.names, batch.faults
        elif kind == "lines":
            lines = read_each_line(Path(chunk["place"]), chunk["encoding"])
            for part in _some(itertools.islice(lines, chunk["begin"], chunk["begin"] + chunk["count"]), 4 * BATCH):
                name = Path(chunk["place"]).name
                faults = [f"{name}, line {line.number}, {line.fault}" for line in part if line.fault]
                whole = [line for line in part if not line.fault]
                yield self._texts([line.text for line in whole], about), [line.number for line in whole], faults
        elif kind == "rows":
            items, _ = as_modality(np.load(chunk["place"], mmap_mode="r"), self._modality, spec, inputs)
            for rows in _some(range(chunk["begin"], chunk["begin"] + chunk["count"]), 4 * BATCH):
                yield items.take(np.array(rows)), list(rows), []
        else:
            yield from self._table(chunk, about)

    def _table(self, chunk: dict[str, Any], about: dict[str, Any]) -> Iterator[Read]:
        wanted = [name for name in (chunk["column"], chunk["ids"]) if name]
        with arrow._pyarrow("Parquet").parquet.ParquetFile(chunk["place"]) as file:
            table = file.read_row_group(chunk["group"], columns=wanted)
        values = table.column(chunk["column"]).to_pylist()
        base = chunk["begin"]
        ids = table.column(chunk["ids"]).to_pylist() if chunk["ids"] else list(range(base, base + len(values)))
        for part in _some(zip(ids, values, strict=True), BATCH if self._modality == "image" else 4 * BATCH):
            if self._modality == "image":
                batch = self._pictures(part)
                yield batch.items, batch.names, batch.faults
            else:
                kept = [(id, text) for id, text in part if isinstance(text, str) and text.strip()]
                there = {id for id, _ in kept}
                faults = [f"item {id!r} has no text" for id, _ in part if id not in there]
                yield self._texts([text for _, text in kept], about), [id for id, _ in kept], faults

    def _pictures(self, part: list[Any]) -> Batch:
        from PIL import Image

        spec = self._hasher.model.spec("image")
        pixels, kept, faults = [], [], []
        for id, value in part:
            try:
                item = Image.open(io.BytesIO(value)) if isinstance(value, bytes) else value
                pixels.append(pixels_of(item, (spec.shape[0], spec.shape[1]), f"item {id!r}"))
                kept.append(id)
            except (DamagedImage, OSError, TypeError) as error:
                faults.append(f"item {id!r}: {error}")
        return Batch(Modality("pixels", np.stack(pixels)) if pixels else None, kept, faults)

    def _texts(self, texts: list[str], about: dict[str, Any]) -> Modality | None:
        if not texts:
            return None
        tokens, longer, strange = self._hasher.inputs.tokens(texts)
        about["cut"] += longer
        about["unknown"] += strange
        return tokens


def _some(items: Any, count: int) -> Iterator[list[Any]]:
    """Lists of so many of the items."""
    rest = iter(items)
    while part := list(itertools.islice(rest, count)):
        yield part
