"""Keep the speed of a release commit: results of the watched cases in asv's format, in ``bench/results/asv``.

    python bench/record.py MACHINE [--checkout FOLDER] [--commit COMMIT]

MACHINE names the machine, since its results are compared with its own only ("xeon-sapphire-rapids-2vcpu"). FOLDER is a
built checkout, or with COMMIT the built files of one, that is measured by the cases of this one; without it, this one.
asv measures in this environment; what its files say of the place of the interpreter is left out, so that they say the
same everywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.common import processor

BENCH = Path(__file__).resolve().parent
KEPT = BENCH / "results" / "asv"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("machine")
    parser.add_argument("--checkout", type=Path, default=BENCH.parent)
    parser.add_argument("--commit", default="")
    asked = parser.parse_args()
    commit = git(BENCH if asked.commit else asked.checkout, "rev-parse", asked.commit or "HEAD")
    with tempfile.TemporaryDirectory() as folder:
        measure(asked.machine, commit, asked.checkout.resolve(), Path(folder))
        found = next(Path(folder, "results", asked.machine).glob(f"{commit[:8]}-*.json"))
        keep(asked.machine, commit, json.loads(found.read_text()), Path(folder, "results"))
    print(f"{commit[:8]} on {asked.machine}: kept in {KEPT.relative_to(BENCH.parent)}")
    return 0


def measure(machine: str, commit: str, checkout: Path, folder: Path) -> None:
    """Run asv with a configuration that writes to a folder; the machine is described, not asked for."""
    settings = json.loads((BENCH / "asv.conf.json").read_text())
    settings |= {
        "repo": str(BENCH.parent),
        "benchmark_dir": str(BENCH / "benchmarks"),
        "results_dir": str(folder / "results"),
    }
    settings["matrix"] = {}
    (folder / "asv.conf.json").write_text(json.dumps(settings))
    environment = {**os.environ, "ASV_PYTHONPATH": str(checkout), "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    asv = [sys.executable, "-m", "asv", "--config", str(folder / "asv.conf.json")]
    subprocess.run([*asv, "machine", "--yes", "--machine", machine], env=environment, check=True)
    run = ["run", "-E", "existing:same", "--machine", machine, "--set-commit-hash", commit, "--bench", "bench_watch"]
    subprocess.run([*asv, *run], env=environment, check=True)


def keep(machine: str, commit: str, result: dict, measured: Path) -> None:
    """Store a result under names that hold no path, beside what it is a result of."""
    version = ".".join(platform.python_version_tuple()[:2])
    name = f"existing-py{version}"
    params = {key: value for key, value in about(machine).items() if key != "version"} | {"python": version}
    result |= {"env_name": name, "python": version, "params": params}
    (KEPT / machine).mkdir(parents=True, exist_ok=True)
    for path, content in (
        (KEPT / machine / f"{commit[:8]}-{name}.json", result),
        (KEPT / machine / "machine.json", about(machine)),
        (KEPT / "benchmarks.json", watched(json.loads((measured / "benchmarks.json").read_text()))),
    ):
        path.write_text(json.dumps(content, indent=1) + "\n")


def about(machine: str) -> dict:
    """The machine, in the words of asv, which would name its kernel and host too."""
    cpu, cores = processor(), str(os.cpu_count())
    return {
        "machine": machine,
        "os": platform.system(),
        "arch": platform.machine(),
        "cpu": cpu,
        "num_cpu": cores,
        "version": 1,
    }


def watched(benchmarks: dict) -> dict:
    """Of all benchmarks those that are kept."""
    return {name: each for name, each in benchmarks.items() if name.startswith("bench_watch") or name == "version"}


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
