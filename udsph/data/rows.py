"""Tables of texts, CSV or Parquet, row by row: the same table means the same in either form.

CSV comes as programs write it: parted by commas, semicolons or tabs (the heading tells), in UTF-8 or UTF-16 with a
mark, with the line ``sep=;`` of Excel or ``#TYPE`` of PowerShell before the heading, with blank lines anywhere.
"""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from udsph.data.lines import composed, is_undecoded, not_in, raw_lines
from udsph.data.quotes import reason_of, shown
from udsph.errors import InputError, MissingExtra

SUFFIXES = (".csv", ".tsv", ".parquet")
_SEPARATORS = (",", ";", "\t")
_ELEMENT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\w.+-]+)"""
_LIST = re.compile(rf"\[\s*(?:{_ELEMENT}\s*(?:,\s*{_ELEMENT}\s*)*)?\]")  # as Python or JSON writes one
_MARKS_IN_PATHS = re.compile(r"[\\:]|^[./]|\.\.")  # what calls for a closer look
Field = str | list[str]


class Row(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    number
        From 1 behind the heading, as a spreadsheet counts; blank lines count but are not given.
    fields
        Text by column, stripped; a list of texts where the cell is a list. A missing or NaN cell is empty.
    fault
        What is wrong with the whole row; mostly empty.
    """

    number: int
    fields: dict[str, Field]
    fault: str


class Columns(NamedTuple):
    """Which columns a reader wants, for whom, and what it says of a missing one."""

    needed: Sequence[str]
    optional: Sequence[str]
    layout: str
    hint: str

    def places(self, header: Sequence[str], table: str) -> dict[str, int]:
        """Where each column that is read stands in a heading."""
        for column in self.needed:
            if composed(column) not in header:
                found = f"{self.layout}: {table} has no column '{column}'; it has {shown(', '.join(header))}"
                raise InputError(f"{found}; {self.hint}" if self.hint else found)
        wanted = [column for column in (*self.needed, *self.optional) if composed(column) in header]
        for column in wanted:
            if header.count(composed(column)) > 1:
                raise InputError(f"{self.layout}: {table} has the column '{column}' twice")
        return {column: header.index(composed(column)) for column in wanted}


def read_rows(
    path: Path, needed: Sequence[str], optional: Sequence[str] = (), *, encoding: str = "utf-8", layout: str,
    hint: str = "",
) -> Iterator[Row]:  # fmt: skip
    """The rows of a table, read in pieces.

    Parameters
    ----------
    path
        What kind of file it is, its first bytes say, not its name.
    needed, optional
        The columns that are read.
    encoding
        Of a CSV file without a byte-order mark.
    layout, hint
        For errors: where, and what to do about a missing column.

    Raises
    ------
    InputError
        If a column is missing, stands there twice, or holds something else than texts and numbers; if the file is
        damaged or no table at all.
    """
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        return _parquet_rows(path, Columns(needed, optional, layout, hint))
    if magic in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise InputError(f"{layout}: {path.name} is a workbook or an archive; save the table as CSV (UTF-8) or Parquet")
    if path.suffix.lower() == ".parquet":
        raise InputError(f"{layout}: {path.name} is no whole Parquet file")
    return _csv_rows(path, Columns(needed, optional, layout, hint), encoding)


def names_in(cell: Field, separator: str) -> list[str]:
    """The names in a cell: of a list, as a list's text in Python or JSON, or parted by ``separator``.

    Raises
    ------
    ValueError
        If the text begins and ends as a list but is none.
    """
    if isinstance(cell, list):
        found = cell
    elif cell[:1] + cell[-1:] == "[]":
        found = _listed(cell)
    else:
        found = cell.split(separator)
    return [name for name in (composed(one.strip()) for one in found) if name]


def inside(path: str) -> str:
    """A path of a table, with forward slashes, if it stays inside its folder; else nothing."""
    if path and not _MARKS_IN_PATHS.search(path):
        return path
    plain = path.replace("\\", "/")
    while plain.startswith("./"):
        plain = plain[2:]
    leaves = plain.startswith("/") or ".." in plain.split("/") or re.match("[A-Za-z]:/", plain)
    return "" if leaves else plain


def _listed(text: str) -> list[str]:
    # The pattern before the parser: 'a' 'b' without a comma, as NumPy prints, would be one text to Python.
    if not _LIST.fullmatch(text):
        raise ValueError("the list is none that Python or JSON writes")
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError):  # [cat, dog] without quotes
            found = text[1:-1].split(",")
    return [_text(one) for one in found]


def _csv_rows(path: Path, wanted: Columns, encoding: str) -> Iterator[Row]:
    # A carriage return within a line is a blank: the parser would take it for the end of a row.
    lines = (line.replace("\r", " ") + "\n" for line in raw_lines(path, encoding))
    first, separator = _heading(lines, wanted.needed)
    try:
        header = [composed(name.strip()) for name in next(csv.reader([first], delimiter=separator), [])]
        columns = wanted.places(header, path.name)
        width, last = len(header), max(columns.values(), default=-1)
        for number, row in enumerate(csv.reader(lines, strict=True, delimiter=separator), start=1):
            if row:
                cells = row if len(row) > last else [*row, *[""] * width]
                fields: dict[str, Field] = {column: cells[at].strip() for column, at in columns.items()}
                fault = ""
                if len(row) > width and any(row[width:]):
                    fault = f"the row has {len(row)} fields, not {width}; quote what holds the separator"
                yield Row(number, fields, fault or _fault_of_row("".join(row), encoding))
    except csv.Error as error:
        raise InputError(f"{wanted.layout}: {path.name} is no whole CSV table ({error})") from None


def _heading(lines: Iterator[str], needed: Sequence[str]) -> tuple[str, str]:
    """The first line that is no blank and no hint of a program, and what parts it."""
    hint = ""
    for line in lines:
        if re.match(r'"?sep=.', line, re.IGNORECASE):
            hint = line.strip().strip('"')[4:] or "\t"
        elif line.strip() and not line.startswith("#TYPE "):
            break
    else:
        return "", ","

    def known(separator: str) -> tuple[bool, int]:
        names = {composed(name.strip()) for name in next(csv.reader([line], delimiter=separator), [])}
        return {composed(column) for column in needed} <= names, len(names)

    return line, max((hint[0],) if hint else _SEPARATORS, key=known)


def _fault_of_row(text: str, encoding: str) -> str:
    """What is wrong with a row whose cells hold this text together; mostly nothing."""
    if is_undecoded(text):
        return f"the row {not_in(encoding)}"
    return "" if text and not text.isspace() else "the row is empty"


def _parquet_rows(path: Path, wanted: Columns) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtra("reading Parquet", "data") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            stored = {composed(name.strip()): name for name in schema.names}
            columns = wanted.places([composed(name.strip()) for name in schema.names], path.name)
            for column, at in columns.items():
                _check_type(schema.field(at).type, f"{wanted.layout}: {path.name}: the column '{column}'")
            names = [stored[composed(column)] for column in columns]
            number = 0
            for batch in file.iter_batches(batch_size=8192, columns=names):
                for values in _transposed(batch, names):
                    number += 1
                    fields = {column: _field(value) for column, value in zip(columns, values, strict=True)}
                    text = "".join(one for cell in fields.values() for one in cell)
                    yield Row(number, fields, _fault_of_row(text, "utf-8"))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{wanted.layout}: {path.name} is no whole Parquet file ({reason_of(error)})") from None


def _transposed(batch: Any, names: Sequence[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(_values(batch.column(batch.schema.get_field_index(name))) for name in names), strict=True)


def _values(column: Any) -> list[Any]:
    """The cells of a column; where a text is no UTF-8, the bytes of all, so that the row can be named."""
    try:
        found: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        import pyarrow

        plain = column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
        in_list = pyarrow.types.is_list(plain.type) or pyarrow.types.is_large_list(plain.type)
        found = plain.cast(
            pyarrow.large_list(pyarrow.large_binary()) if in_list else pyarrow.large_binary()
        ).to_pylist()
    return found


def _check_type(kind: Any, what: str) -> None:
    """Refuse a column that is no text, number or list of these: pictures within the table, for example."""
    from pyarrow import types

    while types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    plain = (
        types.is_string, types.is_large_string, types.is_binary, types.is_large_binary, types.is_integer,
        types.is_floating, types.is_boolean, types.is_null, types.is_temporal, types.is_decimal,
    )  # fmt: skip
    newer = (getattr(types, name) for name in ("is_string_view", "is_binary_view") if hasattr(types, name))
    if not any(is_kind(kind) for is_kind in (*plain, *newer)):
        raise InputError(f"{what} holds {shown(str(kind))}; expected texts, for a picture its path within the folder")


def _field(value: Any) -> Field:
    return [_text(one) for one in value] if isinstance(value, list) else _text(value)


def _text(value: Any) -> str:
    """A cell as a CSV would write it; NaN, which stands for nothing, as nothing."""
    if value is None or value != value:
        return ""
    text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
    return (text.replace("\r\n", "\n").replace("\r", " ") if "\r" in text else text).strip()
