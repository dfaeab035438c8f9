"""Items as parts of a page: pictures as data within it, texts as text, and where the classes looked in them."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np

from udsph.errors import MissingExtra
from udsph.report.attended import MOST_WORDS, Looks, looked_at, shades
from udsph.report.content import Answer, Example, Item
from udsph.report.markup import Html, h
from udsph.report.texts import one_line

LONGEST_SIDE, LOOK_SIDE = 160, 112  # pixels of a picture, and of one that shows where a class looked
LONGEST_TEXT, LONGEST_NAME = 200, 40  # characters shown of a caption, and of the name of a class
SURE = 4  # classes of which it is shown where they looked


def data_uri(pixels: np.ndarray, longest: int = LONGEST_SIDE) -> str:
    """A picture, uint8 ``(height, width, 3)``, as JPEG of at most so many pixels a side.

    Raises
    ------
    MissingExtra
        If Pillow is not installed, which comes with matplotlib.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise MissingExtra("a picture", "report") from None
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((longest, longest))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def item(shown: Item) -> Html:
    """A picture or a text in a frame; of what is neither, its name."""
    if shown.picture is not None:
        text = clipped(shown.text or f"picture of {shown.name}", LONGEST_TEXT)
        return h("img", src=data_uri(shown.picture), alt=text, title=text, loading="lazy", class_="picture")
    if shown.text is not None:
        return h(
            "p", clipped(shown.text, LONGEST_TEXT) or "(an empty text)", class_="text", title=shown.name, dir="auto"
        )
    return h("p", shown.name, class_="text muted")


def example(shown: Example, classes: Sequence[str]) -> Html:
    """A query, where the classes looked in it, and what was found."""
    query = shown.query
    facts = [query.name]
    if shown.precision is not None:
        facts.append(f"average precision {shown.precision:.3f}")
    if shown.relevant is not None:
        facts.append(f"{shown.relevant:,} relevant items")
    labels = None
    if query.labels is not None:
        labels = h("ul", [h("li", clipped(name, LONGEST_NAME)) for name in query.labels], class_="labels")
    head = h("div", item(query), h("p", " · ".join(facts), class_="facts"), labels, class_="query")
    looks = None if shown.looks is None else where_looked(shown.looks, query, classes)
    return h("article", head, h("div", looks, answers(shown.answers), class_="found"), class_="example")


def answers(found: Sequence[Answer]) -> Html:
    """What was found, nearest first."""
    if not found:
        return h("p", "nothing was found", class_="muted")
    parts = []
    for answer in found:
        kind, verdict = "open", ""
        if answer.shared is not None:
            kind = "right" if answer.shared else "wrong"
            verdict = f"{answer.shared} shared" if answer.shared else "none shared"
        mark = {"right": "✓ ", "wrong": "✗ ", "open": ""}[kind]
        line = h("p", h("span", f"{mark}{verdict}", class_="verdict") if verdict else None,
                 h("span", f"distance {answer.distance}"), class_="facts")  # fmt: skip
        parts.append(h("li", item(answer.item), line, class_=kind))
    return h("ol", parts, class_="answers")


def where_looked(looks: Looks, query: Item, classes: Sequence[str]) -> Html | None:
    """Where the surest classes looked, over the cells of a picture or the words of a text."""
    best = np.argsort(-looks.scores, kind="stable")[:SURE]
    parts = []
    for number in best:
        name, weights = clipped(classes[number], LONGEST_NAME), looks.weights[number]
        caption = f"{name} {looks.scores[number]:.2f}"
        if isinstance(looks.shown, np.ndarray):
            if looks.grid is None:
                return None
            uri = data_uri(looked_at(looks.shown, weights, looks.grid), LOOK_SIDE)
            said = f"where the class {name} looked in {query.name}"
            parts.append(h("li", h("img", src=uri, alt=said, loading="lazy"), h("span", caption)))
        else:
            shown = list(zip(looks.shown, shades(weights[: len(looks.shown)]), strict=True))[:MOST_WORDS]
            words = [
                [h("span", clipped(word, LONGEST_NAME), style=f"--w:{strength:.2f}", class_="word"), " "]
                for word, strength in shown
            ]
            parts.append(h("li", h("span", caption), h("p", words, dir="auto"), class_="read"))
    return h("div", h("p", "where the surest classes looked", class_="muted"), h("ul", parts), class_="looks")


def clipped(text: str, longest: int) -> str:
    """The beginning of a text."""
    text = " ".join(one_line(text[: 4 * longest]).split())
    return text if len(text) <= longest else text[: longest - 4].rstrip() + " ..."
