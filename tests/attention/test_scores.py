"""What the contract refuses, and with which words."""

import pytest

from udsph.attention import backends, cross_attention_scores
from udsph.errors import InputError

from .batches import make_batch, torch

USABLE = [name for name, state in backends().items() if state == "available" and name != "cuda"]


def whole_batch(**kwargs):
    return make_batch(ragged=False, **kwargs)[:2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, w: (r[0], w), r"regions has shape \(7, 12\)"),
        (lambda r, w: (r, w[..., :5]), "regions has 12 dimensions, words has 5"),
        (lambda r, w: (r[:0], w), "nothing to score"),
        (lambda r, w: (r, w[:, :0]), "nothing to score"),
        (lambda r, w: (r, w[..., :0]), "nothing to score"),
        (lambda r, w: (r.float(), w), "regions has dtype torch.float32, words has torch.float64"),
        (lambda r, w: (r.to("meta"), w), "regions has device meta, words has cpu"),
        (lambda r, w: (r.int(), w.int()), "dtype torch.int32"),
        (lambda r, w: (r.to(torch.complex64), w), "dtype torch.complex64"),
        (lambda r, w: (r.numpy(), w), "regions is a ndarray"),
        (lambda r, w: (r, w.to_sparse()), "words has the layout torch.sparse_coo"),
    ],
)
def test_features_that_do_not_fit(change, message):
    with pytest.raises(InputError, match=message):
        cross_attention_scores(*change(*whole_batch()))


@pytest.mark.parametrize("name", ["region_lengths", "word_lengths"])
@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 2, 0, 1, 1], r"\[2\] is 0: expected 1 to"),
        ([1, 2, 99, 1, 1], r"\[2\] is 99: expected 1 to"),
        ([1, 2, -1, 1, 1], r"\[2\] is -1: expected 1 to"),
        ([1, 2], r"has shape \(2,\): expected \(5,\)"),
        ([[1], [2], [1], [1], [1]], r"has shape \(5, 1\)"),
        ([1.0, 2.0, 1.0, 1.0, 1.0], "expected integers"),
        ([True] * 5, "expected integers"),
        ("abcde", "cannot be read as integers"),
    ],
)
def test_lengths_that_do_not_fit(name, lengths, message):
    batch = whole_batch(captions=5)
    with pytest.raises(InputError, match=name + ".*" + message):
        cross_attention_scores(*batch, **{name: lengths})


def test_lengths_may_be_lists_or_any_integer_tensor():
    regions, words, region_lengths, word_lengths = make_batch()
    expected = cross_attention_scores(regions, words, region_lengths, word_lengths)
    for lengths in (word_lengths.tolist(), word_lengths.to(torch.uint8), word_lengths.int().numpy()):
        assert torch.equal(cross_attention_scores(regions, words, region_lengths, lengths), expected)


@pytest.mark.parametrize("backend", USABLE)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("pool", ["lse", "max"])
@pytest.mark.parametrize("which", [0, 1])
def test_non_finite_features(backend, value, pool, which):
    batch = whole_batch(dtype=torch.float32)
    batch[which][1, 2, 3] = value
    with pytest.raises(InputError, match="NaN or infinite"):
        cross_attention_scores(*batch, backend=backend, pool=pool)


def test_unknown_backend():
    with pytest.raises(InputError, match="backend='gpu' is not one of 'auto', 'reference', 'gram'"):
        cross_attention_scores(*whole_batch(), backend="gpu")
