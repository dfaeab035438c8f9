"""Files of trec_eval: qrels (query, iteration, document, grade) and runs (query, Q0, document, rank, score, tag)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from os import PathLike, fspath
from typing import Any

from udsph.errors import InputError

Path = str | PathLike[str]


def read_qrels(path: Path) -> dict[str, dict[str, float]]:
    """Read judgements: a line of query, iteration, document and grade for each, separated by blanks.

    Returns
    -------
    {query: {document: grade}}

    Raises
    ------
    InputError
        The file is missing or not of this form; the message names the line.
    """
    return _read(path, "qrels", 3, "query iteration document grade", _grade)


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Read a run: a line of query, "Q0", document, rank, score and tag for each result, separated by blanks.

    The rank is not looked at: as in trec_eval the score alone orders the documents.

    Returns
    -------
    {query: {document: score}}

    Raises
    ------
    InputError
        As for ``read_qrels``.
    """
    return _read(path, "run", 4, "query Q0 document rank score tag", float)


def _grade(text: str) -> float:
    return int(text) if text.lstrip("+-").isdecimal() else float(text)


def _read(path: Path, what: str, value_at: int, form: str, number: Callable[[str], Any]) -> dict[str, dict[str, Any]]:
    """Numbers by query and document, which stand in the columns 0 and 2."""
    found: dict[str, dict[str, Any]] = {}
    columns = len(form.split())
    for at, words in _lines(path, what):
        if len(words) != columns and (len(words) < columns or what != "run"):  # the tag of a run may hold blanks
            raise InputError(f"{what}: {fspath(path)}, line {at}: {len(words)} columns, {columns} expected ({form})")
        query, document, text = words[0], words[2], words[value_at]
        try:
            value = number(text)
        except ValueError:
            raise InputError(f"{what}: {fspath(path)}, line {at}: {text!r} is not a number ({form})") from None
        of_query = found.setdefault(query, {})
        if document in of_query:
            raise InputError(f"{what}: {fspath(path)}, line {at}: query {query} has document {document} twice")
        of_query[document] = value
    if not found:
        raise InputError(f"{what}: {fspath(path)} is empty; expected lines of {form}")
    return found


def _lines(path: Path, what: str) -> Iterator[tuple[int, list[str]]]:
    """Numbers and words of the lines that are neither empty nor comments (from "#")."""
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:  # no other line separator ends a line
            for at, line in enumerate(file, 1):
                words = line.split()
                if words and not line.startswith("#"):
                    yield at, words
    except UnicodeDecodeError as error:
        raise InputError(f"{what}: {fspath(path)} is not a text file in UTF-8 ({error.reason})") from None
    except OSError as error:
        raise InputError(f"{what}: {fspath(path)} cannot be read: {error.strerror}") from None
