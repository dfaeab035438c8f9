"""The losses against their formulas, written out plainly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from udsph.training import losses


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.tanh(torch.randn(6, 8, generator=torch.Generator().manual_seed(1)))


LABELS = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1], [1, 0, 1]])


def test_the_ranking_loss_is_one_minus_average_precision_where_the_step_is_sharp():
    torch.manual_seed(0)
    codes, labels = torch.randn(12, 16), (torch.rand(12, 5) < 0.3).float()
    similar = losses.similarity(labels, labels)
    precisions = []
    for q in range(12):
        order = [j for j in (codes @ codes[q]).argsort(descending=True).tolist() if j != q]
        hits = np.array([float(similar[q, j]) for j in order])
        if hits.any():
            precisions.append((hits.cumsum() / np.arange(1, 12))[hits > 0].mean())
    assert len(precisions) >= 10
    found = losses.ranking(codes, similar, temperature=1e-4)
    assert float(found) == pytest.approx(1 - np.mean(precisions), abs=1e-5)


def test_the_ranking_loss_draws_similar_codes_together():
    torch.manual_seed(0)
    codes = torch.randn(8, 16, requires_grad=True)
    similar = torch.eye(2).repeat_interleave(4, 0) @ torch.eye(2).repeat_interleave(4, 0).T
    optimiser = torch.optim.Adam([codes], lr=0.05)
    before = losses.ranking(torch.tanh(codes), similar)
    for _ in range(50):
        optimiser.zero_grad()
        losses.ranking(torch.tanh(codes), similar).backward()
        optimiser.step()
    assert losses.ranking(torch.tanh(codes), similar) < 0.1 * before


def test_the_graded_ranking_is_the_mean_over_levels_of_shared_labels_that_occur():
    torch.manual_seed(0)
    codes, labels = torch.randn(10, 16), (torch.rand(10, 6) < 0.5).float()
    shared = labels @ labels.T
    each = [losses.ranking(codes, (shared >= level).float()) for level in (1, 2)]
    torch.testing.assert_close(losses.graded_ranking(codes, labels), (each[0] + each[1]) / 2)
    single = torch.eye(5).repeat(2, 1)
    torch.testing.assert_close(losses.graded_ranking(codes, single), losses.ranking(codes, single @ single.T))
    assert float(losses.graded_ranking(codes, torch.eye(10))) == 0


def test_the_ranking_loss_of_items_without_similar_ones_is_zero():
    codes = torch.randn(3, 8, requires_grad=True)
    losses.ranking(codes, torch.eye(3)).backward()
    assert codes.grad.abs().max() == 0


def test_similar_is_a_shared_label():
    similar = losses.similarity(LABELS, LABELS)
    for i in range(6):
        for j in range(6):
            assert similar[i, j] == float(any(a and b for a, b in zip(LABELS[i], LABELS[j], strict=True)))


def test_pairwise_likelihood_is_the_linear_one_with_both_kinds_of_pairs_equal(codes):
    similar = losses.similarity(LABELS, LABELS)
    kinds: dict[float, list[float]] = {0.0: [], 1.0: []}
    for i in range(6):
        for j in range(6):
            theta = losses.SHARPNESS * float(codes[i] @ codes[j] / codes[i].norm() / codes[j].norm())
            probability = 1 / (1 + math.exp(-theta))
            value = float(similar[i, j])
            kinds[value].append(-math.log(probability if value else 1 - probability))
    wanted = sum(sum(kind) / len(kind) for kind in kinds.values()) / 2
    assert float(losses.pairwise_likelihood(codes, codes, similar)) == pytest.approx(wanted, rel=1e-5)


def test_pairwise_likelihood_is_a_mean(codes):
    similar = losses.similarity(LABELS, LABELS)
    once = losses.pairwise_likelihood(codes, codes, similar)
    twice = losses.pairwise_likelihood(codes.repeat(2, 2), codes.repeat(2, 2), similar.repeat(2, 2))
    torch.testing.assert_close(once, twice)


@pytest.mark.parametrize("similar", [torch.ones(2, 2), torch.zeros(2, 2)])
def test_pairwise_likelihood_of_one_kind_of_pairs_is_the_plain_mean(similar):
    value = losses.pairwise_likelihood(torch.eye(2), torch.eye(2), similar)
    theta = torch.tensor([losses.SHARPNESS, 0.0, 0.0, losses.SHARPNESS])
    torch.testing.assert_close(value, (torch.nn.functional.softplus(theta) - similar.flatten() * theta).mean())


def test_no_loss_overflows_at_large_or_zero_values():
    huge = torch.tensor([[1e30, -1e30], [-1e30, 1e30]], requires_grad=True)
    values = [
        losses.pairwise_likelihood(huge * 1e-25, huge * 1e-25, torch.eye(2)),
        losses.pairwise_likelihood(huge * 0, huge * 0, torch.eye(2)),
        losses.bit_likelihood(huge, torch.ones(2, 2)),
        losses.classification(huge, torch.eye(2), single=False),
        losses.discrimination(huge, real=False),
    ]
    for value in values:
        assert torch.isfinite(value)
        (gradient,) = torch.autograd.grad(value, huge, retain_graph=True)
        assert torch.isfinite(gradient).all()


def test_a_rare_kind_of_pairs_weighs_as_much_as_a_common_one():
    similar = torch.zeros(10, 10)
    similar[0, 0] = 1
    values = torch.where(similar > 0, 3.0, 1.0)
    assert float(losses.balanced_mean(values, similar)) == pytest.approx(2.0)


def test_bits_are_drawn_to_the_wanted_side_even_from_the_wrong_one():
    logits = torch.tensor([[-6.0, 6.0]], requires_grad=True)
    losses.bit_likelihood(logits, torch.tensor([[1.0, 1.0]])).backward()
    wrong, right = -logits.grad[0]
    assert wrong > 0.4 and 0 < right < 0.01
    codes = torch.tanh(logits.detach() / 2).requires_grad_()
    losses.quantisation(codes).backward()  # the squared distance to a code's own sign keeps the wrong sign
    assert codes.grad[0, 0] * codes[0, 0] < 0


def test_classification_with_one_and_with_several_labels():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(2))
    single = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    logs = torch.log_softmax(logits, 1)
    wanted = -sum(float(logs[i, i % 3]) for i in range(6)) / 6
    assert float(losses.classification(logits, single, single=True)) == pytest.approx(wanted, rel=1e-5)
    present = -torch.nn.functional.logsigmoid(logits)[LABELS > 0].mean()
    absent = -torch.nn.functional.logsigmoid(-logits)[LABELS == 0].mean()
    torch.testing.assert_close(losses.classification(logits, LABELS, single=False), (present + absent) / 2)


def test_balance_is_zero_only_for_even_and_uncorrelated_bits():
    even = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert float(losses.balance(even)) == 0
    assert float(losses.balance(even.abs())) == pytest.approx(1.5)  # all ones: mean 1, correlation 1 off the diagonal
    assert float(losses.balance(even[:, [0, 0]])) == pytest.approx(0.5)  # even, but twice the same bit


def test_matching_takes_the_hardest_mismatch_and_no_pair_of_the_same_labels():
    scores = torch.tensor([[0.9, 0.8, 0.95], [0.1, 0.5, 0.4], [0.2, 0.3, 0.6]])
    labels = torch.tensor([[1, 0], [0, 1], [1, 0]])  # the first and the third are no mismatch
    captions = [max(0.2 + 0.8 - 0.9, 0), max(0.2 + 0.4 - 0.5, 0.2 + 0.1 - 0.5, 0), max(0.2 + 0.3 - 0.6, 0)]
    images = [max(0.2 + 0.1 - 0.9, 0), max(0.2 + 0.8 - 0.5, 0.2 + 0.3 - 0.5, 0), max(0.2 + 0.4 - 0.6, 0)]
    wanted = sum(captions) / 3 + sum(images) / 3
    assert float(losses.matching(scores, labels, 0.2)) == pytest.approx(wanted, abs=1e-6)
