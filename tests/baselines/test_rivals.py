"""The objectives of the newer rivals against their formulas, written out as loops."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from udsph.baselines import create
from udsph.baselines.deep.mith import alignment, concept_alignment, distillation, gather, likelihood, waves
from udsph.baselines.deep.ucch import contrast, ranking
from udsph.data import Modality

from .views import planted


def unit(n, dims, seed):
    return F.normalize(torch.randn(n, dims, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_the_contrast_of_ucch_is_its_formula():
    views, keys, place = unit(5, 8, 0), unit(7, 8, 1), torch.tensor([3, 0, 6, 2, 2])
    total = 0.0
    for i in range(5):
        scores = []
        for j in range(7):
            inner = sum(float(views[i, k]) * (1 if keys[j, k] > 0 else -1) for k in range(8))
            scores.append(math.exp(inner / (0.9 * math.sqrt(8))))
        total -= math.log(scores[place[i]] / sum(scores))
    assert float(contrast(views, keys, place, 0.9)) == pytest.approx(total / 5, rel=1e-5)


@pytest.mark.parametrize(("margin", "shift"), [(0.2, 1.0), (0.5, 0.0), (0.0, 2.0)])
def test_the_ranking_of_ucch_is_its_formula(margin, shift):
    image, text = unit(6, 8, 2), unit(6, 8, 3)
    scores = (image.double() @ text.double().T).tolist()
    total = 0.0
    for i in range(6):
        for line in (scores[i], [scores[j][i] for j in range(6)]):
            lowered = [s if s >= scores[i][i] - margin else s - shift for s in line]
            total += margin - scores[i][i] + math.log(sum(map(math.exp, lowered)))
    assert float(ranking(image, text, margin, shift)) == pytest.approx(total / 6, rel=1e-5)


def prepared(name, n=12, bits=8, **settings):
    """A method that is built and trained for a step, and a batch of all its pairs."""
    images, texts, labels = planted(n=n)
    method = create(name, bits, 0, epochs=2, device="cpu", **settings).fit(images, texts, labels)
    views = Modality("vectors", images.astype(np.float32)), Modality("vectors", texts.astype(np.float32))
    method.pair_.train()
    return method, method._batch(*views, labels, np.arange(n))


def test_the_memory_of_ucch_moves_towards_what_a_pair_has_in_common():
    method, batch = prepared("ucch")
    before = method.extra_.codes.clone()
    method.progress_ = 0.9
    rows = torch.tensor([4, 1, 7])
    method._losses(batch._replace(image=pick(batch.image, rows), text=pick(batch.text, rows), rows=rows))
    after = method.extra_.codes
    for row in rows.tolist():
        x, y = (torch.tanh(view.code_logits[row]) for view in (batch.image, batch.text))
        common = x / x.norm() + y / y.norm()
        moved = 0.4 * before[row] + 0.6 * common / common.norm()
        torch.testing.assert_close(after[row], (moved / moved.norm()).detach())
    others = [row for row in range(12) if row not in rows]
    torch.testing.assert_close(after[others], before[others])


def pick(outputs, rows):
    return outputs._replace(
        **{name: getattr(outputs, name)[rows] for name in ("features", "code_logits", "class_logits")}
    )


def test_ucch_tells_a_pair_from_drawn_ones_where_there_are_many():
    method, _ = prepared("ucch")
    memory, rows = torch.arange(40.0).reshape(40, 1), torch.tensor([3, 30])
    assert method._keys(memory, rows)[0] is memory
    method.drawn = 20
    keys, place = method._keys(memory, rows)
    assert keys[place].ravel().tolist() == [3, 30]
    assert not {3.0, 30.0} & set(keys[2:].ravel().tolist()) and 2 < len(keys) <= 22


def test_no_gradient_of_ucch_reaches_the_codes():
    views, keys = unit(4, 8, 0).requires_grad_(), unit(4, 8, 1).requires_grad_()
    contrast(views, keys, torch.arange(4), 0.9).backward()
    assert views.grad.abs().sum() > 0 and keys.grad is None


def test_the_concepts_of_mith_gather_the_parts_that_have_them():
    rng = torch.Generator().manual_seed(0)
    parts, amounts = torch.randn(3, 4, 5, generator=rng), torch.tanh(torch.randn(3, 4, 6, generator=rng))
    amounts[2] = -0.5  # an item of which no part has any concept
    valid = torch.arange(4) < torch.tensor([4, 2, 3])[:, None]
    found = gather(parts, amounts, valid, 2)
    for item in range(3):
        for concept in range(6):
            counted = []
            for part in range(4):
                foremost = sorted(amounts[item, part].tolist(), reverse=True)[:2]
                if valid[item, part] and amounts[item, part, concept] > 0 and amounts[item, part, concept] in foremost:
                    counted.append(part)
            weights = [math.exp(amounts[item, part, concept]) for part in counted]
            expected = torch.zeros(5)
            for part, weight in zip(counted, weights, strict=True):
                expected += weight / sum(weights) * parts[item, part]
            torch.testing.assert_close(found[item, concept], expected)
    assert not found[2].any() and found[0].any()


def test_the_likelihood_of_mith_is_its_formula():
    codes, remembered = 3 * unit(4, 8, 0), 3 * unit(6, 8, 1)
    similar = (torch.rand(4, 6, generator=torch.Generator().manual_seed(2)) < 0.5).float()
    total = 0.0
    for i in range(4):
        for j in range(6):
            theta = float(codes[i] @ remembered[j]) / 2
            total += math.log(1 + math.exp(theta)) - float(similar[i, j]) * theta
    assert float(likelihood(codes, remembered, similar)) == pytest.approx(total / 24, rel=1e-5)


def test_the_alignments_of_mith_are_their_formulas():
    image, text = unit(5, 8, 0), unit(5, 8, 1)

    def contrasts(first, second):
        """Of each row of ``first`` against all of ``second``, in which its own has the same number."""
        scores = [[math.exp(float(a @ b) / 0.07) for b in second] for a in first]
        return [-math.log(row[i] / sum(row)) for i, row in enumerate(scores)]

    both = contrasts(image, text) + contrasts(text, image)
    assert float(alignment(image, text)) == pytest.approx(sum(both) / 10, rel=1e-4)
    first, second = unit(6, 8, 2).reshape(2, 3, 8), unit(6, 8, 3).reshape(2, 3, 8)
    within = [
        one for k in range(2) for pair in ((first, second), (second, first)) for one in contrasts(*(x[k] for x in pair))
    ]
    assert float(concept_alignment(first, second)) == pytest.approx(sum(within) / 12, rel=1e-4)


def test_a_tenth_of_the_distillation_of_mith_reaches_the_whole():
    whole, local = unit(3, 8, 0).requires_grad_(), unit(3, 8, 1).requires_grad_()
    found = distillation(whole, local, 0.1)
    assert found.item() == pytest.approx(1.1 * (whole - local).square().sum().item() / 3, rel=1e-5)
    found.backward()
    torch.testing.assert_close(whole.grad, -0.1 * local.grad)


def test_the_losses_of_mith_are_weighed_and_remember_what_was_said():
    method, batch = prepared("mith")
    image, text = method._said("image", batch.image), method._said("text", batch.text)
    found = method._losses(batch)
    assert torch.equal(method.extra_.memory.image_whole, image.whole) and torch.equal(
        method.extra_.memory.text_local, text.local
    )
    similar = (batch.labels @ batch.labels.T > 0).float()
    torch.testing.assert_close(found["image_whole"], 10 * likelihood(image.whole, text.whole, similar))
    torch.testing.assert_close(found["text_local"], likelihood(text.local, text.local, similar))
    wanted = (0.99 * (image.whole + text.whole) + 0.01 * (image.local + text.local)).sign()
    for view, said in (("image", image), ("text", text)):
        distance = ((said.whole + said.local) / 2 - wanted).square().sum() / wanted.numel()
        torch.testing.assert_close(found[f"{view}_quantise"], 8 * distance)
    torch.testing.assert_close(found["align"], 50 * alignment(image.vector, text.vector))
    torch.testing.assert_close(found["concepts"], 0.5 * concept_alignment(image.concepts, text.concepts))
    sum(found.values()).backward()
    sides = dict(method.extra_.named_parameters())
    assert all(
        value.grad is not None and value.grad.any()
        for name, value in sides.items()
        if value.requires_grad and "from_parts" not in name
    )


def test_places_are_told_apart():
    places = waves(64, 64)
    assert places.shape == (64, 64) and torch.cdist(places, places).fill_diagonal_(1).min() > 0.1
    np.testing.assert_allclose(
        places[3, 4:6], np.array([math.sin(3 * 1e4 ** (-4 / 64)), math.cos(3 * 1e4 ** (-4 / 64))]) / 8, rtol=1e-5
    )


@pytest.mark.parametrize("name", ["mith", "ucch"])
def test_items_with_parts_are_coded_one_by_one(name):
    """Padding behind the valid parts and the other items of a batch change no code."""
    images, texts, labels = planted(n=40)
    rng = np.random.default_rng(0)
    regions = np.repeat(images[:, None], 3, axis=1) + 0.1 * rng.standard_normal((40, 3, 24))
    view = Modality("regions", regions.astype(np.float32), rng.integers(1, 4, 40).astype(np.int32))
    method = create(name, 16, 0, epochs=3, device="cpu").fit(view, texts, labels)
    together = method.encode_image(view)
    apart = np.concatenate([method.encode_image(view.take(np.array([row]))) for row in range(6)])
    np.testing.assert_array_equal(together[:6], apart)
    spoilt = regions.copy()
    for row, length in enumerate(view.lengths):
        spoilt[row, length:] = 1e3
    np.testing.assert_array_equal(
        method.encode_image(Modality("regions", spoilt.astype(np.float32), view.lengths)), together
    )
