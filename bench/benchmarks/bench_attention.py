"""Cross-modal attention: one forward and one backward pass, and the peak memory of both."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from udsph.attention import backends, cross_attention_scores


class Attention:
    """36 regions of 256 dimensions; caption lengths spread like COCO's (mean 10.5)."""

    params = (["gram", "cpu", "cuda"], [32, 128], ["t2i", "both"])
    param_names = ("backend", "batch", "direction")
    timeout = 120

    def setup(self, backend: str, batch: int, direction: str) -> None:
        if backends()[backend] != "available":
            raise NotImplementedError(backends()[backend])  # asv skips it
        device = "cuda" if backend == "cuda" else "cpu"
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.poisson(torch.full((batch,), 10.5), generator=generator).long().clamp(6, 21)
        self.regions = F.normalize(torch.randn(batch, 36, 256, generator=generator), dim=-1).to(device).requires_grad_()
        self.words = F.normalize(torch.randn(batch, 21, 256, generator=generator), dim=-1).to(device).requires_grad_()
        self.time_forward_and_backward(backend, batch, direction)

    def time_forward(self, backend: str, batch: int, direction: str) -> None:
        with torch.no_grad():
            self._scores(backend, direction)

    def time_forward_and_backward(self, backend: str, batch: int, direction: str) -> None:
        self.regions.grad = self.words.grad = None
        self._scores(backend, direction).sum().backward()
        if backend == "cuda":
            torch.cuda.synchronize()

    def peakmem_forward_and_backward(self, backend: str, batch: int, direction: str) -> None:
        self.time_forward_and_backward(backend, batch, direction)

    def _scores(self, backend: str, direction: str) -> torch.Tensor:
        return cross_attention_scores(
            self.regions, self.words, None, self.lengths, direction=direction, backend=backend
        )
