"""Any JSON, and documents in which any part was exchanged for it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
"""What orjson can read."""


def damaged(document: Any) -> st.SearchStrategy[Any]:
    """The document with one to three of its parts, at any depth, exchanged for any JSON."""
    places = list(_places(document, ()))
    changes = st.lists(st.tuples(st.sampled_from(places), JSON), min_size=1, max_size=3)
    return changes.map(lambda given: _changed(document, given))


def _places(part: Any, path: tuple[str | int, ...]) -> Any:
    yield path
    steps = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for step, inner in steps:
        yield from _places(inner, (*path, step))


def _changed(document: Any, changes: list[tuple[tuple[str | int, ...], Any]]) -> Any:
    for path, value in changes:
        document = _exchanged(document, path, value)
    return document


def _exchanged(part: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(part, dict) and step in part:
        return {**part, step: _exchanged(part[step], rest, value)}
    if isinstance(part, list) and isinstance(step, int) and step < len(part):
        return [*part[:step], _exchanged(part[step], rest, value), *part[step + 1 :]]
    return part
