"""Figures for `ray.util.metrics`, which Ray's dashboard and Prometheus show."""

from __future__ import annotations

import time

from ray.util.metrics import Counter, Gauge

_EVERY = 1.0  # seconds: a call costs 10 microseconds and more, which no message should pay


class NodeMetrics:
    """Bytes that a node has sent."""

    def __init__(self, node: str) -> None:
        self._bytes = Counter("hogwild_sent_bytes", "Bytes of arrays sent to other nodes.", ("node",))
        self._tags, self._told, self._due = {"node": node}, 0, 0.0

    def sent(self, total: int) -> None:
        """Take over how many bytes have been sent since the start."""
        now = time.monotonic()
        if now >= self._due and total > self._told:
            self._bytes.inc(total - self._told, self._tags)
            self._told, self._due = total, now + _EVERY


class JobMetrics:
    """Rows, pushes and evictions counted; loss and rows/s as they are."""

    def __init__(self, job: str) -> None:
        tags = {"job": job}
        self._tags = tags
        self._rows = Counter("hogwild_rows", "Rows stepped.", tuple(tags))
        self._pushes = Counter("hogwild_pushes", "Phases whose deltas were accepted.", tuple(tags))
        self._evictions = Counter("hogwild_evictions", "Workers put out of the job.", tuple(tags))
        self._loss = Gauge("hogwild_loss", "Mean loss of late, each row before its own step.", tuple(tags))
        self._rate = Gauge("hogwild_rows_per_second", "Rows stepped a second by all workers.", tuple(tags))

    def phase(self, rows: int) -> None:
        """Count a phase of so many rows."""
        self._pushes.inc(1, self._tags)
        if rows > 0:
            self._rows.inc(rows, self._tags)

    def eviction(self) -> None:
        """Count an eviction."""
        self._evictions.inc(1, self._tags)

    def level(self, loss: float, rows_per_second: float) -> None:
        """Show loss and throughput."""
        self._loss.set(loss, self._tags)
        self._rate.set(rows_per_second, self._tags)
