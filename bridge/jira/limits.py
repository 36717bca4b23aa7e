"""What Jira Cloud allows, and what a 429 asks for.

https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (August 2026)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from bridge.errors import Scope

LONGEST_WAIT: Final = 3600.0
"""Seconds. Points are given anew each hour, so that a longer wait is a mistake in a header."""

_SCOPES: Final = {"jira-per-issue-on-write": Scope.ISSUE, "jira-burst-based": Scope.METHOD}


def scope(headers: Mapping[str, str]) -> Scope:
    """What to slow down, by `RateLimit-Reason`; the whole site when it is a quota's or unknown.

    `headers` have lower-case names, here and below.
    """
    return _SCOPES.get(headers.get("ratelimit-reason", "").strip().lower(), Scope.SITE)


def rate_limited(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait at least after a 429: `Retry-After` and `X-RateLimit-Reset` both hold.

    None when neither says. `now` is in seconds since the epoch, here and below.
    """
    waits = (retry_after(headers, now), _reset(headers, now))
    return max((wait for wait in waits if wait is not None), default=None)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to wait at least by `Retry-After`, a number or a date (RFC 9110, section 10.2.3)."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        return _until(parsedate_to_datetime(text), now)
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to `X-RateLimit-Reset`: ISO 8601, with or without seconds."""
    try:
        return _until(datetime.fromisoformat(headers.get("x-ratelimit-reset", "").strip()), now)
    except (ValueError, OverflowError):
        return None


def _until(moment: datetime, now: float) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(aware.timestamp() - now, 0.0), LONGEST_WAIT)
