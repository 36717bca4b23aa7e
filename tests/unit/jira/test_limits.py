"""What a 429's headers ask for."""

from __future__ import annotations

import pytest

from bridge.errors import Scope
from bridge.jira import limits

NOW = 1_785_585_600.0  # 2026-08-01T12:00:00Z


@pytest.mark.parametrize(
    ("reason", "scope"),
    [
        ("jira-per-issue-on-write", Scope.ISSUE),
        ("jira-burst-based", Scope.METHOD),
        ("jira-quota-global-based", Scope.SITE),
        ("jira-quota-tenant-based", Scope.SITE),
        ("a-reason-of-tomorrow", Scope.SITE),
        ("", Scope.SITE),
    ],
)
def test_scope(reason: str, scope: Scope) -> None:
    """Each documented reason slows its own scope, an unknown one the whole site."""
    assert limits.scope({"ratelimit-reason": reason}) is scope


def test_scope_without_header() -> None:
    """A 429 without a reason slows the whole site."""
    assert limits.scope({}) is Scope.SITE


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("Sat, 01 Aug 2026 12:00:30 GMT", 30.0),
        ("Sat, 01 Aug 2026 11:00:00 GMT", 0.0),
        ("999999999999", limits.LONGEST_WAIT),
        ("-3", None),
        ("soon", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Retry-After is read as a number or a date, never below zero, and at most an hour."""
    assert limits.retry_after({"retry-after": text}, NOW) == seconds


@pytest.mark.parametrize(
    ("after", "reset", "seconds"),
    [
        ("5", "2026-08-01T12:01:00Z", 60.0),
        ("90", "2026-08-01T12:01Z", 90.0),
        (None, "2026-08-01T12:01Z", 60.0),
        (None, "2026-08-01T12:01:00.500+00:00", 60.5),
        (None, "2026-08-01T12:01", 60.0),
        ("5", "2026-08-01T11:00:00Z", 5.0),
        ("5", "1785585660", 5.0),
        (None, None, None),
    ],
)
def test_both_headers_are_minima(after: str | None, reset: str | None, seconds: float | None) -> None:
    """The later of Retry-After and X-RateLimit-Reset decides; what cannot be read says nothing."""
    headers = {"retry-after": after, "x-ratelimit-reset": reset}
    assert limits.rate_limited({k: v for k, v in headers.items() if v is not None}, NOW) == seconds
