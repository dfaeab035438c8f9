"""The files of the page, read once; all of them come from here, none from elsewhere."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files

_MEDIA = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Asset:
    """A file of the page: its media type, its bytes, and a tag that changes with them."""

    media: str
    body: bytes
    tag: str


def _read(name: str) -> Asset:
    body = (files("udsph.serve") / "page" / name).read_bytes()
    return Asset(_MEDIA[name.rpartition(".")[2]], body, f'"{hashlib.sha256(body).hexdigest()[:20]}"')


PAGE = _read("index.html")
ASSETS = {name: _read(name) for name in ("app.css", "app.js", "parts.js", "icon.svg")}
SIGN_IN = _read("sign-in.html").body.decode()
WRONG_TOKEN = SIGN_IN.replace('<p role="alert" hidden>', '<p role="alert">')
SIGN_IN_STYLE = "".join(re.findall(r"<style>(.*?)</style>", SIGN_IN, re.S))
