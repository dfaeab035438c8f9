"""Codes of more items than fit in memory: a folder of images, a text file, a large array.

Items are read ahead in threads while the network works; codes go to the disk as they come. A bad item is named, and
either ends the encoding or is left out and counted; the list beside the codes says which items the rows are.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import torch

from udsph.data import Modality
from udsph.data.images import DamagedImage, decode, processors
from udsph.data.prefetch import ahead
from udsph.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
BATCH = 64
Report = Callable[[int], None]
Encode = Callable[[Any], np.ndarray]


@dataclass
class Tally:
    """What became of the items: how many have codes, which were left out and why, what else is worth knowing."""

    encoded: int = 0
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass
class Batch:
    """Items that were read, the names of their rows, the faults of the others; codes, where the reader made them."""

    items: Any
    names: list[str]
    faults: list[str]
    codes: np.ndarray | None = None


def encode_file(
    model: Any,
    source: Path,
    output: Path,
    *,
    modality: str,
    on_error: str = "stop",
    workers: int | None = None,
    encoding: str = "utf-8",
    precision: str = "32-true",
    report: Report | None = None,
) -> Tally:
    """Write the packed codes of ``source`` as ``output``, uint8 ``(n, bytes)`` in a ``.npy`` file.

    Parameters
    ----------
    model
        A :class:`~udsph.Hasher`.
    source
        For images a folder (with its sub-folders, in the order of their names), for texts a file with one text a line;
        for both a ``.npy`` array as the model was trained on.
    output
        Beside it, ``NAME.items.txt`` names the item of each row: the image's path within the folder, the number of the
        line. For ``.npy`` rows stay rows, and nothing is written.
    on_error
        ``stop``: the first bad item is an error. ``skip``: it is left out and counted.
    workers
        Threads that decode images; one per processor by default.
    encoding
        Of a text file.
    precision
        As in :meth:`udsph.Hasher.encode_image`.
    report
        Called with the number of items done.

    Raises
    ------
    InputError
        For a source that is not of the model's form, and for a bad item where ``on_error`` is ``stop``.
    """
    if on_error not in ("skip", "stop"):
        raise InputError(f"on_error={on_error}: expected skip or stop")
    tally = Tally()
    encode = functools.partial(model.encode_image if modality == "image" else model.encode_text, precision=precision)
    batches = _batches(model, source, modality, workers or processors(), encoding, tally, encode)
    named = source.suffix != ".npy"
    with CodeWriter(output, -(-model.bits // 8), named=named) as writer, one_thread(source.is_dir()):
        for batch in batches:
            if batch.faults and on_error == "stop":
                raise InputError(f"{batch.faults[0]}; --on-error skip leaves such items out and counts them")
            tally.left_out += batch.faults
            if len(batch.items):
                writer.write(encode(batch.items) if batch.codes is None else batch.codes, batch.names)
            tally.encoded = writer.rows
            if report is not None:
                report(tally.encoded + len(tally.left_out))
        if not writer.rows:
            raise InputError(f"{source}: no item could be encoded")
    return tally


def _batches(
    model: Any, source: Path, modality: str, workers: int, encoding: str, tally: Tally, encode: Encode
) -> Iterator[Batch]:
    if not source.exists():
        raise InputError(f"--input: '{source}' does not exist")
    if source.is_dir():
        if modality != "image":
            raise InputError(f"--input: '{source}' is a folder; texts come in a file, one a line")
        # On the CPU a worker encodes what it decoded: whole batches side by side need no threads within the network.
        in_worker = encode if model.model.device.type == "cpu" else None
        return image_batches(source, model.inputs.image_side(), workers, tally, in_worker)
    if source.suffix == ".npy":
        return _array_batches(source)
    if modality != "text":
        raise InputError(f"--input: '{source.name}' is neither a folder of images nor a .npy file")
    return _text_batches(source, model.inputs, encoding, tally)


@contextmanager
def one_thread(wanted: bool) -> Iterator[None]:
    """Let torch use one thread in each of ours; its own would wait for each other, spinning, on busy processors."""
    before = torch.get_num_threads()
    if wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def image_batches(folder: Path, side: int, workers: int, tally: Tally, encode: Encode | None = None) -> Iterator[Batch]:
    """The images of a folder, decoded (and encoded) by ``workers`` threads to ``side`` x ``side`` pixels."""
    names, others = list_images(folder)
    if others:
        tally.remarks.append(f"{others:,} files have no image's suffix and were not read")
    if not names:
        raise InputError(f"'{folder}' holds no images ({', '.join(SUFFIXES)})")

    def read(start: int) -> Batch:
        pixels, kept, faults = [], [], []
        for name in names[start : start + BATCH]:
            try:
                pixels.append(decode(folder, name, side))
                kept.append(name)
            except DamagedImage as error:
                faults.append(str(error))
        if not pixels:
            return Batch((), kept, faults)
        items = Modality("pixels", np.stack(pixels))
        return Batch(items, kept, faults, None if encode is None else encode(items))

    return ahead(read, range(0, len(names), BATCH), workers=workers)


def list_images(folder: Path) -> tuple[list[str], int]:
    """Paths of the images below a folder, relative to it and sorted; and the number of other files."""
    names, others = [], 0
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in files:
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                names.append(os.path.relpath(os.path.join(place, file), folder).replace(os.sep, "/"))
            else:
                others += 1
    return sorted(names), others


def _text_batches(source: Path, inputs: Any, encoding: str, tally: Tally) -> Iterator[Batch]:
    try:
        "".encode(encoding)
    except LookupError:
        raise InputError(f"--encoding {encoding}: not known; for example utf-8, gb18030") from None
    cut = blank = 0
    with source.open("rb") as stream:
        lines = enumerate(stream, start=1)
        while chunk := list(itertools.islice(lines, 4 * BATCH)):
            texts, names, faults = [], [], []
            for number, raw in chunk:
                try:
                    text = raw.decode("utf-8-sig" if encoding == "utf-8" and number == 1 else encoding).strip()
                except UnicodeDecodeError:
                    faults.append(f"{source.name}, line {number}, is not {encoding} (--encoding NAME for another)")
                    continue
                if text:
                    texts.append(text)
                    names.append(str(number))
                else:
                    faults.append(f"{source.name}, line {number}, is empty")
            tokens, longer, unknown = inputs.tokens(texts)
            cut, blank = cut + longer, blank + unknown
            yield Batch(tokens, names, faults)
    if cut:
        tally.remarks.append(f"{cut:,} texts have more than {inputs.longest} known words; the first ones are read")
    if blank:
        tally.remarks.append(f"{blank:,} texts have no word of the vocabulary; they share one code")


def _array_batches(source: Path) -> Iterator[Batch]:
    try:
        array = np.load(source, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"--input: {source} is not a readable .npy file ({error})") from None
    if array.ndim == 0:
        raise InputError(f"--input: {source.name} holds a single number, not items")
    for start in range(0, len(array), 4 * BATCH):
        yield Batch(array[start : start + 4 * BATCH], [], [])


class CodeWriter:
    """Rows of codes into a ``.npy`` file whose length is known at the end, and the names of the rows beside it.

    Both files appear under their names when all is written; until then, and after an error, nothing does.
    """

    def __init__(self, output: Path, width: int, *, named: bool) -> None:
        self.rows = 0
        self._output, self._width = output, width
        self._list = output.with_suffix(".items.txt") if named else None
        self._parts = [output.with_name(f".{output.name}.{kind}.part") for kind in ("rows", "npy", "items")]

    def __enter__(self) -> CodeWriter:
        self._codes: BinaryIO = self._parts[0].open("wb")
        self._names: BinaryIO = self._parts[2].open("wb")
        return self

    def write(self, codes: np.ndarray, names: list[str]) -> None:
        """Append rows, and in a named file their names."""
        self._codes.write(np.ascontiguousarray(codes).tobytes())
        self._names.writelines(f"{name}\n".encode("utf-8", "surrogateescape") for name in names)
        self.rows += len(codes)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._codes.close()
        self._names.close()
        try:
            if kind is None:
                self._publish()
        finally:
            for part in self._parts:
                part.unlink(missing_ok=True)

    def _publish(self) -> None:
        rows, whole, names = self._parts
        header = {"descr": "|u1", "fortran_order": False, "shape": (self.rows, self._width)}
        with whole.open("wb") as target, rows.open("rb") as source:
            np.lib.format.write_array_header_1_0(target, header)
            shutil.copyfileobj(source, target)
        whole.replace(self._output)
        if self._list is not None:
            names.replace(self._list)
