"""``make gpu``: a part that fails, hangs or cannot run loses nothing of the others."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def gpu(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_command", ROOT / "bench" / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_command", module)
    spec.loader.exec_module(module)
    return module


def test_parts_that_fail_or_hang_lose_nothing_of_the_others(gpu, tmp_path):
    def python(code):
        return (sys.executable, "-c", code)

    chosen = [
        gpu.Part("good", python("print('| a table |'); print('and more')"), 30, gpu=False),
        gpu.Part("bad", python("print('why'); raise SystemExit(3)"), 30, gpu=False),
        gpu.Part("hangs", python("import time; time.sleep(60)"), 1, gpu=False),
        gpu.Part("card", python(""), 30),
        gpu.Part("module", python(""), 30, gpu=False, modules=("no_such_module",)),
        gpu.Part("program", ("no-such-program",), 30, gpu=False, programs=("no-such-program",)),
        gpu.Part("last", python("print('| another |')"), 30, gpu=False),
    ]
    rows = gpu.run_all(chosen, tmp_path, None, 100)
    assert [row["ended"] for row in rows] == [
        "done",
        "failed with status 3",
        "stopped after 1 s",
        "not run: there is no GPU",
        "not run: no_such_module is not installed",
        "not run: no-such-program is not on the path",
        "done",
    ]
    shown = gpu.tables(rows, tmp_path)
    assert "| a table |" in shown and "| another |" in shown and "why" in shown and "and more" not in shown
    assert shown.splitlines()[-1].startswith("| last | done |")


def test_nothing_starts_once_the_time_is_up(gpu, tmp_path):
    rows = gpu.run_all([gpu.Part("late", (sys.executable, "-c", ""), 30, gpu=False)], tmp_path, None, 1)
    assert rows[0]["ended"] == "not run: no time is left"


def test_without_a_gpu_the_command_says_so_and_succeeds(gpu, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "card_here", lambda: (None, None))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--output", str(tmp_path / "out"), "--only", "training-step"])
    assert gpu.main() == 0
    assert "| training-step | not run: there is no GPU | 0.0 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["machine"].startswith("no GPU")


def test_commands_name_files_that_are_there(gpu):
    for part in gpu.parts("90"):
        for word in part.command:
            if word.endswith(".py") and "/" in word and word != sys.executable:
                assert (ROOT / word).exists(), word
