"""What Wiki's features permit: classical classifiers of one modality against a database whose codes are all right.

    python bench/wiki_ceiling.py DATA

DATA is the folder that holds ``wiki/``. A logistic regression, its strength chosen by folds of the training split,
classifies the queries of one modality; the database is taken to know its own class. ``real`` ranks the classes by the
probabilities. ``64 bits`` and ``16 bits`` let one such regression for each bit guess the bit of a balanced random code
of the class, the mean of three draws. MAP in expectation over ties.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import StandardScaler, normalize

from udsph import data
from udsph.evaluation import evaluate_scores, mean_average_precision
from udsph.hamming import pack

STRENGTHS, DRAWS = (0.001, 0.01, 0.1, 1, 3, 10, 30), 3
WORDS = 1000  # columns of TF-IDF, behind the topics


def views(dataset: data.Dataset) -> dict[str, np.ndarray]:
    """Both modalities as matrices: standardised columns, but TF-IDF rows of norm 1."""
    image, text = (
        np.asarray(v.toarray() if hasattr(v, "toarray") else v, np.float64)
        for v in (dataset.image.values, dataset.text.values)
    )
    train = dataset.splits["train"]
    topics = text.shape[1] - WORDS
    return {
        "image": StandardScaler().fit(image[train]).transform(image),
        "text": np.hstack([3 * text[:, :topics], normalize(text[:, topics:])]),
    }


def strength(values: np.ndarray, classes: np.ndarray) -> float:
    """The inverse regularisation that guesses held-out classes best."""
    return max(STRENGTHS, key=lambda c: cross_val_score(regression(c), values, classes, cv=4).mean())


def regression(c: float) -> LogisticRegression:
    return LogisticRegression(C=c, max_iter=300)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    warnings.simplefilter("ignore", ConvergenceWarning)
    dataset = data.load("wiki", root=str(parser.parse_args().data / "wiki"))
    train, query = dataset.splits["train"], dataset.splits["query"]
    labels, classes = dataset.labels, dataset.labels.argmax(1)
    relevant = classes[query][:, None] == classes[train]
    print("| queries | C | real | 64 bits | 16 bits |\n| --- | ---: | ---: | ---: | ---: |")
    for view, values in views(dataset).items():
        c = strength(values[train], classes[train])
        chances = regression(c).fit(values[train], classes[train]).predict_proba(values[query])
        cells = [evaluate_scores(chances[:, classes[train]], relevant, metrics=("map",))["map"]]
        for bits in (64, 16):
            found = []
            for draw in range(DRAWS):
                halves = np.tile([True, False], labels.shape[1] // 2)
                codes = np.stack([np.random.default_rng([draw, bit]).permutation(halves) for bit in range(bits)], 1)
                guesses = [regression(c).fit(values[train], codes[classes[train], bit]) for bit in range(bits)]
                guessed = np.stack([guess.predict(values[query]) for guess in guesses], 1)
                packed = pack(guessed), pack(codes[classes[train]])
                found.append(mean_average_precision(*packed, labels[query], labels[train]))
            cells.append(float(np.mean(found)))
        print(f"| {view} | {c} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |", flush=True)


if __name__ == "__main__":
    main()
