"""What the attention of trained models has learnt: does it find the partner of an image or a text that it never saw?

    python bench/alignment.py RUN [RUN ...]

The query pairs of a run are taken in groups of 100. Attention scores every image of a group against every text; recall
at 5 is the share of items whose partner is among the 5 best, 0.05 by chance.
"""

from __future__ import annotations

import argparse

import torch

from udsph import data
from udsph.attention import cross_attention_scores
from udsph.encoding.batches import read
from udsph.training.scoring import load_run

GROUP, BEST = 100, 5


def recalls(run: str) -> tuple[float, float, int]:
    """Recall from image to text and from text to image, and the number of pairs."""
    model, arguments, splits = load_run(run)
    dataset, networks = data.load(**arguments), model.model
    queries = splits["query"][: len(splits["query"]) // GROUP * GROUP]
    if not len(queries):
        raise SystemExit(f"{run}: {len(splits['query'])} query pairs, at least {GROUP} are needed")
    networks.pair.eval()
    found = torch.zeros(2)
    for group in queries.reshape(-1, GROUP):
        with torch.no_grad():
            image = networks.pair.image(*read(dataset.image, group, networks.device))
            text = networks.pair.text(*read(dataset.text, group, networks.device))
            if image.parts is None or text.parts is None:
                raise SystemExit(f"{run}: its vectors have no parts")
            scores = cross_attention_scores(image.parts, text.parts, image.lengths, text.lengths)
        for side, table in enumerate((scores, scores.T)):
            found[side] += (table > table.diagonal().unsqueeze(1)).sum(1).lt(BEST).sum()
    to_text, to_image = (found / len(queries)).tolist()
    return to_text, to_image, len(queries)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    print(f"| run | pairs | recall at {BEST} of {GROUP}, I→T | T→I |\n| --- | ---: | ---: | ---: |")
    for run in parser.parse_args().runs:
        to_text, to_image, pairs = recalls(run)
        print(f"| {run} | {pairs} | {to_text:.3f} | {to_image:.3f} |", flush=True)


if __name__ == "__main__":
    main()
