"""The CUDA library's text compiled for the host: shared libraries made once for every state of their sources."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

from udsph.files import beside

ROOT = Path(__file__).parent.parent.parent
HERE = Path(__file__).parent
COMPILER = shlex.split(os.environ.get("CXX", "c++"))

can_compile = shutil.which(COMPILER[0]) is not None


@cache
def library(source: Path, room: str) -> Path:
    """A shared library of one source file that includes headers of ``csrc/common`` and of one room."""
    headers = [path for name in (room, "common") for path in (ROOT / "csrc" / name).glob("**/*") if path.is_file()]
    options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-pthread", f"-I{ROOT / 'csrc'}", f"-I{HERE}"]
    command = [*COMPILER, *options, *os.environ.get("UDSPH_CFLAGS", "").split()]
    state = hashlib.sha256(repr(command).encode())
    for path in (source, HERE / "host_team.h", HERE / "device.inc", *sorted(headers)):
        state.update(path.read_bytes())
    built = ROOT / "build" / f"emulated-{room}-{state.hexdigest()[:16]}.so"
    if not built.exists():
        built.parent.mkdir(exist_ok=True)
        with beside(built) as temporary:
            subprocess.run([*command, str(source), "-o", str(temporary)], check=True, timeout=900)
    return built
