"""``udsph compare`` from the command line."""

import json

import numpy as np

from udsph.baselines import registry, shallow
from udsph.files import locked

from .command import udsph

ARGUMENTS = ["--data", "scenes", "--set", "pairs=80", "--methods", "random,cvh", "--bits", "8,16", "--seeds", "1"]


def test_a_small_comparison_and_its_second_call(tmp_path):
    """The jobs run in a process of their own; that the command does too, tests/baselines/test_recipe.py sees to."""
    out = tmp_path / "out"
    found = udsph("compare", *ARGUMENTS, "--output", out, "--processes", "1")
    assert found.exit_code == 0, found.stderr
    assert "| cvh |" in found.stdout and "written: " in found.stdout
    rows = json.loads((out / "results.json").read_text())
    assert {(row["method"], row["bits"]) for row in rows} == {(m, b) for m in ("random", "cvh") for b in (8, 16)}
    for name in ("results.csv", "results.md", "results.tex", "map_by_bits.png", "precision_recall.png"):
        assert (out / name).stat().st_size > 0
    assert (out / "results.md").read_text().startswith("MAP on scenes (pairs=80); ")
    again = udsph("compare", *ARGUMENTS, "--output", out)
    assert again.exit_code == 0 and "4 of 4 jobs are done already" in again.stderr


def test_user_errors_are_one_line(tmp_path):
    for change, message in (
        (["--methods", "cvx"], "unknown method 'cvx'"),
        (["--bits", "a"], "--bits a: expected"),
        (["--processes", "0"], "--processes"),
        (["--data", "nothing"], "unknown dataset"),
    ):
        found = udsph("compare", *ARGUMENTS, *change, "--output", tmp_path / "out")
        assert found.exit_code == 2 and found.stderr.startswith("udsph: ") and message in found.stderr
        assert found.stderr.count("\n") == 1


def test_a_broken_method_is_one_line_and_the_others_are_there(tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("METHODS = {")
    monkeypatch.setattr(shallow, "__path__", [*shallow.__path__, str(tmp_path)])
    registry.forget()
    found = udsph("compare", *ARGUMENTS, "--methods", "cvx", "--output", tmp_path / "out")
    registry.forget()
    first, second = found.stderr.splitlines()
    assert first.startswith("udsph: udsph/baselines/shallow/broken.py is left out: SyntaxError")
    assert second.startswith("udsph: unknown method 'cvx'; known: random, ") and found.exit_code == 2


def test_a_second_call_in_a_folder_at_the_same_time_is_one_line(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / ".lock"):
        found = udsph("compare", *ARGUMENTS, "--output", out, "--processes", "1")
    assert found.exit_code == 2 and "is held by process" in found.stderr and found.stderr.count("\n") == 1
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_what_the_methods_learn_from_is_said_before(tmp_path):
    few = ["--methods", "random,scm-seq", "--set", "labelled=20", "--processes", "1"]
    found = udsph("compare", *ARGUMENTS, *few, "--output", tmp_path / "few")
    assert found.exit_code == 0, found.stderr
    assert "of 72 training pairs 20 have labels for training; from these alone learn: scm-seq\n" in found.stderr
    assert "from these alone learn: scm-seq" in (tmp_path / "few" / "results.md").read_text()
    assert "NDCG@100 8 |" in found.stdout and "median rank 16 |" in found.stdout
    none = ["--methods", "random,scm-seq", "--set", "labelled=0"]
    found = udsph("compare", *ARGUMENTS, *none, "--output", tmp_path / "none")
    assert found.exit_code == 2 and found.stderr.count("\n") == 1 and "scm-seq needs labels" in found.stderr


def test_pairs_without_labels_are_compared_by_pairs(tmp_path):
    rng = np.random.default_rng(0)
    views = {"image": rng.normal(size=(60, 4)), "text": rng.normal(size=(60, 3))}
    np.savez(tmp_path / "a.npz", **views, labels=np.full((60, 2), -1))
    given = ["--data", "features", "--root", tmp_path / "a.npz", "--bits", "8", "--seeds", "1", "--processes", "1"]
    asked = [*given, "--methods", "random", "--set", "labels=none", "--output", tmp_path / "out", "--json"]
    found = udsph("compare", *asked)
    assert found.exit_code == 0, found.stderr
    answer = json.loads(found.stdout)
    assert answer["chance"] is None and "map" not in answer["rows"][0]["image_to_text"]
    assert "   R@10 0." in found.stderr
    assert (tmp_path / "out" / "results.md").read_text().startswith("R@10 on features (labels=none); 12 queries, ")
    refused = udsph("compare", *given, "--methods", "random", "--output", tmp_path / "other")
    assert refused.exit_code == 2 and "is -1 throughout, so no label is known; --set labels=none" in refused.stderr
