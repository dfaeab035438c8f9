"""Cross-modal attention: one forward and one backward pass, and the peak memory of both."""

from __future__ import annotations

from typing import Any

from .common import optional, skip_unsupported_level


class Attention:
    """36 regions of 256 dimensions; caption lengths spread like COCO's (mean 10.5)."""

    params = (["gram", "cpu", "cuda"], [32, 128], ["t2i", "both"])
    param_names = ("backend", "batch", "direction")
    timeout = 120
    repeat = (2, 5, 4.0)  # at least, at most, and no more after these seconds

    def setup(self, backend: str, batch: int, direction: str) -> None:
        self.torch = torch = optional("torch")
        skip_unsupported_level()
        attention = optional("udsph.attention")
        self.cross_attention_scores = attention.cross_attention_scores
        state = attention.backends()[backend]
        if state != "available":
            raise NotImplementedError(state)
        device = "cuda" if backend == "cuda" else "cpu"
        normalize = torch.nn.functional.normalize
        generator = torch.Generator().manual_seed(0)
        self.lengths = torch.poisson(torch.full((batch,), 10.5), generator=generator).long().clamp(6, 21)
        self.regions = normalize(torch.randn(batch, 36, 256, generator=generator), dim=-1).to(device).requires_grad_()
        self.words = normalize(torch.randn(batch, 21, 256, generator=generator), dim=-1).to(device).requires_grad_()
        self.time_forward_and_backward(backend, batch, direction)

    def time_forward(self, backend: str, batch: int, direction: str) -> None:
        with self.torch.no_grad():
            self._scores(backend, direction)

    def time_forward_and_backward(self, backend: str, batch: int, direction: str) -> None:
        self.regions.grad = self.words.grad = None
        self._scores(backend, direction).sum().backward()
        if backend == "cuda":
            self.torch.cuda.synchronize()

    def peakmem_forward_and_backward(self, backend: str, batch: int, direction: str) -> None:
        self.time_forward_and_backward(backend, batch, direction)

    def _scores(self, backend: str, direction: str) -> Any:
        return self.cross_attention_scores(
            self.regions, self.words, None, self.lengths, direction=direction, backend=backend
        )
