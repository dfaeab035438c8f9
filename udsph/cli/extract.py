"""``udsph extract``: features of a dataset, once and for all, in a folder that training reads memory-mapped."""

from __future__ import annotations

import shlex
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from udsph.cli.data import Data, DataSettings, Root
from udsph.cli.flags import settings_of
from udsph.cli.output import Answer, plain, progress
from udsph.cli.parser import Option, command

Form = Literal["vectors", "regions"]


@command
def extract(
    data: Data,
    output: Annotated[Path, Option(help="Folder for the features; --data features --root reads it")],
    root: Root = None,
    image: Annotated[str, Option(help="cnnf, efficientnet-lite0, huggingface, timm, or keep")] = "keep",
    image_weights: Annotated[str, Option(help="imagenet-vgg-f.mat, a model folder, or a model's name")] = "",
    image_form: Annotated[Form, Option(help="regions are the cells of the last map, or the patches")] = "vectors",
    image_dims: Annotated[
        int, Option(help="Of efficientnet-lite0's regions: principal directions that are kept", least=1)
    ] = 64,
    text: Annotated[str, Option(help="doc2vec, word2vec, glove, wordllama, minilm, huggingface, or keep")] = "keep",
    text_weights: Annotated[str, Option(help="A file of word vectors, or a model folder")] = "",
    text_form: Annotated[Form, Option(help="regions are one for each word")] = "vectors",
    dims: Annotated[int, Option(help="Length of the word or document vectors that are learnt", least=1)] = 200,
    seed: Annotated[int, Option(help="Seed of the vectors that are learnt")] = 0,
    batch_size: Annotated[int, Option(help="Items at a time")] = 32,
    on_error: Annotated[
        Literal["skip", "stop"], Option(help="What a damaged image does; skip leaves it out and counts it")
    ] = "skip",
    set_: DataSettings = None,
) -> Answer:
    """Extract features; the same command continues where it was interrupted."""
    from udsph.features import extract as extract_features
    from udsph.features import image_extractor, text_extractor

    images = None
    if image != "keep":
        images = image_extractor(image, weights=image_weights, form=image_form, dims=image_dims)
    texts = None if text == "keep" else text_extractor(text, weights=text_weights, form=text_form, dims=dims, seed=seed)
    size = None if images is None else images.size
    dataset = _load(data, root, {"on_error": on_error, "size": size}, settings_of(set_))
    with progress("extract") as advance:
        spoilt = extract_features(
            dataset, output, image=images, text=texts, batch_size=batch_size,
            report=lambda view, done, total: advance(done, total, f"extract {view}"),
        )  # fmt: skip
    notes = [*dataset.notes, *(f"item {item}: {reason}" for item, reason in spoilt.items())]
    cut = getattr(texts, "cut", 0)
    if cut and texts is not None:
        notes.append(f"{cut:,} texts were longer than the {texts.shape[0]} words that are kept")
    left = f"; {len(spoilt):,} could not be read and are in no split" if spoilt else ""
    following = f"udsph train --data features --root {shlex.quote(str(output))} --output RUN"
    lines = [*notes, f"{len(dataset):,} items{left}: {output}    next: {following}"]
    found = {"features": output, "items": len(dataset), "spoilt": len(spoilt), "notes": notes}
    return Answer("\n".join(map(plain, lines)), found)


def _load(name: str, root: Path | None, wanted: dict[str, Any], given: dict[str, str]) -> Any:
    """The dataset, with those of the wanted settings that its layout has and the user did not give."""
    from udsph import data

    known = data.settings_of(name)
    fitting = {key: value for key, value in wanted.items() if key in known and value is not None}
    settings = {**fitting, **{key.replace("-", "_"): value for key, value in given.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was left out is printed at the end
        return data.load(name, root=root, **settings)
