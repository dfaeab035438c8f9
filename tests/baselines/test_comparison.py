"""A comparison: its jobs, its rows, what it survives."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from udsph.baselines import comparison as room
from udsph.baselines import names
from udsph.baselines.base import LinearMethod
from udsph.baselines.comparison import Comparison, Job, Runner, Views, run_job
from udsph.data import Dataset, Modality
from udsph.errors import InputError

from .views import planted


def small_set():
    images, texts, labels = planted(n=120, classes=3)
    index = np.arange(120)
    splits = {"train": index[:90], "database": index[:90], "query": index[90:]}
    views = Modality("vectors", images.astype(np.float32)), Modality("vectors", texts.astype(np.float32))
    return Dataset("planted", *views, labels.astype(np.uint8), ("a", "b", "c"), splits)


@pytest.fixture
def planted_data(monkeypatch):
    """``load("planted")`` in this process; jobs run here instead of in other processes."""
    monkeypatch.setattr(room, "load", lambda name, root=None, **settings: small_set())

    def here(self, jobs, processes):
        room._state.clear()
        room._prepare(self.comparison, 1)
        for job in list(jobs):
            yield job, room._work(job)

    monkeypatch.setattr(Runner, "_pool", here)


def comparing(*methods, bits=(8,), seeds=1, **more):
    return Comparison("planted", None, {}, methods, bits, seeds, **more)


def test_rows_have_scores_times_and_curves(planted_data, tmp_path):
    runner = Runner(comparing("cvh", "scm-seq", bits=(4, 8), seeds=2), tmp_path / "out", 1)
    assert len(list(runner.run())) == 8
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["method"], row["bits"], row["seed"]) for row in rows[:4]] == [
        ("cvh", 4, 0), ("cvh", 4, 1), ("cvh", 8, 0), ("cvh", 8, 1),
    ]  # fmt: skip
    for row in rows:
        for direction in ("image_to_text", "text_to_image"):
            assert 0 < row[direction]["map"] <= 1
            curve = row[direction]["curve"]
            assert len(curve["ranks"]) == len(curve["precision"]) == len(curve["recall"])
            assert row[direction]["precision_at"]["1"] <= 1
        assert row["train_seconds"] > 0 and row["encode_microseconds_per_item"] > 0
    assert runner.chance == pytest.approx(1 / 3, abs=0.05)


def test_a_second_run_does_only_what_is_missing(planted_data, tmp_path):
    out = tmp_path / "out"
    list(Runner(comparing("cvh", "random"), out, 1).run())
    runner = Runner(comparing("cvh", "random", "qch"), out, 1)
    assert runner.missing() == [Job("qch", 8, 0)]
    (out / "rows" / "random-8-0.json").unlink()
    assert [row["method"] for row in runner.run()] == ["random", "qch"]
    assert list(runner.run()) == []
    assert len(runner.collect()) == 3


def test_a_failing_method_loses_no_other_and_is_tried_again(planted_data, tmp_path, monkeypatch):
    whole = LinearMethod.fit
    monkeypatch.setattr(
        LinearMethod, "fit", lambda self, *a: 1 / 0 if type(self).__name__ == "CVH" else whole(self, *a)
    )
    runner = Runner(comparing("cvh", "random", "scm-orth"), tmp_path / "out", 1)
    rows = {row["method"]: row for row in runner.run()}
    assert rows["cvh"]["error"] == "ZeroDivisionError: division by zero" and "image_to_text" not in rows["cvh"]
    assert "map" in rows["random"]["image_to_text"] and "map" in rows["scm-orth"]["text_to_image"]
    monkeypatch.undo()
    assert [job.method for job in runner.missing()] == ["cvh"]


def test_another_comparison_or_folder_is_refused(planted_data, tmp_path):
    out = tmp_path / "out"
    assert Runner(comparing("cvh"), out, 1).comparison.epochs == 400  # one batch an epoch, at least 400 steps
    with pytest.raises(InputError, match="holds a comparison with epochs 400, not 3"):
        Runner(comparing("cvh", epochs=3), out, 1)
    with pytest.raises(InputError, match="precision 32-true, not bf16-mixed"):
        Runner(comparing("cvh", precision="bf16-mixed"), out, 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(InputError, match="exists and is not a comparison"):
        Runner(comparing("cvh"), tmp_path / "other", 1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ("cvx",)}, "unknown method 'cvx'"),
        ({"methods": ()}, "at least one method"),
        ({"bits": (0,)}, "bits=0"),
        ({"seeds": 0}, "seeds"),
        ({"precision": "8-bit"}, "precision=8-bit: expected one of 32-true, bf16-mixed"),
    ],
)
def test_impossible_comparisons(wrong, message):
    methods = wrong.pop("methods", ("cvh",))
    with pytest.raises(InputError, match=message):
        comparing(*methods, **wrong)


def test_deep_methods_come_first_and_have_one_seed_on_pixels(monkeypatch):
    dataset = small_set()
    assert len(comparing("cvh", "dcmh", seeds=3).jobs(dataset)) == 6
    assert comparing("cvh", "dcmh").jobs(dataset)[0].method == "dcmh"
    pixels = Modality("pixels", np.zeros((120, 8, 8, 3), np.uint8))
    raw = Dataset("raw", pixels, dataset.text, dataset.labels, dataset.classes, dataset.splits)
    assert len(comparing("cvh", "dcmh", seeds=3).jobs(raw)) == 4
    assert len(comparing("cvh", "dcmh", seeds=3, deep_seeds=2).jobs(raw)) == 5


def test_real_valued_methods_are_ranked_by_cosine():
    row = run_job(Job("acmr-real", 8, 0), Views(small_set(), fixed_features=False), epochs=4)
    assert row["image_to_text"]["map"] > 0.5


def test_no_training_item_is_a_query_for_any_method():
    views = Views(small_set(), fixed_features=True)
    train, query = (views.parts["image", split].values for split in ("train", "query"))
    assert not (train[:, None] == query[None]).all(2).any()


def test_worker_processes_run_jobs_and_leave_the_environment_alone(tmp_path):
    comparison = Comparison("scenes", None, {"pairs": "60"}, ("random",), (8,), 1)
    runner = Runner(comparison, tmp_path / "out", 1)
    before = dict(os.environ)
    rows = list(runner.run())
    assert "error" not in rows[0]
    assert dict(os.environ) == before


def test_killed_processes_do_not_lose_the_other_jobs(planted_data, tmp_path, monkeypatch):
    whole = Runner._pool

    def dying(self, jobs, processes):
        for job, row in whole(self, jobs, processes):
            if job.method == "cvh":
                return  # as after a killed process: this job and all later ones have no result
            yield job, row

    monkeypatch.setattr(Runner, "_pool", dying)
    runner = Runner(comparing("random", "cvh", "qch"), tmp_path / "out", 1)
    rows = {row["method"]: row for row in runner.run()}
    assert "killed" in rows["cvh"]["error"]
    assert "map" in rows["random"]["image_to_text"] and "map" in rows["qch"]["image_to_text"]


def test_every_method_is_known_to_the_comparison():
    assert Comparison("wiki", None, {}, names(), (16,), 1).names == names()


def test_workers_end_with_a_parent_that_is_killed():
    """The child of a killed process must not go on by itself, even where the parent was gone before it looked."""
    script = "import sys, time; print('here', flush=True); from udsph.baselines import comparison; "
    script += "comparison._follow(int(sys.argv[1]))"
    middle = "import os, subprocess, sys, time; "
    middle += f"subprocess.Popen([sys.executable, '-c', {script!r}, str(os.getpid())]); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", middle], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    assert parent.stdout.readline() == "here\n"
    parent.kill()  # mostly before the child has imported anything
    parent.wait()
    output, _ = parent.communicate(timeout=300)  # the pipe closes when the child has ended too, or never
    assert output == ""
