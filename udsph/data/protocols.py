"""The splits of published protocols: how many of how many pairs are queries, training pairs and database.

The publications drew their queries and training pairs at random and, but for lists that came with some files, did not
publish them. Here a protocol names the sizes and the seed: the permutation comes from NumPy's frozen ``RandomState``,
so it is the same for every version and machine, and for the pairs that a publication used the fingerprint of the
indices is stored with the protocol and compared. ``seed=1`` draws other ones.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from udsph.data.lines import read_lines
from udsph.data.problems import Problems
from udsph.data.quotes import shown
from udsph.errors import InputError

_LABELS = re.compile(r"(\s+[01])+$")  # behind a path that may hold blanks itself
MOST_SEED = 2**32 - 1  # that NumPy's frozen generator takes
QUERY_SHARE = 0.2  # of the pairs that nobody has split
LEAST = 5  # pairs below which no split makes sense


@dataclass(frozen=True)
class Protocol:
    """Sizes of a published protocol.

    Attributes
    ----------
    total
        Pairs that it uses; all but the queries are the database, and the training pairs lie inside it.
    used_by
        Where these sizes stand.
    fingerprint
        CRC-32 of the int64 indices of queries, then training pairs, for all pairs and seed 0.
    classes
        How many of the classes it uses, the most frequent ones; None for all.
    tagged
        Whether it leaves out pairs without a known tag.
    """

    total: int
    query: int
    train: int
    used_by: str
    fingerprint: int = 0
    classes: int | None = None
    tagged: bool = False


def draw(protocol: Protocol, name: str, count: int, seed: int, problems: Problems) -> dict[str, np.ndarray]:
    """The splits of ``count`` pairs, each sorted.

    Another number of pairs than the protocol's is split in the same proportions, and that is remarked on.
    """
    if count < LEAST:
        raise InputError(f"{problems.layout}: {count} pairs cannot be split; give at least {LEAST}")
    query, train = protocol.query, protocol.train
    if count != protocol.total:
        query = max(1, round(count * protocol.query / protocol.total))
        train = min(max(2, round(count * protocol.train / protocol.total)), count - query)
        problems.remark(
            f"{count:,} pairs instead of the {protocol.total:,} of the protocol {name}: split in the same proportions "
            f"into {query:,} queries and {count - query:,} in the database, {train:,} of them for training; "
            f"results do not compare with published ones"
        )
    order = np.random.RandomState(seed).permutation(count)
    splits = {
        "query": np.sort(order[:query]).astype(np.int64),
        "train": np.sort(order[query : query + train]).astype(np.int64),
        "database": np.sort(order[query:]).astype(np.int64),
    }
    if count == protocol.total and seed == 0 and fingerprint(splits) != protocol.fingerprint:
        raise RuntimeError(f"the indices of the protocol {name} are not those stored; NumPy's permutation changed")
    return splits


def listed_splits(
    root: Path, stem: str, keys: Sequence[Any], key_of: Callable[[str], Any], problems: Problems
) -> dict[str, np.ndarray]:
    """Splits from lists of files, ``STEM_train.txt``, ``STEM_test.txt`` and ``STEM_database.txt``.

    A line is a path, then perhaps labels, which are not read. Without a database list all but the queries are it.

    Parameters
    ----------
    keys
        What identifies each item.
    key_of
        The same from the path in a list.
    """
    place = {key: position for position, key in enumerate(keys)}
    splits = {}
    for split, word in (("query", "test"), ("train", "train"), ("database", "database")):
        path = root / f"{stem}_{word}.txt"
        if path.is_file():
            splits[split] = _listed(path, place, key_of, problems)
        elif split != "database":
            raise InputError(
                f"{problems.layout}: '{path.name}' is missing in '{root}'; the protocol reads its splits there"
            )
    splits.setdefault("database", np.setdiff1d(np.arange(len(keys)), splits["query"]))
    return splits


def _listed(path: Path, place: dict[Any, int], key_of: Callable[[str], Any], problems: Problems) -> np.ndarray:
    found = []
    for number, line in enumerate(read_lines(path, problems.layout), start=1):
        name = _LABELS.sub("", line).replace("\\", "/")
        if not name:
            continue
        try:
            key = key_of(name)
        except ValueError:
            raise InputError(
                f"{problems.layout}: {path.name}, line {number}: '{shown(line)}' begins with no file name"
            ) from None
        if key in place:
            found.append(place[key])
        else:
            problems.leave_out(f"listed in {path.name} but not in the data", name)
    positions = np.unique(np.array(found, np.int64))
    if len(positions) < len(found):
        problems.remark(f"{len(found) - len(positions):,} lines of {path.name} repeat an item")
    return positions


def fingerprint(splits: dict[str, np.ndarray]) -> int:
    """CRC-32 of the indices of queries, then training pairs."""
    return zlib.crc32(splits["train"].astype("<i8").tobytes(), zlib.crc32(splits["query"].astype("<i8").tobytes()))


def seeded_fifth(count: int, seed: int, layout: str, least: int = LEAST) -> dict[str, np.ndarray]:
    """A fifth of the items, drawn by the seed, are queries; the others are training set and database."""
    if count < least:
        raise InputError(f"{layout}: {count} pairs cannot be split; give at least {least}")
    query, rest = seeded_split(count, max(1, round(QUERY_SHARE * count)), seed)
    return {"query": query, "train": rest, "database": rest}


def seeded_split(count: int, query: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(queries, others), each sorted, by a permutation that is the same for every version of NumPy."""
    order = np.random.RandomState(seed).permutation(count)
    return np.sort(order[:query]).astype(np.int64), np.sort(order[query:]).astype(np.int64)
