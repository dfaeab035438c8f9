"""The front of the ``udsph`` command: it runs a command, prints its answer, and says which errors are one line.

A user's error and an error of the system (no such folder, no space, no memory) are one line and exit code 2. Ctrl-C
is 130. A reader that went away (``udsph ... | head``) is 141, as for programs that the signal ends, without a word.
Anything else is a fault of the package and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from udsph._version import __version__
from udsph.cli import commands  # noqa: F401  registers them
from udsph.cli.flags import in_flags
from udsph.cli.output import plain
from udsph.cli.parser import UsageError, build_parser, routed
from udsph.errors import InputError, MissingExtra

USER_ERROR, INTERRUPTED, READER_GONE = 2, 130, 141
_LINE_ENDS = re.compile(r"\s*\n\s*")
_NO_MEMORY = ("out of memory", "not enough memory", "allocate memory")  # what torch says of it, as a RuntimeError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments
        As typed after ``udsph``; by default those of this process.
    """
    # Threads that wait for each other sleep: those that spin keep a busy processor from whom they wait for.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started the command
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  for as long as the process lives
        elif isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _main(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_stdout()
        return READER_GONE
    except OSError as error:  # of writing to stdout: those of the command are caught with it
        _drop_stdout()
        return _fail(f"stdout: {error.strerror}")


def _main(arguments: list[str]) -> int:
    parser = build_parser(__version__)
    if not arguments:
        parser.print_help()
        return USER_ERROR
    try:
        given = vars(parser.parse_args(routed(arguments)))
    except UsageError as error:
        return _fail(str(error))
    except SystemExit as error:  # --help, --version
        return int(error.code or 0)
    command, as_json, quiet = given.pop("command"), given.pop("json"), given.pop("quiet")
    try:
        with _messages(quiet):
            answer = command.function(**given)
    except KeyboardInterrupt:
        _fail("interrupted; the same command continues where a checkpoint was written")
        return INTERRUPTED
    except Exception as error:
        message = _one_line(error, command.name)
        if message is None:
            raise
        return _fail(in_flags(message, command, given))
    text = answer.as_json() if as_json else answer.text
    if text:
        print(text)
    return 0


def _drop_stdout() -> None:
    """The interpreter flushes stdout once more at its end; let that go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    print(f"udsph: {plain(_LINE_ENDS.sub(' ', message.strip()))}", file=sys.stderr)
    return USER_ERROR


def _one_line(error: Exception, name: str) -> str | None:
    """What to say of an error that is not the package's fault, or None."""
    if isinstance(error, InputError | MissingExtra | FloatingPointError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        missing = MissingExtra.of(error, f"udsph {name}")
        return None if missing is None else str(missing)
    if isinstance(error, OSError):
        said = error.strerror or str(error) or type(error).__name__
        return f"{plain(os.fsdecode(error.filename))}: {said}" if error.filename else said
    torch_has_none = isinstance(error, RuntimeError) and any(part in str(error) for part in _NO_MEMORY)
    if isinstance(error, MemoryError) or torch_has_none:
        return f"there is not enough memory ({error})" if str(error) else "there is not enough memory"
    return None


@contextlib.contextmanager
def _messages(quiet: bool) -> Iterator[None]:
    """The package's log on stderr, and warnings as lines without the code that gave them."""
    logger, handler = logging.getLogger("udsph"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line())
    before = logger.level
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "udsph: " if record.levelno >= logging.WARNING else ""
        return mark + plain(record.getMessage())


def _show_warning(message: Warning | str, *place: Any, **line: Any) -> None:
    print(f"udsph: {plain(message)}", file=sys.stderr)
