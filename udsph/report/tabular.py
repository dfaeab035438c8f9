"""Tables of a page. Where scripts run, those that say so are sorted by a click on the head of a column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from udsph.report.markup import Html, h

NOTHING = "\N{EN DASH}"  # where there is no value


@dataclass(frozen=True)
class Cell:
    """A number as it is shown and as it is sorted; the best of a column is in bold."""

    value: float | None
    form: str = ".4f"
    best: bool = False

    @property
    def text(self) -> str:
        return NOTHING if self.value is None or math.isnan(self.value) else format(self.value, self.form)


def table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], caption: str, *, sortable: bool = False, key: str = ""
) -> Html:
    """A table whose first column names the rows.

    Parameters
    ----------
    heads
        Of the columns.
    rows
        A :class:`Cell` for a number, anything else as text.
    caption
        What it is of; also what a screen reader says of the part that scrolls.
    sortable
        Whether columns can be sorted by.
    key
        A class of its own.
    """
    numbers = [any(isinstance(row[place], Cell) for row in rows) for place in range(len(heads))]
    head = [h("th", name, scope="col", class_="number" if number else None)
            for name, number in zip(heads, numbers, strict=True)]  # fmt: skip
    body = [h("tr", _row_head(row[0]), [_cell(value) for value in row[1:]]) for row in rows]
    kinds = " ".join(name for name in (key, "sortable" if sortable else "") if name)
    made = h("table", h("caption", caption), h("thead", h("tr", head)), h("tbody", body), class_=kinds or None)
    return h("div", made, class_="scrolls", tabindex="0", role="group", aria_label=caption)


def numbers(heads: Sequence[str], rows: Sequence[Sequence[object]], caption: str) -> Html:
    """The numbers of a figure, folded."""
    return h("details", h("summary", "Numbers"), table(heads, rows, caption))


def mark_best(columns: Sequence[Sequence[float | None]], *, least: Sequence[bool] = ()) -> list[list[bool]]:
    """Of each column which values are its best: the greatest, or the least where that is said; none of a single one."""
    marks = []
    for place, column in enumerate(columns):
        known = [value for value in column if value is not None and not math.isnan(value)]
        choose = min if place < len(least) and least[place] else max
        best = choose(known) if len(known) > 1 else None
        marks.append([value is not None and value == best for value in column])
    return marks


def _row_head(value: object) -> Html:
    if isinstance(value, Cell):
        return h("th", value.text, scope="row", class_="number", data_value=_sorted_by(value))
    return h("th", value, scope="row")


def _cell(value: object) -> Html:
    if not isinstance(value, Cell):
        return h("td", value)
    text = h("strong", value.text) if value.best else value.text
    return h("td", text, class_="number", data_value=_sorted_by(value))


def _sorted_by(cell: Cell) -> str:
    return "" if cell.value is None or math.isnan(cell.value) else repr(float(cell.value))
