"""Codes of many items on a cluster: Ray Data hands chunks of items to a pool of processes that hold the model.

A chunk that is done is two files beside the output, so that the same call goes on where one was interrupted. At the
end all codes become a collection under the items' names.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np

from udsph.distributed import cluster
from udsph.distributed.chunks import WHOLE, Chunk, Reader, chunks_of, state_of
from udsph.distributed.errors import ClusterError
from udsph.distributed.rows import Parts
from udsph.encoding import Hasher
from udsph.encoding.collapse import Collapse
from udsph.encoding.streaming import Tally
from udsph.errors import InputError
from udsph.files import read_json, replacing, write_json

PLAN = "plan.json"
SKIP = "on_error=skip leaves such items out and counts them"

Report = Callable[[int, int | None], None]


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
    id_column: str | None = None,
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
        takes; ``.parquet``, a folder of such, or a Dataset, with a column of texts or of pictures: contents of files,
        paths (from the table's folder on, of a Dataset from the working folder), arrays of pixels.
    output : path
        A new folder, which becomes a collection. Its ids are the images' paths below the folder, the lines' numbers
        from 1, the rows' numbers from 0, or the column of ids of a table. Beside it, ``OUTPUT.parts`` keeps what is
        done until all is: the same call goes on there. It does with the pictures' names and the files' times and sizes
        as they were. Of a folder, chunks with a picture that changed are encoded anew; pictures that a table names by
        path are not looked at. Of a Dataset it goes on with the rows that the first call was given.
    modality : {"image", "text"}
    on_error : {"stop", "skip"}
        A bad item is an error, or left out and counted.
    workers : int, optional
        Processes that hold the model: by default one for each GPU of the cluster, else one for each processor.
    encoding, device, precision
        As for ``udsph.encoding.encode_file``.
    column, id_column : str, optional
        Of a table: its items, by default "image" or "text", and its ids, by default "id" if it has such a column; ""
        for none.
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
    ClusterError
        A process of the pool could not be kept running.
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
    files, root, what = source, os.getcwd(), "the Dataset"
    if hasattr(source, "write_parquet"):
        files = _written(source, parts / "source")
    else:
        what = os.fspath(source)
        root = os.path.abspath(source if os.path.isdir(source) else os.path.dirname(source))
    try:
        chunks = list(chunks_of(trained, files, modality, encoding, column or modality, id_column, root, tally))
        if not chunks:
            raise InputError(f"{what}: no item could be encoded")
    except InputError as error:
        if files is source:
            raise
        if not (parts / PLAN).exists():
            shutil.rmtree(parts)
        raise InputError(re.sub(rf"{re.escape(str(files))}\S*", what, str(error))) from None
    parts.mkdir(parents=True, exist_ok=True)
    _check_plan(parts, [_mark(trained), modality, precision, chunks, _states(chunks)])
    total, waiting, done = sum(chunk["count"] for chunk in chunks), [], 0
    for chunk in chunks:
        about = parts / f"{chunk['number']:08}.json"
        if about.exists() and _holds(read_json(about), chunk, on_error):
            done += chunk["count"]
        else:
            waiting.append(chunk)
    if done and report is not None:
        report(done, total)
    settings = (place, device, modality, precision, str(parts), on_error)
    with contextlib.closing(_run(waiting, settings, workers)) as counts:
        for count in counts:
            done += count
            if report is not None:
                report(done, total)
    _gather(trained, modality, what, parts, len(chunks), target, tally)
    shutil.rmtree(parts)
    return tally


def _holds(about: dict[str, Any], chunk: Chunk, on_error: str) -> bool:
    """Whether what was done of a chunk is what would be done of it now."""
    return about.get("pictures") == state_of(chunk) and not (on_error == "stop" and about["faults"])


def _written(dataset: Any, folder: Path) -> Path:
    """The files of a Dataset, in its order; it has none of its own that a second call would find again."""
    import ray.data

    if not (folder / WHOLE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        context = ray.data.DataContext.get_current()
        before, context.execution_options.preserve_order = context.execution_options.preserve_order, True
        try:
            dataset.write_parquet(str(folder))
        finally:
            context.execution_options.preserve_order = before
        folder.mkdir(parents=True, exist_ok=True)  # of no rows there is no file
        (folder / WHOLE).touch()
    return folder


def _mark(model: Hasher) -> str:
    """What tells a model from others, wherever it lies."""
    mark = hashlib.sha256(repr((model.model.description.as_json(), model.inputs.as_json())).encode())
    for name, tensor in sorted(model.tensors().items()):
        mark.update(name.encode())
        mark.update(np.ascontiguousarray(tensor.detach().cpu().contiguous().view(-1).numpy()).tobytes())
    return mark.hexdigest()


def _states(chunks: list[Chunk]) -> list[tuple[str, int, int]]:
    """Sizes and times of the files that hold the items; of a folder of images each chunk keeps its own."""
    found = dict.fromkeys(chunk["place"] for chunk in chunks if chunk["kind"] != "images")
    return [(place, (state := os.stat(place)).st_size, state.st_mtime_ns) for place in found]


def _check_plan(parts: Path, plan: list[Any]) -> None:
    mark = hashlib.sha256(repr(plan).encode(errors="surrogatepass")).hexdigest()
    if (parts / PLAN).exists() and read_json(parts / PLAN) != mark:
        raise InputError(f"{parts} holds an unfinished encoding of other items or by another model; remove it first")
    write_json(parts / PLAN, mark)


def _run(chunks: list[Chunk], settings: tuple[Any, ...], workers: int | None) -> Generator[int, None, None]:
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
        Encoder,
        fn_constructor_args=settings,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(count, len(chunks))),
        num_cpus=1,
        num_gpus=min(1, gpus),
    )
    try:
        found: Any = iter(encoded.iter_rows())
        with contextlib.closing(found) as rows:  # which ends the pool, however this ends
            for row in rows:
                if row["error"]:
                    raise InputError(row["error"])
                yield int(row["count"])
    except engine.exceptions.RayError as error:
        raise ClusterError(f"encoding ended on the cluster: {' '.join(str(error).split())[-500:]}") from error


def _gather(model: Hasher, modality: str, what: str, parts: Path, chunks: int, target: Path, tally: Tally) -> None:
    """All chunks as a collection, and what became of the items."""
    from udsph.distributed.build import build

    rows = Parts([parts / f"{number:08}" for number in range(chunks)], model.bits)
    if not rows.n:
        shutil.rmtree(parts)
        raise InputError(f"{what}: no item could be encoded")
    tally.encoded, cut, unknown = rows.n, 0, 0
    collapse = Collapse(modality, len(model.classes), model.bits)
    for number in range(chunks):
        about = read_json(parts / f"{number:08}.json")
        tally.left_out += about["faults"]
        cut, unknown = cut + about["cut"], unknown + about["unknown"]
        collapse.add(np.load(parts / f"{number:08}.npy"))
    tally.remarks += [*model.inputs.remarks(cut, unknown), *collapse.remarks()]
    build(
        rows, target, shards=None, bits=model.bits, bitorder="little", ids=None, multi=False, keep=1,
        code_column="", id_column="",
    )  # fmt: skip


class Encoder:
    """In a process of the pool: holds the model, and encodes chunks."""

    def __init__(self, model: str, device: str, modality: str, precision: str, parts: str, on_error: str) -> None:
        self._model, self._device = model, device
        self._modality, self._precision = modality, precision
        self._parts, self._on_error = Path(parts), on_error
        self._hasher: Hasher | None = None
        self._reader: Reader | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Encode a chunk; what is wrong with it is said, and no error that Ray would wrap in others."""
        chunk = batch["chunk"][0]
        try:
            error = self._encode(chunk)
        except InputError as found:
            error = str(found)
        except OSError as found:
            error = f"{found} (on {platform.node()})"
        return {"count": np.array([chunk["count"]]), "error": np.array([error])}

    def _encode(self, chunk: Chunk) -> str:
        if self._hasher is None:
            self._hasher = Hasher.load(self._model, self._device)
            self._reader = Reader(self._hasher, self._modality)
        assert self._reader is not None
        state = state_of(chunk)  # before they are read: what changes meanwhile is read again
        names: list[Any] = []
        left_out: list[str] = []
        codes = [np.empty((0, -(-self._hasher.bits // 8)), np.uint8)]
        for items, ids, faults in self._reader.batches(chunk):
            if faults and self._on_error == "stop":
                return f"{faults[0]}; {SKIP}"
            left_out += faults
            if items is not None:
                codes.append(self._hasher.codes_of(self._modality, items, precision=self._precision))
                names += ids
        with replacing(self._parts / f"{chunk['number']:08}.npy") as file:
            np.save(file, np.concatenate(codes))
        read = self._reader
        about = {"faults": left_out, "cut": read.cut, "unknown": read.unknown, "ids": names, "pictures": state}
        write_json(self._parts / f"{chunk['number']:08}.json", about)  # last: now the chunk is done
        return ""
