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
    for name, difference in results(mapping):
        if difference:
            yield f"{mapping.name}: {name}: {difference}"


def results(mapping: RuleMapping) -> Iterator[tuple[str, str | None]]:
    """The file's tests by name, each with what differs from its expectation, None for nothing."""
    mapper = Mapper([mapping], [Site("test", None)])
    for example in mapping.file.tests:
        yield example.name, _difference(example, mapper, min(mapping.sources))


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
    event = Event(
        "test",
        example.source,
        example.type,
        EPOCH,
        example.payload,
        kind,
        example.subject,
        example.endpoint,
    )
    try:
        mapped = mapper.map(event)
    except BridgeError as error:
        return None if error.code == example.rejected else f"rejected: {error.code}: {error}"
    if example.rejected:
        return f"rejected: nothing, expected {example.rejected}"
    if mapped.skipped != example.skipped:
        return f"skipped: {mapped.skipped or 'nothing'}, expected {example.skipped or 'changes'}"
    return _changes_difference(example, mapped)


def _changes_difference(example: Example, mapped: Mapped) -> str | None:
    expected = example.changes
    if len(mapped.wishes) != len(expected):
        return f"{len(mapped.wishes)} changes, expected {len(expected)}"
    for place, (wish, partly) in enumerate(zip(mapped.wishes, expected, strict=True)):
        found = next(_unlike(plain(wish), partly, f"changes.{place}"), None)
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
