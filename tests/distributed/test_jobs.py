"""Jobs on a cluster leave what they leave on one machine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.experiments.work import NotHere, Square, numbers
from udsph.errors import InputError
from udsph.experiments import Runner, check_processes, jobs

pytest.importorskip("torch")


def test_processes_are_a_number_or_ray():
    assert [check_processes(value) for value in (0, 3, "3", "ray")] == [0, 3, 3, "ray"]
    with pytest.raises(InputError, match="processes=many: expected a whole number, or ray"):
        check_processes("many")


@pytest.mark.cluster
def test_jobs_on_a_cluster_leave_the_rows_of_processes(cluster, tmp_path):
    work = Square({2: "raises", 3: "is killed"})
    rows = {job.value: row for job, row in Runner(tmp_path, work, "ray", threads=1).run(numbers(1, 2, 3, 4, 5))}
    assert {value: row.get("square") for value, row in rows.items()} == {1: 1, 2: None, 3: None, 4: 16, 5: 25}
    assert rows[3]["error"] == jobs.KILLED
    assert rows[2]["error"].startswith("ValueError: no square of 2")
    (tmp_path / "other").mkdir()
    ((_, row),) = Runner(tmp_path / "other", NotHere(), "ray", threads=1).run(numbers(1))
    assert row["error"].startswith("ValueError: invalid literal for int()")
    runner = Runner(tmp_path, Square(), "ray")
    assert runner.missing(numbers(1, 2, 3, 4, 5)) == numbers(2, 3)
    assert sorted(row["square"] for _, row in runner.run(numbers(1, 2, 3))) == [4, 9]


@pytest.mark.cluster
def test_a_comparison_on_a_cluster_has_the_figures_of_one_process(cluster, tmp_path):
    from udsph.baselines.comparison import Comparison, ComparisonFolder

    given = {"data": "scenes", "root": None, "settings": {"pairs": "60"}, "names": ("cvh",), "bits": (16,)}
    given |= {"seeds": 1, "deep_seeds": None, "epochs": 0, "precision": "32-true"}
    found = []
    for processes in ("ray", 0):
        rows = ComparisonFolder(Comparison(**given), tmp_path / str(processes), processes).run()
        found.append({row["method"]: (row["image_to_text"], row["text_to_image"]) for row in rows})
    assert found[0] == found[1] and set(found[0]) == {"cvh"}


@pytest.mark.cluster
def test_the_study_makes_its_runs_on_a_cluster(cluster, tmp_path, monkeypatch):
    import ray

    from tests.training.conftest import QUICK

    bench = Path(__file__).parents[2] / "bench"
    monkeypatch.syspath_prepend(str(bench))
    spec = importlib.util.spec_from_file_location("study", bench / "study.py")
    study = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "study", study)
    spec.loader.exec_module(study)
    for module in (study, sys.modules["benchmarks.common"]):  # as of a script, which nodes cannot import either
        ray.cloudpickle.register_pickle_by_value(module)
    study.CASES["tiny"] = study.Case("Tiny", "scenes", (16,), 1, settings={"pairs": 60})
    extra = {key: str(value) for key, value in (QUICK | {"epochs": 1}).items() if key != "bits"}
    runs = list(study.runs_of(["tiny"], ["full"], [], 0))
    assert study.conduct(runs, tmp_path / "s", None, "ray", extra) == 0
    rows = study.Runner(tmp_path / "s", None).rows()
    assert [row["seed"] for row in rows] == [0] and all(row["database"]["n_query"] for row in rows)
