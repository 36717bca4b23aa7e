"""How a mapping reads one event, told step by step: which rule speaks, and why the others do not.

The steps are told with the parts that `bridge.mapping.rules` maps with; what comes of it in the
end is what `RuleMapping.map` itself returns.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import orjson

from bridge.errors import Unmappable
from bridge.mapping.bounds import Scope
from bridge.mapping.examples import plain
from bridge.mapping.expressions import Expression
from bridge.mapping.mapper import Mapped, Sites
from bridge.mapping.rules import (
    RuleMapping,
    document_of,
    facts,
    is_of,
    items_of,
    mentions,
    sequence_of,
    state_of,
    time_of,
)
from bridge.mapping.schema import Match, Rule
from bridge.model import Action, Event

_SHOWN = 200
_ITEMS = 20


class Step(NamedTuple):
    """One thing that is told, and how deep it stands below the one before."""

    depth: int
    text: str


def trial(mapping: RuleMapping, event: Event, sites: Sites) -> Iterator[Step]:
    """All steps, and what comes of them. Never raises: an error is a step."""
    yield Step(0, f"An event of {event.kind}: type {event.type}, source {event.source}")
    yield Step(1, f"time {event.time.isoformat()}, id {event.id}")
    try:
        data = document_of(event)
    except Unmappable as error:
        yield Step(0, _failure(error))
        return
    for reason, match in mapping.file.skip_when.items():
        yield from _about(f"skip_when {reason}", _matched(match, event, data))
    for name, rule in mapping.file.rules.items():
        steps = list(_matched(rule.match, event, data))
        yield from _about(f"rule {name}", iter(steps))
        if steps[-1].text == _SPEAKS:
            yield from _told(mapping, rule, event, data, sites)
    yield from _outcome(mapping, event, sites)


_SPEAKS = "it is meant"


def _about(what: str, steps: Iterator[Step]) -> Iterator[Step]:
    yield Step(0, what)
    yield from steps


def _matched(match: Match, event: Event, data: Scope) -> Iterator[Step]:
    types = ", ".join(match.type)
    if not is_of(event.type, match.type):
        yield Step(1, f"not meant: the type {event.type} is not {types}")
        return
    if match.when is None:
        yield Step(1, _SPEAKS)
        return
    try:
        holds = match.when.is_true(data)
    except Unmappable as error:
        yield Step(1, _failure(error))
        return
    yield from _condition("when", match.when, data)
    yield Step(1, _SPEAKS if holds else "not meant: the condition does not hold")


def _told(mapping: RuleMapping, rule: Rule, event: Event, data: Scope, sites: Sites) -> Iterator[Step]:
    try:
        items = items_of(rule, data)
    except Unmappable as error:
        yield Step(1, _failure(error))
        return
    if rule.each is not None:
        yield Step(1, f"each `{rule.each.text}`: {len(items)} items")
    for place, each in enumerate(items[:_ITEMS]):
        depth = 1
        if rule.each is not None:
            yield Step(1, f"item {place}")
            depth = 2
        try:
            for text in _object(mapping, rule, event, each, sites):
                yield Step(depth, text)
        except Unmappable as error:
            yield Step(depth, _failure(error))
    if len(items) > _ITEMS:
        yield Step(1, f"… and {len(items) - _ITEMS} more items")


def _object(mapping: RuleMapping, rule: Rule, event: Event, data: Scope, sites: Sites) -> Iterator[str]:
    """The lines about one object. Raises Unmappable where the mapping does."""
    for kind in ("texts", "branches", "tags"):
        for expression in getattr(rule.issues, kind):
            yield f"issues in {kind} `{expression.text}`: {_shown(expression.texts(data))}"
    named = sites.named(mentions(rule.issues, data), data, partial(facts, rule, data))
    for site, keys in named.keys.items():
        yield f"names on site {site}: {', '.join(keys) or 'no issue'}"
    if named.ignored:
        yield f"is left out by the endpoint's route: {named.ignored}"
    if rule.action is not Action.SET and not any(named.keys.values()):
        yield "says nothing: it adds links, and names no issue"
        return
    yield f"subject: {mapping.global_id(rule, event, data)}"
    yield f"version: sequence {sequence_of(rule, data)}, time {time_of(rule, event, data).isoformat()}"
    name, state = state_of(rule, data)
    if state is not None and rule.state is not None:
        known = "" if name in rule.states else ", which the table does not have"
        resolved = "resolved" if state.resolved else "not resolved"
        yield f"state `{rule.state.text}`: {name}{known}: {state.title}, {resolved}, rank {state.rank}"
    for what in ("delete_when", "resolved_when"):
        condition: Expression | None = getattr(rule, what)
        if condition is not None:
            yield f"{what} `{condition.text}`: {'holds' if condition.is_true(data) else 'does not hold'}"


def _condition(what: str, condition: Expression, data: Scope) -> Iterator[Step]:
    yield Step(1, f"{what} `{condition.text}`")
    for part, value in condition.parts(data):
        yield Step(2, f"`{part}` is {_shown(value)}")


def _outcome(mapping: RuleMapping, event: Event, sites: Sites) -> Iterator[Step]:
    yield Step(0, "What comes of it")
    try:
        mapped: Mapped = mapping.map(event, sites)
    except Unmappable as error:
        yield Step(1, _failure(error))
        return
    if mapped.skipped:
        yield Step(1, f"skipped: {mapped.skipped}")
    for wish in mapped.wishes:
        told = plain(wish)
        issues = ", ".join(told["issues"]) or "no issue"
        yield Step(1, f"{told['action']} {issues} on site {wish.site}: {told['globalId']}")
        for line in _lines(told["link"] or {}):
            yield Step(2, line)


def _lines(value: dict[str, Any], place: str = "") -> Iterator[str]:
    for name, each in value.items():
        if isinstance(each, dict):
            yield from _lines(each, f"{place}{name}.")
        else:
            yield f"{place}{name}: {each}"


def _failure(error: Unmappable) -> str:
    return f"rejected ({error.code}): {error}"


def _shown(value: object) -> str:
    try:
        text = orjson.dumps(value, default=str).decode()
    except orjson.JSONEncodeError:  # it reads deeper than it writes
        return "nested too deeply to be shown"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
