"""What the simulated Jira answers, in Jira's shapes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

PAGE = {"Content-Type": "text/html;charset=UTF-8"}


class Reply(NamedTuple):
    """An answer: `body` is None for none, bytes for what is sent as it is, else JSON."""

    status: int
    headers: Mapping[str, str] = {}
    body: Any = None

    def adding(self, headers: Mapping[str, str]) -> Reply:
        """The same answer with more headers."""
        return self._replace(headers={**self.headers, **headers}) if headers else self


def refusal(
    status: int,
    *messages: str,
    errors: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """An answer with Jira's ErrorCollection."""
    return Reply(status, headers or {}, {"errorMessages": list(messages), "errors": dict(errors or {})})


def page(status: int, title: str, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer that is no JSON, as those in front of Jira give; `title` is not escaped."""
    text = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(status, {**PAGE, **(headers or {})}, text.encode())
