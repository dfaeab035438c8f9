"""Semantic search as sentence-transformers has it, over "binary" and "ubinary" embeddings; it needs NumPy alone.

``semantic_search`` stands in for ``semantic_search_faiss`` and ``semantic_search_usearch`` of
``sentence_transformers.quantization``: the same arguments where they mean something here, the same form of result.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np

from udsph.checks import check_int
from udsph.errors import InputError
from udsph.hamming.codes import as_array, pack
from udsph.hamming.flat import FlatIndex
from udsph.hamming.operations.rescoring import rescore as rescored
from udsph.hamming.results import NO_ID

Results = list[list[dict[str, Any]]]


def build_index(corpus_embeddings: Any, ids: Any = None) -> FlatIndex:
    """An index of "binary" (int8) or "ubinary" (uint8) embeddings, (n, dimensions / 8).

    Raises
    ------
    TypeError, ValueError
        The embeddings are not of one of the two, or as for ``FlatIndex.add``.
    """
    array = as_array(corpus_embeddings, "corpus_embeddings")
    if array.dtype not in (np.uint8, np.int8) or array.ndim != 2:
        raise TypeError(
            'corpus_embeddings must be (n, bytes) of precision "ubinary" (uint8) or "binary" (int8), see '
            f"sentence_transformers.quantization.quantize_embeddings; got shape {array.shape}, dtype {array.dtype}"
        )
    index = FlatIndex(8 * array.shape[1], bitorder="big")
    index.add(array, ids)
    return index


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any = None,
    corpus_index: FlatIndex | None = None,
    corpus_precision: Literal["binary", "ubinary"] = "ubinary",
    top_k: int = 10,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    output_index: bool = False,
    *,
    rescore_embeddings: Any = None,
    where: Any = None,
    threads: int | None = None,
) -> tuple[Results, float] | tuple[Results, float, FlatIndex]:
    """Find the nearest embeddings by Hamming distance, and order them anew by the queries as they were.

    Parameters
    ----------
    query_embeddings : (nq, dimensions) floats, or (nq, dimensions / 8) int8 or uint8
        Floats are quantized here, and the candidates rescored by them; quantized ones are not rescored.
    corpus_embeddings : (n, dimensions / 8) int8 or uint8, optional
        "binary" or "ubinary" embeddings.
    corpus_index : FlatIndex or Index, optional
        In place of them: what ``build_index`` or an earlier call made, or an index of bit order "big".
    corpus_precision : {"binary", "ubinary"}
        What the embeddings are; the dtype says it, too, and must agree.
    top_k : int
        Results wanted, at least 1.
    rescore : bool
        Whether ``top_k * rescore_multiplier`` candidates are searched for and rescored.
    rescore_multiplier : int
        At least 1.
    output_index : bool
        Whether to return the index as well.
    rescore_embeddings : (n, dimensions) array, optional
        What to rescore with in place of the bits: rows of int8, float16 or float32 by corpus id, such as a memory map.
    where, threads : optional
        As for ``FlatIndex.search``.

    Returns
    -------
    results : list of list of dict
        ``[[{"corpus_id": ..., "score": ...}, ...], ...]``, best first; a list is shorter where there are fewer. A score
        is the dot product with bits of 0 and 1, or with ``rescore_embeddings``; without rescoring the Hamming distance.
    seconds : float
        What search and rescoring took.
    index : FlatIndex
        If ``output_index``.

    Raises
    ------
    TypeError, ValueError
        Both or neither of ``corpus_embeddings`` and ``corpus_index``, another precision, widths that differ.
    """
    if (corpus_embeddings is None) == (corpus_index is None):
        raise InputError("give corpus_embeddings or corpus_index, one of the two")
    _check_precision(corpus_precision, corpus_embeddings)
    index = build_index(corpus_embeddings) if corpus_index is None else corpus_index
    if index.bitorder != "big":
        raise InputError('corpus_index must be of bitorder="big", as sentence-transformers packs bits')
    top_k, multiplier = check_int(top_k, "top_k", 1), check_int(rescore_multiplier, "rescore_multiplier", 1)
    queries = as_array(query_embeddings, "query_embeddings")
    queries = queries[None] if queries.ndim == 1 else queries
    real = queries.dtype not in (np.uint8, np.int8)
    codes = pack(queries, bitorder="big") if real else queries
    if codes.ndim != 2 or 8 * codes.shape[1] != index.bits:
        raise InputError(f"query_embeddings must have the {index.bits} dimensions of the corpus, got {queries.shape}")
    begin = time.perf_counter()
    scores: Any
    if real and rescore:
        candidates = index.search(codes, top_k * multiplier, where=where, threads=threads).ids
        store = index if rescore_embeddings is None else rescore_embeddings
        scores, ids = rescored(queries, store, candidates, top_k, threads=threads)
    else:
        scores, ids = index.search(codes, top_k, where=where, threads=threads)
    seconds = time.perf_counter() - begin
    results = [
        [{"corpus_id": id, "score": float(score)} for id, score in zip(*row, strict=True) if id not in (NO_ID, None)]
        for row in zip(ids.tolist(), scores.tolist(), strict=True)
    ]
    return (results, seconds, index) if output_index else (results, seconds)


def _check_precision(precision: Any, embeddings: Any) -> None:
    if precision not in ("binary", "ubinary"):
        raise InputError(f"corpus_precision must be 'binary' or 'ubinary', got {precision!r}")
    dtype = getattr(embeddings, "dtype", None)
    if dtype in (np.uint8, np.int8) and (dtype == np.int8) != (precision == "binary"):
        other = "binary" if dtype == np.int8 else "ubinary"
        raise InputError(
            f"corpus_precision={precision!r}, but corpus_embeddings have dtype {dtype}, which is {other!r}"
        )
