"""Everything that needs a GPU, in one command of less than eight minutes: `make gpu`.

    python bench/gpu.py [--output FOLDER] [--only NAME ...] [--limit SECONDS]

Builds for the card, runs the CUDA tests, compute-sanitizer on the smallest cases, and the tables. Each part is a
process of its own with a limit of time: one that fails or takes too long loses nothing of the others. What a part
printed goes to FOLDER/NAME.txt, and a summary is printed last, with the reason of whatever was left out. Where there is
no GPU the library is built where nvcc is found, the kernels run on the host by emulation, and the exit status is 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = {  # on a card, what runs on it; without one, the emulation
    "tests-hamming": ("tests/cuda_library/test_on_a_gpu.py",),
    "tests-attention": ("tests/attention/test_on_a_gpu.py", "tests/attention/test_backends.py"),
}
EMULATED_TESTS = {
    "tests-hamming": ("tests/cuda_library",),
    "tests-attention": ("tests/attention/test_cuda.py", "tests/attention/test_backends.py"),
}
SEARCHES = ("64", "one", "selection", "counting", "256", "1024")
SMALLEST = {  # of the tests, for the sanitizers
    "hamming": ("tests/cuda_library/test_on_a_gpu.py", "smallest"),
    "attention": ("tests/attention/test_on_a_gpu.py", "agreement and t2i"),
}
LIMITS = "limits.json"


@dataclass(frozen=True)
class Part:
    """A process: its command, its limit in seconds, and what it needs: `gpu`, modules, programs."""

    name: str
    command: tuple[str, ...]
    limit: int
    gpu: bool = True
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def missing(self, card: str | None) -> str | None:
        """Why it is left out here, or None."""
        if self.gpu and card is None:
            return "there is no GPU"
        for module in self.modules:
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed"
        for program in self.programs:
            if shutil.which(program) is None:
                return f"{program} is not on the path"
        return None


def parts(architecture: str | None, folder: Path = Path("gpu-results")) -> list[Part]:
    """In order of what is to be known first. ``folder`` takes the numbers."""
    python = (sys.executable,)
    test = (*python, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:xdist")
    build = {"UDSPH_CUDA": "1", "UDSPH_CUDA_ARCHS": architecture or "90"}
    compile_all = (*python, "setup.py", "-q", "build_ext", "--inplace")
    found = [Part("build", compile_all, 240, False, ("pybind11",), ("nvcc",), build)]
    tests = TESTS if architecture else EMULATED_TESTS
    found += [Part(name, (*test, *files), 120, False, ("pytest", "torch")) for name, files in tests.items()]
    limits = str(folder.absolute() / LIMITS)
    found.append(Part("limits", (*python, "bench/gpu_limits.py", "--output", limits), 60, programs=("nvcc",)))
    for name in SEARCHES:
        numbers = str(folder.absolute() / f"search-{name}.json")
        command = (*python, "bench/gpu_search.py", "--only", name, "--limits", limits, "--output", numbers)
        found.append(Part(f"search-{name}", command, 60, modules=("torch",)))
    sanitizers = [sanitizer(test, room, tool) for tool in ("memcheck", "racecheck", "initcheck") for room in SMALLEST]
    found += sanitizers[: len(SMALLEST)]
    attention = (*python, "bench/attention.py", "--device", "cuda", "--repeats", "5")
    forms = ("--forms", "cuda", "Gram einsum", "published")
    for precision in ("float32", "bfloat16"):
        for batch in (128, 1024):
            command = (*attention, "--dtype", precision, "--batch", str(batch), "--memory", str(batch), *forms)
            found.append(Part(f"attention-{precision}-{batch}", command, 60, modules=("torch",)))
    for name, script in (("training-step", "bench/training_step.py"), ("training", "bench/gpu_training.py")):
        command = (*python, script, "--device", "cuda")
        found.append(Part(name, command, 60, modules=("torch", "lightning_fabric")))
    listing = (*python, "bench/gpu_instructions.py", "--architecture", architecture or "90")
    instructions = Part("instructions", listing, 60, False, (), ("nvcc", "cuobjdump"))
    return [*found, *sanitizers[len(SMALLEST) :], instructions]


def sanitizer(test: tuple[str, ...], room: str, tool: str) -> Part:
    """The smallest tests of a room on the card under a tool of compute-sanitizer."""
    file, which = SMALLEST[room]
    command = ("compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *test, file, "-k", which)
    modules = ("torch",) if room == "attention" else ()
    return Part(f"sanitizer-{room}-{tool}", command, 60, modules=modules, programs=("compute-sanitizer",))


def card_here() -> tuple[str | None, str | None]:
    """Name and driver of the first GPU as one string, and its architecture as nvcc counts, or None and None."""
    if shutil.which("nvidia-smi") is None:
        return None, None
    command = ["nvidia-smi", "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode or not asked.stdout.strip():
        return None, None
    name, driver, capability = (cell.strip() for cell in asked.stdout.splitlines()[0].split(","))
    return f"{name}, driver {driver}", capability.replace(".", "")


def run(part: Part, folder: Path, limit: float) -> tuple[str, float]:
    """How a part ended, and its seconds; what it printed is in a file."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **part.environment}
    began = time.monotonic()
    with (folder / f"{part.name}.txt").open("w", encoding="utf-8") as out:
        try:
            done = subprocess.run(
                part.command,
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
            )
            ended = "done" if done.returncode == 0 else f"failed with status {done.returncode}"
        except subprocess.TimeoutExpired:
            ended = f"stopped after {limit:.0f} s"
        except OSError as error:
            ended = f"failed: {error}"
    return ended, time.monotonic() - began


def run_all(chosen: list[Part], folder: Path, card: str | None, limit: float) -> list[dict[str, object]]:
    """A row for each part: how it ended and how long it took. Parts for which no time is left are left out."""
    began, rows = time.monotonic(), []
    for part in chosen:
        left = limit - (time.monotonic() - began)
        reason = part.missing(card) or ("no time is left" if left < 5 else None)
        ended, seconds = (f"not run: {reason}", 0.0) if reason else run(part, folder, min(part.limit, left))
        rows.append({"part": part.name, "ended": ended, "seconds": round(seconds, 1)})
        print(f"{part.name}: {ended}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return rows


def tables(rows: list[dict[str, object]], folder: Path) -> str:
    """The tables that the parts printed, and the summary last."""
    shown = []
    for row in rows:
        path = folder / f"{row['part']}.txt"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        table = [line for line in lines if line.startswith("|") or line.startswith("batch ")]
        if table:
            shown += [f"{row['part']}:", *table, ""]
        elif str(row["ended"]).startswith(("failed", "stopped")):
            shown += [f"{row['part']}, its end:", *lines[-15:], ""]
    shown += ["| part | how it ended | s |", "| --- | --- | ---: |"]
    return "\n".join([*shown, *(f"| {row['part']} | {row['ended']} | {row['seconds']} |" for row in rows)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu-results"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some parts")
    parser.add_argument("--limit", type=float, default=460, help="seconds in all")
    given = parser.parse_args()
    card, architecture = card_here()
    chosen = parts(architecture, given.output)
    unknown = set(given.only or ()) - {part.name for part in chosen}
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in chosen)}")
    chosen = [part for part in chosen if not given.only or part.name in given.only]
    given.output.mkdir(parents=True, exist_ok=True)
    rows = run_all(chosen, given.output, card, given.limit)
    machine = (
        f"{card or 'no GPU'}; {platform.machine()}, Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}"
    )
    (given.output / "summary.json").write_text(json.dumps({"machine": machine, "parts": rows}, indent=2) + "\n")
    print(f"{tables(rows, given.output)}\n\n{machine}")
    return int(any(str(row["ended"]).startswith(("failed", "stopped")) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
