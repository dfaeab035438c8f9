"""The fixed features of pixels, words and regions."""

import numpy as np
import pytest
from scipy import sparse

from udsph.baselines.features import Describer, pixel_features, word_counts
from udsph.data import Modality
from udsph.errors import InputError


def test_pixels_give_colour_and_gradient_histograms():
    images = np.zeros((2, 16, 16, 3), np.uint8)
    images[1, :, 8:] = 255  # a vertical edge
    features = pixel_features(Modality("pixels", images)) ** 2
    assert features.shape == (2, 384)
    np.testing.assert_allclose(features[:, :256].sum(1), 1)
    assert features[0, 256:].sum() == 0  # no gradient anywhere
    np.testing.assert_allclose(features[0, [0, 64, 128, 192]], 0.25)  # black in every quarter
    np.testing.assert_allclose(features[1, [0, 64 + 63, 128, 192 + 63]], 0.25)
    np.testing.assert_allclose(features[1, 256::8].sum(), 1)  # all gradients point across


def test_pixels_are_described_one_by_one():
    images = np.random.default_rng(0).integers(0, 256, (2100, 8, 8, 3)).astype(np.uint8)
    together = pixel_features(Modality("pixels", images))
    np.testing.assert_allclose(together[2000:2003], pixel_features(Modality("pixels", images[2000:2003])))


def test_too_small_pixels_are_refused():
    with pytest.raises(InputError, match="too small"):
        pixel_features(Modality("pixels", np.zeros((1, 3, 8, 3), np.uint8)))


def test_words_are_counted_without_padding_and_weighted_by_rarity():
    tokens = Modality(
        "tokens", np.array([[1, 1, 2], [1, 3, 0]], np.int32), np.array([3, 2], np.int32), ("", "a", "b", "c")
    )
    np.testing.assert_array_equal(word_counts(tokens).toarray(), [[0, 2, 1, 0], [0, 1, 0, 1]])
    rows = Describer(tokens)(tokens)
    assert sparse.issparse(rows)
    np.testing.assert_allclose(np.square(rows.toarray()).sum(1), 1)
    assert rows[[1]].toarray()[0, 3] > rows[[1]].toarray()[0, 1]  # "c" is rarer than "a"


def test_regions_give_mean_and_maximum_of_the_valid_ones():
    values = np.array([[[1.0, 4.0], [3.0, 2.0], [99.0, 99.0]]], np.float32)
    regions = Modality("regions", values, np.array([2], np.int32))
    np.testing.assert_allclose(Describer(regions)(regions), [[2, 3, 3, 4]])


def test_another_kind_is_refused():
    pixels = Modality("pixels", np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="fitted on pixels but is given vectors"):
        Describer(pixels)(Modality("vectors", np.zeros((2, 3))))
    with pytest.raises(InputError, match="fitted on pixels"):
        Describer(pixels)(np.zeros((2, 3)))
