"""Figures as Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from hogwild.online.http.states import unreadiness


def registry_of(service: Any, answered: Counter[int]) -> CollectorRegistry:
    """Return a registry of its own for a service's figures, those of the process, and answers over HTTP by status."""
    registry = CollectorRegistry()
    registry.register(Figures(service, answered))
    ProcessCollector(registry=registry)
    return registry


class Figures(Collector):
    """Reads a service's figures when Prometheus asks for them."""

    def __init__(self, service: Any, answered: Counter[int]) -> None:
        self._service = service
        self._answered = answered

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: the service may not be up."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Return all figures."""
        yield from self._of_service()
        yield from self._of_learner()
        if self._service.group is not None:
            yield from _of_group(self._service.group.figures)
        if self._service.journal is not None:
            yield from _of_log(self._service.journal)

    def _of_service(self) -> Iterator[Metric]:
        service, figures = self._service, self._service.figures
        about = InfoMetricFamily("hogwild", "What is served.")
        about.add_metric([], {"kind": service.kind, "name": printable(service.name), "node": printable(service.node)})
        yield about
        yield _gauge("ready", "1 where calls are served.", unreadiness(service) is None)
        yield _gauge("start_time_seconds", "When the service started.", figures.started)
        yield _gauge("connections", "RPC connections that are open.", figures.connections)
        yield _counters("calls", "Calls.", "method", figures.calls)
        yield _counters("call_errors", "Calls that failed.", "method", figures.errors)
        yield _counters("http_answers", "Answers over HTTP.", "status", self._answered)
        yield _histogram("call_seconds", "Time from a call to its answer.", figures.latency)
        yield _histogram("batch_examples", "Examples that the learner takes at once.", figures.batches)
        yield _gauge("last_saved_timestamp_seconds", "When the model was saved; 0: never.", figures.last_saved)

    def _of_learner(self) -> Iterator[Metric]:
        service, figures = self._service, self._service.figures
        yield _counter("examples_learnt", "Examples learnt.", figures.learnt)
        yield _counter("trials", "Examples that were predicted before they were learnt.", figures.trials.count)
        if service.kind == "classifier":
            yield _counter("trials_right", "Trials that were right.", figures.trials.total)
        if service.kind == "regression":
            yield _counter("trials_error", "Sum of the absolute errors of trials.", figures.trials.total)
        model = GaugeMetricFamily("hogwild_model", "Figures of the learner.", labels=["figure"])
        for name, value in (service.driver.status() if service.driver is not None else {}).items():
            number = _number(value)
            if number is not None:
                model.add_metric([printable(name)], number)
        yield model


def _of_group(figures: Any) -> Iterator[Metric]:
    yield _gauge("model_version", "Version of the model.", figures.version)
    yield _gauge("active", "1 where the model is the newest.", figures.active)
    yield _gauge("members", "Servers in the group.", len(figures.members))
    yield _gauge("active_members", "Servers in the group whose model is the newest.", len(figures.actives))
    yield _gauge("last_mix_timestamp_seconds", "When this server took a mix; 0: never.", figures.mixed or 0.0)
    yield _gauge("last_round_seconds", "Time that the last round took which this server led.", figures.seconds)
    yield _counter("mix_rounds", "Rounds that this server led to their end.", figures.rounds)
    yield _counter("mix_failures", "Rounds that this server led, and that some server missed.", figures.failed)
    yield _counter("mixes", "Mixes that this server took.", figures.mixes)
    yield _counter("models_fetched", "Models that this server took over from another.", figures.fetched)
    yield _counter("mix_sent_bytes", "Bytes to other servers of the group.", figures.sent)
    yield _counter("mix_received_bytes", "Bytes from other servers of the group.", figures.received)
    yield _counter("mix_dropped_messages", "Messages to other servers that were not delivered.", figures.dropped)
    yield _counter("mix_faults", "Messages of other servers whose handling failed.", figures.faults)


def _of_log(journal: Any) -> Iterator[Metric]:
    figures = journal.figures
    yield _gauge("log_failed", "1 where the log cannot be written.", journal.failure is not None)
    yield _counter("log_records", "Records appended to the log.", figures.records)
    yield _counter("log_bytes", "Bytes appended to the log.", figures.bytes)
    yield _counter("log_batches", "Times that records were written together.", figures.batches)
    yield _counter("log_fsyncs", "Times that the log was made durable.", figures.fsyncs)
    yield _gauge("log_replayed_records", "Records replayed when the server started.", figures.replayed)
    yield _counter("log_snapshots", "Models that took the place of records.", figures.snapshots)
    yield _gauge("last_snapshot_timestamp_seconds", "When that was last; 0: never.", figures.last_snapshot)


def printable(text: str) -> str:
    """Return a text that UTF-8 can carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(f"hogwild_{name}", about, value=float(value))


def _counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(f"hogwild_{name}", about, value=float(value))


def _counters(name: str, about: str, label: str, values: Mapping[Any, int]) -> Metric:
    metric = CounterMetricFamily(f"hogwild_{name}", about, labels=[label])
    for one, value in sorted(values.items()):
        metric.add_metric([str(one)], value)
    return metric


def _histogram(name: str, about: str, histogram: Any) -> Metric:
    buckets, seen = [], 0
    for bound, count in zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True):
        seen += count
        buckets.append((bound, seen))
    return HistogramMetricFamily(f"hogwild_{name}", about, buckets=buckets, sum_value=histogram.total)
