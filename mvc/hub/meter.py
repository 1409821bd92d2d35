"""What is counted, for Prometheus. Neither repositories nor people are told of: `/metrics` asks for no token."""

from __future__ import annotations

import os
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from mvc.hub.exchange import Exchange

_METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE"))
_SECONDS = (0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300, 1800)
TYPE = CONTENT_TYPE_LATEST.encode()


class Meter:
    """Counts of one process; with `folder`, which other processes of the same server know too, of all of them.

    (prometheus_client then keeps its numbers in files of that folder. It must be in the environment as
    PROMETHEUS_MULTIPROC_DIR before this module is first imported; mvc/hub/serving.py sees to that.)
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._registry = CollectorRegistry()
        register = self._registry
        self._requests = Counter(
            "mvc_requests", "Requests answered", ["endpoint", "method", "status"], registry=register
        )
        self._seconds = Histogram(
            "mvc_request_seconds", "How long requests took", ["endpoint"], buckets=_SECONDS, registry=register
        )
        self._bytes = Counter("mvc_body_bytes", "Bytes of bodies", ["direction"], registry=register)
        self._cut = Counter("mvc_answers_cut", "Answers that ended early", registry=register)
        self._running = Gauge(
            "mvc_requests_running", "Requests under way", registry=register, multiprocess_mode="livesum"
        )
        if folder is None:
            ProcessCollector(registry=register)
        else:
            _forget_dead(folder)

    def begin(self) -> None:
        self._running.inc()

    def end(self, method: str, exchange: Exchange, seconds: float) -> None:
        self._running.dec()
        known = method if method in _METHODS else "other"
        endpoint = exchange.endpoint or "none"
        self._requests.labels(endpoint, known, str(exchange.status)).inc()
        self._seconds.labels(endpoint).observe(seconds)
        self._bytes.labels("in").inc(exchange.received)
        self._bytes.labels("out").inc(exchange.sent)
        if exchange.cut:
            self._cut.inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        registry = self._registry
        if self._folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=str(self._folder))
        told: bytes = generate_latest(registry)
        return told


def _forget_dead(folder: Path) -> None:
    """Requests of a process that died run no more."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        if not os.path.exists(f"/proc/{pid}"):
            mark_process_dead(pid, path=str(folder))
