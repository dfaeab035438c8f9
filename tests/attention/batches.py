"""Batches and the settings under which every backend is tested."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch", reason="udsph.attention needs torch")

POOLS = ("lse", "mean", "max", "sum")
NORMALIZATIONS = ("clipped_l2", "l2", "clipped", "softmax", "none")
SETTINGS = [
    {"direction": direction, "pool": pool, "normalize": normalize}
    for (direction, normalize), pool in zip(
        itertools.product(("t2i", "i2t", "both"), NORMALIZATIONS), itertools.cycle(POOLS), strict=False
    )
]


def setting_id(setting: dict[str, str]) -> str:
    return "-".join(setting.values())


def devices() -> list[str]:
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def make_batch(
    images=5, captions=6, regions=7, words=8, dim=12, *, ragged=True, dtype=torch.float64, device="cpu", seed=0
):
    """Random unit features with ragged lengths, among them 1 and the full width, and NaN in the padded rows.

    Without ``ragged`` every row is real and the lengths are None.
    """
    generator = torch.Generator().manual_seed(seed)

    def features(items, width):
        rows = torch.randn(items, width, dim, generator=generator, dtype=torch.float64)
        unit = torch.nn.functional.normalize(rows, dim=-1)
        if not ragged:
            return unit.to(device, dtype), None
        lengths = torch.randint(1, width + 1, (items,), generator=generator)
        lengths[0], lengths[-1] = 1, width
        unit[torch.arange(width) >= lengths[:, None]] = torch.nan
        return unit.to(device, dtype), lengths

    region_features, region_lengths = features(images, regions)
    word_features, word_lengths = features(captions, words)
    return region_features, word_features, region_lengths, word_lengths
