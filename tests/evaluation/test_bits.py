"""Entropy and correlation of bits, against SciPy and pandas."""

from __future__ import annotations

import numpy as np
import pytest

from udsph.evaluation import bit_use
from udsph.hamming import pack


def test_entropy_is_that_of_scipy_and_correlation_that_of_pandas() -> None:
    stats, pandas = pytest.importorskip("scipy.stats"), pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    bits = random.random((200, 13)) < random.random(13)
    bits[:, 5] = bits[:, 2]
    bits[:, 3], bits[:, 4] = True, False
    use = bit_use(pack(bits), 13)
    share = bits.mean(axis=0)
    assert use.share == pytest.approx(share)
    assert use.entropy == pytest.approx([stats.entropy([p, 1 - p], base=2) for p in share])
    assert use.mean_entropy == pytest.approx(use.entropy.mean())
    varying = pandas.DataFrame(np.delete(bits, [3, 4], axis=1).astype(float)).corr().abs().to_numpy()
    assert use.correlation == pytest.approx(varying)
    assert sorted(use.pairs) == pytest.approx(sorted(varying[np.triu_indices(11, 1)]))
    assert use.mean_correlation == pytest.approx(use.pairs.mean()) and use.pairs.max() == pytest.approx(1)


@pytest.mark.parametrize("value", [0, 255])
def test_codes_that_are_all_equal_say_nothing(value: int) -> None:
    use = bit_use(np.full((9, 2), value, np.uint8))
    assert use.to_dict() == {"bit_entropy": 0.0, "bit_correlation": 0.0}
    assert use.bits == 16 and use.correlation.shape == (0, 0) and len(use.pairs) == 0


def test_one_bit_that_varies_correlates_with_no_other() -> None:
    use = bit_use(np.array([[0], [1]], np.uint8), 1)
    assert use.mean_entropy == 1 and use.mean_correlation == 0 and len(use.pairs) == 0


def test_the_bit_order_says_which_bit_is_which() -> None:
    codes = np.array([[1], [1], [0]], np.uint8)
    assert bit_use(codes).share[0] == bit_use(codes, bitorder="big").share[7] == pytest.approx(2 / 3)


def test_no_codes_have_no_entropy() -> None:
    assert bit_use(np.zeros((0, 1), np.uint8)).mean_entropy == 0
