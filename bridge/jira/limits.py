"""What Jira Cloud allows, and what a 429 asks for.

https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (August 2026)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from bridge.errors import Scope

PER_ISSUE: Final = ((20, 2.0), (100, 30.0))
"""Writes to one issue: so many in so many seconds, both at once."""

BURST: Final = {"GET": 100.0, "POST": 100.0, "PUT": 50.0, "DELETE": 50.0}
"""Requests a second of one method to one endpoint."""

_SCOPES: Final = {"jira-per-issue-on-write": Scope.ISSUE, "jira-burst-based": Scope.METHOD}


def scope(headers: Mapping[str, str]) -> Scope:
    """What to slow down, by `RateLimit-Reason`; the whole site when it is a quota's or unknown."""
    return _SCOPES.get(headers.get("ratelimit-reason", "").strip().lower(), Scope.SITE)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait at least, by `Retry-After` and `X-RateLimit-Reset`; None when neither says.

    `headers` have lower-case names; `now` is in seconds since the epoch. A bucket's reset counts
    only for an hourly quota: for a burst it is the moment at which the bucket is full again.
    """
    waits = [_seconds(headers.get("retry-after"), now)]
    if headers.get("ratelimit-reason", "").startswith("jira-quota"):
        waits.append(_seconds(headers.get("x-ratelimit-reset"), now))
    return max((wait for wait in waits if wait is not None), default=None)


def _seconds(value: str | None, now: float) -> float | None:
    """A number of seconds, or a moment in ISO 8601, with or without seconds."""
    if not value:
        return None
    text = value.strip()
    if text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
