"""Pacing: what Jira allows, and the moment from which one more request may go.

Times are seconds since the epoch, of one clock: the caller's. Three kinds of limits:

- *windows*, of which the documented ones are so many requests in any so many seconds;
- *points*, a quota for each hour of UTC (apps of OAuth 2.0);
- *tokens*, the bucket that Data Center tells of with each answer.

https://developer.atlassian.com/cloud/jira/platform/rate-limiting/ and
https://confluence.atlassian.com/adminjiraserver/adjusting-your-code-for-rate-limiting-987143384.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil

from bridge.model import Bucket

FOREVER = float("inf")
HOUR = 3600.0
MARGIN = 1.03
"""A second is taken for so many: requests that left apart may arrive closer together."""
RESERVE = 0.1
"""The share of an hour's points that is kept for new links, less as the hour runs out."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float


def per_second(rate: float) -> tuple[Window, ...]:
    """At most `rate` requests in any second at the other end, and no more than a quarter at once."""
    count = max(1, int(rate))
    at_once = ceil(count / 4)
    return (Window(count, MARGIN * count / rate), Window(at_once, 0.8 * at_once / rate))


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one site allows.

    `issue` are the windows of the writes to one issue, `method` those of each HTTP method, `site`
    those of all requests. `points` is the quota of an hour, None for none.
    """

    issue: tuple[Window, ...] = ()
    method: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    site: tuple[Window, ...] = ()
    points: int | None = None
    in_flight: int = 16


class Meter:
    """Counts requests against windows.

    A request is reserved when it is decided on, and stamped with the moment from which the
    windows count it: when it left, or, where no bound may ever be exceeded, when its answer is
    there, since it arrived some time before. Until then it counts as if it arrived just now.
    """

    __slots__ = ("_reserved", "_stamps", "_windows", "held_until")

    def __init__(self, windows: tuple[Window, ...] = ()) -> None:
        self._windows = windows
        self._stamps: deque[float] = deque(maxlen=max((window.count for window in windows), default=1))
        self._reserved = 0
        self.held_until = 0.0

    def reserve(self) -> None:
        """One more request will go."""
        self._reserved += 1

    def release(self) -> None:
        """A request that was reserved will not go."""
        self._reserved -= 1

    def stamp(self, now: float) -> None:
        """A request that was reserved counts from now on."""
        self._reserved -= 1
        self._stamps.append(now)

    def free_at(self) -> float:
        """The moment from which one more may go; FOREVER while only a stamp can tell."""
        free = self.held_until
        for window in self._windows:
            room = window.count - self._reserved
            if room <= 0:
                return FOREVER
            if len(self._stamps) >= room:
                free = max(free, self._stamps[-room] + window.seconds)
        return free

    def is_idle(self, now: float) -> bool:
        """Whether forgetting this meter loses nothing."""
        longest = max((window.seconds for window in self._windows), default=0.0)
        is_past = not self._stamps or self._stamps[-1] + longest <= now
        return is_past and self.held_until <= now and not self._reserved


class Points:
    """The points of an hour. None for `per_hour` is a quota that never ends.

    While the hour is young the last of its points are kept for new links; at its end all may go.
    """

    __slots__ = ("_hour", "_per_hour", "_spent")

    def __init__(self, per_hour: int | None) -> None:
        self._per_hour = per_hour
        self._hour = 0
        self._spent = 0

    def spend(self, points: int, now: float) -> None:
        """A request costs so many."""
        hour = int(now // HOUR)
        self._spent = points + (self._spent if hour == self._hour else 0)
        self._hour = hour

    def free_at(self, points: int, now: float, *, is_new: bool) -> float:
        """The moment from which a request of that cost may go; `is_new` for one that makes a link."""
        if self._per_hour is None or int(now // HOUR) != self._hour:
            return 0.0
        left, end = self._per_hour - self._spent - points, (self._hour + 1) * HOUR
        if left < 0:
            return end
        return 0.0 if is_new else end - HOUR * left / (RESERVE * self._per_hour)


class Tokens:
    """Data Center's bucket, kept along with Jira's; while it is unknown, it allows anything.

    Answers may come in another order than Jira gave them, so that what they tell only takes
    away: what others have used. What is given back follows from the rate that they name.
    """

    __slots__ = ("_bucket", "_filled_at", "_left")

    def __init__(self) -> None:
        self._bucket: Bucket | None = None
        self._left = 0  # below what the bucket holds, while it is unknown
        self._filled_at = 0.0

    def learn(self, bucket: Bucket | None, in_flight: int, now: float) -> None:
        """Take in what an answer told; None for an answer that told of no bucket.

        Of the requests in flight Jira may have counted none yet.
        """
        known, self._bucket = self._bucket, bucket
        if bucket is None:
            self._left = 0
            return
        if known is None:
            self._left, self._filled_at = self._left + bucket.limit, now
        elif (known.limit, known.fill, known.seconds) != (bucket.limit, bucket.fill, bucket.seconds):
            self._left, self._filled_at = bucket.remaining, now
        self._fill(bucket, now)
        if bucket.remaining < self._left:
            self._left = bucket.remaining - in_flight

    def spend(self, now: float) -> None:
        """A request takes one."""
        if self._bucket:
            self._fill(self._bucket, now)
            if self._left == self._bucket.limit:  # nothing says when a full bucket is filled next
                self._filled_at = now
        self._left -= 1

    def free_at(self, now: float) -> float:
        """The moment from which one more may go."""
        if (bucket := self._bucket) is None:
            return 0.0
        self._fill(bucket, now)
        if self._left >= 1:
            return 0.0
        return self._filled_at + bucket.seconds * ceil((1 - self._left) / bucket.fill)

    def _fill(self, bucket: Bucket, now: float) -> None:
        fills = max(0, int((now - self._filled_at) / bucket.seconds))
        self._left = min(bucket.limit, self._left + fills * bucket.fill)
        self._filled_at += fills * bucket.seconds
