"""Rate limits as Jira Cloud and Jira Data Center apply and announce them. Pure.

Cloud: https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (August 2026). Data
Center: https://confluence.atlassian.com/adminjiraserver/adjusting-your-code-for-rate-limiting-987143384.html.
The figures stand here once more, apart from the client's: a Jira that borrowed them would agree
with a mistake in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple, Protocol

BURST, ISSUE, POINTS = "jira-burst-based", "jira-per-issue-on-write", "jira-quota-tenant-based"
"""Values of `RateLimit-Reason`."""

BURSTS = {"GET": 100, "POST": 100, "PUT": 50, "DELETE": 50}
"""Requests a second to one endpoint with one method."""

ISSUE_WRITES = ((20, 2.0), (100, 30.0))
"""So many writes to one issue in so many seconds."""

NEAR = 0.2
"""The share that is left when `X-RateLimit-NearLimit` is told."""

HOUR = 3600


class Ask(NamedTuple):
    """A request, as far as limits go by it.

    `issue` is the issue's number where it is known; `user` is None for anonymous requests.
    """

    method: str
    endpoint: str
    issue: int | None = None
    user: str | None = None
    is_app: bool = False


class Scope(Protocol):
    """Something that is counted, with a limit of its own.

    `told` is what the last refusal said: until when to wait, and for how many seconds.
    """

    reason: str
    limit: int
    told: tuple[float, int]

    def left(self, now: float) -> int:
        """How much is left."""
        ...

    def free_at(self) -> float:
        """When something is left again, where nothing is."""
        ...

    def take(self, now: float) -> None:
        """Count one request."""
        ...


@dataclass(slots=True)
class Window:
    """At most `limit` requests in any `seconds`, to the exact moment."""

    reason: str
    limit: int
    seconds: float
    taken: deque[float] = field(default_factory=deque)
    told: tuple[float, int] = (0.0, 0)

    def left(self, now: float) -> int:
        """How many more are allowed."""
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        return self.limit - len(self.taken)

    def free_at(self) -> float:
        """When the oldest leaves the window."""
        return self.taken[0] + self.seconds

    def take(self, now: float) -> None:
        """Count one request."""
        self.taken.append(now)


@dataclass(slots=True)
class Quota:
    """At most `limit` points from one full UTC hour to the next."""

    limit: int
    reason: str = POINTS
    hour: int = -1
    used: int = 0
    told: tuple[float, int] = (0.0, 0)

    def left(self, now: float) -> int:
        """How many points are left."""
        if (hour := int(now // HOUR)) != self.hour:
            self.hour, self.used = hour, 0
        return max(0, self.limit - self.used)

    def free_at(self) -> float:
        """The next full hour."""
        return (self.hour + 1) * HOUR

    def take(self, _now: float) -> None:
        """Count a request's base."""
        self.used += 1


@dataclass(slots=True)
class CloudLimits:
    """Sliding windows by issue and by endpoint, and points. What is refused does not count."""

    points_per_hour: int | None = None
    _issues: dict[int, list[Window]] = field(default_factory=dict)
    _bursts: dict[tuple[str, str], Window] = field(default_factory=dict)
    _quotas: dict[str, Quota] = field(default_factory=dict)

    def refuse(self, ask: Ask, now: float) -> Mapping[str, str] | None:
        """The headers of a 429, or None for a request that is allowed and is counted."""
        scopes = self._scopes(ask)
        full = [scope for scope in scopes if scope.left(now) <= 0]
        if full:
            scope = max(full, key=lambda each: each.free_at())
            return announced(scope.reason, scope.limit, _wait(scope, now), now)
        for scope in scopes:
            scope.take(now)
        return None

    def tell(self, ask: Ask, objects: int, now: float) -> Mapping[str, str]:
        """The headers of an answer that was allowed, of the scope with the smallest share left.

        Args:
            ask: the request.
            objects: how many it returned; each costs an app a point, where it read.
            now: seconds since the epoch.
        """
        if ask.method == "GET" and (quota := self._quota(ask)):
            quota.used += objects
        shares = [
            (scope.left(now) / scope.limit, scope.limit, scope.left(now)) for scope in self._scopes(ask)
        ]
        share, limit, left = min(shares)
        told = {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(left)}
        return {**told, "X-RateLimit-NearLimit": "true"} if share < NEAR else told

    def _scopes(self, ask: Ask) -> list[Scope]:
        key = (ask.endpoint, ask.method)
        if key not in self._bursts:
            self._bursts[key] = Window(BURST, BURSTS.get(ask.method, 100), 1.0)
        scopes: list[Scope] = [self._bursts[key]]
        if ask.issue is not None and ask.method != "GET":
            if ask.issue not in self._issues:
                self._issues[ask.issue] = [Window(ISSUE, *figures) for figures in ISSUE_WRITES]
            scopes += self._issues[ask.issue]
        if quota := self._quota(ask):
            scopes.append(quota)
        return scopes

    def _quota(self, ask: Ask) -> Quota | None:
        if self.points_per_hour is None or not ask.is_app or ask.user is None:
            return None
        return self._quotas.setdefault(ask.user, Quota(self.points_per_hour))


@dataclass(slots=True)
class Bucket:
    """Tokens that one user has left; `filled_at` in seconds since the epoch."""

    tokens: int
    filled_at: float


@dataclass(slots=True)
class DataCenterLimits:
    """A bucket of tokens for each user, filled once an interval. What is refused costs none.

    Args:
        size: tokens that a bucket holds, "max requests".
        fill: tokens that are added each interval, "requests allowed".
        interval: seconds.
    """

    size: int = 20
    fill: int = 10
    interval: float = 1.0
    _buckets: dict[str, Bucket] = field(default_factory=dict)

    def refuse(self, ask: Ask, now: float) -> Mapping[str, str] | None:
        """The headers of a 429, or None for a request that is allowed and is counted."""
        if ask.user is None:
            return None
        bucket = self._bucket(ask.user, now)
        if not bucket.tokens:
            return self.tell(ask, 0, now)
        bucket.tokens -= 1
        return None

    def tell(self, ask: Ask, _objects: int, now: float) -> Mapping[str, str]:
        """The headers of every authenticated answer."""
        if ask.user is None:
            return {}
        bucket = self._bucket(ask.user, now)
        wait = 0 if bucket.tokens else max(1, ceil(bucket.filled_at + self.interval - now))
        return {
            "X-RateLimit-Limit": str(self.size),
            "X-RateLimit-Remaining": str(bucket.tokens),
            "X-RateLimit-FillRate": str(self.fill),
            "X-RateLimit-Interval-Seconds": f"{self.interval:g}",
            "retry-after": str(wait),
        }

    def _bucket(self, user: str, now: float) -> Bucket:
        bucket = self._buckets.setdefault(user, Bucket(self.size, now))
        fills = int((now - bucket.filled_at) // self.interval)
        bucket.tokens = min(self.size, bucket.tokens + fills * self.fill)
        bucket.filled_at += fills * self.interval
        return bucket


def _wait(scope: Scope, now: float) -> int:
    """Whole seconds; whoever asks before they are over is told the same or longer."""
    until, told = scope.told
    wait = max(1, ceil(scope.free_at() - now), told if now < until else 0)
    scope.told = (now + wait, wait)
    return wait


def announced(reason: str, limit: int, wait: int, now: float) -> dict[str, str]:
    """What a 429 of Cloud says; `wait` in whole seconds, `now` in seconds since the epoch."""
    reset = datetime.fromtimestamp(ceil(now + wait), UTC)
    return {
        "Retry-After": str(wait),
        "RateLimit-Reason": reason,
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
