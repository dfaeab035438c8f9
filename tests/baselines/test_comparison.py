"""A comparison: its jobs, its rows, what it survives."""

import json

import numpy as np
import pytest

from udsph.baselines import comparison as room
from udsph.baselines import names
from udsph.baselines.base import LinearMethod
from udsph.baselines.comparison import Comparison, ComparisonFolder, Job, run_job
from udsph.baselines.scoring import Views
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
    """``load("planted")`` in this process, where the jobs must then run too."""
    monkeypatch.setattr(room, "load", lambda name, root=None, **settings: small_set())


def comparing(*methods, bits=(8,), seeds=1, **more):
    return Comparison("planted", None, {}, methods, bits, seeds, **more)


def test_rows_have_scores_times_and_curves(planted_data, tmp_path):
    runner = ComparisonFolder(comparing("cvh", "scm-seq", bits=(4, 8), seeds=2), tmp_path / "out", 0)
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
    list(ComparisonFolder(comparing("cvh", "random"), out, 0).run())
    runner = ComparisonFolder(comparing("cvh", "random", "qch"), out, 0)
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
    runner = ComparisonFolder(comparing("cvh", "random", "scm-orth"), tmp_path / "out", 0)
    rows = {row["method"]: row for row in runner.run()}
    assert rows["cvh"]["error"] == "ZeroDivisionError: division by zero" and "image_to_text" not in rows["cvh"]
    assert "map" in rows["random"]["image_to_text"] and "map" in rows["scm-orth"]["text_to_image"]
    monkeypatch.undo()
    assert [job.method for job in runner.missing()] == ["cvh"]


def test_another_comparison_or_folder_is_refused(planted_data, tmp_path):
    out = tmp_path / "out"
    assert ComparisonFolder(comparing("cvh"), out, 0).comparison.epochs == 400  # one batch an epoch, at least 400 steps
    with pytest.raises(InputError, match="holds a comparison with epochs 400, not 3"):
        ComparisonFolder(comparing("cvh", epochs=3), out, 0)
    with pytest.raises(InputError, match="precision 32-true, not bf16-mixed"):
        ComparisonFolder(comparing("cvh", precision="bf16-mixed"), out, 0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(InputError, match="exists and is not a comparison"):
        ComparisonFolder(comparing("cvh"), tmp_path / "other", 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"methods": ("cvx",)}, "unknown method 'cvx'"),
        ({"methods": ()}, "at least one method"),
        ({"bits": (0,)}, "bits must be from 1 to 8192, got 0"),
        ({"bits": (8, 8.5)}, "bits must be an int, got float"),
        ({"bits": 8}, "bits must be a tuple, also of one, got int"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"deep_seeds": 0}, "deep_seeds must be at least 1"),
        ({"epochs": -1}, "epochs must be at least 0"),
        ({"precision": "8-bit"}, "precision=8-bit: expected one of 32-true, bf16-mixed"),
    ],
)
def test_impossible_comparisons(wrong, message):
    methods = wrong.pop("methods", ("cvh",))
    with pytest.raises((InputError, TypeError), match=message):
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


def test_jobs_run_in_other_processes(tmp_path):
    comparison = Comparison("scenes", None, {"pairs": "60"}, ("random",), (8,), 1)
    (row,) = ComparisonFolder(comparison, tmp_path / "out", 1).run()
    assert "error" not in row


def test_the_folder_of_an_earlier_version_goes_on(planted_data, tmp_path):
    """Its files, word for word: no lock, no epochs in a row, an indent of one."""
    splits = {"train": 90, "database": 90, "query": 30}
    known = {"udsph": "0.1.0.dev0", "chance": 0.34, "data": "planted", "settings": {}, "epochs": 400}
    known |= {"precision": "32-true", "splits": splits}
    direction = {"map": 0.7, "map_standard_error": 0.1, "precision_at": {"1": 1.0}, "curve": {}}
    row = {"method": "cvh", "bits": 8, "seed": 0, "kind": "unsupervised", "train_seconds": 1.0, "encode_seconds": 0.1}
    row |= {"image_to_text": direction, "text_to_image": direction}
    failed = {"method": "random", "bits": 8, "seed": 0, "kind": "floor", "error": "ValueError: no", "traceback": "..."}
    rows = tmp_path / "out" / "rows"
    rows.mkdir(parents=True)
    for path, content in (
        (tmp_path / "out" / "comparison.json", known),
        (rows / "cvh-8-0.json", row),
        (rows / "random-8-0.json", failed),
    ):
        path.write_text(json.dumps(content, indent=1) + "\n")
    folder = ComparisonFolder(comparing("cvh", "random"), tmp_path / "out", 0)
    assert folder.chance == 0.34
    assert [row["method"] for row in folder.run()] == ["random"]
    assert folder.collect()[1] == row


def test_rows_of_a_method_that_is_not_there_any_more_stay(planted_data, tmp_path):
    folder = ComparisonFolder(comparing("random"), tmp_path / "out", 0)
    list(folder.run())
    gone = {"method": "gone", "bits": 8, "seed": 0, "error": "no"}
    (tmp_path / "out" / "rows" / "gone-8-0.json").write_text(json.dumps(gone))
    assert [(row["method"], row["kind"]) for row in folder.collect()] == [("random", "floor"), ("gone", "unknown")]


def test_the_caption_says_data_settings_and_the_epochs_of_deep_methods(planted_data, tmp_path):
    given = Comparison("planted", None, {"size": "3"}, ("cvh", "cmnnh"), (8,), 1, epochs=1, precision="bf16-mixed")
    folder = ComparisonFolder(given, tmp_path / "out", 0)
    jobs = iter(folder.run())
    size = "planted (size=3); 30 queries, database of 90"
    assert folder.caption() == size, "nothing deep is there yet"
    assert next(jobs)["method"] == "cmnnh"
    assert folder.caption() == f"{size}; deep methods with 1 epoch in bf16-mixed"
    jobs.close()


def test_a_method_named_twice_is_compared_once():
    assert len(comparing("cvh", "cvh").jobs(small_set())) == 1


def test_every_method_is_known_to_the_comparison():
    assert Comparison("wiki", None, {}, names(), (16,), 1).names == names()
