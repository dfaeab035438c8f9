"""The contract of the op: what goes in, what is an error, and which backend serves a call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from udsph.attention import gram, reference
from udsph.attention.backends import backends
from udsph.attention.formula import Formula, formulas
from udsph.attention.lengths import checked_lengths
from udsph.errors import InputError

Lengths = Tensor | Sequence[int] | None
Scores = Callable[[Tensor, Tensor, Tensor, Tensor, str, Formula], Tensor]

_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_SCORES: dict[str, Scores] = {"reference": reference.scores, "gram": gram.scores}


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
    _check_features(regions, words)
    directions = formulas(direction, smooth, pool, pool_temperature, normalize)
    n_regions = checked_lengths("region_lengths", region_lengths, regions.shape[0], regions.shape[1])
    n_words = checked_lengths("word_lengths", word_lengths, words.shape[0], words.shape[1])
    compute = _SCORES[_choose(backend, regions.device)]
    with torch.autocast(regions.device.type, enabled=False):
        if regions.dtype in (torch.bfloat16, torch.float16):
            regions, words = regions.float(), words.float()
        total = [compute(regions, words, n_regions, n_words, name, formula) for name, formula in directions]
    scores = total[0] if len(total) == 1 else (total[0] + total[1]) / 2
    _check_finite(scores)
    return scores


def _check_features(regions: Tensor, words: Tensor) -> None:
    for name, features in (("regions", regions), ("words", words)):
        if not isinstance(features, Tensor):
            raise InputError(f"{name} is a {type(features).__name__}, not a torch tensor")
        if features.dim() != 3:
            raise InputError(f"{name} has shape {tuple(features.shape)}: expected (items, rows, dimensions)")
        if 0 in features.shape:
            raise InputError(f"{name} has shape {tuple(features.shape)}: nothing to score")
        if features.dtype not in _DTYPES:
            raise InputError(f"{name} has dtype {features.dtype}: expected float32, float64, bfloat16 or float16")
    for what in ("device", "dtype"):
        if getattr(regions, what) != getattr(words, what):
            raise InputError(f"regions has {what} {getattr(regions, what)}, words has {getattr(words, what)}")
    if regions.shape[2] != words.shape[2]:
        raise InputError(f"regions has {regions.shape[2]} dimensions, words has {words.shape[2]}")


def _choose(backend: str, device: torch.device) -> str:
    usable = backends()
    if backend == "auto":
        return "gram"
    if backend not in usable:
        raise InputError(f"backend={backend!r} is not one of {', '.join(map(repr, ('auto', *usable)))}")
    if usable[backend] != "available":
        raise InputError(f"backend={backend!r} cannot be used: {usable[backend]}")
    return backend


def _check_finite(scores: Tensor) -> None:
    """A NaN or infinite feature reaches every score that it takes part in, so the small result is what is looked at."""
    if not torch.compiler.is_compiling() and not bool(torch.isfinite(scores.detach()).all()):
        raise InputError("regions or words hold NaN or infinite values, or values too large for their dtype")
