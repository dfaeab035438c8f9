"""What a server tells Prometheus of itself."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from udsph.serve.follow import Follower

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, follower: Follower) -> None:
        self._registry = CollectorRegistry()
        kept: Any = {"registry": self._registry, "namespace": "udsph"}
        self.requests = Counter("requests", "Requests answered.", ("route", "method", "status"), **kept)
        self.seconds = Histogram("request_seconds", "From a request's head to the end of its answer.", ("route",),
                                 buckets=_SECONDS, **kept)  # fmt: skip
        self.stages = Histogram("stage_seconds", "Of the parts of a search.", ("stage",), buckets=_SECONDS, **kept)
        self.running = Gauge("requests_running", "Requests that are being answered.", **kept)
        codes = Gauge("codes", "Codes in the index.", **kept)
        codes.set_function(lambda: len(follower.view.index))
        generation = Gauge("generation", "Generation of the index.", **kept)
        generation.set_function(lambda: follower.view.generation)
        stale = Gauge("stale", "1 where the newest state of the index cannot be opened.", **kept)
        stale.set_function(lambda: float(bool(follower.trouble)))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
