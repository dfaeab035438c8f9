"""Small versions of the evaluators beside which bench/evaluation.py stands; each takes distances and relevance."""

from __future__ import annotations

import numpy as np


def numpy_calc_map(distances: np.ndarray, relevant: np.ndarray) -> float:
    """As published with DCMH: one argsort per query, default kind."""
    values = []
    for distance, truth in zip(distances, relevant, strict=True):
        ranks = np.flatnonzero(truth[np.argsort(distance)]) + 1.0
        values.append((np.arange(1, len(ranks) + 1) / ranks).mean() if len(ranks) else 0.0)
    return float(np.mean(values))


def torch_calc_map_k(distances: np.ndarray, relevant: np.ndarray) -> float:
    """As published with the PyTorch versions of DCMH: one sort per query."""
    import torch

    values = torch.tensor(0.0)
    for distance, truth in zip(torch.from_numpy(distances), torch.from_numpy(relevant), strict=True):
        ranks = torch.nonzero(truth[torch.sort(distance).indices]).squeeze(1) + 1.0
        if len(ranks):
            values = values + (torch.arange(1, len(ranks) + 1) / ranks).mean()
    return float(values / len(distances))


def torchmetrics_map(distances: np.ndarray, relevant: np.ndarray) -> float:
    """RetrievalMAP on scores above 0, which it needs."""
    import torch
    from torchmetrics.retrieval import RetrievalMAP

    scores = 65.0 - torch.from_numpy(distances).float()
    indexes = torch.arange(len(scores)).repeat_interleave(scores.shape[1])
    return float(RetrievalMAP()(scores.flatten(), torch.from_numpy(relevant).flatten(), indexes=indexes))


def _run_and_judgements(distances: np.ndarray, relevant: np.ndarray) -> tuple[dict, dict]:
    names = [f"d{i:07}" for i in range(distances.shape[1])]
    run, judged = {}, {}
    for q, (distance, truth) in enumerate(zip(distances, relevant, strict=True)):
        run[f"q{q}"] = dict(zip(names, (-distance).astype(float).tolist(), strict=True))
        judged[f"q{q}"] = {names[i]: 1 for i in np.flatnonzero(truth)}
    return run, judged


def ranx_map(distances: np.ndarray, relevant: np.ndarray) -> float:
    """evaluate(qrels, run, "map")."""
    from ranx import Qrels, Run, evaluate

    run, judged = _run_and_judgements(distances, relevant)
    return float(evaluate(Qrels(judged), Run(run), "map"))


def trec_eval_map(distances: np.ndarray, relevant: np.ndarray) -> float:
    """trec_eval through pytrec-eval-terrier."""
    import pytrec_eval

    run, judged = _run_and_judgements(distances, relevant)
    results = pytrec_eval.RelevanceEvaluator(judged, {"map"}).evaluate(run)
    return float(np.mean([result["map"] for result in results.values()]))


# name: (function, queries, items) at the largest size that takes seconds, or that fits into some GiB
PEERS = {
    "NumPy calc_map": (numpy_calc_map, 50, 1_000_000),
    "torch calc_map_k": (torch_calc_map_k, 20, 1_000_000),
    "torchmetrics RetrievalMAP": (torchmetrics_map, 20, 200_000),
    "ranx": (ranx_map, 5, 20_000),
    "pytrec-eval-terrier": (trec_eval_map, 20, 50_000),
}
