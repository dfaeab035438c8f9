"""A page read as a browser reads it, and subjects of a report that need no training."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

import numpy as np

from udsph.evaluation import bit_use, evaluate, evaluate_pairs
from udsph.report.attended import Looks
from udsph.report.content import Answer, Example, Fact, Item, Side, Subject
from udsph.report.markup import VOID

HOSTILE = "</style><script>alert(1)</script> & \"q\" 'a' $x_{$ <img src=x onerror=alert(1)> \ud800\x00\n\u4e2d https://x.example/"


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    parent: Element | None = None
    children: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What stands in it, its children's in their places."""
        return " ".join(" ".join(self.words).split())

    def all(self, *tags: str) -> list[Element]:
        """Elements within it by their tags, in the order of the page."""
        found = []
        for child in self.children:
            found += ([child] if not tags or child.tag in tags else []) + child.all(*tags)
        return found

    def by_id(self, name: str) -> Element:
        (found,) = [one for one in self.all() if one.attributes.get("id") == name]
        return found


class Page(HTMLParser):
    """The tree of a page; an end without its beginning is an error."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.place = Element("", {})
        self.feed(text)
        self.close()
        assert self.place is self.root, f"<{self.place.tag}> has no end"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute of <{tag}> is given twice"
        element = Element(tag, dict(attrs), self.place)
        self.place.children.append(element)
        if tag not in VOID:
            self.place = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.place.children.append(Element(tag, dict(attrs), self.place))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.place.tag, f"</{tag}> ends <{self.place.tag}>"
        assert self.place.parent is not None
        self.place = self.place.parent

    def handle_data(self, data: str) -> None:
        element: Element | None = self.place
        while element is not None:
            element.words.append(data)
            element = element.parent


def rows_of(table: Element) -> list[list[str]]:
    """The texts of a table's cells, its head first."""
    return [[cell.text for cell in row.all("th", "td")] for row in table.all("tr")]


def subject(
    name: str = "first", seed: int = 0, *, classes: tuple[str, ...] = ("ant", "bee", "cow"), **changes
) -> Subject:
    """Codes that follow from labels, measured both ways, with pictures, texts and where classes looked."""
    random = np.random.default_rng(seed)
    labels = np.eye(len(classes), dtype=np.uint8)[random.integers(len(classes), size=60)]
    bits = {part: (labels @ random.standard_normal((len(classes), 16)) + random.standard_normal((60, 16))) > 0
            for part in ("image", "text")}  # fmt: skip
    codes = {part: np.packbits(values, axis=1, bitorder="little") for part, values in bits.items()}
    sides = []
    for query, target in (("image", "text"), ("text", "image")):
        found = evaluate(codes[query][:20], codes[target][20:], labels[:20], labels[20:], metrics=["map"], cutoffs=())
        relevant = found.counts.relevant.sum(axis=0)
        by_class = zip(*found.by_class(labels[:20]), strict=True)
        sides.append(
            Side(
                f"{query} to {target}", found, evaluate_pairs(codes[query][:20], codes[target][:20]),
                relevant, found.counts.items.sum(axis=0) - relevant,
                [(classes[number], int(n), float(mean)) for number, n, mean in by_class],
                hardest=[example(query, target, classes)], examples=[example(query, target, classes)] * 2,
            )
        )  # fmt: skip
    log = {"phase": ["label", "select", "select"], "epoch": [1.0, 1.0, 2.0], "seconds": [1.0, 2.0, 3.0],
           "loss": [0.5, 2.0, 1.0], "validation_map": [np.nan, 0.4, 0.6], "pairwise": [np.nan, 1.5, 0.5],
           "bit": [np.nan, 0.5, 0.5]}  # fmt: skip
    use = {"both": bit_use(np.concatenate(list(codes.values()))), "images": bit_use(codes["image"])}
    given = {"title": "toy, 16 bits", "bits": 16, "sides": sides, "references": {"label to label": 0.9, "chance": 0.4}}
    given |= {"use": use, "classes": classes, "log": log}
    given["facts"] = {"Data": [Fact("dataset", "toy"), Fact("seed", str(seed))], "Training": [Fact("bits", "16", "64")]}
    return Subject(name, **(given | changes))


def example(query: str, target: str, classes: tuple[str, ...], text: str = "a text of words") -> Example:
    picture = np.full((20, 30, 3), 90, np.uint8)
    items = {"image": Item("image 1", picture, text, classes[:2]), "text": Item("text 1", None, text, classes[:1])}
    shown: np.ndarray | list[str] = picture if query == "image" else text.split()
    parts = 6 if query == "image" else len(shown)
    scores = np.linspace(1, 0.1, len(classes))
    looks = Looks(shown, np.eye(len(classes), parts), scores, (2, 3) if query == "image" else None)
    answers = [Answer(items[target], 3, 1), Answer(items[target], 4, 0), Answer(items[target], 9, None)]
    return Example(items[query], answers, looks, 0.25, 7)
