"""The forms of the API's answers, which its description shows."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, Field

from udsph.encoding.attended import Attended
from udsph.serve.catalog import Item
from udsph.serve.state import CLASSES, Found, State


class Known(BaseModel):
    """What is known of an item; what is not known is empty."""

    id: int | str
    name: str = Field(description="What the index calls it: a file, a number, a row of a dataset")
    caption: str
    labels: list[str]
    image: str | None = Field(description="Path of its picture on this server; add ?size=large for a larger one")


class Result(Known):
    """An item that was found."""

    distance: int = Field(description="Hamming distance of its code to the query's")


class Milliseconds(BaseModel):
    """What took how long."""

    encode: float | None = Field(description="The model; null where the query was a code")
    search: float
    total: float


class Results(BaseModel):
    """What a query found, nearest first, then in the order in which the items came into the index."""

    results: list[Result]
    code: str = Field(description="The query's code: packed bytes in hexadecimal, bit i in byte i // 8, bit i % 8")
    bits: int
    codes: int = Field(description="Codes in the index")
    allowed: int = Field(description="Codes that the labels left")
    generation: int = Field(description="Of the index that was searched")
    milliseconds: Milliseconds
    remarks: list[str] = Field(description="What the model did not read of the query")


class Described(Known):
    """An item and its code."""

    code: str


class Listed(BaseModel):
    """Some items."""

    items: list[Known]


class Look(BaseModel):
    """Where one class looked."""

    name: str
    score: float = Field(description="How sure the class is, 0 to 1")
    weights: list[float] = Field(description="A share of each part, 1 in total")


class Looks(BaseModel):
    """Where the surest classes looked: in the cells of a picture, row by row, or in the words of a text."""

    classes: list[Look]
    grid: tuple[int, int] | None = Field(description="Rows and columns of the cells of a picture")
    words: list[str] | None


class Health(BaseModel):
    """That the server is there, and what it serves."""

    status: str = Field(description="'ok', or 'stale' where the newest state of the index cannot be opened")
    codes: int
    generation: int


class Label(BaseModel):
    """A label, and how many items have it."""

    name: str
    count: int


class Bounds(BaseModel):
    """What is refused beyond."""

    k: int
    text: int
    upload: int
    pixels: int


class About(BaseModel):
    """What is served."""

    version: str
    bits: int
    codes: int
    generation: int
    modality: str = Field(description="Of the items: image, text, or empty where it is not known")
    pictures: bool = Field(description="Whether items have pictures")
    queries: dict[str, bool] = Field(description="Whether the model reads texts and pictures as queries")
    attention: dict[str, bool] = Field(description="Whether it attends to words and to cells of pictures")
    labels: list[Label]
    limits: Bounds
    trained_on: str


class Problem(BaseModel):
    """Why a request was not served, and what to do."""

    error: str


def known(state: State, item: Item) -> dict[str, Any]:
    """An item as the API gives it."""
    path = None if state.pictures is None else f"/images/{quoted(item.id)}"
    return {"id": item.id, "name": item.name, "caption": item.caption, "labels": list(item.labels), "image": path}


def quoted(id: int | str) -> str:
    """An id as one part of a path; bytes of a file's name that are no text stay what they are."""
    return quote(str(id).encode("utf-8", "surrogateescape"), safe="")


def results(state: State, found: Found, seconds: float) -> dict[str, Any]:
    """What a query found as the API gives it."""
    near = zip(found.items, found.distances, strict=True)
    milliseconds = {"encode": None, **{name: _milli(value) for name, value in found.seconds.items()}}
    return {
        "results": [{**known(state, item), "distance": distance} for item, distance in near],
        "code": found.code.tobytes().hex(),
        "bits": state.hasher.bits,
        "codes": found.codes,
        "allowed": found.allowed,
        "generation": found.generation,
        "milliseconds": {**milliseconds, "total": _milli(seconds)},
        "remarks": list(found.remarks),
    }


def _milli(seconds: float) -> float:
    return round(1000 * seconds, 3)


def looks(state: State, seen: Attended) -> dict[str, Any]:
    """Where the surest classes looked in the only item."""
    scores, weights = seen.scores[0], seen.weights[0, :, : int(seen.lengths[0])]
    names = state.hasher.classes
    best = (-scores).argsort(kind="stable")[:CLASSES].tolist()
    classes = [
        {"name": names[i], "score": round(float(scores[i]), 4), "weights": [round(w, 5) for w in weights[i].tolist()]}
        for i in best
        if i < len(names)
    ]
    return {"classes": classes, "grid": seen.grid, "words": None if seen.words is None else list(seen.words[0])}
