"""What is particular to the CUDA kernel: its interface, half-precision affinities, long chunks, barriers, the library.

``test_backends.py`` runs the kernel's program through the whole contract on the host, and on a GPU where there is one.
"""

import contextlib
import ctypes
import os
import re
import subprocess
import sys
import types

import pytest

import udsph.cuda
from udsph.attention import backends, cross_attention_scores, cuda, scores
from udsph.attention.formula import Formula
from udsph.cuda import LIBRARY
from udsph.errors import InputError

from .batches import make_batch, torch
from .emulated import EmulatedLibrary, can_emulate, emulate_on_cpu

emulated = pytest.mark.skipif(not can_emulate(), reason="needs a C++ compiler and the native extension")
compiled = pytest.mark.skipif(not LIBRARY.exists(), reason="the CUDA library was not built")
without_gpu = pytest.mark.skipif(backends()["cuda"] == "available", reason="there is a GPU")

FORMULA = Formula(9.0, "lse", 6.0, "clipped_l2")


def op_arguments(images, captions, regions, words, dtype=torch.float32, seed=0):
    """Arguments of the kernel for words that attend to regions, and a gradient of the scores."""
    r, w, region_lengths, word_lengths = make_batch(images, captions, regions, words, 16, dtype=dtype, seed=seed)
    region_rows = torch.cat([item[:n] for item, n in zip(r, region_lengths, strict=True)])
    word_rows = torch.cat([item[:n] for item, n in zip(w, word_lengths, strict=True)])
    whole = torch.nan_to_num(r)
    grad = torch.randn(captions, images, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    arguments = [word_rows @ region_rows.mT, whole @ whole.mT, word_rows.norm(dim=-1), word_lengths, region_lengths]
    return grad, arguments


def run(grad, arguments):
    return cuda.forward(FORMULA, *arguments), *cuda.backward(FORMULA, grad, *arguments)


@emulated
@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("shape", [(3, 70, 9, 12), (2, 9, 36, 60), (40, 3, 5, 4)])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, threads, shape):
    """Several threads meet at a real barrier. The shapes make several runs of a block, several chunks, long items."""
    grad, arguments = op_arguments(*shape)
    grad[grad > 0.5] = 0.0
    emulate_on_cpu(monkeypatch)
    expected = run(grad, arguments)
    emulate_on_cpu(monkeypatch, threads)
    for a, b in zip(run(grad, arguments), expected, strict=True):
        assert torch.equal(a, b)


@emulated
def test_more_query_items_than_a_window_holds(monkeypatch):
    """300 images attend to 1030 captions in one chunk, and a block keeps the lengths of 128 at a time."""
    emulate_on_cpu(monkeypatch)
    assert EmulatedLibrary(1).chunks(300, 1030) == 1
    regions, words, region_lengths, word_lengths = make_batch(300, 2, 2, 3, 4, seed=1)
    copies = words[1:].expand(1030, -1, -1), region_lengths, word_lengths[1:].expand(1030)
    found = cross_attention_scores(regions, *copies, direction="i2t", backend="cpu")
    one = cross_attention_scores(regions, words, region_lengths, word_lengths, direction="i2t", backend="gram")
    torch.testing.assert_close(found, one[:, 1:].expand(-1, 1030), rtol=1e-10, atol=1e-12)


@emulated
def test_bfloat16_affinities_with_float32_arithmetic(monkeypatch):
    emulate_on_cpu(monkeypatch)
    grad, (affinity, *others) = op_arguments(9, 11, 36, 20)
    half = affinity.bfloat16()
    found, expected = run(grad, [half, *others]), run(grad, [half.float(), *others])
    assert [x.dtype for x in found] == [torch.float32, torch.bfloat16, torch.float32, torch.float32]
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert torch.equal(a, b.to(a.dtype)), i  # only the gradient of the affinities is rounded, once and to nearest


@emulated
@pytest.mark.parametrize("direction", ["t2i", "i2t", "both"])
def test_bfloat16_features_from_products_to_gradients(monkeypatch, direction):
    """The whole path that CUDA takes, by the host: bfloat16 products S, the rest in float32."""
    emulate_on_cpu(monkeypatch)
    monkeypatch.setattr(scores, "_in_own_dtype", lambda features, backend: features)
    batch = make_batch(6, 7, 36, 20, 256, dtype=torch.bfloat16)
    half = [features.clone().requires_grad_() for features in batch[:2]]
    exact = [features.double().requires_grad_() for features in batch[:2]]
    found = cross_attention_scores(*half, *batch[2:], direction=direction, backend="cpu")
    expected = cross_attention_scores(*exact, *batch[2:], direction=direction, backend="reference")
    weights = torch.randn(6, 7, generator=torch.Generator().manual_seed(2))
    (found * weights).sum().backward()
    (expected * weights.double()).sum().backward()
    assert (found.dtype, half[0].grad.dtype) == (torch.float32, torch.bfloat16)
    for a, b in ((found, expected), (half[0].grad, exact[0].grad), (half[1].grad, exact[1].grad)):
        assert float((a.double() - b).detach().abs().max()) <= 1e-2 * float(b.detach().abs().max())


@emulated
def test_arguments_that_do_not_fit_are_refused(monkeypatch):
    emulate_on_cpu(monkeypatch)
    _, arguments = op_arguments(3, 4, 5, 6)
    for position in range(3):
        wrong = list(arguments)
        wrong[position] = wrong[position][:-1]
        with pytest.raises(ValueError, match="fit the lengths"):
            cuda.forward(FORMULA, *wrong)
    with pytest.raises(TypeError, match=r"gram has dtype torch.float64: expected torch.float32"):
        cuda.forward(FORMULA, arguments[0], arguments[1].double(), *arguments[2:])


@emulated
@pytest.mark.parametrize(("items", "others"), [(1, 1), (128, 128), (1024, 1024), (5000, 3), (3, 5000)])
def test_chunks_fill_a_gpu_and_never_outnumber_the_query_items(items, others):
    chunks = EmulatedLibrary(1).chunks(items, others)
    assert 1 <= chunks <= items
    assert chunks == items or (chunks + 1) * others > 1024


@emulated
def test_the_published_sizes_fit_every_gpu():
    """36 regions and captions of up to 60 words in both directions: under the 99 KiB of the smallest served GPUs."""
    library = EmulatedLibrary(1)
    for queries, context in ((60, 36), (36, 60)):
        assert library.shared_bytes(0, queries, context, True) < 99 * 1024
    assert library.shared_bytes(1, 60, 36, True) == pytest.approx(2 * library.shared_bytes(0, 60, 36, True), rel=0.1)


@compiled
def test_the_library_and_this_package_mean_the_same_interface():
    library = cuda.Library()  # compares the size of the struct
    if can_emulate():
        for items, others in ((1, 1), (128, 128), (1000, 7)):
            assert library.chunks(items, others) == EmulatedLibrary(1).chunks(items, others)


@compiled
@without_gpu
def test_without_a_gpu_cuda_is_refused_with_the_reason():
    with pytest.raises(InputError, match=r"backend='cuda' cannot be used: (no GPU|this torch)"):
        cross_attention_scores(*make_batch(), backend="cuda")
    assert cuda.Library().device_state().startswith("no GPU can be used: ")


@compiled
@without_gpu
def test_a_launch_without_a_gpu_returns_an_error_code():
    problem = cuda.Problem(query_items=1, context_items=1, queries=1, max_queries=1, gram_width=1, chunks=1)
    library = ctypes.CDLL(str(LIBRARY))
    assert library.udsph_attention_forward(ctypes.byref(problem), None) != 0
    assert library.udsph_attention_backward(ctypes.byref(problem), None) != 0
    assert library.udsph_attention_check() != 0


class FailingLibrary:
    """The C interface on a GPU where every launch returns one error."""

    def __init__(self, name, shared_limit):
        self.name, self.shared_limit = name, shared_limit

    def udsph_attention_forward(self, problem, stream):
        return 1

    udsph_attention_backward = udsph_attention_forward

    def udsph_attention_check(self):
        return 1

    def udsph_cuda_error_name(self, code):
        return self.name.encode()

    def udsph_cuda_error_text(self, code):
        return b"as the driver describes it"

    def udsph_cuda_shared_limit(self, limit):
        limit._obj.value = self.shared_limit
        return 0

    def udsph_cuda_describe(self, name, size, major, minor):
        name.value, major._obj.value, minor._obj.value = b"Some GPU", 7, 5
        return 0

    def udsph_attention_shared_bytes(self, *sizes):
        return 200_000


@pytest.mark.parametrize(
    ("name", "limit", "error", "message"),
    [
        (
            "cudaErrorNoKernelImageForDevice",
            10**6,
            InputError,
            r"holds no code for Some GPU \(compute capability 7.5\).*75",
        ),
        ("cudaErrorUnsupportedPtxVersion", 10**6, InputError, "reinstall udsph with UDSPH_CUDA_ARCHS=75"),
        ("cudaErrorInvalidValue", 10**5, InputError, "need 200000 bytes of shared memory, Some GPU has 100000"),
        ("cudaErrorLaunchFailure", 10**6, RuntimeError, r"as the driver describes it \(cudaErrorLaunchFailure\)"),
    ],
)
def test_every_code_that_a_launch_returns_is_an_error(monkeypatch, name, limit, error, message):
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: types.SimpleNamespace(cuda_stream=0))
    library = object.__new__(cuda.Library)
    library.functions = FailingLibrary(name, limit)
    for backward in (False, True):
        with pytest.raises(error, match=message):
            library.run(cuda.Problem(max_queries=60, gram_width=36), backward, torch.device("cuda"))
    if error is InputError and limit > 10**5:  # "auto" asks before, and takes another backend
        assert not library.has_code_for(torch.device("cuda"))
    else:
        with pytest.raises(RuntimeError, match="as the driver describes it"):
            library.has_code_for(torch.device("cuda"))


def test_auto_needs_a_driver_and_code_for_the_gpu(monkeypatch):
    gpu = torch.device("cuda")
    for state, code, backend in (
        ("no driver", True, "gram"),
        ("available", False, "gram"),
        ("available", True, "cuda"),
    ):
        monkeypatch.setattr(scores, "cuda_state", lambda state=state: state)
        monkeypatch.setattr(cuda, "has_code_for", lambda device, code=code: code)
        assert scores._choose("auto", gpu) == backend


def test_a_library_that_cannot_be_loaded_is_a_reason(tmp_path, monkeypatch):
    broken = tmp_path / "libudsph_cuda.so"
    broken.write_bytes(b"\x7fELF for some other machine")
    monkeypatch.setattr(udsph.cuda, "LIBRARY", broken)
    assert re.match("the library cannot be loaded: .*libudsph_cuda", udsph.cuda.state.__wrapped__())


def test_a_library_of_another_version_is_a_reason(monkeypatch):
    def older():
        raise OSError("libudsph_cuda.so was built from another version of udsph")

    monkeypatch.setattr(udsph.cuda, "state", lambda: "available")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(cuda, "library", older)
    assert "from another version of udsph" in scores.cuda_state.__wrapped__()


def test_backends_say_what_is_missing():
    state = backends()
    assert list(state) == ["reference", "gram", "cpu", "cuda"]
    assert state["reference"] == state["gram"] == "available"
    if not LIBRARY.exists():
        assert state["cuda"].startswith("the library was not built")
        with pytest.raises(InputError, match="backend='cuda' cannot be used: the library was not built"):
            cross_attention_scores(*make_batch(), backend="cuda")


def test_importing_the_room_asks_no_driver():
    """A process that forks must not have initialised CUDA: only a call with backend="cuda" or backends() may."""
    code = "import udsph.attention.scores, udsph.attention.cuda as c; assert c.library.cache_info().currsize == 0"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, timeout=300)
