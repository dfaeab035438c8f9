"""Exact Hamming search over binary codes: NumPy in, NumPy out.

    codes = pack(values)                        signs of floats, or booleans, as packed bits
    index = FlatIndex(bits=64)
    index.add(codes)
    distances, ids = index.search(queries, k=10)

The order of reading: ``codes`` (what a code is), ``flat`` (the index; ``holding`` for what changes it, ``stored`` for
its copies and files), ``segments`` (what a search sees of it), ``collection`` (an index in a folder), ``backend``
(native, else Numba, else NumPy), ``reference`` (every operation in plain NumPy). Beside searching, in ``operations``:
``joins`` (pairs and groups), ``similarity``, ``rescoring``. The native kernels are in ``csrc/hamming``.
"""

from udsph.hamming.backend import build_info, simd_level, simd_levels
from udsph.hamming.codes import pack, unpack
from udsph.hamming.collection import Collection
from udsph.hamming.direct import distances, search
from udsph.hamming.faiss_indexes import from_faiss
from udsph.hamming.filters import Bitmap
from udsph.hamming.flat import FlatIndex, load
from udsph.hamming.index import Index
from udsph.hamming.operations.joins import Pairs, groups, pairs
from udsph.hamming.operations.rescoring import RescoreResult, rescore
from udsph.hamming.operations.similarity import SimilarityIndex, SimilarityRange, SimilarityResult
from udsph.hamming.results import RangeResult, SearchResult
from udsph.hamming.storage import FormatError
from udsph.hamming.symbols import symbols_to_codes

__all__ = [
    "Bitmap",
    "Collection",
    "FlatIndex",
    "FormatError",
    "Index",
    "Pairs",
    "RangeResult",
    "RescoreResult",
    "SearchResult",
    "SimilarityIndex",
    "SimilarityRange",
    "SimilarityResult",
    "build_info",
    "distances",
    "from_faiss",
    "groups",
    "load",
    "pack",
    "pairs",
    "rescore",
    "search",
    "simd_level",
    "simd_levels",
    "symbols_to_codes",
    "unpack",
]
