"""``write_report``: one HTML file that needs nothing else, of one subject or of several and their comparison."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path

from udsph._version import __version__
from udsph.files import write_text
from udsph.plotting import style, theme_css
from udsph.report.comparison import comparison
from udsph.report.content import Subject
from udsph.report.markup import Html, h
from udsph.report.sections import Sheet, Titled, sections

ASSETS = Path(__file__).parent / "assets"


def write_report(subjects: Sequence[Subject], path: Path, *, date: str = "") -> int:
    """Write the report of what was measured; returns its size in bytes.

    Parameters
    ----------
    subjects
        One or more; with several a comparison comes first.
    path
        The HTML file. It names no address: pictures, figures, styles and the script are in it, and a policy within
        forbids a browser to fetch anything.
    date
        For the foot of the page.

    Raises
    ------
    MissingExtra
        If matplotlib is not installed.
    """
    with style():
        text = page(subjects, date)
    write_text(path, text)
    return len(text.encode())


def page(subjects: Sequence[Subject], date: str = "") -> str:
    """The report as HTML; to be called within ``udsph.plotting.style``."""
    sheet = Sheet()
    if len(subjects) == 1:
        (subject,) = subjects
        title, lede = f"Report on {subject.name}", subject.title
        parts = sections(subject, sheet, level=2)
        body = [part.html for part in parts]
    else:
        title, lede = f"Report on {len(subjects)} runs", "; ".join(subject.name for subject in subjects)
        parts = [comparison(subjects, sheet)]
        body = [parts[0].html]
        for number, subject in enumerate(subjects, start=1):
            name = f"run-{number}"
            inner = sections(subject, sheet, level=3, prefix=f"{name}-")
            head = [h("h2", subject.name, id=f"{name}-name"), h("p", subject.title, class_="lede")]
            section = h("section", head, [part.html for part in inner], class_="subject", id=name)
            parts.append(Titled(name, subject.name, section))
            body.append(section)
    menu = h("nav", h("ul", [h("li", h("a", part.title, href=f"#{part.name}")) for part in parts]), aria_label="Parts")
    foot = f"Written by udsph {__version__}{f' on {date}' if date else ''}. What the figures mean: docs/report.md."
    return "<!doctype html>\n" + h(
        "html",
        _head(title),
        h(
            "body",
            h("a", "To the content", href="#content", class_="skip"),
            h("header", h("h1", title), h("p", lede, class_="lede")),
            menu,
            h("main", body, id="content"),
            h("footer", h("p", foot)),
            h("script", Html(_script())),
        ),
        lang="en",
    )


def _head(title: str) -> Html:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    light, dark = (f":root {{ {theme_css(theme)} }}" for theme in (False, True))
    css = f"{light}\n@media screen and (prefers-color-scheme: dark) {{ {dark} }}\n{_asset('report.css')}"
    return h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", http_equiv="Content-Security-Policy", content=policy),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("meta", name="referrer", content="no-referrer"),
        h("title", title),
        h("style", Html(css)),
    )


def _script() -> str:
    return _asset("report.js")


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
