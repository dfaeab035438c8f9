"""The contract of the op: what goes in, what is an error, and which backend serves a call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from udsph.attention import cuda, fused, gram, pieces, reference
from udsph.attention.backends import NAMES, cpu_state, cuda_state
from udsph.attention.checks import check_features, check_finite
from udsph.attention.formula import formulas
from udsph.attention.rows import rows
from udsph.errors import InputError

Lengths = Tensor | Sequence[int] | None

_SCORES: dict[str, pieces.Scores] = {
    "reference": reference.scores,
    "gram": gram.scores,
    "cpu": fused.scores,
    "cuda": fused.scores,
}


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
    recompute: bool = False,
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
    backend : {"auto", "reference", "gram", "cpu", "cuda"}
        ``udsph.attention.backends()`` says which can be used. ``auto`` takes the fastest that serves the device.
    recompute : bool
        Go through the captions in pieces and compute each again in the backward pass, so that the affinities of all
        regions and words are never held together. Slower by about one forward pass.

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
    backend = _choose(backend, regions.device)
    regions, words = _in_own_dtype(regions, backend), _in_own_dtype(words, backend)
    sides = rows("region", regions, region_lengths), rows("word", words, word_lengths)
    compute = _SCORES[backend]
    with torch.autocast(regions.device.type, enabled=False):
        found = pieces.scores(compute, *sides, directions) if recompute else compute(*sides, directions)
    scores = found[0] if len(found) == 1 else (found[0] + found[1]) / 2
    if compute is not fused.scores and not torch.compiler.is_compiling():  # that one looks by itself
        check_finite(scores)
    return scores


@torch.compiler.assume_constant_result
def _choose(backend: str, device: torch.device) -> str:
    """The backend that serves a call, or InputError. A compiled graph keeps the answer that it got when it was made."""
    if backend == "auto":
        if device.type == "cuda":
            served = cuda_state() == "available" and cuda.has_code_for(device)
        else:
            served = device.type == "cpu" and cpu_state() == "available"
            if cpu_state().startswith("UDSPH_SIMD"):  # a level that was asked for and is not there
                raise InputError(cpu_state())
        return device.type if served else "gram"
    if backend not in NAMES:
        raise InputError(f"backend={backend!r} is not one of {', '.join(map(repr, ('auto', *NAMES)))}")
    if backend in ("reference", "gram"):
        return backend
    state = cpu_state() if backend == "cpu" else cuda_state()
    if state != "available":
        raise InputError(f"backend={backend!r} cannot be used: {state}")
    if backend != device.type:
        raise InputError(f"backend={backend!r} cannot be used: regions and words are on the device {device}")
    return backend


def _in_own_dtype(features: Tensor, backend: str) -> Tensor:
    """The features as the backend multiplies them: CUDA in half precision where asked to, others not."""
    device, is_double = features.device.type, features.dtype == torch.float64
    if backend != "cuda":
        return features if is_double else features.float()
    if torch.is_autocast_enabled(device) and not is_double:
        return features.to(torch.get_autocast_dtype(device))
    return features
