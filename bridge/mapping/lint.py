"""What is wrong with a mapping file, or looks so, each with its place and what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import BaseModel

from bridge.errors import BadBody, ConfigError
from bridge.mapping.document import Document
from bridge.mapping.examples import results
from bridge.mapping.expressions import Expression, Template
from bridge.mapping.rules import Data, RuleMapping, is_of, parse_mapping, strange_rules
from bridge.mapping.schema import Rule

Key = tuple[str | int, ...]

EVENT = ("type", "source", "id", "endpoint", "subject")
_LITERALS = frozenset({"true", "false", "null"})
_PATH = re.compile(r"(body|event|item|state)(\.\w+)+", re.ASCII)
_CONDITIONS = ("when", "delete_when", "resolved_when", "draft", "bot")


class Finding(NamedTuple):
    """One thing to say against a file: `FILE:LINE:COLUMN`, the key, and what about it."""

    place: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


def lint(
    text: str, name: str, bases: Mapping[str, Data], types: Mapping[str, frozenset[str]]
) -> list[Finding]:
    """All that can be said against a file; `types` are those of the events of each kind of source.

    Where the file cannot be read at all, that alone is said.
    """
    try:
        mapping = parse_mapping(text, name, bases)
    except ConfigError as error:
        return [_finding(line) for line in str(error).splitlines()]
    document = Document(text, name)
    said = (
        *strange_rules(document.data, bases),
        *_sources(mapping, types),
        *_expressions(mapping),
        *_rules(mapping),
        *_shadowed(mapping),
    )
    found = [Finding(document.place(key), ".".join(map(str, key)), told) for key, told in said]
    found += [
        Finding(document.place(("tests", place)), f"tests.{place}", f"{test!r} fails: {wrong}")
        for place, (test, wrong) in enumerate(results(mapping))
        if wrong
    ]
    # What stands in a part that is extended is not this file's to mend.
    return [each for each in found if mapping.extends is None or _is_own(document.data, each.key)]


def _finding(line: str) -> Finding:
    place, _, told = line.partition(": ")
    return Finding(place, "", told)


def _is_own(data: object, key: str) -> bool:
    for step in key.split("."):
        if isinstance(data, dict) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdecimal():
            data = data[int(step)]
        else:
            return False
    return True


def _sources(mapping: RuleMapping, types: Mapping[str, frozenset[str]]) -> Iterator[tuple[Key, str]]:
    for kind in mapping.file.source:
        if kind not in types:
            near = _meant(kind, types) or "; systems without one come in by standard-webhooks, hmac or token"
            yield ("source",), f"no source {kind} is installed{near}"
    known = frozenset[str]().union(*(types.get(kind, ()) for kind in mapping.sources))
    for key, match in (
        *((("skip_when", name, "type"), match) for name, match in mapping.file.skip_when.items()),
        *((("rules", name, "match", "type"), rule.match) for name, rule in mapping.file.rules.items()),
    ):
        for type_ in match.type:
            if known and not any(is_of(type_.rstrip("*"), (each,)) or each == type_ for each in known):
                for meant in get_close_matches(type_, known, 1, 0.8):
                    told = f"`{type_}` is no type that the built-in mapping knows; did you mean `{meant}`?"
                    yield key, told


def _expressions(mapping: RuleMapping) -> Iterator[tuple[Key, str]]:
    for name, match in mapping.file.skip_when.items():
        if match.when is not None:
            yield from _about(("skip_when", name, "when"), match.when, {"body", "event"})
    for name, rule in mapping.file.rules.items():
        item = {"item"} if rule.each is not None else set()
        if item and not any("item" in field[:1] for _, each in _within(rule, ()) for field in each.fields):
            yield ("rules", name, "each"), "is never used: nothing is of `item`"
        for key, expression in _within(rule, ("rules", name)):
            above = key[2] in ("match", "each")
            shown = {"state"} if key[2] == "link" else set()
            yield from _about(key, expression, {"body", "event", *(() if above else item), *shown})


def _within(part: object, key: Key) -> Iterator[tuple[Key, Expression]]:
    """The expressions in a part of the file, each with its key."""
    if isinstance(part, Expression):
        yield key, part
    elif isinstance(part, Template):
        yield from ((key, each) for each in part.expressions)
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _within(getattr(part, name), (*key, name))
    elif isinstance(part, tuple):
        for place, each in enumerate(part):
            yield from _within(each, (*key, place))


def _about(key: Key, expression: Expression, roots: set[str]) -> Iterator[tuple[Key, str]]:
    for root, *rest in sorted(field for field in expression.fields if field):
        if root in expression.misquoted:
            continue
        if root not in roots and root in _LITERALS:
            yield (
                key,
                f"`{root}` is taken for a field; literally it is written in backticks: `` `{root}` ``",
            )
        elif root not in roots:
            whole = ".".join((root.lower() if root.lower() in roots else f"body.{root}", *rest))
            meant = f"did you mean `{whole}`?" if root not in {"item", "state"} else _only(root)
            yield key, f"`{root}` is not known here: there are {', '.join(sorted(roots))}; {meant}"
        elif root == "event" and rest and rest[0] not in EVENT:
            yield key, f"`event` has no `{rest[0]}`{_meant(rest[0], EVENT)}; it has {', '.join(EVENT)}"
    for told in expression.contradictions():
        yield key, told if told.startswith(f"`{expression.text}`") else f"`{expression.text}`: {told}"
    if expression.constant and key[-1] in _CONDITIONS and not _is_plain(key, expression):
        try:
            holds = "always holds" if expression.is_true({}) else "never holds"
        except BadBody:
            holds = "can never be computed"
        yield key, f"`{expression.text}` {holds}: it does not depend on the event"


def _rules(mapping: RuleMapping) -> Iterator[tuple[Key, str]]:
    for name, rule in mapping.file.rules.items():
        for key, told in (*_texts_of(rule), *_states_of(rule)):
            yield ("rules", name, *key), told


def _texts_of(rule: Rule) -> Iterator[tuple[Key, str]]:
    for part in ("subject", "link"):
        for field, text in getattr(rule, part):
            if isinstance(text, Template):
                yield from (((part, field), told) for told in _about_text(text))
    yield from ((("subject", "id"), told) for told in _about_id(rule.subject.id))


def _about_id(text: Template) -> Iterator[str]:
    if not text.expressions and not _PATH.fullmatch(text.source):
        yield "is the same of all events, which then have one link"


def _about_text(text: Template) -> Iterator[str]:
    written = text.source
    if not text.expressions and _PATH.fullmatch(written):
        yield f"`{written}` is written as it is; in a text an expression stands in braces: `{{{written}}}`"
    if "${" in written:
        yield "`$` before a brace is written as it is; an expression has braces alone"


def _is_plain(key: Key, expression: Expression) -> bool:
    """Whether it says `true` of all events that match, where that says something."""
    return key[-1] != "when" and expression.text == "`true`"


def _only(root: str) -> str:
    return "`item` is there with `each`" if root == "item" else "`state` is there in `link`"


def _states_of(rule: Rule) -> Iterator[tuple[Key, str]]:
    if rule.state is None:
        if rule.states:
            yield ("states",), "are never looked at: the rule has no `state`"
        return
    outcomes = rule.state.outcomes
    if outcomes is None:
        return
    for state in rule.states:
        if state not in outcomes:
            yield ("states", state), f"is never met: `state` gives {', '.join(sorted(outcomes))}"
    for outcome in sorted(outcomes - rule.states.keys()):
        yield ("state",), f"gives `{outcome}`, which `states` does not have{_meant(outcome, rule.states)}"


def _shadowed(mapping: RuleMapping) -> Iterator[tuple[Key, str]]:
    for reason, skip in mapping.file.skip_when.items():
        if skip.when is None:
            for name, rule in mapping.file.rules.items():
                if all(is_of(type_.rstrip("*"), skip.type) for type_ in rule.match.type):
                    yield ("skip_when", reason), f"has all types of rules.{name}, which never speaks"


def _meant(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = get_close_matches(word, list(known), 1)
    return f"; did you mean `{near[0]}`?" if near else ""
