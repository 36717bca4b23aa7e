"""What an expression may cost: its work is counted while it is evaluated, and its texts are measured.

JMESPath has no loops, but `[@, @] | [@, @] | …` doubles with every step. Nothing of an event or of a
mapping may make the bridge stand still.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.errors import BadBody

MAX_WORK = 1_000_000
"""Steps and elements of one evaluation, some 0.1 µs each: a push of 2,048 commits takes a tenth."""

MAX_EVENT_WORK = 5_000_000
"""The same of all expressions that one event meets, each as often as the event has items."""

MAX_TEXT = 1_000_000
"""Characters of a text that a function makes."""

_CHARACTERS = 64
"""Characters that are read in the time of one step."""


class TooMuch(BadBody):
    """An expression does more work than is allowed, or makes a longer text."""


class Work:
    """The work that one evaluation may still do."""

    __slots__ = ("left",)

    def __init__(self, left: int = MAX_WORK) -> None:
        self.left = left

    def spend(self, steps: int) -> None:
        """Count steps, or elements. Raises TooMuch."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch("does more work than is allowed")

    def read(self, characters: int, factor: int = 1) -> None:
        """Count characters that are read, `factor` times as slowly as they are copied. Raises TooMuch."""
        self.spend(characters * factor // _CHARACTERS)


class Scope(dict[str, Any]):
    """What a mapping's expressions are of, and the work that all of them together may still do."""

    __slots__ = ("work",)

    def __init__(self, parts: Mapping[str, Any], work: Work | None = None) -> None:
        super().__init__(parts)
        self.work = work or Work(MAX_EVENT_WORK)

    def having(self, **parts: object) -> Scope:
        """The same with more in it."""
        return Scope({**self, **parts}, self.work)


def fit(text: str) -> str:
    """The text, unless it is too long. Raises TooMuch."""
    if len(text) > MAX_TEXT:
        raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
    return text


def same(left: Any, right: Any, work: Work) -> bool:  # noqa: ANN401 - JSON
    """`left == right`, counted: what an expression has made may hold one list very often."""
    if left is right:
        return True
    if isinstance(left, list) and isinstance(right, list):
        work.spend(len(left))
        return len(left) == len(right) and all(
            same(one, other, work) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        work.spend(len(left))
        return len(left) == len(right) and all(
            name in right and same(value, right[name], work) for name, value in left.items()
        )
    if isinstance(left, str) and isinstance(right, str):
        work.read(len(left) if len(left) == len(right) else 0)
    return bool(left == right)


def measure(value: object, work: Work) -> int:
    """About how many characters the value is as JSON; all that it holds is counted. Raises TooMuch."""
    if isinstance(value, str):
        work.read(len(value))
        return len(value)
    if isinstance(value, list):
        work.spend(len(value))
        return sum(measure(each, work) + 1 for each in value)
    if isinstance(value, dict):
        work.spend(len(value))
        return sum(len(name) + measure(each, work) + 1 for name, each in value.items())
    return 1


def texts(value: object, work: Work) -> list[str]:
    """The texts in a value at any depth, counted as what is searched for issue keys. Raises TooMuch."""
    found: list[str] = []
    _gather(value, found, work)
    return found


def _gather(value: object, found: list[str], work: Work) -> None:
    if isinstance(value, str):
        # Keys that stand close together take half a microsecond each, and for each site.
        work.spend(8 + len(value) // 2)
        found.append(value)
    elif isinstance(value, list | dict):
        work.spend(len(value))
        for each in value.values() if isinstance(value, dict) else value:
            _gather(each, found, work)
