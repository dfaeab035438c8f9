"""A pretrained vision model inside the image network: fine-tuned or frozen, stored and shared without its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers, of the extra data, is not installed")

from udsph import UDSPH, data  # noqa: E402
from udsph.data import Dataset  # noqa: E402
from udsph.errors import InputError  # noqa: E402
from udsph.training.scoring import evaluate_run  # noqa: E402

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
EYE = {**SMALL, "image_size": 32, "patch_size": 16}
SETTINGS: dict[str, Any] = {"bits": 16, "epochs": 1, "label_steps": 5, "batch_size": 16, "device": "cpu"}


def vit() -> Any:
    return transformers.ViTModel(transformers.ViTConfig(**EYE))


def resnet() -> Any:
    config = transformers.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
    return transformers.ResNetModel(config)


def clip() -> Any:
    text = {**SMALL, "vocab_size": 40, "max_position_embeddings": 12}
    return transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=EYE, projection_dim=24))


def store(folder: Path, make: Any) -> None:
    torch.manual_seed(0)
    make().save_pretrained(folder)
    settings = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3, "size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def scenes() -> Dataset:
    return data.load("scenes", pairs=60, workers=1)


def moved(model: UDSPH, folder: Path) -> bool:
    """Whether the backbone's weights, or its batch statistics, are not those of the folder."""
    start = transformers.AutoModel.from_pretrained(folder).state_dict()
    prefix = "pair.image.encoder.backbone.model."
    now = {key.removeprefix(prefix): tensor for key, tensor in model.tensors().items() if key.startswith(prefix)}
    assert len(now) > 5 and set(now) <= set(start)
    return not all(torch.equal(tensor, start[key]) for key, tensor in now.items())


@pytest.mark.parametrize("make", [vit, resnet, clip], ids=["vit", "resnet", "clip"])
def test_fine_tuned_stored_and_shared(tmp_path: Path, scenes: Dataset, make: Any) -> None:
    place, run, shared = tmp_path / "net", tmp_path / "run", tmp_path / "shared"
    store(place, make)
    model = UDSPH(**SETTINGS, backbone=str(place)).fit(scenes, output=run, progress=False)
    assert moved(model, place)
    codes = model.encode_image(scenes.image)
    assert len(np.unique(codes, axis=0)) > 1
    model.save_pretrained(shared)
    assert str(tmp_path) not in (shared / "config.json").read_text()
    shutil.rmtree(place)  # neither the run nor the shared folder needs it
    for again in (UDSPH.load(run), UDSPH.from_pretrained(shared)):
        np.testing.assert_array_equal(again.encode_image(scenes.image), codes)
    assert evaluate_run(run, dataset=scenes)["image_to_text"]["map"] > 0


@pytest.mark.parametrize("make", [vit, resnet], ids=["vit", "resnet"])
def test_frozen(tmp_path: Path, scenes: Dataset, make: Any) -> None:
    store(tmp_path, make)
    model = UDSPH(**SETTINGS, backbone=str(tmp_path), backbone_rate=0).fit(scenes, progress=False)
    assert not moved(model, tmp_path)


def test_bad_backbones_are_named(tmp_path: Path, scenes: Dataset) -> None:
    with pytest.raises(InputError, match="no model could be loaded"):
        UDSPH(**SETTINGS, backbone=str(tmp_path)).fit(scenes, progress=False)
    store(tmp_path / "net", vit)
    settings = json.loads((tmp_path / "net" / "preprocessor_config.json").read_text())
    (tmp_path / "net" / "preprocessor_config.json").write_text(json.dumps(settings | {"size": 96}))
    values = np.random.default_rng(0).random((20, 5))
    np.savez(tmp_path / "f.npz", image=values, text=values, labels=np.arange(20) % 2)
    with pytest.raises(InputError, match="it reads pixels, the dataset's images are vectors"):
        UDSPH(**SETTINGS, backbone=str(tmp_path / "net")).fit(data.load("features", tmp_path / "f.npz"))


def test_small_images_are_remarked_on(tmp_path: Path, scenes: Dataset) -> None:
    store(tmp_path, resnet)
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings | {"size": 96}))
    with pytest.warns(UserWarning, match="images of 64 pixels are enlarged to the 96 that"):
        UDSPH(**SETTINGS, backbone=str(tmp_path)).fit(scenes, progress=False)


def test_a_strangers_description_cannot_name_code(tmp_path: Path, scenes: Dataset) -> None:
    store(tmp_path / "net", vit)
    model = UDSPH(**SETTINGS, backbone=str(tmp_path / "net")).fit(scenes, progress=False)
    model.save_pretrained(tmp_path / "shared")
    path = tmp_path / "shared" / "config.json"
    content = json.loads(path.read_text())
    content["model"]["backbone"]["config"] |= {"auto_map": {"AutoModel": "evil.Model"}}
    path.write_text(json.dumps(content))
    UDSPH.from_pretrained(tmp_path / "shared")
    content["model"]["backbone"]["config"]["model_type"] = "evil"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="the description of the backbone is damaged"):
        UDSPH.from_pretrained(tmp_path / "shared")
