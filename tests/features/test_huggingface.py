"""Vision backbones, CLIP and text models of ``transformers``, built small and random in a folder."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

transformers = pytest.importorskip("transformers")

from udsph.errors import InputError  # noqa: E402
from udsph.features.huggingface import HuggingFaceImages, HuggingFaceTexts  # noqa: E402

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
EYE = {"image_size": 32, "patch_size": 8}
MEAN, DEVIATION = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def vit():
    return transformers.ViTModel(transformers.ViTConfig(**SMALL, **EYE))


def resnet():
    config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    return transformers.ResNetModel(config)


def clip():
    text = {**SMALL, "vocab_size": 40, "max_position_embeddings": 12, "eos_token_id": 3, "bos_token_id": 2}
    config = transformers.CLIPConfig(
        text_config={**text, "pad_token_id": 1}, vision_config={**SMALL, **EYE}, projection_dim=24
    )
    return transformers.CLIPModel(config)


def bert():
    return transformers.BertModel(transformers.BertConfig(**SMALL, vocab_size=40, max_position_embeddings=12))


def store(folder, make, seed=0):
    torch.manual_seed(seed)
    model = make().eval()
    model.save_pretrained(folder)
    settings = {"image_mean": MEAN, "image_std": DEVIATION, "size": {"shortest_edge": 40}, "crop_size": {"height": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return model


def store_tokenizer(folder):
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<unk>", "<pad>", "<s>", "</s>", "red", "star", "blue", "box", "a"]
    plain = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: k for k, word in enumerate(words)}, unk_token="<unk>")
    )
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    plain.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def prepared(pixels):
    scaled = (pixels / 255 - np.array(MEAN)) / np.array(DEVIATION)
    return torch.from_numpy(scaled.transpose(0, 3, 1, 2)).float()


@pytest.mark.parametrize(
    ("make", "dims", "regions"),
    [(vit, (32,), (16, 32)), (resnet, (16,), None), (clip, (24,), (16, 32))],
    ids=["vit", "resnet", "clip"],
)
def test_images(tmp_path, pixels, make, dims, regions):
    model = store(tmp_path, make)
    vectors, cells = HuggingFaceImages(str(tmp_path)), HuggingFaceImages(str(tmp_path), "regions")
    with torch.inference_mode():
        whole = getattr(model, "get_image_features", model)(pixel_values=prepared(pixels))
    last = whole.last_hidden_state
    expected = last[:, 1:] if last.ndim == 3 else last.flatten(2).transpose(1, 2)
    assert vectors.size == 32 and vectors.shape == dims
    assert regions is None or cells.shape == regions
    np.testing.assert_allclose(vectors(pixels), whole.pooler_output.flatten(1), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(cells(pixels), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("make", [clip, bert], ids=["clip", "bert"])
def test_texts_do_not_depend_on_their_batch(tmp_path, make):
    store(tmp_path, make)
    store_tokenizer(tmp_path)
    texts = ["a red star", "blue box", "a red star blue box a red star blue box a red star blue box"]
    vectors, words = HuggingFaceTexts(str(tmp_path)), HuggingFaceTexts(str(tmp_path), "regions")
    together, lengths = vectors(texts)
    assert lengths is None and together.shape == (3, *vectors.shape)
    np.testing.assert_allclose(np.concatenate([vectors([text])[0] for text in texts]), together, rtol=1e-3, atol=1e-5)
    found, lengths = words(texts)
    assert found.shape == (3, 12, 32)
    np.testing.assert_array_equal(lengths, [5, 4, 12])  # with both ends; the last is cut
    assert not found[0, 5:].any() and found[0, :5].any(axis=1).all()
    if make is bert:
        np.testing.assert_allclose(found[1, :4].mean(0), together[1], rtol=1e-3, atol=1e-5)


def test_weights_that_could_run_code_are_refused(tmp_path):
    model = store(tmp_path, vit)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="no model could be loaded"):
        HuggingFaceImages(str(tmp_path))


def test_what_is_missing_is_named(tmp_path):
    store(tmp_path, vit)
    with pytest.raises(InputError, match="ViTModel reads no text"):
        HuggingFaceTexts(str(tmp_path))
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}')
    with pytest.raises(InputError, match="does not say the image size"):
        HuggingFaceImages(str(tmp_path))
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"no preprocessor_config\.json"):
        HuggingFaceImages(str(tmp_path))
    with pytest.raises(InputError, match="needs its weights"):
        HuggingFaceImages("")
