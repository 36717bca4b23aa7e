"""What headers tell of the limits, and what a 429's ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Scope
from bridge.jira import limits
from bridge.model import Bucket, Budget

NOW = 1_785_585_600.0  # 2026-08-01T12:00:00Z


@pytest.mark.parametrize(
    ("reason", "scope"),
    [
        ("jira-per-issue-on-write", Scope.ISSUE),
        ("jira-burst-based", Scope.METHOD),
        ("jira-quota-global-based", Scope.SITE),
        ("jira-quota-tenant-based", Scope.SITE),
        ("jira-cost-based", Scope.SITE),
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
        ("1.2.3", None),
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


BUCKET = {
    "x-ratelimit-limit": "50",
    "x-ratelimit-remaining": "7",
    "x-ratelimit-fillrate": "5",
    "x-ratelimit-interval-seconds": "10",
    "retry-after": "0",
}


@pytest.mark.parametrize(
    ("headers", "budget"),
    [
        ({}, Budget()),
        ({"x-ratelimit-nearlimit": "true"}, Budget(is_near=True)),
        ({"x-ratelimit-nearlimit": " TRUE "}, Budget(is_near=True)),
        ({"x-ratelimit-nearlimit": "false"}, Budget()),
        (BUCKET, Budget(bucket=Bucket(50, 7, 5, 10.0))),
        ({**BUCKET, "x-ratelimit-remaining": "0"}, Budget(bucket=Bucket(50, 0, 5, 10.0))),
        ({**BUCKET, "x-ratelimit-interval-seconds": "999999999"}, Budget(bucket=Bucket(50, 7, 5, 3600.0))),
        ({**BUCKET, "x-ratelimit-remaining": "50"}, Budget(bucket=Bucket(50, 50, 5, 10.0))),
        ({**BUCKET, "x-ratelimit-nearlimit": "true"}, Budget(is_near=True, bucket=Bucket(50, 7, 5, 10.0))),
        ({"x-ratelimit-limit": "100", "x-ratelimit-remaining": "0"}, Budget()),
    ],
)
def test_budget(headers: dict[str, str], budget: Budget) -> None:
    """Cloud warns when little is left; Data Center tells the whole bucket, in four headers."""
    assert limits.budget(headers) == budget


@pytest.mark.parametrize("name", [name for name in BUCKET if name != "retry-after"])
@pytest.mark.parametrize("value", [None, "", "-1", "x", "1.5", "nan", "٣", "9" * 5000, "51"])
def test_no_bucket(name: str, value: str | None) -> None:
    """A header that is missing or makes no sense takes the bucket away, and raises nothing."""
    headers = {**BUCKET, name: value}
    found = limits.budget({k: v for k, v in headers.items() if v is not None})
    is_sane = value == "51" and name != "x-ratelimit-remaining"
    assert (found.bucket is not None) is is_sane


@pytest.mark.parametrize("name", ["x-ratelimit-fillrate", "x-ratelimit-interval-seconds"])
def test_no_bucket_that_never_fills(name: str) -> None:
    """A bucket that is filled with nothing, or in no time, would have us wait for ever or never."""
    assert limits.budget({**BUCKET, name: "0"}) == Budget()


@given(st.dictionaries(st.sampled_from([*BUCKET, "x-ratelimit-nearlimit"]), st.text()))
def test_hostile_headers(headers: dict[str, str]) -> None:
    """Whatever the headers say, a bucket is one that can be counted with."""
    bucket = limits.budget(headers).bucket
    assert bucket is None or (0 <= bucket.remaining <= bucket.limit and min(bucket.fill, bucket.seconds) > 0)
