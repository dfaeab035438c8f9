"""The built-in scenes: determinism, statistics, captions that agree with the labels, and settings."""

import multiprocessing

import numpy as np
import pytest

from udsph import data
from udsph.data.layouts.scenes import make_pair
from udsph.data.layouts.scenes.drawing import TONES, draw_pixels
from udsph.data.layouts.scenes.grammar import LONGEST, SYNONYMS, VOCABULARY, write_caption
from udsph.data.layouts.scenes.world import (
    CLASSES,
    COLOURS,
    LOOSE_EXTENT,
    NEUTRALS,
    SHAPES,
    Scene,
    Thing,
    draw_scene,
    generator,
    labels_of,
)
from udsph.data.tokens import words_of
from udsph.errors import InputError


@pytest.fixture(scope="module")
def scenes():
    return data.load("scenes", pairs=600, seed=3, workers=1)


@pytest.fixture(scope="module")
def drawn():
    """3000 scenes without their pixels."""
    return [draw_scene(generator(1, item, 0)) for item in range(3000)]


def test_kinds_shapes_and_types(scenes):
    assert scenes.image.kind == "pixels"
    assert scenes.image.values.shape == (600, 64, 64, 3)
    assert scenes.image.values.dtype == np.uint8
    assert scenes.text.kind == "tokens"
    assert scenes.text.values.shape == (600, LONGEST)
    assert scenes.text.values.dtype == np.int32
    assert scenes.text.lengths.dtype == np.int32
    assert scenes.labels.shape == (600, 24)
    assert scenes.labels.dtype == np.uint8
    assert scenes.classes == CLASSES
    assert len(set(CLASSES)) == 24


def test_any_number_of_workers_gives_the_same_pairs(scenes):
    parallel = data.load("scenes", pairs=600, seed=3, workers=2)
    np.testing.assert_array_equal(parallel.image.values, scenes.image.values)
    np.testing.assert_array_equal(parallel.text.values, scenes.text.values)
    np.testing.assert_array_equal(parallel.labels, scenes.labels)
    assert parallel.captions == scenes.captions
    assert parallel.settings == scenes.settings


def test_processes_that_do_not_fork_give_the_same_pairs(scenes, monkeypatch):
    monkeypatch.setattr("udsph.data.layouts.scenes._start_method", lambda: "spawn")
    spawned = data.load("scenes", pairs=300, seed=3, workers=2)
    np.testing.assert_array_equal(spawned.image.values, scenes.image.values[:300])


def test_a_smaller_set_is_the_beginning_of_a_larger_one(scenes):
    smaller = data.load("scenes", pairs=40, seed=3, workers=1)
    np.testing.assert_array_equal(smaller.image.values, scenes.image.values[:40])
    np.testing.assert_array_equal(smaller.text.values, scenes.text.values[:40])
    assert smaller.captions == scenes.captions[:40]


@pytest.mark.filterwarnings("ignore:scenes. no item has the class")  # of so few
def test_seeds_and_noise_change_what_they_should(scenes):
    other = data.load("scenes", pairs=20, seed=4, workers=1)
    assert other.captions != scenes.captions[:20]
    clean = data.load("scenes", pairs=20, seed=3, noise=0, workers=1)
    assert clean.captions == scenes.captions[:20]
    difference = scenes.image.values[:20].astype(float) - clean.image.values
    assert 8 < difference.std() < 14  # 0.05 of 255, a little of it cut off at black and white


def test_pairs_are_pinned():
    """The generator is frozen: what was published with a seed stays reproducible."""
    image, labels, caption = make_pair(seed=0, item=1, noise=0.05, omit=0.1)
    assert caption == (
        "we found a white diamond, a spotted scarlet ball, an old dotted large white crescent and a blue box, "
        "a crowd of things this morning"
    )
    assert [name for name, holds in zip(CLASSES, labels, strict=True) if holds] == [
        "circle",
        "square",
        "diamond",
        "crescent",
        "red",
        "blue",
        "large",
        "dotted",
        "crowd",
    ]
    assert image.mean() == pytest.approx(118.38, abs=0.05)  # trigonometry may differ in the last digit


def test_works_in_a_daemonic_process(scenes):
    """Such processes, as data loaders use, may not start processes of their own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        captions = pool.apply(_captions_of_300)
    assert captions == scenes.captions[:300]


def _captions_of_300():
    return data.load("scenes", pairs=300, seed=3, workers=2).captions


def test_every_class_has_items_and_several_hold_at_once(drawn):
    labels = np.stack([labels_of(scene) for scene in drawn])
    share = labels.mean(axis=0)
    assert share.min() > 0.05
    assert share.max() < 0.3
    assert 3 < labels.sum(axis=1).mean() < 5
    assert (labels.sum(axis=1) >= 2).mean() > 0.8
    relevant = (labels[:1000].astype(int) @ labels[1000:2000].T.astype(int)) > 0
    assert 0.35 < relevant.mean() < 0.6


def test_labels_say_what_is_drawn():
    def thing(**changes):
        return Thing(**{"shape": "star", "colour": "red", "size": "medium", "pattern": "plain", "x": 30.0, "y": 30.0,
                        "radius": 10.0, **changes})  # fmt: skip

    def names(*things, arrangement="loose"):
        return {
            name for name, holds in zip(CLASSES, labels_of(Scene(things, arrangement, "woven")), strict=True) if holds
        }

    assert names(thing()) == {"star", "red"}
    assert names(thing(colour="grey", size="large", pattern="dotted")) == {"star", "large", "dotted"}
    assert names(thing(), thing(shape="ring"), arrangement="row") == {"star", "ring", "red", "row"}
    assert names(*[thing()] * 4) == {"star", "red", "crowd"}


def test_arrangements_are_unmistakable(drawn):
    for scene in drawn:
        x, y = np.array([(thing.x, thing.y) for thing in scene.things]).T
        if scene.arrangement == "row":
            assert np.ptp(y) <= 4 and len(x) > 1
        elif scene.arrangement == "column":
            assert np.ptp(x) <= 4 and len(x) > 1
        elif len(x) > 1:
            assert min(np.ptp(x), np.ptp(y)) >= LOOSE_EXTENT
    assert {scene.arrangement for scene in drawn} == {"row", "column", "loose"}
    assert {len(scene.things) for scene in drawn} == {1, 2, 3, 4}


def test_things_lie_inside_the_picture(drawn):
    for scene in drawn:
        for thing in scene.things:
            assert thing.radius <= thing.x <= 64 - thing.radius
            assert thing.radius <= thing.y <= 64 - thing.radius


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_painted_in_its_colour(shape):
    scene = Scene((Thing(shape, "red", "large", "plain", 32.0, 32.0, 18.0),), "loose", "faded")
    pixels = draw_pixels(scene, 0.0, np.random.RandomState(0)).astype(float) / 255
    near = np.abs(pixels - TONES["red"]).max(axis=2) < 0.1
    area = near.mean() * 64 * 64 / (np.pi * 18**2)
    assert 0.1 < area < 1
    assert not near[:12].any()
    assert not near[-12:].any()


def test_shapes_differ_from_each_other():
    def picture(shape):
        scene = Scene((Thing(shape, "black", "large", "plain", 32.0, 32.0, 18.0),), "loose", "faded")
        return draw_pixels(scene, 0.0, np.random.RandomState(0)).astype(float)

    pictures = [picture(shape) for shape in SHAPES]
    for i in range(len(SHAPES)):
        for j in range(i):
            assert np.abs(pictures[i] - pictures[j]).mean() > 2, (SHAPES[i], SHAPES[j])


@pytest.mark.parametrize("pattern", ["striped", "dotted"])
def test_patterns_are_visible(pattern):
    def picture(of):
        scene = Scene((Thing("square", "blue", "medium", of, 32.0, 32.0, 10.0),), "loose", "faded")
        return draw_pixels(scene, 0.0, np.random.RandomState(0)).astype(float)

    assert np.abs(picture(pattern) - picture("plain"))[26:38, 26:38].mean() > 20


def test_without_omission_a_caption_says_every_label(drawn):
    for item, scene in enumerate(drawn[:500]):
        said = words_of(write_caption(scene, 0.0, generator(1, item, 1)))
        text = f" {' '.join(said)} "
        for name, holds in zip(CLASSES, labels_of(scene), strict=True):
            mentioned = any(f" {synonym} " in text for synonym in SYNONYMS[name])
            assert mentioned == bool(holds), (text, name)


def average_precision(scores, relevant):
    hits = relevant[np.argsort(-scores, kind="stable")].astype(float)
    return (hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)).sum() / hits.sum()


def test_labels_follow_from_words_but_not_entirely(drawn):
    """Least squares on counted words: the labels can be learnt, and what captions omit keeps them from being given."""
    captions = [write_caption(scene, 0.1, generator(1, item, 1)) for item, scene in enumerate(drawn)]
    tokens = data.tokenise(captions, VOCABULARY, LONGEST).values
    counts = np.stack([np.bincount(row, minlength=len(VOCABULARY)) for row in tokens]).astype(float)
    counts[:, 0] = 1
    labels = np.stack([labels_of(scene) for scene in drawn])
    weights = np.linalg.lstsq(counts[:2000], labels[:2000], rcond=None)[0]
    scores = counts[2000:] @ weights
    precisions = [average_precision(scores[:, c], labels[2000:, c]) for c in range(24)]
    assert 0.88 < np.mean(precisions) < 0.98
    assert min(precisions) > 0.75


def test_omission_leaves_labels_out_and_invents_none(drawn):
    missing = 0
    for item, scene in enumerate(drawn[:500]):
        text = f" {' '.join(words_of(write_caption(scene, 0.3, generator(1, item, 1))))} "
        for name, holds in zip(CLASSES, labels_of(scene), strict=True):
            mentioned = any(f" {synonym} " in text for synonym in SYNONYMS[name])
            assert holds or not mentioned, (text, name)
            missing += bool(holds) and not mentioned
    assert missing > 100


def test_even_full_omission_says_something(drawn):
    for item, scene in enumerate(drawn[:200]):
        assert words_of(write_caption(scene, 1.0, generator(1, item, 1)))


def test_no_word_belongs_to_two_labels_or_to_a_distractor():
    owners = {}
    for name, synonyms in SYNONYMS.items():
        for synonym in synonyms:
            assert owners.setdefault(synonym, name) == name
    assert set(CLASSES) | set(NEUTRALS) <= set(SYNONYMS)
    assert set(COLOURS) == set(TONES)


def test_vocabulary_covers_all_captions_and_captions_fit(drawn):
    longest = 0
    for item, scene in enumerate(drawn):
        words = words_of(write_caption(scene, 0.0, generator(1, item, 1)))
        assert set(words) <= set(VOCABULARY[1:])
        longest = max(longest, len(words))
    assert 20 < longest <= LONGEST


def test_captions_vary_in_words_and_order(scenes):
    words = {word for caption in scenes.captions for word in words_of(caption)}
    assert len(words) > 0.9 * (len(VOCABULARY) - 1)
    assert len(set(scenes.captions)) > 500
    assert any(" in red" in caption for caption in scenes.captions)
    assert any("a red " in caption for caption in scenes.captions)


def test_tokens_spell_the_caption(scenes):
    for row, length, caption in zip(scenes.text.values[:50], scenes.text.lengths, scenes.captions, strict=False):
        assert [VOCABULARY[index] for index in row[:length]] == words_of(caption)
        assert not row[length:].any()


def test_splits_by_default_and_by_setting(scenes):
    assert {name: len(index) for name, index in scenes.splits.items()} == {"query": 60, "train": 540, "database": 540}
    chosen = data.load("scenes", pairs="50", query="10", train="20", workers="1")
    assert {name: len(index) for name, index in chosen.splits.items()} == {"query": 10, "train": 20, "database": 40}
    assert chosen.settings == {"pairs": 50, "seed": 0, "query": 10, "train": 20, "noise": 0.05, "omit": 0.1}
    again = data.load("scenes", **chosen.settings)
    np.testing.assert_array_equal(again.image.values, chosen.image.values)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"query": 49, "pairs": 50}, "query=49 leaves no training pairs"),
        ({"train": 46, "query": 5, "pairs": 50}, "together exceed pairs=50"),
        ({"pairs": 0}, "at least 10"),
        ({"noise": "nan"}, "at least 0"),
        ({"omit": 1.5}, "at most 1"),
        ({"seed": -1}, "at least 0"),
    ],
)
def test_impossible_settings_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        data.load("scenes", **settings)
