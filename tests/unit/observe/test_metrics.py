"""Metrics: the states that are met, as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.observe.metrics import Metrics


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The value of one sample in the exposition; None when it is not there."""
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for each in family.samples:
            if each.name == name and each.labels == labels:
                return float(each.value)
    return None


def test_a_counter_counts_by_its_labels() -> None:
    """Each call adds one under the values of its labels; other fields are left out."""
    metrics = Metrics()
    for _ in range(2):
        metrics("dead_letter", code="bad_body", event="not a label")
    assert sample(metrics, "jira_bridge_dead_letters_total", code="bad_body") == 2


def test_a_label_that_is_not_given_is_empty() -> None:
    """A state may be met without a field that is a label, or with None for it."""
    metrics = Metrics()
    metrics("event", outcome="merged", reason=None)
    assert sample(metrics, "jira_bridge_events_total", outcome="merged", reason="", kind="") == 1


def test_a_gauge_holds_the_last_amount() -> None:
    """A gauge is set from the field that its state names."""
    metrics = Metrics()
    metrics("backlog", site="s", rows=7)
    metrics("backlog", site="s", rows=3)
    assert sample(metrics, "jira_bridge_backlog_rows", site="s") == 3


def test_two_states_may_set_one_gauge() -> None:
    """A site that is halted stands at 1, and at 0 when it goes on."""
    metrics = Metrics()
    metrics("site_halted", site="main")
    assert sample(metrics, "jira_bridge_circuit_state", site="main") == 3
    metrics("circuit_closed", site="main")
    assert sample(metrics, "jira_bridge_circuit_state", site="main") == 0


def test_a_histogram_takes_seconds() -> None:
    """A duration is counted and summed."""
    metrics = Metrics()
    metrics("delivery_taken", endpoint="github", seconds=0.25)
    assert sample(metrics, "jira_bridge_delivery_seconds_count", endpoint="github") == 1
    assert sample(metrics, "jira_bridge_delivery_seconds_sum", endpoint="github") == 0.25


def test_registries_are_not_shared() -> None:
    """Two services in one process count apart."""
    one, other = Metrics(), Metrics()
    one("position_moved")
    assert sample(one, "jira_bridge_positions_moved_total") == 1
    assert sample(other, "jira_bridge_positions_moved_total") == 0


def test_an_unknown_state_is_an_error() -> None:
    """A name that is not in the catalogue is not counted but raised."""
    with pytest.raises(KeyError):
        Metrics()("no_such_state")
