"""The contract of the op: what goes in, what is an error, and which backend serves a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from udsph.attention import fused, gram, reference
from udsph.attention.backends import backends
from udsph.attention.checks import check_features, check_finite
from udsph.attention.formula import Formula, formulas
from udsph.attention.rows import Rows, rows
from udsph.errors import InputError

Lengths = Tensor | Sequence[int] | None
Scores = Callable[[Rows, Rows, Sequence[tuple[str, Formula]]], list[Tensor]]

_SCORES: dict[str, Scores] = {"reference": reference.scores, "gram": gram.scores, "cpu": fused.scores}
_USABLE = backends()  # looked up once: a compiled graph cannot ask what is installed


def cross_attention_scores(
    regions: Tensor,
    words: Tensor,
    region_lengths: Lengths = None,
    word_lengths: Lengths = None,
    *,
    direction: str = "t2i",
    smooth: float | tuple[float, float] | None = None,
    pool: str = "lse",
    pool_temperature: float = 6.0,
    normalize: str = "clipped_l2",
    backend: str = "auto",
) -> Tensor:
    """Score every image against every caption by stacked cross attention.

    In the direction ``t2i`` each word of a caption attends to the regions of an image, and the cosines between the
    words and what they attended to are pooled into the score of the pair; ``i2t`` is the same with the roles exchanged.

    Parameters
    ----------
    regions : (n_images, max_regions, dim) tensor
        Region features; float32, float64, bfloat16 or float16.
    words : (n_captions, max_words, dim) tensor
        Word features, same dtype and device.
    region_lengths, word_lengths : (n_images,), (n_captions,) integers, optional
        How many leading rows of each image or caption are real; all of them by default. What stands in the other rows
        is never looked at. Lengths on the CPU cost no synchronisation when the features are on a GPU.
    direction : {"t2i", "i2t", "both"}
        ``both`` is the mean of the two.
    smooth : float or (float, float), optional
        Inverse temperature of the attention's softmax; 9 by default, and (9, 4) for ``both``, which alone takes a pair.
    pool : {"lse", "mean", "max", "sum"}
        Over the words (``t2i``) or regions (``i2t``); ``lse`` is log(sum(exp(t c))) / t.
    pool_temperature : float
        The t of ``lse``.
    normalize : {"clipped_l2", "l2", "clipped", "softmax", "none"}
        Of the affinities, before the softmax: leaky rectifier (slope 0.1) and division by the norm over the queries,
        the division alone, the rectifier alone, a softmax over the queries, or nothing.
    backend : {"auto", "reference", "gram", ...}
        One of ``udsph.attention.backends()``. ``auto`` takes the fastest that serves the device.

    Returns
    -------
    (n_images, n_captions) tensor
        In the dtype of the inputs, but float32 for half-precision inputs and under autocast. Differentiable in both
        features.

    Raises
    ------
    InputError
        For shapes, dtypes, devices, lengths or options that do not fit together, non-finite features, or a backend
        that cannot be used here.

    Notes
    -----
    The formula is SCAN's (Lee et al., ECCV 2018): ``docs/attention.md``.
    """
    check_features(regions, words)
    directions = formulas(direction, smooth, pool, pool_temperature, normalize)
    compute = _SCORES[_choose(backend, regions.device)]
    with torch.autocast(regions.device.type, enabled=False):
        if regions.dtype in (torch.bfloat16, torch.float16):
            regions, words = regions.float(), words.float()
        found = compute(rows("region", regions, region_lengths), rows("word", words, word_lengths), directions)
    scores = found[0] if len(found) == 1 else (found[0] + found[1]) / 2
    if not torch.compiler.is_compiling():
        check_finite(scores)
    return scores


def _choose(backend: str, device: torch.device) -> str:
    if backend == "auto":
        backend = device.type if _USABLE.get(device.type) == "available" else "gram"
    if backend not in _USABLE:
        raise InputError(f"backend={backend!r} is not one of {', '.join(map(repr, ('auto', *_USABLE)))}")
    if _USABLE[backend] != "available":
        raise InputError(f"backend={backend!r} cannot be used: {_USABLE[backend]}")
    if backend in ("cpu", "cuda") and backend != device.type:
        raise InputError(f"backend={backend!r} cannot be used: regions and words are on the device {device}")
    return backend
