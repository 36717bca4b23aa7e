"""Metrics: one Prometheus registry a service, filled from the states that it meets."""

from __future__ import annotations

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from bridge.observe.states import STATES, Kind, Metric, State

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """An Observe that counts. Each instance has a registry of its own, so tests share nothing."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        metrics = {state.metric.name: state for state in STATES.values() if state.metric}
        self._collectors = {name: self._collector(state) for name, state in metrics.items()}

    def __call__(self, state: str, /, **fields: object) -> None:
        """Raises KeyError for a state that is not in the catalogue."""
        metric = STATES[state].metric
        if metric is None:
            return
        collector = self._collectors[metric.name]
        if metric.labels:
            collector = collector.labels(*(_label(fields.get(label)) for label in metric.labels))
        _add(collector, _amount(metric, fields))

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format, of the type CONTENT_TYPE."""
        return generate_latest(self._registry)

    def _collector(self, state: State) -> Counter | Gauge | Histogram:
        metric = state.metric
        assert metric is not None  # noqa: S101 - the caller has chosen states with one
        if metric.kind is Kind.HISTOGRAM:
            return Histogram(
                metric.name, state.meaning, metric.labels, buckets=_BUCKETS, registry=self._registry
            )
        kind = Counter if metric.kind is Kind.COUNTER else Gauge
        return kind(metric.name, state.meaning, metric.labels, registry=self._registry)


def _label(value: object) -> str:
    return "" if value is None else str(value)


def _amount(metric: Metric, fields: dict[str, object]) -> float:
    value = fields[metric.amount] if isinstance(metric.amount, str) else metric.amount
    return float(str(value))


def _add(collector: Counter | Gauge | Histogram, amount: float) -> None:
    match collector:
        case Counter():
            collector.inc(amount)
        case Gauge():
            collector.set(amount)
        case Histogram():
            collector.observe(amount)
