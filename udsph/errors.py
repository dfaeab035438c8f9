"""Errors that a user can mend. The command line prints them on one line and exits with 2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

# Package that may be missing -> the extra that installs it.
_EXTRAS = {
    "torch": "train",
    "lightning_fabric": "train",
    "safetensors": "train",
    "scipy": "train",
    "h5py": "train",
    "PIL": "train",
    "sklearn": "baselines",
    "matplotlib": "report",
    "fastapi": "serve",
    "uvicorn": "serve",
    "prometheus_client": "serve",
    "python_multipart": "serve",
}


class InputError(ValueError):
    """Something the user gave is wrong; the message names the argument, what it was, and what to do.

    A message writes an argument as ``name=value``; the command line turns that into the flag.
    """


class MissingExtra(ImportError):
    """An optional part of the package is not installed; the message names the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the extra '{extra}': run pip install '.[{extra}]' in the checkout, "
            f"or pip install 'FILE.whl[{extra}]' with the wheel"
        )
        self.extra = extra

    @classmethod
    def of(cls, error: ModuleNotFoundError, what: str) -> MissingExtra | None:
        """The error that names the extra of a package that was not found; None if it belongs to none."""
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        return None if extra is None else cls(what, extra)


@contextlib.contextmanager
def naming_extra(what: str) -> Iterator[None]:
    """In here the import of a package that is not installed is a ``MissingExtra`` of ``what``, if it has an extra."""
    try:
        yield
    except MissingExtra as error:  # of a room that this one needs
        if type(error) is not MissingExtra:
            raise
        raise MissingExtra(what, error.extra) from None
    except ModuleNotFoundError as error:
        missing = MissingExtra.of(error, what)
        if missing is None:
            raise
        raise missing from None
