"""Everything that needs a GPU, in one command of less than eight minutes: `make gpu`.

    python bench/gpu.py [--output FOLDER] [--only NAME ...] [--limit SECONDS]

Builds for the card, runs the CUDA tests, compute-sanitizer on the smallest cases, and the tables. Each part is a
process of its own with a limit of time: one that fails, crashes or takes too long loses nothing of the others, and what
it started ends with it. What a part printed goes to FOLDER/NAME.txt at once, the tables and how each part ended to
FOLDER/summary.md and FOLDER/summary.json after each of them, so that a run that is cut off leaves all that was known.
They are printed last, with the reason of whatever was left out. Where there is no GPU the library is built where nvcc
is found, the kernels run on the host by emulation, with ten times as much time, and the exit status is 0.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = {  # on a card, what runs on it; without one, the emulation
    "tests-hamming": ("tests/cuda_library/test_on_a_gpu.py",),
    "tests-attention": ("tests/attention/test_on_a_gpu.py",),
    "tests-backends": ("tests/attention/test_backends.py",),
}
EMULATED_TESTS = {
    "tests-hamming": ("tests/cuda_library",),
    "tests-attention": ("tests/attention/test_cuda.py",),
    "tests-backends": ("tests/attention/test_backends.py",),
}
SEARCHES = ("64", "one", "selection", "counting", "256", "1024")
SMALLEST = {  # of the tests, for the sanitizers
    "hamming": ("tests/cuda_library/test_on_a_gpu.py", "smallest"),
    "attention": ("tests/attention/test_on_a_gpu.py", "agreement and t2i"),
}
LIMITS = "limits.json"
SECONDS = 460  # in all, on a machine with a GPU
PATIENCE = 10  # times as much without one: nobody waits for it
SEEN = 1 << 22  # bytes of what a part printed that are looked through


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

    @property
    def tests(self) -> bool:
        """Whether it runs tests."""
        return "pytest" in self.command

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
    """How a part ended, and its seconds; what it printed is in a file, as soon as it printed it."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    said_at_once = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    environment = {**os.environ, **said_at_once, "PYTHONPATH": path, **part.environment}
    began = time.monotonic()
    with (folder / f"{part.name}.txt").open("wb") as out:
        try:
            process = subprocess.Popen(
                part.command, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            return f"failed: {error}", time.monotonic() - began
        try:
            ended = _of_status(process.wait(limit))
        except subprocess.TimeoutExpired:
            ended = f"stopped after {limit:.0f} s"
        finally:
            _end_all(process)
    return ended, time.monotonic() - began


def _of_status(status: int) -> str:
    if status >= 0:
        return "done" if status == 0 else f"failed with status {status}"
    return f"failed: ended by {signal.Signals(-status).name}"


def _end_all(process: subprocess.Popen[bytes]) -> None:
    """End a part and whatever it started, which else would run on beside the parts that follow."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
    except (ProcessLookupError, PermissionError, subprocess.TimeoutExpired):  # gone; or stuck in a driver
        pass


def tested(part: Part, folder: Path, card: str | None, ended: str) -> str:
    """How tests ended, with their numbers; on a card it is a failure if none ran."""
    found = re.findall(r"^=*\s*((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s", printed(part.name, folder)[-2000:], re.MULTILINE)
    if not found or ended != "done":
        return ended if not found else f"{ended}: {found[-1]}"
    if card is not None and "passed" not in found[-1]:
        return f"failed: no test ran, {found[-1]}"
    return f"done: {found[-1]}"


def run_all(
    chosen: list[Part],
    folder: Path,
    card: str | None,
    limit: float,
    tell: Callable[[list[dict[str, object]]], None] = lambda rows: None,
) -> list[dict[str, object]]:
    """A row for each part: how it ended and how long it took; ``tell`` is told whenever there is one more.

    Parts for which no time is left are left out.
    """
    began, rows = time.monotonic(), []
    for part in chosen:
        left = limit - (time.monotonic() - began)
        reason = part.missing(card) or ("no time is left" if left < 5 else None)
        if reason:
            ended, seconds = f"not run: {reason}", 0.0
        else:
            tell([*rows, {"part": part.name, "ended": "cut off", "seconds": 0.0}])
            ended, seconds = run(part, folder, min(part.limit * (1 if card else PATIENCE), left))
            ended = tested(part, folder, card, ended) if part.tests else ended
        rows.append({"part": part.name, "ended": ended, "seconds": round(seconds, 1)})
        tell(rows)
        print(f"{part.name}: {ended}, {seconds:.0f} s", file=sys.stderr, flush=True)
    return rows


def printed(name: str, folder: Path) -> str:
    """What a part printed, the beginning and the end of it where it is very long."""
    path = folder / f"{name}.txt"
    if not path.exists():
        return ""
    with path.open("rb") as file:
        begin, size = file.read(SEEN), path.stat().st_size
        file.seek(max(len(begin), size - SEEN))
        return (begin + file.read(SEEN)).decode("utf-8", "replace")


def tables(rows: list[dict[str, object]], folder: Path) -> str:
    """The tables that the parts printed, and the summary last."""
    shown = []
    for row in rows:
        lines = printed(str(row["part"]), folder).splitlines()
        table = [line for line in lines if line.startswith("|") or line.startswith("batch ")]
        if table:
            shown += [f"{row['part']}:", *table, ""]
        elif str(row["ended"]).startswith(("failed", "stopped")):
            shown += [f"{row['part']}, its end:", *(line[:200] for line in lines[-15:]), ""]
    shown += ["| part | how it ended | s |", "| --- | --- | ---: |"]
    return "\n".join([*shown, *(f"| {row['part']} | {row['ended']} | {row['seconds']} |" for row in rows)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("gpu-results"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some parts")
    parser.add_argument("--limit", type=float, help=f"seconds in all: {SECONDS}, without a GPU {PATIENCE * SECONDS}")
    given = parser.parse_args()
    card, architecture = card_here()
    chosen = parts(architecture, given.output)
    unknown = set(given.only or ()) - {part.name for part in chosen}
    if unknown:
        parser.error(f"no part is called {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in chosen)}")
    chosen = [part for part in chosen if not given.only or part.name in given.only]
    given.output.mkdir(parents=True, exist_ok=True)
    machine = (
        f"{card or 'no GPU'}; {platform.machine()}, Python {platform.python_version()}; {time.strftime('%Y-%m-%d')}"
    )
    text = ""

    def keep(rows: list[dict[str, object]]) -> None:
        nonlocal text
        text = f"{tables(rows, given.output)}\n\n{machine}\n"
        summary = json.dumps({"machine": machine, "parts": rows}, indent=2) + "\n"
        (given.output / "summary.json").write_text(summary, encoding="utf-8")
        (given.output / "summary.md").write_text(text, encoding="utf-8")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("cut off"))  # of `timeout` and the like: the part ends too
    try:
        rows = run_all(chosen, given.output, card, given.limit or SECONDS * (1 if card else PATIENCE), keep)
    finally:
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        print(text, end="", flush=True)
    return int(any(str(row["ended"]).startswith(("failed", "stopped")) for row in rows))


if __name__ == "__main__":
    sys.exit(main())
