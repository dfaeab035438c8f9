"""``udsph info``: what is installed, compiled and active, and why something is not. Standard library and NumPy only."""

from __future__ import annotations

import importlib.metadata
import platform

from udsph._version import __version__
from udsph.cli.output import Answer, plain
from udsph.cli.parser import command
from udsph.errors import InputError

_PACKAGES = ("numpy", "numba", "torch", "lightning-fabric", "scipy", "scikit-learn", "h5py", "pillow", "matplotlib")


@command
def info() -> Answer:
    """Print versions, compiled parts, instruction-set levels, threads and the CUDA library."""
    try:
        lines = describe()
    except ValueError as error:  # a variable of the environment that is no number or no level
        raise InputError(str(error)) from None
    width = max(map(len, lines))
    return Answer("\n".join(f"{name:{width}}  {plain(value)}" for name, value in lines.items()), dict(lines))


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


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
