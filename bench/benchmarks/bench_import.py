"""How long the package takes to import, and what it may not bring along."""

from __future__ import annotations

import subprocess
import sys


def timeraw_import_numpy():
    return "import numpy"


def timeraw_import_udsph():
    return "import udsph"


def timeraw_import_hamming():
    return "import udsph.hamming"


def track_import_beside_numpy():
    """Seconds that ``import udsph.hamming`` takes where NumPy is loaded, best of five processes."""
    code = "import time, numpy; start = time.perf_counter(); import udsph.hamming; print(time.perf_counter() - start)"
    return min(float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(5))


track_import_beside_numpy.unit = "s"
