"""Mappings in the users' own format: a YAML file of rules that carries its own tests.

Of an event, all rules of its type speak, each of one object (or of several, with `each`). The
format is `bridge.mapping.schema`; `builtin/github.yaml` is an example of all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from bridge.errors import BadBody, BadLink, ConfigError
from bridge.mapping.expressions import Expression, Template
from bridge.mapping.identity import clip, global_id, web_url
from bridge.mapping.mapper import NO_ISSUE_KEY, NOT_OF_INTEREST, Mapped, Sites, Wish
from bridge.mapping.schema import Example, LinkTexts, MappingFile, Rule, Skip, State
from bridge.model import Action, Event, Link, RemoteObject

MAX_ITEMS = 2048
"""Items of `each`; the most commits that GitHub sends with a push."""

MAX_SEQUENCE = 2**63 - 1
_SEQUENCE_BASE = 10_000

_NO_STATE = State(title="", rank=0)
_Part = TypeVar("_Part", Skip, Rule)
_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]+)", re.ASCII | re.IGNORECASE)


def parse_mapping(text: str, name: str) -> RuleMapping:
    """The mapping in a file's text. Raises ConfigError, which names the file and all bad keys."""
    try:
        return RuleMapping(name, MappingFile.model_validate(yaml.safe_load(text)))
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        lines = (
            f"{name}: {'.'.join(map(str, fault['loc'])) or '(file)'}: {fault['msg']}" for fault in faults
        )
        raise ConfigError("\n".join(lines)) from None


class RuleMapping:
    """`bridge.mapping.mapper.Mapping` of a file.

    `name` is the file's, `types` are those of the events that it speaks of.
    """

    def __init__(self, name: str, file: MappingFile) -> None:
        self.name = name
        self.source = file.source
        self.tests: tuple[Example, ...] = file.tests
        self._file = file
        self._skips = _by_type(file.skip)
        self._rules = _by_type(file.rules)
        self.types = frozenset(self._skips) | frozenset(self._rules)

    def map(self, event: Event, sites: Sites) -> Mapped:
        """The wishes of all rules that speak of the event. Raises BadBody and BadLink."""
        skips, rules = self._skips.get(event.type, ()), self._rules.get(event.type, ())
        if not (skips or rules):
            return Mapped(skipped=NOT_OF_INTEREST)
        if not isinstance(event.data, dict):
            raise BadBody("The event's data is not an object.")
        for skip in skips:
            if _holds(skip.when, event.data):
                return Mapped(skipped=skip.reason)
        speaking = [rule for rule in rules if _holds(rule.when, event.data)]
        wishes = tuple(wish for rule in speaking for wish in self._wishes(rule, event, sites))
        if wishes:
            return Mapped(wishes)
        return Mapped(skipped=NO_ISSUE_KEY if speaking else NOT_OF_INTEREST)

    def _wishes(self, rule: Rule, event: Event, sites: Sites) -> Iterator[Wish]:
        for data in _documents(rule.each, event.data):
            texts = [text for each in rule.keys.texts for text in each.texts(data)]
            branches = [text for each in rule.keys.branches for text in each.texts(data)]
            named = sites.named(texts, branches)
            if rule.action is Action.SET or any(named.values()):
                yield from self._spoken(rule, event, data, named)

    def _spoken(
        self, rule: Rule, event: Event, data: dict[str, Any], named: dict[str, tuple[str, ...]]
    ) -> Iterator[Wish]:
        subject = global_id(_system(event), rule.object, rule.id.text(data, whole=True))
        sequence, state = _sequence(rule.sequence, data), _state(rule, data)
        link = self._link(rule.link, state, data) if rule.link and any(named.values()) else None
        for site, keys in named.items():
            for issues in [keys] if rule.action is Action.SET else [(key,) for key in keys]:
                shown = link if issues else None
                yield Wish(rule.action, site, subject, issues, shown, sequence, event.time, state.rank)

    def _link(self, texts: LinkTexts, state: State, data: dict[str, Any]) -> Link:
        data = {**data, "state_title": state.title}
        title = _clipped(texts.title, data)
        if not title:
            raise BadLink("title: is blank")
        shown = RemoteObject(
            url=web_url(texts.url.text(data), "url"),
            title=title,
            summary=_clipped(texts.summary, data),
            icon=self._file.icon and self._file.icon.part,
            status=None if state is _NO_STATE else state.part,
        )
        relationship = _clipped(texts.relationship, data)
        return Link(object=shown, application=self._file.application.part, relationship=relationship)


def _by_type(parts: tuple[_Part, ...]) -> dict[str, tuple[_Part, ...]]:
    types = {type_ for part in parts for type_ in part.types}
    return {type_: tuple(part for part in parts if type_ in part.types) for type_ in types}


def _holds(when: Expression | None, data: dict[str, Any]) -> bool:
    return when is None or when.is_true(data)


def _documents(each: Expression | None, data: dict[str, Any]) -> list[dict[str, Any]]:
    """What expressions are evaluated on: the data, or the data beside each of its items."""
    if each is None:
        return [data]
    items = each.value(data)
    if not isinstance(items, list | None):
        raise BadBody(f"`{each.text}` is not a list.")
    if items and len(items) > MAX_ITEMS:
        raise BadBody(f"`{each.text}` has {len(items)} items; {MAX_ITEMS} are allowed.")
    return [{**data, "item": item} for item in items or ()]


def _system(event: Event) -> str:
    """The kind and the host (or the whole source, where it is no URL)."""
    found = _AUTHORITY.match(event.source)
    return f"{event.kind}:{found[1].lower() if found else event.source}"


def _sequence(parts: tuple[Expression, ...], data: dict[str, Any]) -> int:
    """One number that orders as the parts do; of all but the first, 9,999 is the greatest."""
    sequence = 0
    for place, part in enumerate(parts):
        value = part.value(data)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadBody(f"`{part.text}` is not a number of a sequence.")
        sequence = sequence * _SEQUENCE_BASE + min(value, _SEQUENCE_BASE - 1) if place else value
    if sequence > MAX_SEQUENCE:
        raise BadBody("The sequence is out of range.")
    return sequence


def _state(rule: Rule, data: dict[str, Any]) -> State:
    """The state as the table has it; one that the vendor has added since is shown by its name."""
    if rule.state is None:
        return _NO_STATE
    value = rule.state.value(data)
    if not isinstance(value, str) or not value:
        raise BadBody(f"`{rule.state.text}` is not the name of a state.")
    return rule.states.get(value) or State.model_construct(title=clip(value.replace("_", " ")))


def _clipped(text: Template | None, data: dict[str, Any]) -> str | None:
    return clip(text.text(data)) if text else None
