"""The catalogue of states: complete, and free of contradictions."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

import bridge
from bridge.observe.states import STATES, Kind, Metric, tee

SOURCES = sorted(Path(bridge.__file__).parent.rglob("*.py"))


def observed(tree: ast.AST) -> Iterator[ast.Call]:
    """The calls of anything named observe or tell that are given a state's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if name.strip("_") in {"observe", "tell"} and isinstance(first, ast.Constant):
                yield node


CALLS = [(path, call) for path in SOURCES for call in observed(ast.parse(path.read_text()))]


@pytest.mark.parametrize(("path", "call"), CALLS, ids=[f"{path.stem}:{call.lineno}" for path, call in CALLS])
def test_every_state_that_is_observed_is_in_the_catalogue(path: Path, call: ast.Call) -> None:
    """Code names only states that are known, with every field that their metric needs."""
    state = ast.literal_eval(call.args[0])
    assert state in STATES, f"{path}:{call.lineno}"
    metric = STATES[state].metric
    given = {keyword.arg for keyword in call.keywords}
    if metric and isinstance(metric.amount, str) and None not in given:
        assert metric.amount in given, f"{path}:{call.lineno}"


def test_the_scan_finds_the_calls() -> None:
    """The scan above looks at something: the states of the consumer are among what it finds."""
    found = {ast.literal_eval(call.args[0]) for _, call in CALLS}
    assert {"position_lost", "delivery_refused", "kafka_unavailable"} <= found


METRICS = sorted((state.metric for state in STATES.values() if state.metric), key=lambda metric: metric.name)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metrics_are_named_as_prometheus_wants(metric: Metric) -> None:
    """Counters end in _total, histograms in a unit, gauges in neither of the two."""
    assert re.fullmatch(r"jira_bridge_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_seconds") or metric.kind is not Kind.HISTOGRAM


def test_states_that_share_a_metric_agree_on_it() -> None:
    """A gauge that two states set is one gauge, with the same labels."""
    for name, sharing in groupby(METRICS, key=lambda metric: metric.name):
        assert len({(metric.kind, metric.labels) for metric in sharing}) == 1, name


def test_what_needs_an_operator_says_what_to_do() -> None:
    """Every warning and every error has a sentence of advice, and all meanings are sentences."""
    for name, state in STATES.items():
        assert state.meaning.endswith("."), name
        assert bool(state.advice) or state.level in {"debug", "info"}, name


def test_tee_tells_everyone() -> None:
    """Each observer hears the state and its fields, in order."""
    heard: list[tuple[str, str, object]] = []

    def ear(name: str):  # type: ignore[no-untyped-def] # noqa: ANN202
        return lambda state, /, **fields: heard.append((name, state, fields))

    tee(ear("a"), ear("b"))("listening", port=1)
    assert heard == [("a", "listening", {"port": 1}), ("b", "listening", {"port": 1})]
