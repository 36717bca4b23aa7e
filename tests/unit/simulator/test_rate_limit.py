"""The simulated Jira's rate limits: exact windows, points by the hour, buckets of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.rate_limit import Ask, CloudLimits, DataCenterLimits

WRITE = Ask("POST", "remotelink", issue=1, user="ada")
READ = Ask("GET", "remotelink", issue=1, user="ada")
APP = Ask("GET", "remotelink", issue=1, user="app", is_app=True)
HOUR = 3600.0


def allowed(limits: CloudLimits | DataCenterLimits, ask: Ask, now: float) -> bool:
    """Whether one more is allowed; it is counted then."""
    return limits.refuse(ask, now) is None


# --- Cloud ---------------------------------------------------------------------------------


def test_writes_to_one_issue_are_limited() -> None:
    """The 21st within 2 s is refused and told how long to wait; other issues and reads go on."""
    limits = CloudLimits()
    assert all(allowed(limits, WRITE, 0.05 * n) for n in range(20))
    assert limits.refuse(WRITE, 1.0) == {
        "Retry-After": "1",
        "RateLimit-Reason": "jira-per-issue-on-write",
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1970-01-01T00:00:02Z",
    }
    assert allowed(limits, READ, 1.0)
    assert allowed(limits, WRITE._replace(issue=2), 1.0)
    assert not allowed(limits, WRITE, 1.9999)
    assert allowed(limits, WRITE, 2.0)


def test_the_longer_window_counts_too() -> None:
    """A hundred writes at a pace that the short window allows use up the 30 s."""
    limits = CloudLimits()
    assert all(allowed(limits, WRITE, 0.2 * n) for n in range(100))
    refused = limits.refuse(WRITE, 20.0)
    assert refused
    assert (refused["X-RateLimit-Limit"], refused["Retry-After"]) == ("100", "10")
    assert allowed(limits, WRITE, 30.0)


@pytest.mark.parametrize(("method", "most"), [("GET", 100), ("POST", 100), ("PUT", 50), ("DELETE", 50)])
def test_bursts_are_limited_by_method_and_endpoint(method: str, most: int) -> None:
    """So many within a second, over all issues; another endpoint has its own count."""
    limits = CloudLimits()
    asks = [Ask(method, "remotelink", issue=n) for n in range(most + 1)]
    assert [allowed(limits, ask, 0.0) for ask in asks] == [True] * most + [False]
    refused = limits.refuse(asks[0], 0.5)
    assert refused
    assert refused["RateLimit-Reason"] == "jira-burst-based"
    assert allowed(limits, asks[0]._replace(endpoint="remotelink/id"), 0.5)
    assert allowed(limits, asks[0], 1.0)


def test_whoever_asks_too_early_is_told_the_same_or_longer() -> None:
    """The wait that was announced does not shrink before it is over."""
    limits = CloudLimits()
    for n in range(100):
        limits.refuse(WRITE, 0.2 * n)
    told = [limits.refuse(WRITE, now) for now in (20.0, 22.0, 25.0)]
    assert [each and each["Retry-After"] for each in told] == ["10", "10", "10"]


def test_what_is_refused_does_not_count() -> None:
    """Asking in vain does not put off the end of the wait."""
    limits = CloudLimits()
    assert all(allowed(limits, WRITE, 0.0) for _ in range(20))
    assert not any(allowed(limits, WRITE, 0.1 * n) for n in range(1, 20))
    assert [allowed(limits, WRITE, 2.0) for _ in range(21)] == [True] * 20 + [False]


def test_normal_answers_tell_what_is_left() -> None:
    """Those of the scope with the smallest share left, with a warning when it is below a fifth."""
    limits, told = CloudLimits(), []
    for n in range(18):
        limits.refuse(WRITE, 0.01 * n)
        told.append(limits.tell(WRITE, 0, 0.01 * n))
    assert told[0] == {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "19"}
    assert told[15] == {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "4"}
    assert told[16]["X-RateLimit-NearLimit"] == "true"
    limits.refuse(READ, 0.5)
    assert limits.tell(READ, 0, 0.5) == {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99"}


def test_points_are_counted_for_apps_and_by_the_hour() -> None:
    """A request costs one, a read one more for each object; the full hour gives all back."""
    limits = CloudLimits(points_per_hour=10)
    now = 3 * HOUR - 100
    limits.refuse(APP, now)
    assert limits.tell(APP, 8, now)["X-RateLimit-Remaining"] == "1"
    write = APP._replace(method="POST")
    limits.refuse(write, now)
    assert limits.tell(write, 1, now)["X-RateLimit-Remaining"] == "0"
    assert limits.refuse(APP, now) == {
        "Retry-After": "100",
        "RateLimit-Reason": "jira-quota-tenant-based",
        "X-RateLimit-Limit": "10",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "1970-01-01T03:00:00Z",
    }
    assert allowed(limits, READ, now), "an API token has no points"
    assert allowed(limits, APP, 3 * HOUR)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=150))
def test_no_window_ever_holds_more_than_its_limit(pauses: list[float]) -> None:
    """Whatever the pace, what was allowed fits both windows of an issue, and a full one lets nothing in."""
    limits, now, taken = CloudLimits(), 0.0, list[float]()
    for pause in pauses:
        now += pause / 10
        fits = all(sum(at > now - seconds for at in taken) < most for most, seconds in ((20, 2), (100, 30)))
        assert allowed(limits, WRITE, now) == fits
        taken += [now] if fits else []


# --- Data Center ---------------------------------------------------------------------------


def test_a_bucket_is_emptied_and_filled() -> None:
    """Each answer tells the bucket; an empty one refuses until the next interval."""
    limits = DataCenterLimits(size=3, fill=2, interval=10.0)
    assert [allowed(limits, WRITE, 0.0) for _ in range(4)] == [True, True, True, False]
    assert limits.refuse(WRITE, 4.0) == {
        "X-RateLimit-Limit": "3",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-FillRate": "2",
        "X-RateLimit-Interval-Seconds": "10",
        "retry-after": "6",
    }
    assert limits.tell(WRITE, 0, 10.0)["X-RateLimit-Remaining"] == "2"
    assert limits.tell(WRITE, 0, 10.0)["retry-after"] == "0"
    assert [allowed(limits, WRITE, 10.0) for _ in range(3)] == [True, True, False]


def test_each_user_has_a_bucket_and_nobody_has_none() -> None:
    """One user's haste is not another's, and anonymous requests carry no headers."""
    limits = DataCenterLimits(size=1, fill=1, interval=1.0)
    assert [allowed(limits, WRITE, 0.0) for _ in range(2)] == [True, False]
    assert allowed(limits, WRITE._replace(user="bob"), 0.0)
    nobody = WRITE._replace(user=None)
    assert all(allowed(limits, nobody, 0.0) for _ in range(5))
    assert limits.tell(nobody, 0, 0.0) == {}


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=40),
)
def test_a_bucket_never_holds_more_than_its_size(size: int, fill: int, pauses: list[float]) -> None:
    """However long nobody asks, what is left is between nothing and the size, and refusal means nothing."""
    limits, now = DataCenterLimits(size, fill, 7.0), 0.0
    for pause in pauses:
        now += pause
        left = int(limits.tell(WRITE, 0, now)["X-RateLimit-Remaining"])
        assert 0 <= left <= size
        assert allowed(limits, WRITE, now) == (left > 0)
