"""Rate limits as Jira Cloud applies and announces them.

https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ (August 2026). The figures
stand here once more, apart from the client's: a Jira that borrowed them would agree with a
mistake in them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import NamedTuple

WRITES = {"POST", "PUT", "DELETE"}


class Window(NamedTuple):
    """At most `limit` requests in any `seconds`."""

    limit: int
    seconds: float


@dataclass(slots=True)
class _Counter:
    windows: tuple[Window, ...]
    taken: deque[float] = field(default_factory=deque)

    def full_until(self, now: float) -> tuple[float, int]:
        """When one more is allowed, and the limit that decides; `now` or earlier when none does."""
        longest = max(window.seconds for window in self.windows)
        while self.taken and self.taken[0] <= now - longest:
            self.taken.popleft()
        return max(
            (self.taken[-w.limit] + w.seconds if len(self.taken) >= w.limit else 0.0, w.limit)
            for w in self.windows
        )


@dataclass(slots=True)
class RateLimits:
    """Counts requests in sliding windows. One that is refused does not count."""

    issue: tuple[Window, ...] = (Window(20, 2.0), Window(100, 30.0))
    burst: Mapping[str, int] = field(
        default_factory=lambda: {"GET": 100, "POST": 100, "PUT": 50, "DELETE": 50}
    )
    _issues: dict[int, _Counter] = field(default_factory=dict)
    _bursts: dict[tuple[str, bool], _Counter] = field(default_factory=dict)

    def refuse(self, method: str, issue: int, now: float, *, by_id: bool) -> dict[str, str] | None:
        """The headers of a 429, or None for a request that is allowed and is counted.

        Args:
            method: the HTTP method; all but GET write.
            issue: the issue's number.
            now: seconds since the epoch.
            by_id: whether the link's id stands in the path, which makes it another endpoint.
        """
        windows = (Window(self.burst[method], 1.0),)
        counters = [("jira-burst-based", self._bursts.setdefault((method, by_id), _Counter(windows)))]
        if method in WRITES:
            writes = self._issues.setdefault(issue, _Counter(self.issue))
            counters.append(("jira-per-issue-on-write", writes))
        for reason, counter in counters:
            until, limit = counter.full_until(now)
            if until > now:
                return headers(reason, until, limit, now)
        for _, counter in counters:
            counter.taken.append(now)
        return None


def headers(reason: str, until: float, limit: int, now: float) -> dict[str, str]:
    """What a 429 announces; `until` and `now` in seconds since the epoch."""
    wait = max(1, ceil(until - now))
    reset = datetime.fromtimestamp(now + wait, UTC)
    return {
        "Retry-After": str(wait),
        "RateLimit-Reason": reason,
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": reset.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
