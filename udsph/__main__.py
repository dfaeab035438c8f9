"""``python -m udsph`` and the ``udsph`` script."""

import sys

from udsph.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
