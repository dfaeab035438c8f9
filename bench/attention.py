"""Cross-modal attention: time and peak memory of the op and of the other ways to compute the same scores.

    python bench/attention.py --data /path/to/data                    all forms at batch 128, memory at 128 and 512
    python bench/attention.py --data ... --device cuda --batch 1024   on a GPU

36 regions, 1024 dimensions, caption lengths drawn from COCO's (``DATA/coco/captions_val2017.json``), or, without data,
as long as those in the mean. Forms take turns
in one process; every first call is a warm-up, then medians. The gradient is dense: all pairs. Peak memory is that of a
process of its own, above what holds the inputs. Every form is first held to the float64 reference on a small batch.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import attention_forms as forms  # noqa: E402
from benchmarks.common import peak_bytes, processor, resident_bytes  # noqa: E402

from udsph.attention import backends, cross_attention_scores  # noqa: E402

REGIONS, DIM = 36, 1024
TWO_PASS = "two-pass hard negatives"
GPU_ONLY = ("cuda", "cuda, recompute")


def all_forms() -> dict[str, forms.Form]:
    """By name, in the table's order. What is not usable here is left out."""
    candidates: dict[str, forms.Form] = {
        "published loop": forms.published_loop,
        "einsum, attended vectors": forms.attended_einsum,
        "Gram einsum": forms.gram_einsum,
        "Gram matmul": forms.gram_matmul,
        "torch.compile of Gram einsum": torch.compile(forms.gram_einsum, dynamic=False),
        "torch.compile of Gram matmul": torch.compile(forms.gram_matmul, dynamic=False),
        "cpu": forms.op("cpu"),
        "cpu, recompute": forms.op("cpu", recompute=True),
        "cuda": forms.op("cuda"),
        "cuda, recompute": forms.op("cuda", recompute=True),
    }
    usable = backends()
    return {
        name: form for name, form in candidates.items() if usable.get(name.split(",")[0], "available") == "available"
    }


def coco_lengths(data: Path | None) -> list[int]:
    """Words of every caption of COCO val2017; without data 6 to 21, 10.5 in the mean, as in COCO."""
    if data is None:
        return torch.poisson(torch.full((25_000,), 10.5), torch.Generator().manual_seed(1)).clamp(6, 21).int().tolist()
    annotations = json.loads((data / "coco" / "captions_val2017.json").read_text())["annotations"]
    return [max(1, len(re.findall(r"\w+", entry["caption"]))) for entry in annotations]


def make_batch(batch: int, lengths: list[int], device: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    n = torch.tensor(lengths)[torch.randperm(len(lengths), generator=generator)[:batch]]
    regions = F.normalize(torch.randn(batch, REGIONS, DIM, generator=generator), dim=-1)
    words = F.normalize(torch.randn(batch, int(n.max()), DIM, generator=generator), dim=-1)
    return regions.to(device, dtype).requires_grad_(), words.to(device, dtype).requires_grad_(), n


def clock(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def time_form(form: forms.Form, batch: tuple[Tensor, Tensor, Tensor], device: str) -> tuple[float, float]:
    """Seconds of one forward and one backward pass."""
    batch[0].grad = batch[1].grad = None
    start = clock(device)
    scores = form(*batch)
    middle = clock(device)
    scores.float().sum().backward()
    return middle - start, clock(device) - middle


def time_products(pair: tuple[Callable[[], None], Callable[[], None]], device: str) -> tuple[float, float]:
    times = [clock(device)]
    for part in pair:
        part()
        times.append(clock(device))
    return times[1] - times[0], times[2] - times[1]


def time_two_pass(form: forms.Form, batch: tuple[Tensor, Tensor, Tensor], device: str) -> tuple[float, float]:
    batch[0].grad = batch[1].grad = None
    start = clock(device)
    loss = forms.two_pass_hardest(form, *batch)
    middle = clock(device)
    loss.backward()
    return middle - start, clock(device) - middle


def check_agreement(all_of_them: dict[str, forms.Form], lengths: list[int], device: str, dtype: torch.dtype) -> None:
    """Largest differences from the reference in float64, relative to its largest value; exits if one is too large."""
    batch = make_batch(24, lengths, device, dtype)
    exact = [x.detach().cpu().double().requires_grad_() for x in batch[:2]]
    expected = cross_attention_scores(*exact, None, batch[2], backend="reference")
    expected.sum().backward()
    limit = 1e-5 if dtype == torch.float32 else 1e-2
    print("\nlargest difference from the reference in float64, relative: scores, gradients of regions and words")
    for name, form in all_of_them.items():
        batch[0].grad = batch[1].grad = None
        scores = form(*batch)
        scores.float().sum().backward()
        pairs = ((scores, expected), (batch[0].grad, exact[0].grad), (batch[1].grad, exact[1].grad))
        errors = [relative_error(a.detach().cpu().double(), b.detach()) for a, b in pairs]
        print(f"  {name:30s} " + "  ".join(f"{e:.1e}" for e in errors))
        if name.split(",")[0] in ("cpu", "cuda") and max(errors) > limit:
            sys.exit(f"{name} differs from the reference by more than {limit:g}")


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def peak_memory(name: str, batch: int, args: argparse.Namespace) -> str:
    """Peak of one forward and backward pass above what the inputs take, in a process of its own."""
    if name in ("published loop", "einsum, attended vectors") and args.device == "cpu":
        # An attended vector and a repeated word per pair, kept for the gradient: not to be tried where they do not fit.
        needed = 2 * 4 * DIM * batch * int(make_batch(batch, coco_lengths(args.data), "cpu", torch.float32)[2].sum())
        if needed > 0.8 * 1024 * memory_field("/proc/meminfo", "MemAvailable"):
            return f"not run: needs more than {needed / 2**30:.0f} GiB"
    command = [sys.executable, __file__, "--peak-of", name, "--batch", str(batch)]
    command += ["--data", str(args.data)] if args.data else []
    done = subprocess.run(
        [*command, "--device", args.device, "--dtype", args.dtype], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["killed"])[-1]
        return f"fails: {reason[:60]}"
    return done.stdout.strip()


def print_peak(name: str, args: argparse.Namespace) -> None:
    form, dtype = all_forms()[name], getattr(torch, args.dtype)
    lengths = coco_lengths(args.data)
    # Code, threads and compiled graphs do not count: a small batch has been through.
    form(*make_batch(4, lengths, args.device, dtype)).sum().backward()
    batch = make_batch(args.batch, lengths, args.device, dtype)
    if args.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        form(*batch).sum().backward()
        print(round((torch.cuda.max_memory_allocated() - before) / 2**20))
        return
    before = resident_bytes()
    form(*batch).sum().backward()
    print(round((peak_bytes() - before) / 2**20))


def memory_field(path: str, field: str) -> int:
    """KiB on one line of a file of /proc."""
    return int(next(line for line in Path(path).read_text().splitlines() if line.startswith(field)).split()[1])


def print_times(args: argparse.Namespace, lengths: list[int], chosen: dict[str, forms.Form]) -> dict[str, list[float]]:
    batch = make_batch(args.batch, lengths, args.device, getattr(torch, args.dtype))
    pair = forms.products(*batch)
    runs = {"its own matrix products alone": lambda: time_products(pair, args.device)}
    runs |= {name: (lambda form=form: time_form(form, batch, args.device)) for name, form in chosen.items()}
    if args.device in chosen:
        runs[TWO_PASS] = lambda: time_two_pass(chosen[args.device], batch, args.device)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for repeat in range(args.repeats + 1):
        for name in list(runs):
            try:
                seconds = runs[name]()
            except torch.OutOfMemoryError:
                del runs[name], found[name]
                torch.cuda.empty_cache()
                continue
            if repeat:  # the first round warms up
                found[name].append(seconds)
    n_words, longest = int(batch[2].sum()), int(batch[2].max())
    print(f"\nbatch {args.batch}: {n_words} words, longest caption {longest}; ms, medians of {args.repeats}")
    print(f"| {'form':30s} | forward | backward |    both |")
    print(f"| {'-' * 30} | ------: | -------: | ------: |")
    for name in (*chosen, TWO_PASS):
        if name not in found and (name != TWO_PASS or args.device in chosen):
            print(f"| {name:30s} | does not fit into the memory |")
    medians = {}
    for name, seconds in found.items():
        f, b = (1e3 * statistics.median(x[i] for x in seconds) for i in (0, 1))
        both = 1e3 * statistics.median(sum(x) for x in seconds)
        medians[name] = [f, b, both]
        print(f"| {name:30s} | {f:7.1f} | {b:8.1f} | {both:7.1f} |")
    for name in GPU_ONLY:
        if args.device != "cuda":
            print(f"| {name:30s} | not run | not run | not run |")
    return medians


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("UDSPH_DATA"), help="default: $UDSPH_DATA")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--forms", nargs="+", help="names or parts of names; all by default")
    parser.add_argument("--memory", type=int, nargs="*", metavar="BATCH", help="measure peak memory at these batches")
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.data = Path(args.data) if args.data else None
    if args.peak_of:
        print_peak(args.peak_of, args)
        return
    lengths = coco_lengths(args.data)
    device_name = torch.cuda.get_device_name() if args.device == "cuda" else processor()
    print(f"{device_name}, {torch.get_num_threads()} threads, torch {torch.__version__}, {args.dtype}")
    chosen = {n: f for n, f in all_forms().items() if not args.forms or any(part in n for part in args.forms)}
    check_agreement(chosen, lengths, args.device, getattr(torch, args.dtype))
    if not args.no_times:
        print_times(args, lengths, chosen)
    for batch in args.memory or []:
        print(f"\nbatch {batch}: MiB of memory above the inputs, peak of forward and backward")
        for name in chosen:
            print(f"| {name:30s} | {peak_memory(name, batch, args):>8s} |", flush=True)


if __name__ == "__main__":
    main()
