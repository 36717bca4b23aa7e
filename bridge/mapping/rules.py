"""Mappings in the users' own format: a YAML file of rules that carries its own tests.

All rules that match an event speak, each of one object (or of several, with `each`). The format
is `bridge.mapping.schema`; `builtin/github.yaml` is an example of all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import partial
from typing import Any

from pydantic import ValidationError

from bridge.errors import BadBody, BadLink, ConfigError, Unmappable
from bridge.mapping.bounds import Scope, TooMuch
from bridge.mapping.document import Document, merge_patch
from bridge.mapping.expressions import Expression, Template
from bridge.mapping.identity import MAX_UNITS, clip, global_id, web_url
from bridge.mapping.mapper import NO_ISSUE_KEY, NOT_OF_INTEREST, Mapped, Mentions, Sites, Wish
from bridge.mapping.schema import Issues, LinkTexts, MappingFile, Match, Rule, State, keys_at
from bridge.model import Action, Event, Link, RemoteObject, Status
from bridge.times import parse_time

MAX_ITEMS = 2048
"""Items of `each`; the most commits that GitHub sends with a push."""

MAX_SEQUENCE = 2**63 - 1
_SEQUENCE_BASE = 10_000
_MAX_TYPES = 1_000

_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?([^/?#@]+)", re.ASCII | re.IGNORECASE)

Data = dict[str, Any]
"""A mapping file, as YAML has it."""


def parse_mapping(text: str, name: str, bases: Mapping[str, Data] | None = None) -> RuleMapping:
    """The mapping in a file's text; `bases` are what it may extend, by kind.

    Raises ConfigError, with a line for each fault, its place in the file and its key.
    """
    document = Document(text, name)
    data = _extended(document, bases or {})
    try:
        return RuleMapping(name, MappingFile.model_validate(data), extends=document.data.get("extends"))
    except ValidationError as error:
        strange = (
            f"{document.place(key)}: {'.'.join(key)}: {told}"
            for key, told in strange_rules(document.data, bases or {})
        )
        raise ConfigError("\n".join((*strange, *_faults(document, error)))) from None


def strange_rules(data: Data, bases: Mapping[str, Data]) -> Iterator[tuple[tuple[str, str], str]]:
    """The rules that what is extended has by nearly the same name, each with what is said of it."""
    kind, own = data.get("extends"), data.get("rules")
    if isinstance(kind, str) and kind in bases and isinstance(own, dict):
        known = bases[kind]["rules"]
        for name in own.keys() - known.keys():
            for near in get_close_matches(str(name), known, 1):
                yield ("rules", str(name)), f"is no rule of {kind}; did you mean `{near}`?"


def _extended(document: Document, bases: Mapping[str, Data]) -> Data:
    data = document.data
    if "extends" not in data:
        return data
    kind, own = data["extends"], {name: value for name, value in data.items() if name != "extends"}
    if not isinstance(kind, str) or kind not in bases:
        near = get_close_matches(str(kind), bases, 1)
        meant = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(sorted(bases))}"
        raise ConfigError(
            f"{document.place(['extends'])}: extends: there is no built-in mapping of that name; {meant}"
        )
    if "source" in own:
        raise ConfigError(f"{document.place(['source'])}: source: is that of the mapping that is extended")
    base = {name: value for name, value in bases[kind].items() if name != "tests"}
    merged: Data = merge_patch(base, own)
    return merged


def _faults(document: Document, error: ValidationError) -> Iterator[str]:
    faults = error.errors(include_url=False, include_input=False)
    for fault in faults:
        key = fault["loc"][:-1] if fault["loc"][-1:] == ("[key]",) else fault["loc"]
        is_of_others = any(key == other["loc"][: len(key)] != other["loc"] for other in faults)
        if fault["type"] == "too_short" and is_of_others:
            continue  # items that are at fault themselves are not counted
        told = _fault(key, fault["type"], fault["msg"], fault.get("ctx", {}))
        yield f"{document.place(key)}: {'.'.join(map(str, key)) or '(file)'}: {told}"


_EXPECTED = {
    "missing": "is missing",
    "tuple_type": "expected a list, as `[…]`",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "string_type": "expected a text; a number or true as a text stands in quotes",
    "too_short": "expected at least one",
}
"""What is said of pydantic's kinds of fault, whose own words are about Python."""


def _fault(key: tuple[str | int, ...], kind: str, message: str, context: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        known = keys_at(key[:-1])
        near = get_close_matches(str(key[-1]), known, 1)
        return f"is not known; {f'did you mean `{near[0]}`?' if near else 'there are ' + ', '.join(known)}"
    if kind in {"dict_type", "model_type", "model_attributes_type"}:
        return f"expected keys with values, as `{{{next(iter(keys_at(key)), 'name')}: …}}`"
    if kind == "string_pattern_mismatch":
        return f"expected small letters and digits, with {'_' if '_' in message else '-'} between"
    if kind == "literal_error":
        return "expected " + " or ".join(f"`{each}`" for each in re.findall("'([^']*)'", context["expected"]))
    told = message.removeprefix("Value error, ").replace("Input should be", "expected a value")
    return _EXPECTED.get(kind, told)


class RuleMapping:
    """`bridge.mapping.mapper.EventMapping` of a file.

    `name` is the file's, `extends` the kind whose built-in mapping it is laid over.
    """

    def __init__(self, name: str, file: MappingFile, extends: str | None = None) -> None:
        self.name = name
        self.file = file
        self.extends = extends
        self.sources = frozenset(file.source)
        self._known: dict[str, tuple[tuple[tuple[str, Match], ...], tuple[Rule, ...]]] = {}

    @property
    def types(self) -> frozenset[str]:
        """The types of event that it speaks of, as they are written in the file."""
        matches = (*self.file.skip_when.values(), *(rule.match for rule in self.file.rules.values()))
        return frozenset(type_ for match in matches for type_ in match.type)

    def map(self, event: Event, sites: Sites) -> Mapped:
        """The wishes of all rules that speak of the event. Raises BadBody and BadLink."""
        skips, rules = self._of_type(event.type)
        if not (skips or rules):
            return Mapped(skipped=NOT_OF_INTEREST)
        data = document_of(event)
        for reason, match in skips:
            if holds(match.when, data):
                return Mapped(skipped=reason)
        speaking = [rule for rule in rules if holds(rule.match.when, data)]
        wishes: list[Wish] = []
        reasons = [NO_ISSUE_KEY if speaking else NOT_OF_INTEREST]
        faults: list[Unmappable] = []
        for rule, each in [(one, each) for one in speaking for each in items_of(one, data)]:
            try:  # one alert of a hundred must not take the others with it
                named = sites.named(mentions(rule.issues, each), each, partial(facts, rule, each))
                reasons += [named.ignored] if named.ignored else []
                if rule.action is Action.SET or any(named.keys.values()):
                    wishes += self._spoken(rule, event, each, named.keys)
            except TooMuch:
                raise
            except Unmappable as fault:
                faults.append(fault)
        if faults and not wishes:
            raise faults[0]
        return Mapped(tuple(wishes), None if wishes else reasons[-1], faults[0] if faults else None)

    def _of_type(self, type_: str) -> tuple[tuple[tuple[str, Match], ...], tuple[Rule, ...]]:
        """The skips and the rules of a type. Types are the senders' to choose: few are remembered."""
        known = self._known.get(type_)
        if known is None:
            skips = tuple(pair for pair in self.file.skip_when.items() if is_of(type_, pair[1].type))
            known = skips, tuple(rule for rule in self.file.rules.values() if is_of(type_, rule.match.type))
            if len(self._known) < _MAX_TYPES and len(type_) <= MAX_UNITS:
                self._known[type_] = known
        return known

    def _spoken(
        self, rule: Rule, event: Event, data: Scope, named: Mapping[str, tuple[str, ...]]
    ) -> Iterator[Wish]:
        subject = self.global_id(rule, event, data)
        sequence, time = sequence_of(rule, data), time_of(rule, event, data)
        name, state = state_of(rule, data)
        is_gone = rule.delete_when is not None and rule.delete_when.is_true(data)
        action = Action.DELETE if is_gone and rule.action is Action.UPSERT else rule.action
        link = None
        if any(named.values()) and not is_gone:
            link = self.link(rule, data.having(state={"name": name, "title": state and state.title}), state)
        for site, keys in named.items():
            sets = [() if is_gone else keys] if rule.action is Action.SET else [(key,) for key in keys]
            for issues in sets:
                shown = link if issues else None
                yield Wish(action, site, subject, issues, shown, sequence, time, rank(state))

    def global_id(self, rule: Rule, event: Event, data: Scope) -> str:
        """What the rule's object is called. Raises BadBody for one without an id."""
        account = rule.subject.system.text(data, whole=True) if rule.subject.system else event.source
        found = _AUTHORITY.match(account)
        system = f"{self.file.source[0]}:{found[1].lower() if found else account}"
        return global_id(system, rule.subject.type, rule.subject.id.text(data, whole=True))

    def link(self, rule: Rule, data: Scope, state: State | None) -> Link:
        """The link as the rule writes it. Raises BadBody and BadLink."""
        texts: LinkTexts = rule.link
        title = _clipped(texts.title, data)
        if not title:
            raise BadLink("title: is blank")
        shown = RemoteObject(
            url=web_url(texts.url.text(data), "url"),
            title=title,
            summary=_clipped(texts.summary, data),
            icon=self.file.icon and self.file.icon.part,
            status=_status(rule, data, state),
        )
        relationship = _clipped(texts.relationship, data)
        return Link(object=shown, application=self.file.application.part, relationship=relationship)


# --- the parts of a rule -------------------------------------------------------------------


def document_of(event: Event) -> Scope:
    """What a mapping's expressions are of. Raises BadBody unless the event's data is an object."""
    if not isinstance(event.data, dict):
        raise BadBody("The event's data is not an object.")
    told = {
        "type": event.type,
        "source": event.source,
        "id": event.id,
        "endpoint": event.endpoint,
        "subject": event.subject,
    }
    return Scope({"body": event.data, "event": told})


def is_of(type_: str, types: tuple[str, ...]) -> bool:
    """Whether a type is among `types`, in which a * at the end is any ending."""
    return any(type_.startswith(each[:-1]) if each.endswith("*") else type_ == each for each in types)


def holds(when: Expression | None, data: Scope) -> bool:
    """Whether a condition holds; none always does."""
    return when is None or when.is_true(data)


def items_of(rule: Rule, data: Scope) -> list[Scope]:
    """What the rule's expressions are of: the data, or the data with each of its items. Raises BadBody."""
    if rule.each is None:
        return [data]
    items = rule.each.value(data)
    if not isinstance(items, list | None):
        raise BadBody(f"`{rule.each.text}` is not a list.")
    if items and len(items) > MAX_ITEMS:
        raise BadBody(f"`{rule.each.text}` has {len(items)} items; {MAX_ITEMS} are allowed.")
    return [data.having(item=item) for item in items or ()]


def mentions(issues: Issues, data: Scope) -> Mentions:
    """The texts in which issue keys are looked for. Raises BadBody."""
    texts, branches, tags = (
        [text for each in expressions for text in each.texts(data)]
        for expressions in (issues.texts, issues.branches, issues.tags)
    )
    return Mentions(texts, branches, tags)


def facts(rule: Rule, data: Scope) -> frozenset[str]:
    """Which of `draft` and `bot` hold."""
    told = (("draft", rule.draft), ("bot", rule.bot))
    return frozenset(name for name, when in told if when is not None and when.is_true(data))


def sequence_of(rule: Rule, data: Scope) -> int:
    """One number that orders as the parts do; of all but the first, 9,999 is the greatest."""
    sequence = 0
    for place, part in enumerate(rule.version.sequence):
        value = part.value(data)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise BadBody(f"`{part.text}` is not a number of a sequence.")
        sequence = sequence * _SEQUENCE_BASE + min(value, _SEQUENCE_BASE - 1) if place else value
    if sequence > MAX_SEQUENCE:
        raise BadBody("The sequence is out of range.")
    return sequence


def time_of(rule: Rule, event: Event, data: Scope) -> datetime:
    """The rule's own time where it has one and the body tells it, else the event's."""
    told = rule.version.time and parse_time(rule.version.time.value(data))
    return told or event.time


def state_of(rule: Rule, data: Scope) -> tuple[str, State | None]:
    """The state's name, and the state as the table has it; others are shown by their name."""
    if rule.state is None:
        return "", None
    value = rule.state.value(data)
    if not isinstance(value, str) or not value:
        raise BadBody(f"`{rule.state.text}` is not the name of a state.")
    return value, rule.states.get(value) or State.model_construct(title=clip(value.replace("_", " ")))


def rank(state: State | None) -> int:
    """The state's rank; without a state there is one rank only."""
    return state.rank if state else 0


def _status(rule: Rule, data: Scope, state: State | None) -> Status | None:
    if rule.resolved_when is None:
        return state.part if state else None
    resolved = rule.resolved_when.is_true(data)
    return state.shown(resolved) if state else Status(resolved=resolved)


def _clipped(text: Template | None, data: Scope) -> str | None:
    return clip(text.text(data)) if text else None
