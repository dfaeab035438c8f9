"""MITH: multi-granularity interactive transformer hashing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from udsph.baselines.networks import PART_WIDTH, Batch, DeepMethod
from udsph.data import Modality
from udsph.data.directions import MODALITIES
from udsph.models import Outputs
from udsph.models.encoders import valid_parts
from udsph.models.networks import WIDTH
from udsph.training.losses import similarity

LAYERS, MOST = 2, 8  # of the transformers; concepts that one part counts for
TEMPERATURE = 0.07


class Said(NamedTuple):
    """What one modality says of a batch: relaxed codes ``(n, bits)`` of the whole and of the parts, and what is aligned
    between the modalities, rows of norm 1: ``(n, dims)`` of the whole, ``(n, bits, dims)`` of the concepts.
    """

    whole: Tensor
    local: Tensor
    vector: Tensor
    concepts: Tensor


class MITH(DeepMethod):
    """Codes from the whole of an item and from its parts, gathered by concepts, which teach each other.

    Source: Y. Liu, Q. Wu, Z. Zhang, J. Zhang, G. Lu, "Multi-granularity interactive transformer hashing for cross-modal
    retrieval", ACM Multimedia 2023, and its published code.

    There are as many concepts as bits. Layers that both modalities share say how much of each concept there is in the
    whole, whose ``tanh`` are its relaxed codes, and in each part. A concept's vector is the mean of the parts, weighed
    by the softmax of what they have of it; a part counts for its 8 foremost concepts among those above 0. A transformer
    relates the concepts' vectors, and one linear function each gives the relaxed codes of the parts.

    Objective: ``local + 10 whole + 8 quantisation + 50 (alignment + 0.01 alignment of concepts) + distillation``

    - local, whole: pairwise likelihood ``softplus(t) - S t`` with ``t = 1/2 <a, b>``, of the batch's codes against the
      remembered ones of all training pairs: of the parts within a modality, of the whole across modalities;
    - quantisation: squared distance of the mean of both codes to ``B``, the signs of what both modalities say, the
      whole with a weight of 0.99;
    - alignment: contrast (temperature 0.07) of the vectors of the whole within the batch, of the concepts' vectors
      within a pair;
    - distillation: squared distance of both codes, of whose gradient a tenth reaches the whole.

    Codes are the signs of the sum of both.

    Deviations: the encoders, the optimiser and the number of epochs are those of the whole comparison, in place of
    CLIP, so that a layer for each modality first brings the whole and the parts into one space, as wide as the parts
    (published: 512); an item without parts is its own only one.
    """

    weight_local, weight_whole, weight_quantise, weight_align, weight_concepts = 1.0, 10.0, 8.0, 50.0, 0.01
    whole_share = 0.99  # of the whole in B
    back = 0.1  # of the gradient of the distillation

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        assert labels is not None
        parts = nn.ModuleDict({view: _Side(self.bits) for view in MODALITIES})
        parts["shared"] = _Shared(self.bits)
        parts["memory"] = memory = nn.Module()
        for view in MODALITIES:
            for name in ("whole", "local"):
                memory.register_buffer(f"{view}_{name}", torch.randn(len(image), self.bits))
        memory.register_buffer("labels", torch.from_numpy(labels).float())
        return parts

    def _said(self, view: str, outputs: Outputs) -> Said:
        modules: nn.ModuleDict = self.extra_  # type: ignore[assignment]
        return modules[view](outputs, modules["shared"])

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        image, text = self._said("image", batch.image), self._said("text", batch.text)
        memory = self.extra_.memory
        for view, said in (("image", image), ("text", text)):
            getattr(memory, f"{view}_whole")[batch.rows] = said.whole.detach()
            getattr(memory, f"{view}_local")[batch.rows] = said.local.detach()
        similar = similarity(batch.labels, memory.labels)  # type: ignore[arg-type, union-attr]
        share = self.whole_share
        wanted = sum(share * said.whole.detach() + (1 - share) * said.local.detach() for said in (image, text)).sign()  # type: ignore[union-attr]
        found = {
            "align": self.weight_align * alignment(image.vector, text.vector),
            "concepts": self.weight_align * self.weight_concepts * concept_alignment(image.concepts, text.concepts),
        }
        for view, other, said in (("image", "text", image), ("text", "image", text)):
            remembered = getattr(memory, f"{view}_local"), getattr(memory, f"{other}_whole")
            found[f"{view}_local"] = self.weight_local * likelihood(said.local, remembered[0], similar)
            found[f"{view}_whole"] = self.weight_whole * likelihood(said.whole, remembered[1], similar)
            mean = (said.whole + said.local) / 2
            found[f"{view}_quantise"] = self.weight_quantise * (mean - wanted).square().mean()
            found[f"{view}_distil"] = distillation(said.whole, said.local, self.back)
        return found

    def _logits(self, view: str, outputs: Outputs) -> Tensor:
        self.extra_.eval()
        said = self._said(view, outputs)
        return said.whole + said.local


class _Shared(nn.Module):
    """How much of each concept there is in a vector, and the vector behind the layers that say so."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(PART_WIDTH), nn.Linear(PART_WIDTH, 4 * PART_WIDTH), nn.GELU(),
                nn.Linear(4 * PART_WIDTH, PART_WIDTH),
            )
            for _ in range(LAYERS)
        )  # fmt: skip
        self.concepts = nn.Linear(PART_WIDTH, bits, bias=False)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        for layer in self.layers:
            vectors = vectors + layer(vectors)
        return vectors, torch.tanh(self.concepts(vectors))


class _Side(nn.Module):
    """The layers of one modality."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.from_features = nn.Linear(WIDTH, PART_WIDTH)
        self.from_parts = nn.Linear(PART_WIDTH, PART_WIDTH)
        self.places = nn.Parameter(waves(bits, PART_WIDTH), requires_grad=False)
        layer = nn.TransformerEncoderLayer(
            PART_WIDTH, 1, 4 * PART_WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.relate = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.to_bits = nn.Linear(PART_WIDTH, bits)  # row k is the linear function of concept k
        self.to_aligned = nn.Linear(PART_WIDTH, PART_WIDTH)

    def forward(self, outputs: Outputs, shared: _Shared) -> Said:
        whole = self.from_features(outputs.features)
        if outputs.parts is None:
            parts, valid = whole[:, None], torch.ones(len(whole), 1, dtype=torch.bool, device=whole.device)
        else:
            parts, valid = self.from_parts(outputs.parts), valid_parts(outputs.parts, outputs.lengths)
        vector, code = shared(whole)
        with torch.no_grad():
            amounts = shared(parts)[1]
        concepts = self.relate(gather(parts, amounts, valid, MOST) + self.places)
        local = torch.tanh((concepts * self.to_bits.weight).sum(2) + self.to_bits.bias)
        return Said(code, local, F.normalize(vector, dim=1), F.normalize(self.to_aligned(concepts), dim=2))


def waves(count: int, dims: int) -> Tensor:
    """Sines and cosines that tell ``count`` places apart: ``(count, dims)``, scaled by the root of ``dims``."""
    angles = torch.arange(count)[:, None] * 10_000.0 ** (-torch.arange(0, dims, 2) / dims)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1) / dims**0.5


def gather(parts: Tensor, amounts: Tensor, valid: Tensor, most: int) -> Tensor:
    """A vector for each concept: the mean of the parts, weighed by the softmax of what they have of it.

    Parameters
    ----------
    parts
        ``(n, parts, dims)``.
    amounts
        ``(n, parts, concepts)``; a part counts for the ``most`` foremost of its concepts, and only if above 0.
    valid
        bool ``(n, parts)``.

    Returns
    -------
    Tensor
        ``(n, concepts, dims)``, 0 for a concept of which no part has any.
    """
    least = amounts.topk(min(most, amounts.shape[2]), dim=2).values[:, :, -1:]
    counted = (amounts >= least) & (amounts > 0) & valid[:, :, None]
    weights = amounts.masked_fill(~counted, -torch.inf).softmax(1).nan_to_num(0.0)
    return weights.transpose(1, 2) @ parts


def likelihood(codes: Tensor, remembered: Tensor, similar: Tensor) -> Tensor:
    """Pairwise likelihood of codes ``(n, bits)`` against ``(m, bits)`` with similarities ``(n, m)``."""
    theta = (codes @ remembered.T).clamp(-64, 64) / 2
    return (F.softplus(theta) - similar * theta).mean()


def alignment(image: Tensor, text: Tensor) -> Tensor:
    """Contrast of paired rows of norm 1 within the batch, both ways."""
    scores = image @ text.T / TEMPERATURE
    place = torch.arange(len(image), device=image.device)
    return (F.cross_entropy(scores, place) + F.cross_entropy(scores.T, place)) / 2


def concept_alignment(image: Tensor, text: Tensor) -> Tensor:
    """Contrast of the same concept's vectors ``(n, concepts, dims)`` within each pair, both ways."""
    scores = image @ text.transpose(1, 2) / TEMPERATURE
    place = torch.arange(scores.shape[1], device=scores.device).expand(len(scores), -1)
    return (F.cross_entropy(scores, place) + F.cross_entropy(scores.transpose(1, 2), place)) / 2


def distillation(whole: Tensor, local: Tensor, back: float) -> Tensor:
    """Squared distance of the codes of an item, whose gradient reaches the local ones, and ``back`` of it the whole."""
    towards, backwards = (whole.detach() - local).square(), (whole - local.detach()).square()
    return (towards + back * backwards).sum(1).mean()


METHODS = {"mith": MITH}
