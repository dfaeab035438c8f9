"""timm's backbones, built small and random; skipped where the extra 'timm' is not installed."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

from udsph.errors import InputError, MissingExtra
from udsph.features.timm import TimmImages

INSTALLED = importlib.util.find_spec("timm") is not None
needs_timm = pytest.mark.skipif(not INSTALLED, reason="timm is not installed: pip install '.[timm]'")


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


def store(path, name):
    from safetensors.torch import save_file

    from udsph.features.timm import _define_operators

    _define_operators()
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False)
    save_file(model.state_dict(), path)
    return model.eval()


@needs_timm
@pytest.mark.parametrize(("name", "dims", "cells"), [("resnet10t", 512, 49), ("vit_tiny_patch16_224", 192, 196)])
def test_vectors_and_regions(tmp_path, pixels, name, dims, cells):
    model = store(tmp_path / "m.safetensors", name)
    given = f"{name}={tmp_path / 'm.safetensors'}"
    vectors, regions = TimmImages(given), TimmImages(given, "regions")
    assert regions.shape == (regions(pixels).shape[1], dims)
    mean = torch.tensor(model.pretrained_cfg["mean"]).view(1, 3, 1, 1)
    deviation = torch.tensor(model.pretrained_cfg["std"]).view(1, 3, 1, 1)
    size = vectors.size
    images = np.full((1, size, size, 3), 60, np.uint8)
    with torch.inference_mode():
        prepared = (torch.full((1, 3, size, size), 60 / 255) - mean) / deviation
        expected = model.forward_head(model.forward_features(prepared), pre_logits=True)
    np.testing.assert_allclose(vectors(images), expected, rtol=1e-3, atol=1e-4)
    if size == 224:
        assert regions.shape == (cells, dims)


@needs_timm
def test_what_cannot_be_loaded_is_named(tmp_path):
    with pytest.raises(InputError, match="the model 'no_such_model' could not be loaded"):
        TimmImages(f"no_such_model={store_empty(tmp_path)}")
    with pytest.raises(InputError, match="does not exist"):
        TimmImages("resnet10t=none.safetensors")
    with pytest.raises(InputError, match=r"only \.safetensors"):
        TimmImages("resnet10t=weights.pth")


def store_empty(folder):
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, folder / "empty.safetensors")
    return folder / "empty.safetensors"


@pytest.mark.skipif(INSTALLED, reason="timm is installed")
def test_without_timm_the_extra_is_named():
    with pytest.raises(MissingExtra, match=r"needs the extra 'timm'"):
        TimmImages("resnet10t")


def test_weights_are_needed():
    with pytest.raises(InputError, match="needs its weights"):
        TimmImages("")
