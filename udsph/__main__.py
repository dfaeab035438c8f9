"""``python -m udsph`` and the ``udsph`` script. ``info`` needs NumPy only; every other command the extra ``train``."""

from __future__ import annotations

import sys
import warnings
from typing import Any


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["info"]:
        from udsph.cli.info import print_info

        sys.exit(print_info(arguments[1:]))
    try:
        from udsph.cli.commands import app
    except ImportError as error:
        if error.name not in {"typer", "rich", "click"}:
            raise
        command = f"the command '{arguments[0]}'" if arguments else "the command line"
        print(f"udsph: {command} needs the extra 'train': pip install 'udsph[train]'", file=sys.stderr)
        print("udsph: 'udsph info' and the library udsph.hamming work without it", file=sys.stderr)
        sys.exit(2)
    warnings.formatwarning = _one_line
    app()


def _one_line(message: Warning | str, *place: Any, **line: Any) -> str:
    """A warning as a user reads it: without the line of code that gave it."""
    return f"udsph: {message}\n"


if __name__ == "__main__":
    main()
