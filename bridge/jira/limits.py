"""What answers tell of Jira's limits, and what a 429 asks for.

Cloud: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (August 2026). Data Center:
https://confluence.atlassian.com/adminjiraserver/adjusting-your-code-for-rate-limiting-987143384.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from bridge.errors import Scope
from bridge.model import Bucket, Budget

LONGEST_WAIT: Final = 3600.0
"""Seconds. Points are given anew each hour, so that a longer wait is a mistake in a header."""

_SCOPES: Final = {"jira-per-issue-on-write": Scope.ISSUE, "jira-burst-based": Scope.METHOD}


def scope(headers: Mapping[str, str]) -> Scope:
    """What to slow down after a 429, by `RateLimit-Reason`.

    Args:
        headers: the answer's, with lower-case names; here and below.

    Returns:
        The whole site where the reason is a quota's, costs, unknown or missing.
    """
    return _SCOPES.get(headers.get("ratelimit-reason", "").strip().lower(), Scope.SITE)


def budget(headers: Mapping[str, str]) -> Budget:
    """What an answer of any status tells of the limits.

    Args:
        headers: the answer's. Only Data Center sends all four of a bucket.

    Returns:
        A budget; its bucket is None where a header is missing or makes no sense.
    """
    is_near = headers.get("x-ratelimit-nearlimit", "").strip().lower() == "true"
    names = ("limit", "remaining", "fillrate", "interval-seconds")
    match [_number(headers.get(f"x-ratelimit-{name}", "")) for name in names]:
        case [int(limit), int(remaining), int(fill), int(seconds)] if fill and seconds and remaining <= limit:
            return Budget(is_near, Bucket(limit, remaining, fill, min(float(seconds), LONGEST_WAIT)))
    return Budget(is_near)


def rate_limited(headers: Mapping[str, str], now: float) -> float | None:
    """How long to wait after a 429: `Retry-After` and `X-RateLimit-Reset` both hold.

    Args:
        headers: the answer's.
        now: seconds since the epoch; here and below.

    Returns:
        Seconds, a minimum; None when neither says.
    """
    waits = (retry_after(headers, now), _reset(headers, now))
    return max((wait for wait in waits if wait is not None), default=None)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How long to wait by `Retry-After`, a number or a date (RFC 9110, section 10.2.3).

    Args:
        headers: the answer's.
        now: seconds since the epoch.

    Returns:
        Seconds, a minimum and at most `LONGEST_WAIT`; None when it does not say.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        return _until(parsedate_to_datetime(text), now)
    except (ValueError, OverflowError):
        return None


def _number(text: str) -> int | None:
    """A natural number of up to nine digits."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None  # noqa: PLR2004


def _reset(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds to `X-RateLimit-Reset`: ISO 8601, with or without seconds."""
    try:
        return _until(datetime.fromisoformat(headers.get("x-ratelimit-reset", "").strip()), now)
    except (ValueError, OverflowError):
        return None


def _until(moment: datetime, now: float) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(aware.timestamp() - now, 0.0), LONGEST_WAIT)
