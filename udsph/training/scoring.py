"""From a run to its metrics: codes of both modalities, MAP, NDCG and recall of pairs in both directions, and what to
read them against.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from udsph import data, files
from udsph.data import Dataset
from udsph.data.directions import DIRECTIONS, MODALITIES
from udsph.encoding import Hasher, run_folder
from udsph.encoding.collapse import Collapse
from udsph.errors import InputError
from udsph.evaluation import evaluate as evaluate_codes
from udsph.evaluation import evaluate_pairs, mean_average_precision
from udsph.hamming import FlatIndex, SearchResult
from udsph.models.networks import LabelNetwork
from udsph.training.plan import describe
from udsph.training.schedule import seed_of
from udsph.training.teacher import train_label_network

NDCG = "ndcg_linear@100"  # the gain is the number of shared labels


def load_run(run: str | os.PathLike[str]) -> tuple[Hasher, dict[str, Any], dict[str, np.ndarray]]:
    """A trained model, the arguments with which ``udsph.data.load`` gives its dataset, and its splits."""
    model = Hasher.load(run)
    arguments = {"name": model.data["name"], "root": model.data["root"], **model.data["settings"]}
    return model, arguments, run_folder.read_splits(Path(run))


def evaluate_run(
    run: str | os.PathLike[str], *, database: str = "database", dataset: Dataset | None = None
) -> dict[str, Any]:
    """Score a run on the queries of its dataset and write ``metrics.json`` (``metrics-query.json``) into it.

    Parameters
    ----------
    database
        ``database``, or ``query`` to rank the query pairs' other modality.
    dataset
        The run's dataset, where it is at hand; else it is loaded as the run's configuration says.
    """
    if database not in ("database", "query"):
        raise InputError(f"database={database}: expected database or query")
    model, arguments, splits = load_run(run)
    dataset = data.load(**arguments) if dataset is None else dataset
    check_same(model, dataset, splits)
    metrics = evaluate(model, dataset, database=database)
    name = "metrics.json" if database == "database" else "metrics-query.json"
    files.write_json(Path(run) / name, metrics)
    return metrics


def evaluate(model: Hasher, dataset: Dataset, *, database: str = "database") -> dict[str, Any]:
    """What a model's codes are worth in both directions, and what to read it against.

    By labels, among the items whose labels are known: MAP, and NDCG@100 whose gain is the number of shared labels, of
    which ``n_query`` queries and ``n_database`` items count. Without labels, among the query pairs: recall within the
    first 1, 5, 10 and median rank of each query's own partner (:func:`udsph.evaluation.evaluate_pairs`). All of them in
    expectation over ties.

    ``label_to_label`` is the MAP of the label network's codes of the true labels of the same items: what perfect
    modality networks would reach. For a model without a label network one is trained here, on the labels that training
    may use; without any there is none. ``chance`` is the MAP of codes that are all equal, in expectation over their
    order. ``remarks`` says of codes that have collapsed.
    """
    places = {"query": dataset.splits["query"], "item": dataset.splits[database]}
    codes = {
        (name, part): getattr(model, f"encode_{name}")(getattr(dataset, name).take(index))
        for name in MODALITIES
        for part, index in places.items()
    }
    known = {part: dataset.known[index] for part, index in places.items()}
    labelled = all(mask.any() for mask in known.values())
    found: dict[str, Any] = {direction: {} for direction in DIRECTIONS}
    found |= {"bits": model.bits, "ties": "expected", "n_pairs": len(places["query"])}
    if labelled:
        labels = tuple(dataset.labels[index[known[part]]] for part, index in places.items())
        by_label = {(name, part): part_codes[known[part]] for (name, part), part_codes in codes.items()}
        found |= {"n_query": len(labels[0]), "n_database": len(labels[1])}
        for direction, (query, target) in DIRECTIONS.items():
            found[direction] |= label_metrics(by_label[query, "query"], by_label[target, "item"], *labels)
        found |= references(model, dataset, labels)
    unknown = {part: int((~known[part]).sum()) for part in known}
    if dataset.labelled and any(unknown.values()):
        found["unlabelled"] = {"query": unknown["query"], "database": unknown["item"]}
    for direction, (query, target) in DIRECTIONS.items():
        found[direction] |= evaluate_pairs(codes[query, "query"], codes[target, "query"], bits=model.bits).to_dict()
    found["codes"] = code_statistics(unpacked(codes["image", "item"], codes["text", "item"], model.bits))
    found["remarks"] = [remark for name in MODALITIES for remark in collapse_remarks(model, name, codes[name, "item"])]
    return found


def label_metrics(
    queries: np.ndarray, items: np.ndarray, query_labels: np.ndarray, item_labels: np.ndarray
) -> dict[str, float]:
    """MAP and graded NDCG of packed codes, in expectation over ties."""
    found = evaluate_codes(queries, items, query_labels, item_labels, metrics=["map", NDCG], ranks=())
    return {"map": found["map"], NDCG: found[NDCG]}


def references(model: Hasher, dataset: Dataset, labels: tuple[np.ndarray, np.ndarray]) -> dict[str, float]:
    """MAP of perfect codes and of codes that say nothing."""
    found = {}
    taught = label_codes(model, dataset, labels)
    if taught:
        found["label_to_label"] = mean_average_precision(taught[0], taught[1], *labels)
    blank = [np.zeros((len(part), 1), np.uint8) for part in labels]
    found["chance"] = mean_average_precision(blank[0], blank[1], *labels)
    return found


def label_codes(model: Hasher, dataset: Dataset, labels: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Codes of labels by the model's label network, or, where it has none, by the one that it would have had.

    Empty where training had no labels to learn one from.
    """
    network, config = model.model, model.config
    if not config.label_net:
        rows = dataset.splits["train"][dataset.supervised[dataset.splits["train"]]]
        train = dataset.labels[rows]
        train = train[train.any(axis=1)]
        if len(np.unique(train, axis=0)) < 2:
            return []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(config.seed, "weights", 0))
            network.teacher = LabelNetwork(config.bits, len(dataset.classes), config.width).to(network.device)
            train_label_network(network.teacher, train, config, single=bool((train.sum(1) == 1).all()))
    return [network.encode_labels(part) for part in labels]


def collapse_remarks(model: Hasher, name: str, codes: np.ndarray) -> list[str]:
    """What to say of codes that hardly differ."""
    collapse = Collapse(name, len(model.classes), model.bits)
    collapse.add(codes)
    return collapse.remarks()


def retrieve(model: Hasher, dataset: Dataset, queries: np.ndarray, k: int) -> dict[str, SearchResult]:
    """The ``k`` nearest items of the database in the other modality, for ``text`` queries and for ``image`` queries."""
    found = {}
    for query, target in DIRECTIONS.values():
        index = FlatIndex(model.bits)
        index.add(getattr(model, f"encode_{target}")(getattr(dataset, target).take(dataset.splits["database"])))
        found[query] = index.search(getattr(model, f"encode_{query}")(getattr(dataset, query).take(queries)), k)
    return found


def unpacked(image: np.ndarray, text: np.ndarray, bits: int) -> np.ndarray:
    """The bits of both modalities' codes, one after the other: uint8 ``(2 n, bits)``."""
    return np.unpackbits(np.concatenate([image, text]), axis=1, count=bits, bitorder="little")


def code_statistics(bits: np.ndarray) -> dict[str, float]:
    """How well the bits are used: mean entropy of a bit (1 is best), mean absolute correlation of two bits (0 is
    best).
    """
    share = bits.mean(0)
    inner = share[(share > 0) & (share < 1)]
    entropy = -(inner * np.log2(inner) + (1 - inner) * np.log2(1 - inner)).sum() / len(share)
    varying = bits[:, (share > 0) & (share < 1)].astype(np.float32)
    correlation = 0.0
    if varying.shape[1] > 1:
        matrix = np.abs(np.corrcoef(varying.T))
        correlation = float((matrix.sum() - len(matrix)) / (len(matrix) * (len(matrix) - 1)))
    return {"bit_entropy": float(entropy), "bit_correlation": correlation}


def check_same(model: Hasher, dataset: Dataset, splits: dict[str, np.ndarray]) -> None:
    """The dataset must be the one that the run was trained on: shapes, classes in their order, splits."""
    known = model.model.description
    if tuple(dataset.classes) != known.classes:
        raise InputError(f"{dataset.name}: its classes or their order are not those of the run")
    if describe(dataset) != dataclasses.replace(known, backbone=None):
        raise InputError(f"{dataset.name}: its items are not of the form that the run was trained on")
    for name, index in splits.items():
        if name in dataset.splits and not np.array_equal(index, dataset.splits[name]):
            raise InputError(f"{dataset.name}: the split '{name}' is not the one stored with the run; the data changed")
