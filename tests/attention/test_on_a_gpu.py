"""On a GPU: precision, and torch's ways to run the op: compiled, under autocast, in a CUDA graph, in DDP."""

import copy

import pytest

from udsph.attention import backends, cross_attention_scores

from .batches import make_batch, torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


def test_the_kernel_can_be_used():
    assert backends()["cuda"] == "available"


def scores_and_gradients(batch, weights, **settings):
    """The scores, and the gradients of both features for a weighted sum of them."""
    features = [side.detach().clone().requires_grad_() for side in batch[:2]]
    scores = cross_attention_scores(*features, *batch[2:], **settings)
    (scores * weights).sum().backward()
    return scores.detach(), *(side.grad for side in features)


def assert_close(found, expected, relative):
    for a, b in zip(found, expected, strict=True):
        assert float((a.double() - b.double()).abs().max()) <= relative * float(b.double().abs().max())


def batch_of(dtype, device="cuda", **options):
    return make_batch(24, 30, 36, 20, 256, dtype=dtype, device=device, **options)


@pytest.fixture
def weights():
    return torch.randn(24, 30, generator=torch.Generator().manual_seed(3)).cuda()


@pytest.mark.parametrize("direction", ["t2i", "i2t", "both"])
@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_agreement_with_the_reference_in_float64(weights, dtype, relative, direction):
    batch = batch_of(dtype)
    exact = [side.double() for side in batch[:2]]
    found = scores_and_gradients(batch, weights, direction=direction, backend="cuda")
    expected = scores_and_gradients((*exact, *batch[2:]), weights.double(), direction=direction, backend="reference")
    assert_close(found, expected, relative)


@pytest.mark.parametrize("ragged", [True, False])
def test_compiled(weights, ragged):
    batch = batch_of(torch.float32, ragged=ragged)

    def loss(regions, words):
        scores = cross_attention_scores(regions, words, *batch[2:], direction="both", backend="cuda")
        return (torch.relu(scores) * weights).sum()

    def gradients(function):
        features = [torch.nan_to_num(side).requires_grad_() for side in batch[:2]]
        value = function(*features)
        value.backward()
        return value.detach(), *(side.grad for side in features)

    assert_close(gradients(torch.compile(loss)), gradients(loss), 1e-5)


def test_autocast_multiplies_in_half_precision(weights):
    batch = batch_of(torch.float32)
    expected = scores_and_gradients(batch, weights, direction="t2i", backend="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        found = scores_and_gradients(batch, weights, direction="t2i", backend="cuda")
    assert [part.dtype for part in found] == [torch.float32] * 3
    assert_close(found, expected, 2e-2)
    assert not torch.equal(found[0], expected[0])


@pytest.mark.parametrize("ragged", [True, False])
def test_a_cuda_graph_of_forward_and_backward(weights, ragged):
    """Captured after a call with the same lengths, it replays what stands in its inputs."""
    batch = [torch.nan_to_num(part) if i < 2 else part for i, part in enumerate(batch_of(torch.float32, ragged=ragged))]
    features = [side.clone().requires_grad_() for side in batch[:2]]

    def step():
        scores = cross_attention_scores(*features, *batch[2:], direction="both", backend="cuda")
        return scores, *torch.autograd.grad((scores * weights).sum(), features)

    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        found = step()
    for seed in (5, 6):
        other = [torch.nan_to_num(side) for side in batch_of(torch.float32, ragged=ragged, seed=seed)[:2]]
        with torch.no_grad():
            for held, new in zip(features, other, strict=True):
                held.copy_(new)
        graph.replay()
        expected = scores_and_gradients((*other, *batch[2:]), weights, direction="both", backend="cuda")
        assert_close(found, expected, 1e-6)


def test_ddp(weights, tmp_path):
    """One process of one: gradients of the layers before are those without it."""
    dist = pytest.importorskip("torch.distributed")
    regions, words, *lengths = batch_of(torch.float32)

    class Matching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(256, 64)

        def forward(self, regions, words):
            return cross_attention_scores(self.layer(regions), self.layer(words), *lengths, backend="cuda")

    torch.manual_seed(0)
    alone = Matching().cuda()
    dist.init_process_group("nccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        shared = torch.nn.parallel.DistributedDataParallel(copy.deepcopy(alone), device_ids=[0])
        for model in (alone, shared):
            (model(torch.nan_to_num(regions), torch.nan_to_num(words)) * weights).sum().backward()
        assert_close([shared.module.layer.weight.grad], [alone.layer.weight.grad], 1e-6)
    finally:
        dist.destroy_process_group()


def test_a_batch_that_does_not_fit_is_an_error_and_the_next_one_does(weights):
    total = torch.cuda.get_device_properties(0).total_memory
    items = int((total / 4 / 36 / 20) ** 0.5) + 1000  # the affinities alone are larger than the memory
    huge = torch.empty(items, 36, 1, device="cuda").fill_(1.0), torch.empty(items, 20, 1, device="cuda").fill_(1.0)
    with pytest.raises(torch.OutOfMemoryError):
        cross_attention_scores(*huge, backend="cuda")
    torch.cuda.empty_cache()
    assert torch.isfinite(cross_attention_scores(*batch_of(torch.float32), backend="cuda")).all()
