"""UCCH: unsupervised contrastive cross-modal hashing."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.baselines.networks import Batch, DeepMethod
from udsph.data import Modality


class UCCH(DeepMethod):
    """Each side of a pair is told from all other pairs by the one binary code that both sides share.

    Source: P. Hu, H. Zhu, J. Lin, D. Peng, Y.-P. Zhao, X. Peng, "Unsupervised contrastive cross-modal hashing", IEEE
    Transactions on Pattern Analysis and Machine Intelligence 45(3), 2023, and its published code.

    With ``x_i`` and ``y_i`` the ``tanh`` of both networks' logits, scaled to norm 1, and ``K`` bits:

    - memory: ``m_i <- u m_i + (1 - u) z_i``, scaled to norm 1, where ``z_i`` is the mean of ``x_i`` and ``y_i``, scaled
      to norm 1; ``b_i = sign(m_i)`` is the code of pair ``i``. In the first epoch it is ``sign(x_i + y_i)``, and only
      the pairs of the batch have one;
    - contrast: ``-log softmax_j(<b_j, x_i> / (T sqrt K))`` at ``j = i``, among the pair itself and drawn others, and
      the same for ``y_i``; the codes are fixed, so that no gradient is to pass a sign;
    - ranking: with ``S = x y^T``, and what is below ``S_ii - margin`` lowered by ``shift`` first, ``margin - S_ii + log
      sum_j exp S_ij``, and the same down the columns; all mismatches count, not only the hardest;
    - objective: ``a contrast + (1 - a) ranking``.

    Codes are the signs of the logits. No label is seen.

    Deviations: the encoders, the optimiser and the number of epochs are those of the whole comparison; the drawn others
    are the same for all pairs of a batch (published: drawn for each), all pairs where there are not more.
    """

    supervised = False
    temperature = 0.9  # T
    momentum = 0.4  # u
    share = 0.9  # a
    margin, shift = 0.2, 1.0  # of the ranking
    drawn = 4096  # other pairs that a pair is told from

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        memory = nn.Module()
        memory.register_buffer("codes", F.normalize(torch.randn(len(image), self.bits), dim=1))
        return memory

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        image, text = (F.normalize(torch.tanh(view.code_logits), dim=1) for view in (batch.image, batch.text))
        memory: Tensor = self.extra_.codes  # type: ignore[assignment]
        common = F.normalize((image + text).detach(), dim=1)
        if self.progress_ * self.epochs_ < 1:  # what is remembered of most pairs is still random
            keys, place = common, torch.arange(len(image), device=image.device)
        else:
            keys, place = self._keys(memory, batch.rows)
        found = {"ranking": (1 - self.share) * ranking(image, text, self.margin, self.shift)}
        for name, view in (("image", image), ("text", text)):
            found[f"{name}_contrast"] = self.share * contrast(view, keys, place, self.temperature)
        kept = 0.0 if self.progress_ * self.epochs_ < 1 else self.momentum
        memory[batch.rows] = F.normalize(kept * memory[batch.rows] + (1 - kept) * common, dim=1)
        return found

    def _keys(self, memory: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What the batch is told from: remembered codes, and where each pair's own stands among them."""
        if len(memory) <= self.drawn + 1:
            return memory, rows
        drawn = torch.randint(len(memory), (self.drawn,), device=memory.device)
        others = drawn[~torch.isin(drawn, rows)]
        place = torch.arange(len(rows), device=memory.device)
        return torch.cat([memory[rows], memory[others]]), place


def contrast(views: Tensor, keys: Tensor, place: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each view's own code among the signs of all keys.

    Parameters
    ----------
    views
        ``(n, bits)``, rows of norm 1.
    keys
        ``(m, bits)``; their signs count, and no gradient reaches them.
    place
        ``(n,)``, the row of each view's own key.
    """
    codes = torch.where(keys.detach() > 0, 1.0, -1.0)
    return F.cross_entropy(views @ codes.T / (temperature * math.sqrt(views.shape[1])), place)


def ranking(image: Tensor, text: Tensor, margin: float, shift: float) -> Tensor:
    """Hinge with all mismatches for the hardest, softly: those below the margin count less, by ``shift``.

    Parameters
    ----------
    image, text
        ``(n, bits)``, rows of norm 1; row i of both is a pair.
    """
    scores = image @ text.T
    pairs = scores.diagonal()
    found = torch.zeros((), device=scores.device)
    for one in (scores, scores.T):
        near = one.detach() >= (pairs.detach() - margin)[:, None]
        found = found + (margin - pairs + torch.where(near, one, one - shift).logsumexp(1)).mean()
    return found


METHODS = {"ucch": UCCH}
