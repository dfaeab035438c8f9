"""``udsph serve``: a page and an API on which the index of a trained model is searched."""

from __future__ import annotations

import dataclasses
import gc
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from udsph.cli.output import Answer, clock, log, plain
from udsph.cli.parser import Argument, Option, command
from udsph.cli.pictures import read_origin
from udsph.errors import InputError

if TYPE_CHECKING:
    from udsph.encoding import Hasher
    from udsph.encoding.indexed import Items
    from udsph.serve.catalog import Item
    from udsph.serve.follow import Source
    from udsph.serve.limits import Limits
    from udsph.serve.pictures import Pictures

NO_IMAGES = "none"


@command
def serve(
    run: Annotated[Path, Argument(help="A trained run or a shared model")],
    *,
    index: Annotated[Path, Option(help="What 'udsph index RUN' wrote with that model, or any collection of its codes")],
    items: Annotated[
        Path | None,
        Option(help="Table of captions and labels, .csv or .parquet: id or image, caption, labels", metavar="FILE"),
    ] = None,
    images: Annotated[
        str | None,
        Option(help="Folder of the pictures; none: show captions and ids only", metavar="FOLDER",
               default="where the index says that its items came from"),
    ] = None,
    host: Annotated[str, Option(help="Address to listen on; 0.0.0.0 for all")] = "127.0.0.1",
    port: Annotated[int, Option(help="0 for any that is free", least=0, most=65535)] = 8000,
    token_file: Annotated[
        Path | None, Option(help="File with a token that whoever asks must bring", metavar="FILE")
    ] = None,
    allow_host: Annotated[
        list[str] | None, Option(help="Another name by which the server may be called; repeatable", metavar="NAME")
    ] = None,
    device: Annotated[str, Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    max_k: Annotated[int, Option(help="Results of one query, at most", least=1, most=10_000)] = 200,
    max_upload: Annotated[int, Option(help="Megabytes of an uploaded picture, at most", least=1, most=1000)] = 10,
    workers: Annotated[
        int | None, Option(help="Searches at once", default="one per processor", least=1, most=1000)
    ] = None,
) -> Answer:  # fmt: skip
    """Serve a page on which words or a picture find what belongs to them, and an API beside it, until Ctrl-C.

    udsph serve RUN --index photos.index               then open http://127.0.0.1:8000
    curl 'http://127.0.0.1:8000/search/text?q=a+red+star&k=5'
    """
    from udsph.encoding import Hasher
    from udsph.serve.app import application
    from udsph.serve.follow import Follower
    from udsph.serve.guard import LOOPBACK
    from udsph.serve.limits import Limits
    from udsph.serve.server import listen, server
    from udsph.serve.state import State

    limits = Limits(k=max_k, upload=max_upload << 20)
    limits = limits if workers is None else dataclasses.replace(limits, workers=workers)
    token = "" if token_file is None else read_token(token_file)
    bound = listen(host, port)
    try:
        hasher = Hasher.load(run, device)
        extractors, hindered = hasher.inputs.extractors.made()  # now, not at the first request
        hasher.inputs = dataclasses.replace(hasher.inputs, extractors=extractors)
        for sentence in hindered:
            log.warning(sentence)
        source, pictures = opened(hasher, index, items, images, limits)
        try:
            state = State(hasher, Follower(source), pictures, limits)
        except ValueError as error:  # FormatError of a damaged index
            raise InputError(str(error)) from None
        name, number = bound.getsockname()[:2]
        local = name in LOOPBACK
        hosts = (*LOOPBACK, *(allow_host or ())) if local else ((host, *allow_host) if allow_host else ())
        shown = f"http://{f'[{name}]' if ':' in name else name}:{number}"

        def ready() -> None:
            log.info(f"{len(state.view.index):,} codes of {hasher.bits} bits: {shown} (Ctrl-C ends)")
            if not local and not token:
                log.warning("whoever reaches this address may search; --token-file asks for a token")

        began = time.monotonic()
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not look through it, while serving and at the end
        server(application(state, hosts=hosts, token=token), limits, ready).run(sockets=[bound])
    finally:
        bound.close()
    return Answer(f"served for {clock(time.monotonic() - began)}", {"address": shown})


def opened(
    hasher: Hasher, index: Path, items: Path | None, images: str | None, limits: Limits
) -> tuple[Source, Pictures | None]:
    """Where the index comes from, and where the pictures of its items."""
    from udsph.encoding.indexed import model_mark, read_items
    from udsph.serve.follow import Place
    from udsph.serve.pictures import Folder

    if items is not None and not items.is_file():
        raise InputError(f"items={items}: expected a file")
    folder = None if images in (None, NO_IMAGES) else Folder(Path(str(images)), limits.pixels)
    bare = Place(index, items, modality="" if folder is None else "image")
    if not bare.described:
        return bare, folder
    _, known = read_items(index)
    labels, pictures = _origin(known, images, limits)
    place = Place(index, items, model=model_mark(hasher), labels=labels, source=known.source)
    return place, folder or pictures


def _origin(items: Items, images: str | None, limits: Limits) -> tuple[list[tuple[str, ...]] | None, Pictures | None]:
    """Labels and pictures of the items of an index where they came from, as far as they are still there."""
    from udsph.serve.pictures import Folder

    shown = images is None and items.modality == "image"
    try:
        if "folder" in items.source and shown:
            return None, Folder(Path(items.source["folder"]), limits.pixels)
        if "data" not in items.source:
            return None, None
        dataset, chosen = read_origin(items)
    except (InputError, OSError) as error:
        log.warning(f"where the index says that its items came from, they are not: {plain(error)}")
        return None, None
    labels = None
    if dataset.labels is not None and dataset.labels.shape[1]:
        classes = np.array(dataset.classes, object)
        labels = [tuple(classes[row == 1]) for row in dataset.labels[chosen]]
    if not shown or dataset.image.kind != "pixels":
        return labels, None
    if hasattr(dataset.image.values, "names"):  # files, of which larger pictures can be had than the model reads
        return labels, Folder(dataset.image.values.root, limits.pixels)
    return labels, Rows(dataset.image.values, chosen)


class Rows:
    """Pictures of a dataset that has no files."""

    def __init__(self, values: Any, chosen: np.ndarray) -> None:
        self._values, self._chosen = values, chosen

    def mark(self, item: Item) -> str:
        """They do not change."""
        return ""

    def small(self, item: Item, side: int) -> Any:
        """They are small, all of them."""
        from PIL import Image

        return Image.fromarray(self.pixels(item, (side, side)))

    def pixels(self, item: Item, size: tuple[int, int]) -> np.ndarray:
        """As the dataset has them, which is how the model reads them."""
        if not 0 <= item.place < len(self._chosen):
            raise LookupError(item.name)
        return np.asarray(self._values[self._chosen[[item.place]]])[0]


def read_token(path: Path) -> str:
    """The token in a file, without the spaces and line ends around it."""
    from udsph.serve.guard import LEAST_TOKEN

    token = path.read_text(encoding="utf-8").strip()
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"token_file={path}: expected a token of {LEAST_TOKEN} or more letters, digits and signs, in one line; "
            "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return token
