"""``udsph info``: what is installed, compiled and active, and why something is not. Standard library and NumPy only."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

from udsph._version import __version__

_PACKAGES = ("numpy", "numba", "torch", "lightning-fabric", "scipy", "scikit-learn", "h5py", "pillow", "matplotlib")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def describe() -> dict[str, str]:
    """Name and value of every line that ``udsph info`` prints, in order."""
    from udsph import hamming
    from udsph.attention import backends

    lines = {
        "udsph": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {platform.machine()})",
    }
    lines |= {package: _version(package) for package in _PACKAGES}
    lines |= {f"hamming {name}": str(value) for name, value in hamming.build_info().items()}
    lines |= {f"attention {name}": state for name, state in backends().items()}
    return lines


def print_info(arguments: list[str]) -> int:
    if arguments:
        if arguments in (["--help"], ["-h"]):
            print("usage: udsph info\n\nPrint versions, compiled parts, instruction-set levels, threads, CUDA library.")
            return 0
        print(f"udsph: info takes no arguments, got {' '.join(arguments)}", file=sys.stderr)
        return 2
    try:
        lines = describe()
    except (ImportError, ValueError) as error:
        print(f"udsph: {error}", file=sys.stderr)
        return 2
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:{width}}  {value}")
    return 0
