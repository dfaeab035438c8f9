"""The op under torch.library: its registration, and the promises of the kernel that the backends' tests do not see."""

import os

import pytest

from udsph.attention import backends, cross_attention_scores
from udsph.errors import InputError

from .batches import make_batch, torch

fused = pytest.importorskip("udsph.attention.fused")

pytestmark = pytest.mark.skipif(backends()["cpu"] != "available", reason=f"backend cpu: {backends()['cpu']}")


def op_arguments(dtype=torch.float64, **formula):
    """Arguments of ``udsph::attention_scores`` for a ragged batch, words attending to regions."""
    regions, words, region_lengths, word_lengths = make_batch(3, 4, 5, 6, 7, dtype=dtype)
    region_rows = torch.cat([item[:n] for item, n in zip(regions, region_lengths, strict=True)])
    word_rows = torch.cat([item[:n] for item, n in zip(words, word_lengths, strict=True)])
    whole = torch.nan_to_num(regions)
    values = {"smooth": 9.0, "pool": "lse", "pool_temperature": 6.0, "normalize": "clipped_l2", **formula}
    floats = (word_rows @ region_rows.mT, whole @ whole.mT, word_rows.norm(dim=-1))
    return (*(x.requires_grad_() for x in floats), word_lengths, region_lengths, *values.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck_scores(dtype):
    torch.library.opcheck(torch.ops.udsph.attention_scores.default, op_arguments(dtype))


def test_opcheck_backward():
    arguments = [x.detach() if isinstance(x, torch.Tensor) else x for x in op_arguments()]
    grad = torch.ones(4, 3, dtype=torch.float64)
    torch.library.opcheck(torch.ops.udsph.attention_scores_backward.default, (grad, *arguments))


def test_opcheck_rows():
    regions, _, lengths, _ = make_batch(3, 4, 5, 6, 7)
    packed = torch.randn(int(lengths.sum()), 7, requires_grad=True)
    torch.library.opcheck(torch.ops.udsph.pack_rows.default, (torch.nan_to_num(regions).requires_grad_(), lengths))
    torch.library.opcheck(torch.ops.udsph.unpack_rows.default, (packed, lengths, 5))
    torch.library.opcheck(torch.ops.udsph.check_lengths.default, (lengths, 5, "region_lengths"))


@pytest.mark.parametrize("pool", ["lse", "mean", "max", "sum"])
def test_gradcheck_of_the_op_alone(pool):
    *tensors, a, b, smooth, _, temperature, normalize = op_arguments()

    def scores(*floats):
        return fused.attention_scores(*floats, a, b, smooth, pool, temperature, normalize)

    # The Gram matrix is symmetric: the two halves of its gradient are what a perturbation that keeps it so meets.
    affinity, gram, norms = tensors
    assert torch.autograd.gradcheck(
        lambda s, g, n: scores(s, (g + g.mT) / 2, n), (affinity, gram.detach().requires_grad_(), norms)
    )


@pytest.mark.parametrize("position", [0, 1, 2])
def test_arguments_that_do_not_fit_the_lengths_are_refused(position):
    arguments = list(op_arguments())
    arguments[position] = arguments[position][:-1].detach()
    with pytest.raises(ValueError, match="fit the lengths"):
        fused.attention_scores(*arguments)


def test_mixed_dtypes_are_refused():
    arguments = list(op_arguments())
    arguments[1] = arguments[1].float()
    with pytest.raises(TypeError, match="float32 or float64"):
        fused.attention_scores(*arguments)


def _scores_and_gradients(batch):
    regions, words = batch[0].clone().requires_grad_(), batch[1].clone().requires_grad_()
    scores = cross_attention_scores(regions, words, *batch[2:], backend="cpu", direction="both")
    scores.square().sum().backward()
    return scores.detach(), regions.grad, words.grad


def _levels():
    if backends()["cpu"] != "available":
        return []
    from udsph.attention import _native

    return _native.simd_levels()


@pytest.fixture(params=_levels())
def level(request):
    """Run the test once per instruction-set level."""
    from udsph.attention import _native

    before = _native.simd_level()
    _native.set_level(request.param)
    yield request.param
    _native.set_level(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_instruction_set_level(level, dtype):
    """Context items of 1 to 40 rows: whole vectors, part vectors and several panels of every level's width."""
    for width in (1, 3, 8, 16, 17, 36, 40):
        batch = make_batch(5, 4, width, 9, 16, dtype=dtype, seed=width)
        exact = make_batch(5, 4, width, 9, 16, dtype=torch.float64, seed=width)
        expected = cross_attention_scores(*exact, backend="reference", direction="both")
        tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
        found = cross_attention_scores(*batch, backend="cpu", direction="both")
        torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=tolerance)


def test_gradients_at_every_instruction_set_level(level):
    from udsph.attention import _native

    batch = make_batch(20, 19, 36, 9, 16)
    found = _scores_and_gradients(batch)
    _native.set_level(_levels()[-1])
    for a, b in zip(found, _scores_and_gradients(batch), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.skipif(not _levels(), reason="the kernel was not built")
def test_the_environment_chooses_the_level_and_an_unknown_one_is_an_error(monkeypatch):
    from udsph.attention import _native

    monkeypatch.setenv("UDSPH_SIMD", "scalar")
    _native.set_level("")  # choose anew
    try:
        assert _native.simd_level() == "scalar"
        _native.set_level("")
        monkeypatch.setenv("UDSPH_SIMD", "mmx")
        for backend in ("cpu", "auto"):
            with pytest.raises(InputError, match=r"UDSPH_SIMD=mmx is not an instruction-set level; .*: scalar"):
                cross_attention_scores(*make_batch(), backend=backend)
        assert backends()["cpu"].startswith("UDSPH_SIMD=mmx")
    finally:
        monkeypatch.undo()
        _native.set_level("")


@pytest.mark.parametrize("threads", [2, 5])
def test_the_kernel_gives_the_same_bits_for_any_number_of_threads(threads):
    arguments = [x.detach() if isinstance(x, torch.Tensor) else x for x in op_arguments(torch.float32)]
    grad = torch.randn(4, 3)
    before = torch.get_num_threads()
    results = []
    try:
        for n in (1, threads):
            torch.set_num_threads(n)
            results.append((fused.attention_scores(*arguments), *fused.attention_scores_backward(grad, *arguments)))
    finally:
        torch.set_num_threads(before)
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_kernel_runs_in_a_forked_child():
    arguments = [x.detach() if isinstance(x, torch.Tensor) else x for x in op_arguments()]
    expected = fused.attention_scores(*arguments)
    child = os.fork()
    if child == 0:
        # torch's own thread pool does not survive a fork; only the kernel is asked for here.
        os._exit(0 if fused.cpu.forward(_formula(arguments), *arguments[:5]).equal(expected) else 1)
    assert os.waitpid(child, 0)[1] == 0


def _formula(arguments):
    return fused.Formula(*arguments[5:])


def test_a_second_derivative_is_refused():
    regions, words, *lengths = make_batch()
    regions = torch.nan_to_num(regions).requires_grad_()
    scores = cross_attention_scores(regions, torch.nan_to_num(words), *lengths, backend="cpu")
    (gradient,) = torch.autograd.grad(scores.sum(), regions, create_graph=True)
    with pytest.raises(RuntimeError):
        gradient.sum().backward()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_in_a_distributed_model(tmp_path):
    """One process of DistributedDataParallel gives the gradients of the model alone."""
    regions, words, *lengths = make_batch(dtype=torch.float32)
    regions, words = torch.nan_to_num(regions), torch.nan_to_num(words)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.regions, self.words = torch.nn.Linear(12, 8), torch.nn.Linear(12, 8)

        def forward(self, r, w):
            return cross_attention_scores(self.regions(r), self.words(w), *lengths, direction="both", backend="cpu")

    model = Model()
    model(regions, words).sum().backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        torch.nn.parallel.DistributedDataParallel(model)(regions, words).sum().backward()
    finally:
        torch.distributed.destroy_process_group()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
