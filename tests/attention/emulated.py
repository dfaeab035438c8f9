"""The CUDA kernel without a GPU: its block program on the host, behind the same Python code that calls the library."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

from udsph.attention import backends, cuda, fused
from udsph.files import beside

ROOT = Path(__file__).parent.parent.parent
SOURCE = Path(__file__).with_name("emulation.cpp")
COMPILER = shlex.split(os.environ.get("CXX", "c++"))


def can_emulate() -> bool:
    return backends()["cpu"] == "available" and shutil.which(COMPILER[0]) is not None


@cache
def emulation() -> Path:
    """The C interface of the CUDA library, compiled for the host once for every state of its sources."""
    headers = [*(ROOT / "csrc/attention").glob("**/*.h"), *(ROOT / "csrc/common").glob("*.h")]
    options = ["-std=c++17", "-O1", "-shared", "-fPIC", "-pthread", f"-I{ROOT / 'csrc'}"]
    command = [*COMPILER, *options, *os.environ.get("UDSPH_CFLAGS", "").split()]
    state = hashlib.sha256(repr(command).encode())
    for path in (SOURCE, *sorted(headers)):
        state.update(path.read_bytes())
    library = ROOT / "build" / f"emulation-{state.hexdigest()[:16]}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        with beside(library) as temporary:
            subprocess.run([*command, str(SOURCE), "-o", str(temporary)], check=True, timeout=300)
    return library


class EmulatedLibrary(cuda.Library):
    """In place of ``cuda.Library``. With several threads they meet at a real barrier, as those of a block do."""

    def __init__(self, threads: int) -> None:
        super().__init__(emulation())
        self._threads = threads

    def run(self, problem, backward, device) -> None:
        if self.launch(problem, backward, self._threads):
            raise RuntimeError("the emulation failed")


def emulate_on_cpu(monkeypatch, threads: int = 1) -> None:
    """Let the op's CPU kernel be the emulated CUDA kernel."""
    library = EmulatedLibrary(threads)
    monkeypatch.setattr(cuda, "library", lambda: library)
    monkeypatch.setattr(fused, "cpu", cuda)
