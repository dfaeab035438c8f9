"""Hamming search on a GPU: the same calls and the same results as on the CPU.

``FlatIndex(bits, device="cuda")`` and ``index.to("cuda")`` hold their codes in a GPU's memory. Queries of NumPy have
results of NumPy; those that are tensors of torch or arrays of CuPy on the same GPU have results there, in the order of
the caller's stream, which nothing waits for. ``docs/gpu.md`` says how.

``library`` is the C interface, ``arrays`` tells torch, CuPy and the host apart, ``codes`` holds codes on a GPU,
``segment`` is a segment of an index, ``calls`` are searches whose queries are on the device.
"""

from udsph.hamming.gpu.arrays import on_device
from udsph.hamming.gpu.calls import direct, distances, range_search, search
from udsph.hamming.gpu.segment import empty, moved

__all__ = ["direct", "distances", "empty", "moved", "on_device", "range_search", "search"]
