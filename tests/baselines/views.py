"""Small two-view sets with a known shared structure, and a MAP written out plainly."""

import numpy as np

from udsph.hamming import unpack


def planted(n=400, classes=4, seed=0, noise=0.3, dims=(24, 16)):
    """Pairs whose views are two noisy linear images of one class centre: ``images, texts, labels``."""
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, classes, n)
    labels = np.eye(classes)[numbers]
    views = [labels @ rng.standard_normal((classes, d)) * 2 + noise * rng.standard_normal((n, d)) for d in dims]
    return views[0], views[1], labels


def plain_map(queries, database, query_labels, database_labels, bits):
    """MAP over the whole database with the mean of the best and worst order of ties; close to the expectation."""
    q, d = unpack(queries, bits).astype(int), unpack(database, bits).astype(int)
    distances = (q[:, None] != d[None]).sum(2)
    relevant = query_labels @ database_labels.T > 0
    found = []
    for row, hits in zip(distances, relevant, strict=True):
        for order in (np.lexsort((~hits, row)), np.lexsort((hits, row))):
            ranked = hits[order]
            ranks = np.flatnonzero(ranked) + 1
            found.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return float(np.mean(found))


def both_directions(method, images, texts, labels, held):
    """MAP image to text and text to image: the last ``held`` pairs are queries, the others the database."""
    fit = slice(0, len(images) - held)
    query = slice(len(images) - held, None)
    method.fit(images[fit], texts[fit], labels[fit])
    scores = []
    for ask, answer, asked, answered in (
        (method.encode_image, method.encode_text, images, texts),
        (method.encode_text, method.encode_image, texts, images),
    ):
        scores.append(plain_map(ask(asked[query]), answer(answered[fit]), labels[query], labels[fit], method.bits))
    return scores
