"""Docstrings as Markdown: what in them is reStructuredText (roles, simple tables, ``::``) in the words of the other."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):`~?([^`<>]+)`")
TABLE = re.compile(r"^( *)=+(?: +=+)+ *\n(?:.*\n)*?\1=+(?: +=+)+ *$", re.M)
BLOCK = re.compile(r"::$", re.M)


class Markdown(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for every module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    """One docstring."""
    text = ROLE.sub(lambda match: f"`{match[1].rpartition('.')[2]}`", text)
    text = BLOCK.sub(":", text)
    return _tables(text)


def _tables(text: str) -> str:
    """Simple tables, between lines of equals signs, as Markdown has them."""
    lines, made, at = text.split("\n"), [], 0
    while at < len(lines):
        rule = lines[at]
        if not re.fullmatch(r" *=+(?: +=+)+ *", rule):
            made.append(lines[at])
            at += 1
            continue
        columns = [match.span() for match in re.finditer(r"=+", rule)]
        columns[-1] = (columns[-1][0], 10**6)
        end = max(
            i
            for i in range(at + 1, len(lines))
            if re.fullmatch(r" *=+(?: +=+)+ *", lines[i]) and not "".join(lines[i + 1 : i + 2]).strip()
        )
        rows: list[list[str]] = []
        for line in lines[at + 1 : end]:
            if re.fullmatch(r" *=+(?: +=+)+ *", line):
                continue
            cells = [line[a:b].strip() for a, b in columns]
            if cells[0] or not rows:
                rows.append(cells)
            else:
                rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
        made += ["", "|" + " |" * len(columns), "|" + " --- |" * len(columns)]
        made += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        made.append("")
        at = end + 1
    return "\n".join(made)
