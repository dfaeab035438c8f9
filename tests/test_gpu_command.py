"""``make gpu``: a part that fails, crashes, hangs, prints garbage or cannot run loses nothing of the others."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
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


def python(code):
    return (sys.executable, "-S", "-c", code)


def test_parts_that_fail_or_hang_lose_nothing_of_the_others(gpu, tmp_path):
    garbage = "import os; os.write(1, bytes(range(256)) * 9000 + b'\\n| end |\\n')"
    chosen = [
        gpu.Part("good", python("print('| a table |'); print('and more')"), 30, gpu=False),
        gpu.Part("bad", python("print('why'); raise SystemExit(3)"), 30, gpu=False),
        gpu.Part("crashes", python("import os; print('| before |'); os.kill(os.getpid(), 11)"), 30, gpu=False),
        gpu.Part("hangs", python("import time; print('| said |'); time.sleep(60)"), 1, gpu=False),
        gpu.Part("garbage", python(garbage), 30, gpu=False),
        gpu.Part("module", python(""), 30, gpu=False, modules=("no_such_module",)),
        gpu.Part("program", ("no-such-program",), 30, gpu=False, programs=("no-such-program",)),
        gpu.Part("last", python("print('| another |')"), 30, gpu=False),
    ]
    rows = gpu.run_all(chosen, tmp_path, "a card", 100)
    assert [row["ended"] for row in rows] == [
        "done",
        "failed with status 3",
        "failed: ended by SIGSEGV",
        "stopped after 1 s",
        "done",
        "not run: no_such_module is not installed",
        "not run: no-such-program is not on the path",
        "done",
    ]
    shown = gpu.tables(rows, tmp_path)
    for table in ("a table", "before", "said", "end", "another"):  # what hung or crashed had printed too
        assert f"| {table} |" in shown.splitlines()
    assert "why" in shown and "and more" not in shown
    assert shown.splitlines()[-1].startswith("| last | done |")


def test_nothing_starts_once_the_time_is_up(gpu, tmp_path):
    rows = gpu.run_all([gpu.Part("late", (sys.executable, "-c", ""), 30, gpu=False)], tmp_path, None, 1)
    assert rows[0]["ended"] == "not run: no time is left"


def running(pid):
    """Whether a process runs; one that nobody has waited for yet does not."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux what runs")
def test_what_a_part_started_ends_with_it(gpu, tmp_path):
    """A compiler or a test that runs on would take time from the parts that follow."""
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    start = f"import subprocess, sys, time; print(subprocess.Popen({sleeper}).pid); "
    chosen = [
        gpu.Part("hangs", python(start + "time.sleep(600)"), 3, gpu=False),
        gpu.Part("leaves", python(start), 30, gpu=False),
    ]
    gpu.run_all(chosen, tmp_path, "a card", 100)
    for part in chosen:
        pid = int((tmp_path / f"{part.name}.txt").read_text())
        until = time.monotonic() + 20
        while running(pid) and time.monotonic() < until:
            time.sleep(0.05)
        assert not running(pid)


@pytest.mark.parametrize(
    ("said", "card", "ended"),
    [
        ("38 passed, 2 skipped in 5.00s", "a card", "done: 38 passed, 2 skipped"),
        ("=== 38 passed, 2 skipped in 65.00s (0:01:05) ===", None, "done: 38 passed, 2 skipped"),
        ("2 skipped in 0.10s", "a card", "failed: no test ran, 2 skipped"),
        ("2 skipped in 0.10s", None, "done: 2 skipped"),
        ("nothing of the kind", "a card", "done"),
    ],
)
def test_tests_that_did_not_run_are_no_success_on_a_card(gpu, tmp_path, said, card, ended):
    command = (*python(f"print({said!r})"), "pytest")
    assert gpu.run_all([gpu.Part("t", command, 30, gpu=False)], tmp_path, card, 100)[0]["ended"] == ended


def test_a_run_that_is_cut_off_leaves_what_was_known(gpu, tmp_path, monkeypatch):
    """At the end of the machine's time, without a word, and by `timeout`."""
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('gpu_command', {str(ROOT / 'bench' / 'gpu.py')!r})\n"
        "gpu = sys.modules['gpu_command'] = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(gpu)\n"
        "part = lambda name, code: gpu.Part(name, (sys.executable, '-S', '-c', code), 300, gpu=False)\n"
        "gpu.card_here = lambda: ('a card', '90')\n"
        "hangs = 'import os, time; print(os.getpid()); time.sleep(600)'\n"
        "gpu.parts = lambda *_: [part('first', 'print(\"| a table |\")'), part('second', hangs), part('third', '')]\n"
        "sys.exit(gpu.main())"
    )
    for number in (signal.SIGKILL, signal.SIGTERM):
        folder = tmp_path / number.name
        command = [sys.executable, "-c", code, "--output", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while not ((folder / "second.txt").exists() and (folder / "second.txt").read_text()):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        os.kill(process.pid, number)
        out, _ = process.communicate(timeout=60)
        with contextlib.suppress(ProcessLookupError):  # it is in a group of its own, which SIGTERM ends
            os.kill(int((folder / "second.txt").read_text()), signal.SIGKILL)
            assert number == signal.SIGKILL
        assert process.returncode != 0
        text = (folder / "summary.md").read_text()
        assert "| a table |" in text and "| second | cut off |" in text
        rows = json.loads((folder / "summary.json").read_text())["parts"]
        assert [(row["part"], row["ended"]) for row in rows] == [("first", "done"), ("second", "cut off")]
        assert (out == text) == (number == signal.SIGTERM)


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
