"""What the codes of an index are codes of: the file ``INDEX.items.json`` beside an index file.

It holds, as JSON, ``format`` (``udsph items 1``), ``modality`` (image or text), ``names`` and ``captions`` (one a code,
in the order of the index; captions may be null), ``source`` (where the items came from: a folder, a file, a dataset),
``model`` (SHA-256 of the weights that made the codes) and ``index`` (bytes and CRC-32 of the index file).
"""

from __future__ import annotations

import dataclasses
import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from udsph.errors import InputError
from udsph.files import read_json, write_json
from udsph.hamming import FlatIndex, load
from udsph.hamming.storage import MAGIC

FORMAT = "udsph items 1"
_STEP = 1 << 22


@dataclass(frozen=True)
class Items:
    """Names, captions and origin of the items of an index, one a code."""

    modality: str
    names: list[str]
    captions: list[str] | None
    source: dict[str, Any]
    model: str

    def label(self, position: int) -> str:
        """How an item is called in a result: its name, and its caption where it has one."""
        caption = "" if self.captions is None else self.captions[position]
        return f"{self.names[position]}  {caption}" if caption else self.names[position]


def write_index(path: Path, codes: np.ndarray, bits: int, items: Items) -> None:
    """Write the index of packed codes, and what they are codes of beside it."""
    index = FlatIndex(bits)
    index.add(codes)
    index.save(path)
    write_json(_beside(path), {"format": FORMAT, **dataclasses.asdict(items), "index": _seal(path)})


def read_index(path: Path) -> tuple[FlatIndex, Items]:
    """An index and what its codes are codes of.

    Raises
    ------
    InputError
        One of the two files is missing or damaged, or they do not belong together.
    """
    try:
        index = load(path)
    except ValueError as error:
        raise InputError(str(error)) from None
    place = _beside(path)
    if not place.exists():
        raise InputError(f"{place} is missing, which names the items; 'udsph index' writes both files")
    content = read_json(place)
    try:
        if content["format"] != FORMAT:
            raise InputError(f"{place} has the format '{content['format']}'; this version reads '{FORMAT}'")
        fields = {field.name: content[field.name] for field in dataclasses.fields(Items)}
        items = Items(**fields)
        lengths = {len(items.names), len(items.names if items.captions is None else items.captions)}
    except (KeyError, TypeError):
        raise InputError(f"{place} does not describe the items of an index; make it again with 'udsph index'") from None
    if content.get("index") != _seal(path) or lengths != {len(index)}:
        raise InputError(f"{place} is not of the index beside it; make both again with 'udsph index'")
    return index, items


def is_index(path: Path) -> bool:
    """Whether a file begins as an index file does."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def model_mark(hasher: Any) -> str:
    """SHA-256 of a model's weights: the same in a run, a shared folder and another place."""
    digest = hashlib.sha256()
    for name, tensor in sorted(hasher.tensors().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.items.json")


def _seal(path: Path) -> dict[str, int]:
    """Bytes and checksum of an index file."""
    checksum = size = 0
    with path.open("rb") as file:
        while part := file.read(_STEP):
            checksum, size = zlib.crc32(part, checksum), size + len(part)
    return {"bytes": size, "crc32": checksum}
