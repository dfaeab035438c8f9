"""Codes of a collection from and to files of other programs."""

from __future__ import annotations

import os
from pathlib import Path

from udsph.errors import InputError
from udsph.files import PathLike
from udsph.hamming.collection import formats, importing
from udsph.hamming.collection.handle import Handle
from udsph.hamming.collection.writer import Writer
from udsph.hamming.index import Progress, listener
from udsph.hamming.segments import Duplicates


class Exchange(Handle):
    """What a ``Collection`` reads and writes beside its own files."""

    def import_codes(
        self,
        path: PathLike,
        *,
        code_column: str = "code",
        id_column: str | None = None,
        duplicates: Duplicates = "error",
        progress: Progress | bool | None = None,
    ) -> int:
        """Append the codes of a file of another program, and commit them, in steps where there are many.

        Parameters
        ----------
        path : path
            ``.npy``, an array in a form of ``Index``; ``.parquet``, ``.arrow`` or ``.feather`` with a column of binary
            or of lists of uint8; a folder of such files, or of a dataset of Hugging Face that was saved to disk;
            ``.csv``, rows of a database; ``.fps``, fingerprints; ``.txt`` or ``.hex``, in every line a code in
            hexadecimal, and perhaps an id behind it; ``.faiss``, a binary index of FAISS; ``.usearch``, one of USearch.
        code_column, id_column : str
            Columns of Parquet, Arrow and ``.csv``. By default ids are those of the column ``id`` where there is one, as
            ``export_codes`` writes it. Without a column of ids (``id_column=""``) a code is called by its position.
        duplicates : {"error", "keep", "replace"}
            What happens where an id is there already, or comes again in the file; see ``merge``. An import that was
            interrupted is finished with "keep": what it committed stays.
        progress : callable or True, optional
            As for ``compact``.

        Returns
        -------
        int
            How many codes were read.

        Raises
        ------
        InputError
            The file is not what its suffix says; the message says where. What was read before is committed.
        """
        self._check_writer()
        if duplicates not in ("error", "keep", "replace"):
            raise InputError(f"duplicates must be 'error', 'keep' or 'replace', got {duplicates!r}")
        tell = listener(progress)
        source = formats.open_source(Path(path), formats.Columns(code_column, id_column, self.bits))
        if source.bits is not None and source.bits != self.bits:
            raise InputError(f"{os.fspath(path)} has codes of {source.bits} bits, this collection of {self.bits}")
        return importing.run(self, source, duplicates, tell)

    def export_codes(
        self,
        path: PathLike,
        *,
        code_column: str = "code",
        id_column: str = "id",
        progress: Progress | bool | None = None,
    ) -> None:
        """Write all codes and, but for ``.npy``, their ids to a file of another program.

        Parameters
        ----------
        path : path
            As for ``import_codes``. One without a suffix, or of an empty folder, becomes a dataset of Hugging Face that
            ``datasets.load_from_disk`` opens. ``.faiss`` has codes of whole bytes and, as ``.usearch``, ids that are
            integers. ``.usearch`` is written by USearch (the extra ``usearch``), which builds its graph in memory, some
            350 bytes a code; everything else is written a batch at a time.
        code_column, id_column : str
            Names of columns, of files that have some.
        progress : callable or True, optional
            As for ``compact``.

        Raises
        ------
        InputError
            The suffix is not known, or the file cannot hold the ids or the width of the codes.
        MemoryError
            Of ``.usearch``: the graph needs more memory than there is.
        """
        self._check_open()
        tell = listener(progress)
        columns = formats.Columns(code_column, id_column)
        formats.write(Path(path), self._snapshot, self.bitorder, columns, lambda share: tell(share, "writing codes"))

    def commit(self) -> int:
        """See ``Collection.commit``."""
        raise NotImplementedError

    def _check_writer(self) -> Writer:
        raise NotImplementedError
