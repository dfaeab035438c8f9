"""Codes of more items than fit in memory: a folder of images, a text file, a large array.

Items are read ahead in threads while the network works; codes go to the disk as they come. A bad item is named, and
either ends the encoding or is left out and counted; the list beside the codes says which items the rows are.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from udsph.data import Modality
from udsph.data.directions import MODALITIES
from udsph.data.lines import check_encoding, raw_lines, read_each_line
from udsph.data.pixels import DamagedImage, pixels_of
from udsph.data.prefetch import ahead
from udsph.encoding.code_file import CodeWriter
from udsph.encoding.collapse import Collapse
from udsph.encoding.inputs import Inputs
from udsph.encoding.items import as_modality, from_pixels, picture_size, takes
from udsph.errors import InputError
from udsph.models.networks import ModalitySpec
from udsph.threads import cores

if TYPE_CHECKING:
    from udsph.encoding.hasher import Hasher

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
BATCH = 64
Report = Callable[[int, int | None], None]
Encode = Callable[[Modality], np.ndarray]
Prepare = Callable[[np.ndarray], Modality]


def in_pixels(pixels: np.ndarray) -> Modality:
    """Pictures for a network of pixels."""
    return Modality("pixels", pixels)


@dataclass
class Tally:
    """What became of the items: how many have codes, which were left out and why, what else is worth knowing."""

    encoded: int = 0
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass
class Batch:
    """Items that were read, the names of their rows, the faults of the others; codes, where the reader made them."""

    items: Modality | None
    names: list[str]
    faults: list[str]
    codes: np.ndarray | None = None


def encode_file(
    hasher: Hasher,
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    modality: str,
    on_error: str = "stop",
    workers: int | None = None,
    encoding: str = "utf-8",
    precision: str = "32-true",
    report: Report | None = None,
) -> Tally:
    """Write a model's packed codes of ``source`` as ``output``, uint8 ``(n, bytes)`` in a ``.npy`` file.

    Parameters
    ----------
    source
        For images a folder (with its sub-folders, by name), for texts a file with one text a line; for both a ``.npy``
        array of what the model takes.
    output
        Beside it, ``NAME.items.txt`` names the image or the line of each row; not for ``.npy``, where rows stay rows.
    on_error
        ``stop``: the first bad item is an error. ``skip``: it is left out and counted.
    workers
        Threads that decode images; one per processor by default.
    encoding
        Of a text file.
    precision
        As in :meth:`udsph.Hasher.encode_image`.
    report
        Called with the number of items done, and of all (None where it is not known beforehand).

    Raises
    ------
    InputError
        For a source that the model does not take, and for a bad item where ``on_error`` is ``stop``.
    """
    if on_error not in ("skip", "stop"):
        raise InputError(f"on_error={on_error}: expected skip or stop")
    place, tally = Path(source), Tally()
    encode = functools.partial(hasher.codes_of, modality, precision=precision)
    total, batches = _batches(hasher, place, modality, workers or cores(), encoding, tally, encode)
    collapse, named = Collapse(modality, len(hasher.classes), hasher.bits), place.suffix != ".npy"
    with CodeWriter(Path(output), -(-hasher.bits // 8), named=named) as writer, one_thread(place.is_dir()):
        for batch in batches:
            if batch.faults and on_error == "stop":
                raise InputError(f"{batch.faults[0]}; on_error=skip leaves such items out and counts them")
            tally.left_out += batch.faults
            if batch.items is not None:
                codes = encode(batch.items) if batch.codes is None else batch.codes
                collapse.add(codes)
                writer.write(codes, batch.names)
            tally.encoded = writer.rows
            if report is not None:
                report(tally.encoded + len(tally.left_out), total)
        if not writer.rows:
            raise InputError(f"{place}: no item could be encoded")
    tally.remarks += collapse.remarks()
    return tally


def _batches(
    hasher: Hasher, source: Path, modality: str, workers: int, encoding: str, tally: Tally, encode: Encode
) -> tuple[int | None, Iterable[Batch]]:
    """How many items a source has, where that is known beforehand, and the items."""
    if modality not in MODALITIES:
        raise InputError(f"modality={modality}: expected image or text")
    spec, inputs = hasher.model.spec(modality), hasher.inputs
    if not source.exists():
        raise InputError(f"'{source}' does not exist")
    if source.suffix == ".npy" and not source.is_dir():
        return _array_batches(source, modality, spec, inputs)
    if modality == "text" and source.is_dir():
        raise InputError(f"'{source}' is a folder; texts come in a file, one a line")
    if modality == "image" and not source.is_dir():
        raise InputError(f"'{source.name}' is neither a folder of images nor a .npy file")
    check_taken(source, modality, spec, inputs)
    if modality == "text":
        return _text_batches(source, inputs, encoding, tally)
    # On the CPU a worker encodes what it decoded: whole batches side by side need no threads within the network.
    in_worker = encode if hasher.model.device.type == "cpu" else None
    prepare = functools.partial(from_pixels, spec=spec, inputs=inputs)
    return image_batches(source, picture_size(spec, inputs), workers, tally, in_worker, prepare)


def check_taken(source: Path, modality: str, spec: ModalitySpec, inputs: Inputs) -> None:
    """Refuse a folder or a file of pictures or texts, for a network that takes none."""
    if not inputs.take(modality, spec.kind):
        given = "a folder" if source.is_dir() else f"'{source.name}'"
        raise InputError(
            f"{given}: the model takes {takes(spec, inputs, modality)}; give a .npy file of such (udsph extract)"
        )


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


def image_batches(
    folder: Path,
    size: tuple[int, int],
    workers: int,
    tally: Tally,
    encode: Encode | None = None,
    prepare: Prepare = in_pixels,
) -> tuple[int, Iterable[Batch]]:
    """The images of a folder, decoded (and encoded) by ``workers`` threads to ``size``; and how many there are."""
    names = images_of(folder, tally)

    def read(start: int) -> Batch:
        batch = read_images(folder, names[start : start + BATCH], size, prepare)
        if encode is not None and batch.items is not None:
            batch.codes = encode(batch.items)
        return batch

    return len(names), ahead(read, range(0, len(names), BATCH), workers=workers)


def read_images(folder: Path, names: Sequence[str], size: tuple[int, int], prepare: Prepare = in_pixels) -> Batch:
    """Some images of a folder, decoded, as ``prepare`` makes items of them."""
    pixels, kept, faults = [], [], []
    for name in names:
        try:
            pixels.append(pixels_of(folder / name, size))
            kept.append(name)
        except DamagedImage as error:
            faults.append(str(error).replace(os.fspath(folder / name), name))
    return Batch(prepare(np.stack(pixels)) if pixels else None, kept, faults)


def images_of(folder: Path, tally: Tally) -> list[str]:
    """Paths of the images below a folder, as :func:`list_images` has them; what else lies there is remarked on.

    Raises
    ------
    InputError
        If there is none.
    """
    names, others, links = list_images(folder)
    if others:
        tally.remarks.append(f"{others:,} files have no image's suffix and were not read")
    if links:
        tally.remarks.append(f"{links:,} links to folders were not followed")
    if not names:
        raise InputError(f"'{folder}' holds no images ({', '.join(SUFFIXES)})")
    return names


def list_images(folder: Path) -> tuple[list[str], int, int]:
    """Paths of the images below a folder, relative to it and sorted; the number of other files; of links to folders."""
    names, others, links = [], 0, 0
    for place, folders, files in os.walk(folder):
        links += sum(os.path.islink(os.path.join(place, name)) for name in folders if not name.startswith("."))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in files:
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                names.append(os.path.relpath(os.path.join(place, file), folder).replace(os.sep, "/"))
            else:
                others += 1
    return sorted(names), others, links


def _text_batches(source: Path, inputs: Inputs, encoding: str, tally: Tally) -> tuple[int | None, Iterable[Batch]]:
    check_encoding(encoding)
    total = sum(1 for _ in raw_lines(source, encoding)) if source.is_file() else None  # a pipe is read once

    def batches() -> Iterator[Batch]:
        cut = unknown = 0
        lines = read_each_line(source, encoding)
        while chunk := list(itertools.islice(lines, 4 * BATCH)):
            faults = [f"{source.name}, line {line.number}, {line.fault}" for line in chunk if line.fault]
            whole = [line for line in chunk if not line.fault]
            if not whole:
                yield Batch(None, [], faults)
                continue
            read, longer, strange = inputs.texts([line.text for line in whole])
            cut, unknown = cut + longer, unknown + strange
            yield Batch(read, [str(line.number) for line in whole], faults)
        tally.remarks += inputs.remarks(cut, unknown)

    return total, batches()


def _array_batches(source: Path, modality: str, spec: ModalitySpec, inputs: Inputs) -> tuple[int, Iterable[Batch]]:
    try:
        array = np.load(source, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{source} is not a readable .npy file ({error})") from None
    items, _ = as_modality(array, modality, spec, inputs)
    rows = np.arange(len(items))
    size = 4 * BATCH
    return len(items), (Batch(items.take(rows[start : start + size]), [], []) for start in rows[::size])
