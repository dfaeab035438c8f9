"""Cross-modal attention between every image and every caption of a batch, as one differentiable function.

::

    scores.py       the contract: arguments, masks, what is an error, which backend serves a call
    formula.py      the numbers that define the score, one per direction
    reference.py    the formula as published: one caption at a time, attended vectors written out
    gram.py         the same scores without attended vectors, in plain torch

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
