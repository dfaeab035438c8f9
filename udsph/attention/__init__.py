"""Cross-modal attention between every image and every caption of a batch, as one differentiable function.

::

    scores.py       the contract: arguments, which backend serves a call, what comes back
    checks.py       what is an error
    rows.py         one side of a batch: features and lengths, masked or packed
    formula.py      the numbers that define the score, one per direction
    backends.py     what can be used here, and why the rest cannot

    reference.py    the formula as published: one caption at a time, attended vectors written out
    gram.py         the same scores without attended vectors, in plain torch
    fused.py        the same with one kernel between the matrix products, as an op of torch.library
    cpu.py          that kernel in C++ (csrc/attention)
    cuda.py         that kernel in CUDA (csrc/attention/cuda), in the library that udsph/cuda.py loads
    pieces.py       any of them a few captions at a time, computed again in the backward pass

``docs/attention.md`` derives the form without attended vectors and its gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from udsph.attention.backends import backends

if TYPE_CHECKING:
    from udsph.attention.scores import cross_attention_scores

__all__ = ["backends", "cross_attention_scores"]


def __getattr__(name: str) -> Any:
    # torch is imported on the first use of the op, so that `udsph info` can ask for backends() without it.
    if name != "cross_attention_scores":
        raise AttributeError(f"module 'udsph.attention' has no attribute {name!r}")
    try:
        from udsph.attention.scores import cross_attention_scores
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from udsph.errors import MissingExtra

        raise MissingExtra("udsph.attention", "train") from None
    return cross_attention_scores
