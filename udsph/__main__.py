"""``python -m udsph`` and the ``udsph`` script. ``info`` needs NumPy only; every other command the extra ``train``."""

from __future__ import annotations

import sys


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
    app()


if __name__ == "__main__":
    main()
