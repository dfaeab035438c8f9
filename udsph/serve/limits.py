"""What one request, and all of them together, may take of the machine."""

from __future__ import annotations

from dataclasses import dataclass, field

from udsph.threads import cores


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; a request beyond one of them is refused with a sentence.

    Attributes
    ----------
    k
        Results of one query.
    text
        Characters of a query's text.
    upload
        Bytes of a request's body.
    pixels
        Pixels of a picture, by what its head says, before it is decoded.
    workers, waiting
        Pieces of work that are done at once, and that may wait for it.
    bodies
        Request bodies that are received at once.
    connections
        Open connections.
    seconds
        That a piece of work may take, waiting included.
    head_seconds, body_seconds, whole_seconds
        In which a request's head, its body, and request and answer together must be through.
    kept
        Bytes of small pictures that are kept in memory.
    """

    k: int = 200
    text: int = 2000
    upload: int = 10 << 20
    pixels: int = 50_000_000
    workers: int = field(default_factory=cores)
    waiting: int = 64
    bodies: int = 32
    connections: int = 256
    seconds: float = 10.0
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    whole_seconds: float = 60.0
    kept: int = 64 << 20
