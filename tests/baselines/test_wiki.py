"""Published regions on the Wikipedia features, LDA text (needs the real data)."""

import numpy as np
import pytest

from udsph.baselines import create
from udsph.baselines.comparison import Job, run_job
from udsph.baselines.scoring import Views, chance
from udsph.data import load
from udsph.evaluation import mean_average_precision
from udsph.hamming import pack


@pytest.fixture(scope="module")
def wiki(real_data):
    return load("wiki", root=real_data / "wiki", text="lda")


@pytest.fixture(scope="module")
def views(wiki):
    return Views(wiki, fixed_features=True)


@pytest.mark.parametrize("name", ["cvh", "cca-itq", "imh", "cmfh", "qch", "stmh", "cmssh", "scm-orth", "scm-seq"])
@pytest.mark.parametrize("bits", [16, 64])
def test_above_chance_by_five_standard_errors(wiki, views, name, bits):
    row = run_job(Job(name, bits, 0), views)
    for direction in ("image_to_text", "text_to_image"):
        scores = row[direction]
        assert scores["map"] > chance(wiki) + 5 * scores["map_standard_error"]


def test_supervised_linear_codes_are_in_their_published_region(views):
    row = run_job(Job("scm-seq", 64, 0), views)
    assert 0.22 < row["image_to_text"]["map"] < 0.28 and 0.19 < row["text_to_image"]["map"] < 0.28


def test_fused_database_codes_are_what_seph_reports(wiki, views):
    """Its paper codes the database from both views; a view alone is far below that in the direction text to image."""
    parts, labels = views.parts, views.labels
    method = create("seph", 16, 0)
    method.fit(parts["image", "train"], parts["text", "train"], labels["train"])
    database = method.encode_pair(parts["image", "database"], parts["text", "database"])
    found = [
        mean_average_precision(codes, database, labels["query"], labels["database"])
        for codes in (method.encode_image(parts["image", "query"]), method.encode_text(parts["text", "query"]))
    ]
    np.testing.assert_allclose(found, [0.28, 0.63], atol=0.06)


def test_codes_of_both_views_and_unscaled_weights_are_what_cmfh_reports(wiki, views):
    """Its code weighs unscaled views, where the images have 0.15 of the weight, and loses the coupling of the maps."""
    parts, labels = views.parts, views.labels
    sizes = [parts[view, "train"].values.astype(float).var(axis=0).sum() for view in ("image", "text")]
    assert sizes[0] / sum(sizes) == pytest.approx(0.15, abs=0.01)
    method = create("cmfh", 64, 0, balance=0.15, coupling=0.01)
    method.fit(parts["image", "train"], parts["text", "train"])
    database = pack(method.factor_)
    found = [
        mean_average_precision(codes, database, labels["query"], labels["database"])
        for codes in (method.encode_image(parts["image", "query"]), method.encode_text(parts["text", "query"]))
    ]
    assert 0.19 < found[0] < 0.25 and 0.49 < found[1] < 0.56
