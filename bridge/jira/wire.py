"""What goes over the wire and what comes back, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_SHOWN = 200


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request; `url` is escaped already. Headers and body may hold secrets, so they are not shown."""

    method: str
    url: str
    body: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """One whole answer; `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def shown(text: str) -> str:
    """Outside text as a message may show it: printable, and of at most 200 characters.

    Args:
        text: any text.

    Returns:
        One line that no log can mistake for two.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= _SHOWN else printable[: _SHOWN - 1] + "…"
