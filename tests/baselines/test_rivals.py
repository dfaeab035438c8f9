"""The objectives of the newer rivals against their formulas, written out as loops."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from udsph.baselines import create
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
