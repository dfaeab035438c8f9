"""The forms that bench/attention.py compares are forms of the same scores, and of the same loss."""

import importlib.util
from pathlib import Path

import pytest

from .batches import torch

FOLDER = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def forms():
    spec = importlib.util.spec_from_file_location("attention_forms", FOLDER / "attention_forms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def batch():
    """7 images of 5 regions and 7 captions of up to 6 words, float64, and the captions' lengths."""
    generator = torch.Generator().manual_seed(3)
    shapes = (7, 5, 12), (7, 6, 12)
    features = [torch.nn.functional.normalize(torch.randn(s, generator=generator).double(), dim=-1) for s in shapes]
    return [x.requires_grad_() for x in features], torch.tensor([6, 1, 3, 2, 6, 4, 5])


def gradients(value, features):
    return [value.detach(), *torch.autograd.grad(value, features)]


@pytest.mark.parametrize("name", ["published_loop", "attended_einsum", "gram_einsum", "gram_matmul"])
def test_every_form_gives_the_scores_of_the_op(forms, name):
    features, lengths = batch()
    weights = torch.linspace(-1, 1, 49, dtype=torch.float64).view(7, 7)
    found, expected = (
        gradients((form(*features, lengths) * weights).sum(), features)
        for form in (getattr(forms, name), forms.op("reference"))
    )
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)  # they add 1e-8 in other places


def test_two_passes_give_the_loss_and_gradients_of_the_hardest_negatives(forms):
    features, lengths = batch()
    form = forms.op("gram")
    dense = gradients(forms.hardest(form(*features, lengths)), features)
    for a, b in zip(gradients(forms.two_pass_hardest(form, *features, lengths), features), dense, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
