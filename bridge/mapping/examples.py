"""Runs the tests that a mapping file carries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.errors import BridgeError
from bridge.mapping.mapper import Mapped, Mapper, Site, Wish
from bridge.mapping.rules import RuleMapping
from bridge.mapping.schema import Example
from bridge.model import EPOCH, Event


def failures(mapping: RuleMapping) -> Iterator[str]:
    """A line for each of the file's tests that fails, with its name and the difference."""
    mapper = Mapper([mapping], [Site("test", None)])
    for example in mapping.tests:
        difference = _difference(example, mapper, mapping.source)
        if difference:
            yield f"{mapping.name}: {example.name}: {difference}"


def plain(wish: Wish) -> dict[str, Any]:
    """A wish as a test expects it."""
    return {
        "action": wish.action.value,
        "globalId": wish.global_id,
        "issues": list(wish.issues),
        "sequence": wish.sequence,
        "rank": wish.rank,
        "link": wish.link and wish.link.normal,
    }


def _difference(example: Example, mapper: Mapper, kind: str) -> str | None:
    event = Event("test", example.source, example.type, EPOCH, example.data, kind)
    try:
        mapped = mapper.map(event)
    except BridgeError as error:
        return f"{error.code}: {error}"
    if mapped.skipped != example.expect.skipped:
        return f"skipped: {mapped.skipped}, expected {example.expect.skipped}"
    return _wishes_difference(example, mapped)


def _wishes_difference(example: Example, mapped: Mapped) -> str | None:
    expected = example.expect.wishes
    if len(mapped.wishes) != len(expected):
        return f"{len(mapped.wishes)} wishes, expected {len(expected)}"
    for place, (wish, partly) in enumerate(zip(mapped.wishes, expected, strict=True)):
        found = next(_unlike(plain(wish), partly, f"wishes.{place}"), None)
        if found:
            return found
    return None


def _unlike(found: Any, partly: Any, place: str) -> Iterator[str]:  # noqa: ANN401 - JSON documents
    """Where `found` lacks something of `partly`; objects may have more than is expected."""
    if isinstance(found, dict) and isinstance(partly, dict):
        for name, value in partly.items():
            yield from _unlike(found.get(name), value, f"{place}.{name}")
    elif found != partly:
        yield f"{place}: {found!r}, expected {partly!r}"
