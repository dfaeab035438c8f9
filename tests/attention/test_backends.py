"""Every backend that can be used here against the reference: scores, gradients, masks, extremes, dtypes."""

import pytest

from udsph.attention import backends, cross_attention_scores

from .batches import SETTINGS, devices, make_batch, setting_id, torch
from .emulated import can_emulate, emulate_on_cpu

CANDIDATES = [("gram", device) for device in devices()] + [("cpu", "cpu"), ("emulated", "cpu"), ("cuda", "cuda")]
USABLE = {name for name, state in backends().items() if state == "available"} | (
    {"emulated"} if can_emulate() else set()
)
BACKENDS = [pytest.param(name, device, id=f"{name}-{device}") for name, device in CANDIDATES if name in USABLE]
REFERENCE = pytest.param("reference", "cpu", id="reference-cpu")


@pytest.fixture
def backend(request, monkeypatch):
    """Name of a backend. "emulated" is the CUDA kernel's program run by the host in place of the CPU kernel."""
    if request.param != "emulated":
        return request.param
    emulate_on_cpu(monkeypatch)
    return "cpu"


def scores_and_gradients(backend, batch, weights=None, **setting):
    """Scores, and the gradients of a fixed weighted sum of them, as float64 on the CPU."""
    regions, words = (features.detach().clone().requires_grad_() for features in batch[:2])
    scores = cross_attention_scores(regions, words, *batch[2:], backend=backend, **setting)
    if weights is None:
        weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    (scores * weights.to(scores)).sum().backward()
    return [x.detach().cpu().double() for x in (scores, regions.grad, words.grad)]


def upcast(batch):
    return [batch[0].cpu().double(), batch[1].cpu().double(), *batch[2:]]


def assert_agree(backend, batch, tolerance, **setting):
    """Largest difference from the float64 reference, relative to the largest value of each result."""
    found = scores_and_gradients(backend, batch, **setting)
    expected = scores_and_gradients("reference", upcast(batch), **setting)
    for name, a, b in zip(("scores", "regions.grad", "words.grad"), found, expected, strict=True):
        assert not torch.isnan(a).any(), name
        assert float((a - b).abs().max()) <= tolerance * max(float(b.abs().max()), 1e-3), name


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("setting", SETTINGS, ids=setting_id)
def test_agrees_in_float64(backend, device, setting):
    assert_agree(backend, make_batch(device=device), 1e-9, **setting)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("setting", SETTINGS, ids=setting_id)
def test_agrees_in_float32(backend, device, setting):
    assert_agree(backend, make_batch(9, 11, 36, 20, 64, dtype=torch.float32, device=device), 1e-5, **setting)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("direction", ["t2i", "i2t", "both"])
def test_half_precision_gives_float32_scores_and_half_gradients(backend, device, dtype, direction):
    batch = make_batch(5, 6, 36, 20, 64, dtype=dtype, device=device)
    regions = batch[0].clone().requires_grad_()
    scores = cross_attention_scores(regions, *batch[1:], backend=backend, direction=direction)
    scores.sum().backward()
    assert (scores.dtype, regions.grad.dtype) == (torch.float32, dtype)
    assert_agree(backend, batch, 1e-2, direction=direction)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("direction", ["t2i", "i2t"])
@pytest.mark.parametrize(
    "shape", [(1, 1, 1, 1, 1), (1, 2, 1, 3, 5), (2, 1, 4, 1, 5), (3, 2, 17, 33, 6), (2, 3, 65, 40, 3)]
)
def test_all_shapes(backend, device, direction, shape):
    assert_agree(backend, make_batch(*shape, device=device), 1e-8, direction=direction)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("setting", SETTINGS, ids=setting_id)
def test_without_lengths_every_row_counts(backend, device, setting):
    assert_agree(backend, make_batch(ragged=False, device=device), 1e-9, **setting)


@pytest.mark.parametrize(("backend", "device"), [*BACKENDS, REFERENCE], indirect=["backend"])
@pytest.mark.parametrize("setting", SETTINGS, ids=setting_id)
def test_padding_is_never_looked_at(backend, device, setting):
    """The batch holds NaN in its padded rows: scores and gradients are finite, and 0 there."""
    regions, words, region_lengths, word_lengths = make_batch(device=device)
    scores, region_grad, word_grad = scores_and_gradients(
        backend, (regions, words, region_lengths, word_lengths), **setting
    )
    assert torch.isfinite(scores).all()
    for features, gradient in ((regions, region_grad), (words, word_grad)):
        padded = torch.isnan(features).cpu()
        assert padded.any()
        assert (gradient[padded] == 0).all()
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("normalize", ["clipped_l2", "l2", "clipped", "none", "softmax"])
def test_large_smooth_does_not_overflow(backend, device, normalize):
    batch = make_batch(dtype=torch.float32, device=device)
    assert_agree(backend, batch, 1e-3, normalize=normalize, smooth=300.0, pool_temperature=500.0)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
def test_large_unbounded_affinities_do_not_overflow(backend, device):
    regions, words, *lengths = make_batch(dtype=torch.float32, device=device)
    assert_agree(backend, (regions * 30, words * 30, *lengths), 1e-3, normalize="none")


@pytest.mark.parametrize(("backend", "device"), [*BACKENDS, REFERENCE], indirect=["backend"])
@pytest.mark.parametrize("direction", ["t2i", "i2t"])
def test_zero_features_give_finite_scores_and_gradients(backend, device, direction):
    regions, words, _, _ = make_batch(ragged=False, device=device)
    regions[1], words[2], regions[2, 3] = 0.0, 0.0, 0.0
    for result in scores_and_gradients(backend, (regions, words, None, None), direction=direction):
        assert torch.isfinite(result).all()


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("direction", ["t2i", "i2t", "both"])
def test_pairs_without_gradient_contribute_none(backend, device, direction):
    """As a hard-negative loss leaves it: the diagonal and a few pairs, and a caption and an image with none at all."""
    batch = make_batch(device=device)
    weights = torch.zeros(5, 6, dtype=torch.float64)
    weights[0, 0], weights[2, 3], weights[4, 5] = 1.0, -2.0, 0.5
    found = scores_and_gradients(backend, batch, weights, direction=direction)
    expected = scores_and_gradients("reference", upcast(batch), weights, direction=direction)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)
    assert (found[1][1] == 0).all()
    assert (found[2][1] == 0).all()


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("setting", SETTINGS, ids=setting_id)
def test_gradcheck(backend, device, setting):
    regions, words, region_lengths, word_lengths = make_batch(2, 2, 3, 3, 4, device=device, seed=3)
    regions, words = torch.nan_to_num(regions, 0.1), torch.nan_to_num(words, 0.1)

    def scores(r, w):
        return cross_attention_scores(r, w, region_lengths, word_lengths, backend=backend, **setting)

    assert torch.autograd.gradcheck(scores, (regions.requires_grad_(), words.requires_grad_()))


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
def test_gradients_are_the_same_every_time(backend, device):
    batch = make_batch(20, 21, 36, 20, 64, dtype=torch.float32, device=device)
    first, second = scores_and_gradients(backend, batch), scores_and_gradients(backend, batch)
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
def test_inputs_need_not_be_contiguous(backend, device):
    regions, words, *lengths = make_batch(device=device)
    strided = (regions.mT.contiguous().mT, torch.stack([words, words], -1)[..., 0], *lengths)
    for a, b in zip(
        scores_and_gradients(backend, strided), scores_and_gradients(backend, (regions, words, *lengths)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
def test_autocast_gives_float32_scores(backend, device):
    regions, words, *lengths = make_batch(dtype=torch.float32, device=device)
    expected = cross_attention_scores(regions, words, *lengths, backend=backend)
    with torch.autocast(device, dtype=torch.bfloat16):
        scores = cross_attention_scores(regions, words, *lengths, backend=backend)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("backend", "device"), BACKENDS, indirect=["backend"])
@pytest.mark.parametrize("direction", ["t2i", "both"])
def test_compiled_scores_are_the_same(backend, device, direction):
    regions, words, *lengths = make_batch(dtype=torch.float32, device=device)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def scores(r, w):
        return 2 * cross_attention_scores(r, w, *lengths, backend=backend, direction=direction)

    compiled = [features.clone().requires_grad_() for features in (regions, words)]
    plain = [features.clone().requires_grad_() for features in (regions, words)]
    found = scores(*compiled)
    expected = 2 * cross_attention_scores(*plain, *lengths, backend=backend, direction=direction)
    found.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(found, expected)
    for a, b in zip(compiled, plain, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
