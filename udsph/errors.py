"""Errors that a user can mend. The command line prints them on one line and exits with 2."""


class InputError(ValueError):
    """Something the user gave is wrong; the message names it and says what to do."""


class MissingExtra(ImportError):
    """An optional part of the package is not installed; the message names the command that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install 'udsph[{extra}]'")
        self.extra = extra
