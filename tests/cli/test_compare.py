"""``udsph compare`` from the command line."""

import json
import subprocess
import sys

from udsph.files import locked

from .command import udsph

ARGUMENTS = ["--data", "scenes", "--set", "pairs=80", "--methods", "random,cvh", "--bits", "8,16", "--seeds", "1"]


def compare(*arguments):
    command = [sys.executable, "-m", "udsph", "compare", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_a_small_comparison_and_its_second_call(tmp_path):
    out = tmp_path / "out"
    found = compare(*ARGUMENTS, "--output", str(out), "--processes", "1")
    assert found.returncode == 0, found.stderr
    assert "| cvh |" in found.stdout and "written: " in found.stdout
    rows = json.loads((out / "results.json").read_text())
    assert {(row["method"], row["bits"]) for row in rows} == {(m, b) for m in ("random", "cvh") for b in (8, 16)}
    for name in ("results.csv", "results.md", "results.tex", "map_by_bits.png", "precision_recall.png"):
        assert (out / name).stat().st_size > 0
    again = compare(*ARGUMENTS, "--output", str(out))
    assert again.returncode == 0 and "4 of 4 jobs are done already" in again.stderr


def test_user_errors_are_one_line(tmp_path):
    for change, message in (
        (["--methods", "cvx"], "unknown method 'cvx'"),
        (["--bits", "a"], "--bits a: expected"),
        (["--data", "nothing"], "unknown dataset"),
    ):
        found = udsph("compare", *ARGUMENTS, *change, "--output", tmp_path / "out")
        assert found.exit_code == 2 and found.stderr.startswith("udsph: ") and message in found.stderr
        assert found.stderr.count("\n") == 1


def test_a_second_call_in_a_folder_at_the_same_time_is_one_line(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / ".lock"):
        found = udsph("compare", *ARGUMENTS, "--output", out, "--processes", "1")
    assert found.exit_code == 2 and "is held by process" in found.stderr and found.stderr.count("\n") == 1
    assert [path.name for path in out.iterdir()] == [".lock"]
