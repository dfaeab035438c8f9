"""Has anything become slower between two commits?

    python bench/regression.py BASE [HEAD] [--slower 1.1] [--pairs 31] [--only PART ...]

Builds both (HEAD: the working tree, if it is not named; a folder that is built already serves too) and runs the cases
of ``benchmarks/watch.py`` in two processes that take turns, so that a machine that is now faster and now slower, or
has other work, treats both alike. The ratio is the median over pairs of neighbouring calls, of processor times; a case
has become slower where it is beyond ``--slower``, and beyond it again when it is measured a second time.
Exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.watch import CASES, processor_seconds

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="commit, or folder with a built checkout")
    parser.add_argument("head", nargs="?", default=str(ROOT), help="the same; the working tree if not given")
    parser.add_argument("--slower", type=float, default=1.1, help="ratio from which a case counts (default: 1.1)")
    parser.add_argument("--pairs", type=int, default=31, help="calls of each (default: 31)")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of names of cases")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        return serve()
    with tempfile.TemporaryDirectory() as folder:
        places = [built(name, Path(folder) / str(i)) for i, name in enumerate((asked.base, asked.head))]
        with contextlib.ExitStack() as stack:
            pair = [stack.enter_context(Side(place)) for place in places]
            print(f"| case | {asked.base}, ms | {asked.head}, ms | ratio | quartiles |")
            print("| --- | ---: | ---: | ---: | ---: |")
            chosen = [case for case in CASES if any(part in case for part in asked.only)]
            slower = [case for case in chosen if compare(pair, case, asked.pairs, asked.slower)]
    print("\nslower: " + "; ".join(slower) if slower else "\nnothing has become slower")
    return bool(slower)


def compare(pair: list[Side], case: str, pairs: int, limit: float) -> bool:
    """Measure a case, once more if it looks slower; print its row. Whether it has become slower."""
    refusals = [side.ask("make", case) for side in pair]
    if any(refusals):
        print(f"| {case} | | | not compared | {next(filter(None, refusals))} |", flush=True)
        return False
    for again in (False, True):
        times: tuple[list[float], list[float]] = ([], [])
        for i in range(pairs):
            for side in (0, 1) if i % 2 == 0 else (1, 0):
                times[side].append(pair[side].ask("run"))
        ratios = sorted(new / old for old, new in zip(*times, strict=True))
        middle = median(ratios)
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        mark = "**" if middle > limit else ""
        before, after = (f"{1e3 * min(each):.2f}" for each in times)
        row = f"{before} | {after} | {mark}{middle:.3f}{mark} | {low:.3f} to {high:.3f}"
        print(f"| {case}{', again' if again else ''} | {row} |", flush=True)
        if not mark:
            return False
    return True


class Side:
    """A process with the package of one place, which makes cases and runs them when it is told to."""

    def __init__(self, place: Path) -> None:
        path = os.pathsep.join((str(place), str(ROOT / "bench")))
        command = [sys.executable, str(Path(__file__).resolve()), "--serve", str(place)]
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if self.ask("where") != str((place / "udsph").resolve()):
            raise SystemExit(f"{place}: another udsph is imported there")

    def __enter__(self) -> Side:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def ask(self, *words: str):
        """Its answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(words), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())


def serve() -> int:
    """The process of a side: one question a line, one answer a line."""
    import udsph

    call = None
    for line in sys.stdin:
        word, *rest = json.loads(line)
        answer: object = None
        if word == "where":
            answer = str(Path(udsph.__file__).resolve().parent)
        elif word == "make":
            call = None
            try:
                call = CASES[rest[0]]()
                call()
            except (ImportError, AttributeError, TypeError) as error:  # a commit that had it not
                answer = f"{type(error).__name__}: {error}"
        elif call is not None:
            answer = processor_seconds(call)
        print(json.dumps(answer), flush=True)
    return 0


def built(name: str, folder: Path) -> Path:
    """A folder with the package of a commit and its native parts; a folder stays as it is."""
    if Path(name).is_dir():
        return Path(name).resolve()
    folder.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", name], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    environment = {**os.environ, "UDSPH_REQUIRE_NATIVE": "1", "UDSPH_CUDA": "0"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(
        command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return folder


if __name__ == "__main__":
    sys.exit(main())
