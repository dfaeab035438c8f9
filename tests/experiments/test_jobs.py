"""The runner of jobs: rows, what it continues, what it survives, and who may be in a folder."""

from __future__ import annotations

import doctest
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from udsph import experiments
from udsph.errors import InputError
from udsph.experiments import Runner, claim, jobs

from .work import NotHere, Number, Square, numbers


def squares(rows) -> dict:
    return {row["value"]: row.get("square", row.get("error")) for row in rows}


def test_jobs_that_are_missing_are_run_and_leave_rows(tmp_path):
    runner = Runner(tmp_path, Square(), 0)
    assert [(job.value, row["square"]) for job, row in runner.run(numbers(3, 1))] == [(3, 9), (1, 1)]
    assert runner.missing(numbers(1, 2, 3)) == [Number(2)]
    assert [job.value for job, _ in runner.run(numbers(1, 2, 3))] == [2]
    assert squares(runner.rows()) == {1: 1, 2: 4, 3: 9}
    assert json.loads((tmp_path / "rows" / "number-3.json").read_text())["square"] == 9
    assert runner.row(Number(7)) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "rows"]


def test_processes_keep_the_work_share_the_threads_and_leave_the_environment_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    rows = [row for _, row in Runner(tmp_path, Square(), 1, threads=3).run(numbers(1, 2, 3))]
    assert [row["calls"] for row in rows] == [1, 2, 3], "one process, one work"
    assert {row["threads"] for row in rows} == {"3"}
    assert dict(os.environ) == before


def test_threads_of_the_environment_hold(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert Runner(tmp_path, Square(), 2, threads=1).threads == "7"
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(jobs, "cores", lambda: 9)
    assert [Runner(tmp_path, Square(), n).threads for n in (0, 1, 2, 20)] == ["9", "9", "4", "1"]


@pytest.mark.parametrize("processes", [0, 1])
def test_a_job_that_fails_is_a_row_and_is_tried_again(tmp_path, processes):
    wrong = {1: "raises", 2: "exits", 3: "is no JSON"}
    rows = {job.value: row for job, row in Runner(tmp_path, Square(wrong), processes).run(numbers(1, 2, 3, 4))}
    assert rows[1]["error"] == "ValueError: no square of 1 in '\\udcff.txt'"
    assert "in __call__" in rows[1]["traceback"]
    assert rows[2]["error"] == "SystemExit: enough"
    assert rows[3]["error"] == "TypeError: Object of type set is not JSON serializable"
    assert rows[4]["square"] == 16
    runner = Runner(tmp_path, Square(), 0)
    assert runner.missing(numbers(1, 2, 3, 4)) == numbers(1, 2, 3)
    assert [row["square"] for _, row in runner.run(numbers(1, 2, 3, 4))] == [1, 4, 9]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_process_that_is_killed_costs_its_own_job_only(tmp_path, processes):
    work = Square({2: "is killed", 4: "is killed"})
    rows = [row for _, row in Runner(tmp_path, work, processes).run(numbers(1, 2, 3, 4, 5))]
    assert squares(rows) == {1: 1, 2: jobs.KILLED, 3: 9, 4: jobs.KILLED, 5: 25}
    assert len(rows) == 5, "each once"
    assert squares(Runner(tmp_path, work).rows()) == squares(rows)


def test_work_that_cannot_be_had_in_a_process_is_an_error_and_not_a_killed_process(tmp_path):
    ((_, row),) = Runner(tmp_path, NotHere(), 1).run(numbers(1))
    assert row["error"].startswith("ValueError: invalid literal for int()")


def waiting(tmp_path: Path, numbers: str, before: str, after: str = "") -> subprocess.Popen:
    """A program with jobs that never end (of positive numbers), when the first of them has begun."""
    script = "from udsph.experiments import Runner; from tests.experiments.work import Waits, numbers\n"
    script += f"from pathlib import Path; folder = {str(tmp_path)!r}\n{before}\n"
    script += f" list(Runner(Path(folder), Waits(folder), 2).run(numbers({numbers})))\n{after}"
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", script], **streams, env=environment, start_new_session=True)
    while not list(tmp_path.glob("*.pid")) and parent.poll() is None:
        time.sleep(0.01)
    return parent


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """Also where the parent is gone before they have looked for it: it is killed when the first of two is there."""
    with waiting(tmp_path, "1, 2", "if True:") as parent:
        parent.kill()
        # The pipe closes when the workers have ended too, or never.
        assert parent.communicate(timeout=120)[0] == ""
    assert list(tmp_path.glob("*.pid"))
    assert list(Runner(tmp_path, Square(), 0).run(numbers(1))), "and no lock remains"


def test_ctrl_c_stops_all_and_is_told_by_the_parent_alone(tmp_path):
    with waiting(tmp_path, "1, -2", "try:", "except KeyboardInterrupt:\n print('stopped')") as parent:
        while not list((tmp_path / "rows").glob("number*")):  # then a process has nothing to do
            time.sleep(0.01)
        os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to all processes of the group
        output, errors = parent.communicate(timeout=120)
    assert (output, errors) == ("stopped\n", "")


def test_one_call_at_a_time_runs_jobs_in_a_folder(tmp_path):
    running = Runner(tmp_path, Square(), 0).run(numbers(1, 2))
    next(running)
    with pytest.raises(InputError, match=rf"\.lock is held by process {os.getpid()} on .*wait until it has ended"):
        next(Runner(tmp_path, Square(), 0).run(numbers(1, 2)))
    assert squares(Runner(tmp_path, Square()).rows()) == {1: 1}, "looking is allowed"
    running.close()
    assert [job.value for job, _ in Runner(tmp_path, Square(), 0).run(numbers(1, 2))] == [2]


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch):
    def refuse(path):
        raise OSError(jobs.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(jobs, "locked", refuse)
    with pytest.warns(UserWarning, match="has no locks; do not start a second run there"):
        assert len(list(Runner(tmp_path, Square(), 0).run(numbers(1)))) == 1


def test_a_damaged_or_strange_row_is_named(tmp_path):
    runner = Runner(tmp_path, Square(), 0)
    list(runner.run(numbers(1, 2)))
    path = tmp_path / "rows" / "number-1.json"
    for content, message in (
        ("{", "is damaged: it is not JSON .*; remove it and run again"),
        ("[]", "is damaged: it is not a row"),
        ('{"value": 5}', "number-1.json has value 5, not 1; remove it and run again"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            runner.missing(numbers(1))
    path.unlink()
    (tmp_path / "rows" / ".number-3.abc.part.json").write_text("{")  # of a call that was killed while it wrote
    assert squares(runner.rows()) == {2: 4}


def test_the_example_of_the_page():
    failed, tried = doctest.testmod(jobs)
    assert tried and not failed


def test_fewer_than_no_processes(tmp_path):
    with pytest.raises(InputError, match="processes must be at least 0, got -1"):
        Runner(tmp_path, Square(), -1)


# -- the folder ------------------------------------------------------------------------------------------------------


def test_a_folder_is_claimed_once_and_found_again(tmp_path):
    folder = tmp_path / "new" / "out"
    assert claim(folder, "plan.json", {"data": "a", "sizes": (1, 2)}, lambda: {"chance": 0.1})["chance"] == 0.1
    found = claim(folder, "plan.json", {"data": "a", "sizes": (1, 2)}, lambda: pytest.fail("made twice"))
    assert found == {"chance": 0.1, "data": "a", "sizes": [1, 2]}
    with pytest.raises(InputError, match=r"out holds a plan with data a, not b; choose another output"):
        claim(folder, "plan.json", {"data": "b", "sizes": (1, 2)})


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").touch()
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="exists and is not a plan; choose another output"):
            claim(place, "plan.json", {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    left = tmp_path / "left"  # as an earlier claim leaves it that was interrupted
    left.mkdir()
    (left / ".lock").touch()
    assert claim(left, "plan.json", {"a": 1}) == {"a": 1}


def test_of_two_different_claims_at_once_one_is_refused(tmp_path):
    ready, told, found = threading.Barrier(2), [], []

    def slow():
        time.sleep(0.05)
        return {}

    def try_it(name):
        ready.wait()
        try:
            found.append(claim(tmp_path / "out", "plan.json", {"name": name}, slow))
        except InputError as error:
            told.append(str(error))

    threads = [threading.Thread(target=try_it, args=(name,)) for name in "ab"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(found) == len(told) == 1
    assert json.loads((tmp_path / "out" / "plan.json").read_text()) == found[0]


def test_the_room_needs_nothing_but_the_ground_floor():
    script = "import sys, udsph.experiments; print(sorted(m for m in sys.modules if m.startswith('udsph')))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    ground = ["udsph", "udsph._version", "udsph.errors", "udsph.files", "udsph.threads", "udsph.checks"]
    assert set(eval(found)) <= {*ground, "udsph.experiments", "udsph.experiments.jobs"}
    assert experiments.Runner is Runner
