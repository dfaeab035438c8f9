"""``udsph extract``: features of a dataset, once and for all, in a folder that training reads memory-mapped."""

import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from udsph.cli.app import command, console, settings_of
from udsph.errors import InputError

ImageForm = Annotated[str, typer.Option(help="vectors, or regions: the cells of the last map, the patches")]
TextForm = Annotated[str, typer.Option(help="vectors, or regions: one for each word")]


@command
def extract(
    data: Annotated[str, typer.Option(help="Dataset: webnews, coco, mirflickr, ...")],
    output: Annotated[Path, typer.Option(help="Folder for the features; --data features --root reads it")],
    root: Annotated[Path | None, typer.Option(help="Folder or file of the dataset")] = None,
    image: Annotated[str, typer.Option(help="cnnf, huggingface, timm, or keep")] = "keep",
    image_weights: Annotated[str, typer.Option(help="imagenet-vgg-f.mat, a model folder, or a model's name")] = "",
    image_form: ImageForm = "vectors",
    text: Annotated[str, typer.Option(help="doc2vec, word2vec, huggingface, or keep")] = "keep",
    text_weights: Annotated[str, typer.Option(help="A file of word vectors, or a model folder")] = "",
    text_form: TextForm = "vectors",
    dims: Annotated[int, typer.Option(help="Length of the word or document vectors that are learnt")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the vectors that are learnt")] = 0,
    batch_size: Annotated[int, typer.Option(help="Items at a time")] = 32,
    on_error: Annotated[str, typer.Option(help="A damaged image: skip (leave it out, count it) or stop")] = "skip",
    set_: Annotated[list[str] | None, typer.Option("--set", help="key=value of the dataset")] = None,
) -> None:
    """Extract features; the same command continues where it was interrupted."""
    from udsph.features import extract as extract_features
    from udsph.features import image_extractor, text_extractor

    if on_error not in ("skip", "stop"):
        raise InputError(f"--on-error {on_error}: expected skip or stop")
    if dims < 1:
        raise InputError(f"--dims {dims}: expected at least 1")
    images = None if image == "keep" else image_extractor(image, weights=image_weights, form=image_form)
    texts = None if text == "keep" else text_extractor(text, weights=text_weights, form=text_form, dims=dims, seed=seed)
    size = None if images is None else images.size
    dataset = _load(data, root, {"on_error": on_error, "size": size}, settings_of(set_ or []))
    with _bar() as bar:
        tasks = {view: bar.add_task(view, total=len(dataset)) for view in ("image", "text")}
        spoilt = extract_features(
            dataset, output, image=images, text=texts, batch_size=batch_size,
            report=lambda view, done, total: bar.update(tasks[view], completed=done),
        )  # fmt: skip
        for task in tasks.values():
            bar.update(task, completed=len(dataset))
    for note in dataset.notes:
        console.print(note, highlight=False, markup=False)
    for item, reason in spoilt.items():
        console.print(f"item {item}: {reason}", highlight=False, markup=False)
    cut = getattr(texts, "cut", 0)
    if cut and texts is not None:
        console.print(f"{cut:,} texts were longer than the {texts.shape[0]} words that are kept")
    left = f"; {len(spoilt):,} could not be read and are in no split" if spoilt else ""
    console.print(f"{len(dataset):,} items{left}: {output}    next: udsph train --data features --root {output}")


def _load(name: str, root: Path | None, wanted: dict[str, Any], given: dict[str, str]) -> Any:
    """The dataset, with those of the wanted settings that its layout has and the user did not give."""
    from udsph import data

    known = data.settings_of(name)
    fitting = {key: value for key, value in wanted.items() if key in known and value is not None}
    settings = {**fitting, **{key.replace("-", "_"): value for key, value in given.items()}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was left out is printed at the end
        return data.load(name, root=root, **settings)


def _bar() -> Progress:
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    return Progress(*columns, console=console)
