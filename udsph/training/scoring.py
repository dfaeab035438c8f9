"""From a run to its metrics: codes of both modalities, MAP, NDCG and recall of pairs in both directions, and what to
read them against.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from udsph.evaluation import BitUse, Evaluation, PairRetrieval, bit_use, evaluate_pairs, mean_average_precision
from udsph.evaluation import evaluate as evaluate_codes
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


@dataclass(frozen=True)
class Measured:
    """What a model's codes are worth, and what that was read off.

    Attributes
    ----------
    metrics
        What :func:`evaluate` returns.
    places
        int64 item numbers of the queries (``query``) and of what is searched (``item``).
    codes
        Of both by modality: ``codes["image", "query"]``.
    known
        bool, which of them have known labels; those alone count in ``by_labels``.
    by_labels
        The evaluation of each direction, whose queries are ``places["query"][known["query"]]``; empty without labels.
    by_pairs
        Where the queries of each direction find their partners.
    bits
        Of the codes of what is searched, by modality, and of both together (``both``).
    """

    metrics: dict[str, Any]
    places: dict[str, np.ndarray]
    codes: dict[tuple[str, str], np.ndarray]
    known: dict[str, np.ndarray]
    by_labels: dict[str, Evaluation]
    by_pairs: dict[str, PairRetrieval]
    bits: dict[str, BitUse]

    def nearest(self, direction: str, queries: np.ndarray, k: int) -> SearchResult:
        """The ``k`` nearest items of some queries, all by their places in ``places``."""
        query, target = DIRECTIONS[direction]
        index = FlatIndex(self.bits["both"].bits)
        index.add(self.codes[target, "item"])
        return index.search(self.codes[query, "query"][queries], k)


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
    _, _, measured = measure_run(run, database=database, dataset=dataset, ranks=())
    keep_metrics(run, database, measured)
    return measured.metrics


def keep_metrics(run: str | os.PathLike[str], database: str, measured: Measured) -> Path:
    """Write what was measured into the run; returns the file."""
    path = Path(run) / ("metrics.json" if database == "database" else "metrics-query.json")
    files.write_json(path, measured.metrics)
    return path


def measure_run(
    run: str | os.PathLike[str],
    *,
    database: str = "database",
    dataset: Dataset | None = None,
    ranks: Sequence[int] | None = None,
) -> tuple[Hasher, Dataset, Measured]:
    """The model of a run, its dataset, and what was measured of them; nothing is written.

    Parameters
    ----------
    run, database, dataset
        As for :func:`evaluate_run`.
    ranks
        As for :func:`measure`.
    """
    if database not in ("database", "query"):
        raise InputError(f"database={database}: expected database or query")
    model, arguments, splits = load_run(run)
    dataset = data.load(**arguments) if dataset is None else dataset
    check_same(model, dataset, splits)
    return model, dataset, measure(model, dataset, database=database, ranks=ranks)


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
    return measure(model, dataset, database=database, ranks=()).metrics


def measure(
    model: Hasher, dataset: Dataset, *, database: str = "database", ranks: Sequence[int] | None = None
) -> Measured:
    """The figures of :func:`evaluate` with the codes and the evaluations behind them.

    Parameters
    ----------
    ranks
        Where the precision-recall curves by rank are evaluated; about 20 by default.
    """
    places = {"query": dataset.splits["query"], "item": dataset.splits[database]}
    codes = {
        (name, part): getattr(model, f"encode_{name}")(getattr(dataset, name).take(index))
        for name in MODALITIES
        for part, index in places.items()
    }
    known = {part: dataset.known[index] for part, index in places.items()}
    found: dict[str, Any] = {direction: {} for direction in DIRECTIONS}
    found |= {"bits": model.bits, "ties": "expected", "n_pairs": len(places["query"])}
    by_labels: dict[str, Evaluation] = {}
    if all(mask.any() for mask in known.values()):
        labels = tuple(dataset.labels[index[known[part]]] for part, index in places.items())
        by_label = {(name, part): part_codes[known[part]] for (name, part), part_codes in codes.items()}
        found |= {"n_query": len(labels[0]), "n_database": len(labels[1])}
        for direction, (query, target) in DIRECTIONS.items():
            both = by_label[query, "query"], by_label[target, "item"]
            by_labels[direction] = evaluate_codes(*both, *labels, metrics=["map", NDCG], cutoffs=(), ranks=ranks)
            found[direction] |= {key: by_labels[direction][key] for key in ("map", NDCG)}
        found |= references(model, dataset, labels)
    unknown = {part: int((~known[part]).sum()) for part in known}
    if dataset.labelled and any(unknown.values()):
        found["unlabelled"] = {"query": unknown["query"], "database": unknown["item"]}
    by_pairs = {
        direction: evaluate_pairs(codes[query, "query"], codes[target, "query"], bits=model.bits)
        for direction, (query, target) in DIRECTIONS.items()
    }
    for direction, pairs in by_pairs.items():
        found[direction] |= pairs.to_dict()
    of_items = {name: codes[name, "item"] for name in MODALITIES}
    bits = {name: bit_use(part, model.bits) for name, part in of_items.items()}
    bits["both"] = bit_use(np.concatenate(list(of_items.values())), model.bits)
    found["codes"] = bits["both"].to_dict()
    found["remarks"] = [remark for name in MODALITIES for remark in collapse_remarks(model, name, of_items[name])]
    return Measured(found, places, codes, known, by_labels, by_pairs, bits)


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
