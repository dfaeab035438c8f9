"""UGACH: unsupervised generative adversarial cross-modal hashing, in batches."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor, nn

from udsph.baselines.features import Describer
from udsph.baselines.inputs import View, check_view
from udsph.baselines.networks import Batch, DeepMethod
from udsph.data import Modality
from udsph.encoding.batches import read
from udsph.models import Outputs
from udsph.training.batches import augment


class UGACH(DeepMethod):
    """A generator proposes items that might be neighbours; a discriminator keeps true neighbours nearer than those.

    Source: J. Zhang, Y. Peng, M. Yuan, "Unsupervised generative adversarial cross-modal hashing", AAAI 2018.

    Truth is a manifold, not labels: the neighbours of an item are its ``neighbours`` nearest by image and as many by
    text. With ``d`` the squared distance of relaxed codes in (0, 1):

    - discriminator: ``max(0, m + d(q, positive) - d(q, negative))`` both ways, negatives drawn by the generator from
      ``softmax(-d / bits)``;
    - generator: policy gradient ``-log p(negative | q) * reward`` with the reward ``sigmoid`` of the discriminator's
      hinge.

    Codes are the discriminator's.

    Deviations: negatives and positives come from the batch, which holds each item's pair and one random neighbour of
    it, instead of the whole set (published: more than 12 hours); generator and discriminator take their steps side by
    side, without a first training on random negatives; the policy has distances per bit (published: whole ones, whose
    draws are so near, among them unmarked relatives, that on weakly related views nothing is learnt); the reward is
    centred to lessen its variance; the pair itself is a positive too.
    """

    supervised = False
    neighbours = 5

    def _prepare(self, image: Modality, text: Modality, labels: np.ndarray | None) -> nn.Module:
        self.near_ = np.concatenate([nearest(view, self.neighbours) for view in (image, text)], axis=1)
        self.generator_ = self._networks(image, text)
        return self.generator_

    def _batch(self, image: Modality, text: Modality, labels: np.ndarray, rows: np.ndarray) -> Batch:
        """Half of the rows and a neighbour of each: row ``i`` and row ``i + n`` are neighbours."""
        half = rows[: max(2, len(rows) // 2)]
        column = torch.randint(self.near_.shape[1], (len(half),)).numpy()
        rows = np.concatenate([half, self.near_[half, column]])
        image_rows, text_rows = read(image, rows, self.device_), read(text, rows, self.device_)
        if image.kind == "pixels":
            image_rows = augment(image_rows[0]), image_rows[1]
        self.proposed_ = self._forward(self.generator_, image_rows, text_rows)
        marks = torch.zeros(len(rows), 1, device=self.device_)
        image_outputs, text_outputs = self._forward(self.pair_, image_rows, text_rows)
        return Batch(image_outputs, text_outputs, marks, torch.from_numpy(rows).to(self.device_))

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        n = len(batch.rows) // 2
        known = torch.from_numpy(self.near_).to(self.device_)[batch.rows]
        same = batch.rows[:, None] == batch.rows[None]
        neighbour = (known[:, :, None] == batch.rows[None, None]).any(1) | same
        neighbour = neighbour | neighbour.T
        partner = torch.arange(2 * n, device=self.device_).roll(n)
        found = {}
        views = (batch.image, batch.text), (batch.text, batch.image)
        proposals = (self.proposed_[0], self.proposed_[1]), (self.proposed_[1], self.proposed_[0])
        for name, (query, answer), (asker, asked) in zip(("image", "text"), views, proposals, strict=True):
            distance = squared(query, answer)
            policy = (-squared(asker, asked) / self.bits).masked_fill(neighbour, -torch.inf)
            usable = torch.isfinite(policy).any(1)
            policy = policy[usable].log_softmax(1)
            drawn = torch.multinomial(policy.exp(), 1)
            margin = self.bits / 8
            negative = distance[usable].gather(1, drawn).squeeze(1)
            pair, beside = distance.diagonal()[usable], distance[torch.arange(2 * n), partner][usable]
            hinge = (margin + pair - negative).clamp_min(0) + (margin + beside - negative).clamp_min(0)
            reward = torch.sigmoid(hinge.detach())
            chosen = policy.gather(1, drawn).squeeze(1)
            found[f"{name}_discriminator"] = hinge.mean() / self.bits
            found[f"{name}_generator"] = -(chosen * (reward - reward.mean())).mean()
        return found


def squared(queries: Outputs, answers: Outputs) -> Tensor:
    """Squared distances of relaxed codes in (0, 1): ``(n, m)``."""
    first, second = torch.sigmoid(queries.code_logits), torch.sigmoid(answers.code_logits)
    squares = first.square().sum(1)[:, None] + second.square().sum(1)[None] - 2 * first @ second.T
    return squares.clamp_min(0)


def nearest(modality: Modality, count: int) -> np.ndarray:
    """The ``count`` nearest other items of each item by the fixed features, in cosine: int64 ``(n, count)``."""
    rows = check_view(Describer(modality)(modality), "items")
    rows = View(rows, "items", np.random.default_rng(0))(rows)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return NearestNeighbors(n_neighbors=min(count, len(rows) - 1)).fit(rows).kneighbors(return_distance=False)


METHODS = {"ugach": UGACH}
