"""How well codes use their bits: the entropy of each, and how far two of them say the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from udsph.hamming import unpack
from udsph.hamming.codes import BitOrder


@dataclass(frozen=True)
class BitUse:
    """What is said of the bits of a set of codes.

    Attributes
    ----------
    share : (bits,) float64
        Of ones in each bit; half of the codes is best, 0 and 1 are bits that say nothing.
    entropy : (bits,) float64
        Of each bit; 1 is best, 0 is a bit that says nothing.
    correlation : (varying, varying) float64
        Absolute correlation of those bits that are not the same in all codes; the diagonal is 1.
    """

    share: NDArray[np.float64]
    entropy: NDArray[np.float64]
    correlation: NDArray[np.float64]

    @property
    def bits(self) -> int:
        """Width of the codes."""
        return len(self.share)

    @property
    def mean_entropy(self) -> float:
        """Over all bits; 1 is best. NaN without a bit."""
        return float(self.entropy.sum() / self.bits) if self.bits else float("nan")

    @property
    def pairs(self) -> NDArray[np.float64]:
        """The absolute correlation of each two bits, once."""
        return self.correlation[np.triu_indices(len(self.correlation), 1)]

    @property
    def mean_correlation(self) -> float:
        """Over each two bits that vary; 0 is best, and what there is where fewer than two do."""
        n = len(self.correlation)
        return float((self.correlation.sum() - n) / (n * (n - 1))) if n > 1 else 0.0

    def to_dict(self) -> dict[str, float]:
        """``bit_entropy`` and ``bit_correlation``, the two means."""
        return {"bit_entropy": self.mean_entropy, "bit_correlation": self.mean_correlation}


def bit_use(codes: Any, bits: int | None = None, *, bitorder: BitOrder = "little") -> BitUse:
    """Entropy and correlation of the bits of codes.

    Parameters
    ----------
    codes : (n, bytes) uint8
        Packed codes.
    bits : int, optional
        Width of the codes; 8 times the bytes by default.
    bitorder : {"little", "big"}
        Of the bits in a byte.

    Raises
    ------
    InputError, TypeError, ValueError
        For codes of another form, or of fewer bits.

    Examples
    --------
    >>> import numpy as np
    >>> from udsph.evaluation import bit_use
    >>> use = bit_use(np.array([[0b00], [0b01], [0b10], [0b11]], np.uint8), 2)
    >>> use.share.tolist(), use.mean_entropy, use.mean_correlation
    ([0.5, 0.5], 1.0, 0.0)
    """
    table = unpack(codes, 8 * np.shape(codes)[1] if bits is None else bits, bitorder=bitorder)
    share = table.mean(axis=0) if len(table) else np.zeros(table.shape[1])
    varies = (share > 0) & (share < 1)
    inner = share[varies]
    entropy = np.zeros(len(share))
    entropy[varies] = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner))
    varying = table[:, varies].astype(np.float32)
    correlation = np.abs(np.corrcoef(varying.T)) if varying.shape[1] > 1 else np.ones((varying.shape[1],) * 2)
    return BitUse(share, entropy, correlation)
