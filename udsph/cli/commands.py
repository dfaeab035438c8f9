"""Every command, registered by importing its module; ``udsph.__main__`` runs the application from here."""

import typer

from udsph.cli import compare, data, demo, encode, evaluate, extract, model, search, show  # noqa: F401
from udsph.cli.app import app, command

__all__ = ["app"]


@command
def info() -> None:
    """Print versions, compiled parts, instruction-set levels, threads and the CUDA library."""
    from udsph.cli.info import print_info

    raise typer.Exit(print_info([]))
