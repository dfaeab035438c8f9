"""Named arrays in a file: ``.npz``, ``.mat`` (v5 and v7.3) and ``.h5``, dense or sparse, read one at a time; or in a
folder of ``.npy`` files, memory-mapped (:mod:`udsph.data.mapped`).

Nothing is ever unpickled. Whatever a reader does with a damaged file, the caller sees one :class:`InputError`.

Sparse matrices come as ``scipy.sparse.csr_array`` from

- ``.npz``: four arrays ``KEY_data``, ``KEY_indices``, ``KEY_indptr``, ``KEY_shape``, the parts of a CSR matrix;
- ``.mat``: a MATLAB sparse matrix;
- ``.h5``: a group ``KEY`` with datasets ``data``, ``indices``, ``indptr`` and a dataset or attribute ``shape``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from udsph.data.magic import form_of, has_hdf5_signature
from udsph.data.mapped import MappedFolder
from udsph.data.quotes import reason_of, shown
from udsph.errors import InputError, MissingExtra

SUFFIXES = (".npz", ".mat", ".h5", ".hdf5")
# What a file of each suffix may be; version 4 of MATLAB has no mark, and a lone array gets an error of its own.
_FORMS = {".npz": (".npz", ".npy"), ".mat": (".mat",), ".h5": (".h5",), ".hdf5": (".h5",)}
_PARTS = ("data", "indices", "indptr", "shape")


class Arrays:
    """The arrays of one file, or of one folder of ``.npy`` files, by name, open until the end of a ``with`` block.

    Attributes
    ----------
    path
        The file or folder.
    keys
        Names of its arrays, sorted; a sparse one counts once.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise InputError(f"the file '{path}' does not exist")
        self.path = path
        with _one_error(path):
            self._file = _open(path)
            self.keys = tuple(sorted(self._file.keys()))

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @property
    def mapped(self) -> MappedFolder | None:
        """The folder, where the arrays are memory maps."""
        return self._file if isinstance(self._file, MappedFolder) else None

    def __contains__(self, key: str) -> bool:
        return key in self.keys

    def read(self, key: str) -> Any:
        """The array, as it is stored: ``ndarray`` or ``csr_array``."""
        if key not in self:
            raise InputError(self.missing(key))
        with _one_error(self.path, key):
            value = self._file.read(key)
        if value is None or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
            raise InputError(f"{self.path.name}: '{key}' is no array of numbers")
        return value

    def missing(self, key: str) -> str:
        """What to say of an array that is not there."""
        return f"{self.path.name} has no array '{key}'; it holds: {shown(', '.join(self.keys)) or 'nothing'}"

    def node(self, key: str) -> Any:
        """The dense HDF5 dataset of that name, unread, to be read in slices; None in other files and of other kinds."""
        if key not in self or not isinstance(self._file, _Hdf5):
            return None
        return self._file.dense(key)

    def reversed(self, key: str) -> bool:
        """Whether the dimensions of ``node(key)`` are those of the array in reverse, as MATLAB stores them."""
        return isinstance(self._file, _Hdf5) and self._file.reversed(key)


@contextmanager
def _one_error(path: Path, key: str | None = None) -> Iterator[None]:
    try:
        yield
    except (InputError, MissingExtra):
        raise
    # The readers answer damage with anything: KeyError, zlib.error, or MemoryError where a wrong size was believed.
    except Exception as error:
        where = f", array '{key}'" if key else ""
        form = path.suffix if path.is_file() else ".npy"
        raise InputError(f"cannot read {path.name}{where}: {reason_of(error)}; is it a whole {form} file?") from error


def _open(path: Path) -> _Npz | _Mat | _Hdf5 | MappedFolder:
    if path.is_dir():
        return MappedFolder(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path.name}: unknown file type '{path.suffix}'; known: {', '.join(SUFFIXES)}")
    form = form_of(path)
    if form and not any(part in form for part in _FORMS[suffix]):
        raise InputError(f"cannot read {path.name}: it is {form}, not a {suffix} file; give it the suffix of its kind")
    if suffix == ".npz":
        return _Npz(path)
    h5py = _h5py() if suffix != ".mat" or has_hdf5_signature(path) else None
    return _Mat(path) if h5py is None else _Hdf5(h5py.File(path, "r"), matlab=suffix == ".mat")


class _Npz:
    def __init__(self, path: Path) -> None:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path.name} holds a single array; save with np.savez under names")
        self._archive = archive
        stored = set(archive.files)
        self._sparse = {
            name[: -len("_indptr")]
            for name in stored
            if name.endswith("_indptr") and all(f"{name[: -len('_indptr')]}_{part}" in stored for part in _PARTS)
        }

    def keys(self) -> set[str]:
        parts = {f"{key}_{part}" for key in self._sparse for part in _PARTS}
        return set(self._archive.files) - parts | self._sparse

    def read(self, key: str) -> Any:
        if key in self._sparse:
            return _csr({part: self._archive[f"{key}_{part}"] for part in _PARTS})
        return self._archive[key]

    def close(self) -> None:
        self._archive.close()


def check_whole_mat(path: Path) -> None:
    """A ValueError for a ``.mat`` file of version 5 that ends within a variable: scipy shows the variables before."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(128)
        order: Literal["little", "big"] = "big" if header[126:128] == b"MI" else "little"
        if header[126:128] not in (b"IM", b"MI"):
            return  # version 4 has no such header
        place = 128
        while place < size:
            file.seek(place + 4)
            place += 8 + int.from_bytes(file.read(4), order)
    if place != size:
        raise ValueError(f"it ends at byte {size:,}, within a variable")


class _Mat:
    def __init__(self, path: Path) -> None:
        check_whole_mat(path)
        self._path = path
        self._io = _scipy("io")
        self._names = {name for name, _, _ in self._io.whosmat(str(path))}

    def keys(self) -> set[str]:
        return self._names

    def read(self, key: str) -> Any:
        value = self._io.loadmat(str(self._path), variable_names=[key])[key]
        sparse = _scipy("sparse")
        return sparse.csr_array(value) if sparse.issparse(value) else value

    def close(self) -> None:
        """Nothing stays open between reads."""


class _Hdf5:
    """An HDF5 file. MATLAB stores arrays column by column, so its dimensions appear reversed."""

    def __init__(self, file: Any, matlab: bool) -> None:
        self._file = file
        self._matlab = matlab

    def keys(self) -> set[str]:
        return {key for key in self._file if not key.startswith("#")}

    def read(self, key: str) -> Any:
        node = self._file[key]
        if "MATLAB_sparse" in node.attrs:
            rows = int(node.attrs["MATLAB_sparse"])
            starts = node["jc"][()].astype(np.int64)
            if "data" not in node:  # MATLAB leaves these out where nothing is stored
                return _scipy("sparse").csr_array((rows, len(starts) - 1))
            parts = (node["data"][()], node["ir"][()].astype(np.int64), starts)
            columns = _scipy("sparse").csc_array(parts, shape=(rows, len(starts) - 1))
            columns.check_format(full_check=True)
            return columns.tocsr()
        if hasattr(node, "keys"):
            if not all(part in node or part in node.attrs for part in _PARTS):
                return None
            return _csr({part: node[part][()] if part in node else node.attrs[part] for part in _PARTS})
        value = np.asarray(node[()])
        return np.ascontiguousarray(value.T) if self.reversed(key) else value

    def dense(self, key: str) -> Any:
        node = self._file[key]
        return None if hasattr(node, "keys") or node.dtype.kind not in "fiub" else node

    def reversed(self, key: str) -> bool:
        return self._matlab or "MATLAB_class" in self._file[key].attrs

    def close(self) -> None:
        self._file.close()


def _csr(parts: Mapping[str, np.ndarray]) -> Any:
    shape = tuple(int(extent) for extent in parts["shape"])
    matrix = _scipy("sparse").csr_array((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
    matrix.check_format(full_check=True)  # indices outside the matrix would be read as memory, not as an error
    return matrix


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("reading HDF5 files (h5py)", "train") from error
    return h5py


def _scipy(module: str) -> Any:
    try:
        import scipy.io
        import scipy.sparse
    except ImportError as error:
        raise MissingExtra("reading .mat files and sparse arrays (SciPy)", "train") from error
    return getattr(scipy, module)
