"""What a server answers to a request that it does not serve."""

from __future__ import annotations


class Refused(Exception):
    """A request that is not served: a status of HTTP, and a sentence that says why and what to do.

    ``again`` is after how many seconds the same request may be served.
    """

    def __init__(self, status: int, sentence: str, *, again: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.again = status, sentence, again

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the answer."""
        return {} if self.again is None else {"retry-after": str(self.again)}
