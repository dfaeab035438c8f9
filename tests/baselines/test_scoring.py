"""What rows and tables say of methods: by labels that are known, by pairs, and where there are no labels."""

import dataclasses
import json
import math

import numpy as np
import pytest

from udsph.baselines import comparison as room
from udsph.baselines import create, methods, names
from udsph.baselines.comparison import Comparison, ComparisonFolder, Job, run_job
from udsph.baselines.registry import without_labels
from udsph.baselines.scoring import Views, chance
from udsph.evaluation import evaluate, evaluate_pair_scores, evaluate_pairs
from udsph.report.figures import draw_figures
from udsph.report.tables import MEASURES, markdown_table, summarise, write_tables

from .test_comparison import small_set

DIRECTIONS = ("image_to_text", "text_to_image")


def partly(dataset, unknown):
    labels = dataset.labels.astype(int)
    labels[unknown] = -1
    return dataclasses.replace(dataset, labels=labels)


def bare(dataset):
    return dataclasses.replace(dataset, labels=None, classes=())


@pytest.fixture
def comparing(monkeypatch, tmp_path):
    def folder(dataset, *methods, bits=(8,)):
        monkeypatch.setattr(room, "load", lambda name, root=None, **settings: dataset)
        return ComparisonFolder(Comparison("planted", None, {}, methods, bits, 1), tmp_path / "out", 0)

    return folder


def test_a_row_has_graded_relevance_and_pairs():
    dataset = small_set()
    row = run_job(Job("cvh", 8, 0), Views(dataset, fixed_features=True))
    method = create("cvh", 8, 0).fit(*(getattr(dataset, v).values[dataset.splits["train"]] for v in ("image", "text")))
    query, database = dataset.splits["query"], dataset.splits["database"]
    images = method.encode_image(dataset.image.values)
    texts = method.encode_text(dataset.text.values)
    found = evaluate(images[query], texts[database], dataset.labels[query], dataset.labels[database], cutoffs=(100,))
    assert row["image_to_text"]["map"] == found["map"]
    assert row["image_to_text"]["ndcg_linear@100"] == found["ndcg_linear@100"]
    for direction, codes in (("image_to_text", (images, texts)), ("text_to_image", (texts, images))):
        expected = evaluate_pairs(*(part[query] for part in codes)).to_dict()
        assert {key: row[direction][key] for key in expected} == expected
        assert set(MEASURES) <= row[direction].keys()
    assert row["pairs"] == 90 and row["remarks"] == []


def test_real_valued_methods_are_measured_by_their_cosines():
    dataset = small_set()
    views = Views(dataset, fixed_features=False)
    row = run_job(Job("acmr-real", 8, 0), views, epochs=2)
    method = create("acmr-real", 8, 0, epochs=2).fit(*(views.parts[v, "train"] for v in ("image", "text")), views.given)
    images, texts = (getattr(method, f"embed_{v}")(views.parts[v, "query"]) for v in ("image", "text"))
    expected = evaluate_pair_scores(images @ texts.T).to_dict()
    assert {key: row["image_to_text"][key] for key in expected} == pytest.approx(expected)
    assert 0 < row["image_to_text"]["ndcg_linear@100"] <= 1 and row["remarks"] == []


def test_only_items_whose_labels_are_known_count_by_label():
    dataset = small_set()
    unknown = np.concatenate([dataset.splits["query"][::3], dataset.splits["train"][::5]])
    found = run_job(Job("cvh", 8, 0), Views(partly(dataset, unknown), fixed_features=True))
    whole = run_job(Job("cvh", 8, 0), Views(dataset, fixed_features=True))  # which needs no labels: the same codes
    # As if the others were not there, of a method that has seen them.
    method = create("cvh", 8, 0).fit(*(getattr(dataset, v).values[dataset.splits["train"]] for v in ("image", "text")))
    query, database = (np.setdiff1d(dataset.splits[split], unknown) for split in ("query", "database"))
    codes = method.encode_image(dataset.image.values[query]), method.encode_text(dataset.text.values[database])
    expected = evaluate(*codes, dataset.labels[query], dataset.labels[database])
    assert found["image_to_text"]["map"] == expected["map"] != whole["image_to_text"]["map"]
    assert found["image_to_text"]["pair_recall@10"] == whole["image_to_text"]["pair_recall@10"]
    assert chance(partly(dataset, unknown)) != chance(dataset) and found["pairs"] == 90


def test_a_supervised_row_says_how_many_pairs_it_learnt_from():
    dataset = small_set()
    assert run_job(Job("scm-seq", 8, 0), Views(dataset, fixed_features=True))["pairs"] == 90
    few = partly(dataset, dataset.splits["train"][:60])
    assert run_job(Job("scm-seq", 8, 0), Views(few, fixed_features=True))["pairs"] == 30


def test_pairs_without_labels_have_rows_tables_and_figures(comparing, tmp_path):
    folder = comparing(bare(small_set()), "random", "cvh", bits=(4, 8))
    rows = list(folder.run())
    assert folder.chance is None and chance(bare(small_set())) is None
    assert json.loads((tmp_path / "out" / "comparison.json").read_text())["chance"] is None
    assert not any({"map", "curve"} & row[direction].keys() for row in rows for direction in DIRECTIONS)
    table = markdown_table(summarise(rows), math.nan, "R@10 on planted", folder.notes())
    lines = table.splitlines()
    assert lines[0] == "R@10 on planted." and "| R@1 4 | R@1 8 | median rank 4 | median rank 8 |" in table
    (best,) = [row for row in rows if (row["method"], row["bits"]) == ("cvh", 8)]
    assert f"{best['image_to_text']['pair_recall@10']:.3f}" in next(line for line in lines if line.startswith("| cvh"))
    written = write_tables(rows, math.nan, "R@10 on planted", tmp_path)
    assert "nan" not in "".join(path.read_text() for path in written)
    pytest.importorskip("matplotlib")
    names = [path.name for path in draw_figures(rows, math.nan, "planted", tmp_path)]
    assert names == ["pair_recall_by_bits.png", "train_seconds.png", "encode_time.png"]


def test_the_notes_say_who_learns_from_what_and_what_counts(comparing):
    dataset = small_set()
    unknown = np.concatenate([dataset.splits["query"][:3], dataset.splits["train"][:50]])
    assert comparing(partly(dataset, unknown), "cvh", "scm-seq").notes() == [
        "of 90 training pairs 40 have labels for training; from these alone learn: scm-seq",
        "MAP and NDCG leave out pairs whose labels are not known: 3 of the query and 50 of the database",
    ]


def test_methods_that_need_labels_are_named_where_there_are_none(comparing):
    folder = comparing(bare(small_set()), *names())
    assert {job.method for job in folder.jobs} == set(without_labels())
    (note,) = folder.notes()
    needing = [name for name in names() if name not in without_labels()]
    assert note == f"left out, since they need labels and the training pairs have none: {', '.join(needing)}"


def test_collapsed_codes_stand_below_the_table(comparing, monkeypatch):
    folder = comparing(small_set(), "cvh")
    monkeypatch.setattr(methods()["cvh"], "encode_image", lambda self, images: np.zeros((len(images), 1), np.uint8))
    list(folder.run())
    (note,) = folder.notes()
    assert note == "codes that hardly differ, as results.json says in full: cvh 8 (seed 0)"
    assert folder.rows()[0]["remarks"][0].startswith("90 images have one code of 8 bits")
    assert note in markdown_table(summarise(folder.rows()), 0.3, "MAP", [note])


def test_one_labelled_pair_of_a_class_is_enough_for_the_others():
    """A class of a single labelled pair, and one that only unlabelled pairs could have, stop nobody."""
    dataset = small_set()
    train = dataset.splits["train"]
    of_first = train[dataset.labels[train, 0] > 0]
    for kept in (1, 0):
        few = partly(dataset, of_first[kept:])
        row = run_job(Job("scm-seq", 8, 0), Views(few, fixed_features=True))
        assert row["pairs"] == 90 - len(of_first) + kept and row["image_to_text"]["map"] > 0.3
