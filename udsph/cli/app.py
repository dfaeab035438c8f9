"""The Typer application: it collects the commands and says which errors are one line and which are a traceback."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import typer
from rich.console import Console

from udsph.errors import InputError, MissingExtra

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(
    name="udsph",
    help="Cross-modal hashing of images and text: train, encode, search, evaluate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console()


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """A command whose user errors end with one line and exit code 2, and Ctrl-C with 130."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (InputError, MissingExtra, FloatingPointError) as error:
            print(f"udsph: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print("udsph: interrupted; the same command continues where a checkpoint was written", file=sys.stderr)
            raise typer.Exit(130) from None

    return run


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Register a guarded command under the name of its function."""
    run = guarded(function)
    app.command(name=function.__name__.removesuffix("_").replace("_", "-"))(run)
    return run


def settings_of(pairs: list[str]) -> dict[str, str]:
    """``["key=value", ...]`` of repeated ``--set`` options as a dictionary."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair}: expected key=value")
        settings[key] = value
    return settings


def load_array(path: Path, what: str) -> np.ndarray:
    """A ``.npy`` file as a memory map, or a clear error."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{what}: the file {path} does not exist") from None
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{what}: {path} is not a readable .npy file ({error})") from None
