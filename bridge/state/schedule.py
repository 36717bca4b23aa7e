"""Scheduling: which rows are called next, under what Jira allows.

Decided in memory and at a given moment; nothing here waits. `take` hands out keys, `wake` says
when asking again is worth while. The order: creates, look-ups, updates, deletes, each first
come first served. A row that is put off, or whose issue has had its share, holds only itself;
a delete waits until the upserts of its subject are through, so that a moved issue is known to
be one before the link under its old key is deleted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

from bridge.errors import Scope
from bridge.model import CallKind, LinkKey, Phase, Row, Subject
from bridge.state.decide import WRITES, decide

ORDER = (CallKind.CREATE, CallKind.LOOK_UP, CallKind.UPDATE, CallKind.LIST, CallKind.DELETE)
METHOD = {
    CallKind.CREATE: "POST",
    CallKind.UPDATE: "POST",
    CallKind.LOOK_UP: "GET",
    CallKind.LIST: "GET",
    CallKind.DELETE: "DELETE",
}
FOREVER = float("inf")
_MAX_ISSUES = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """At most `count` requests in any `seconds`."""

    count: int
    seconds: float


def paced(per_second: float) -> tuple[Window, ...]:
    """A rate as a window short enough that a bucket of half a second's burst never runs over."""
    count = max(1, int(per_second / 20))
    return (Window(count, count / per_second),)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one site allows: windows for each issue's writes, each method, and in all."""

    issue: tuple[Window, ...] = ()
    method: Mapping[str, tuple[Window, ...]] = field(default_factory=dict)
    site: tuple[Window, ...] = ()
    in_flight: int = 16


class _Meter:
    """Counts requests against windows."""

    __slots__ = ("held_until", "sent", "windows")

    def __init__(self, windows: tuple[Window, ...]) -> None:
        self.windows = windows
        self.sent: deque[float] = deque(maxlen=max((window.count for window in windows), default=1))
        self.held_until = 0.0

    def free_at(self) -> float:
        """The moment from which one more request is allowed."""
        free = self.held_until
        for window in self.windows:
            if len(self.sent) >= window.count:
                free = max(free, self.sent[-window.count] + window.seconds)
        return free

    def is_idle(self, now: float) -> bool:
        """Whether forgetting this meter loses nothing."""
        longest = max((window.seconds for window in self.windows), default=0.0)
        return self.held_until <= now and (not self.sent or self.sent[-1] + longest <= now)


@dataclass(slots=True)
class _Site:
    allowance: Allowance
    whole: _Meter
    methods: dict[str, _Meter]
    issues: dict[str, _Meter] = field(default_factory=dict)
    ready: dict[CallKind, deque[LinkKey]] = field(default_factory=lambda: {kind: deque() for kind in ORDER})
    in_flight: int = 0
    is_halted: bool = False

    def free_at(self, kind: CallKind) -> float:
        """The moment from which the site and the method allow one more request."""
        if self.is_halted:
            return FOREVER
        method = self.methods.get(METHOD[kind])
        return max(self.whole.free_at(), method.free_at() if method else 0.0)

    def count(self, issue: str, kind: CallKind, now: float) -> None:
        """One request of that kind leaves."""
        self.in_flight += 1
        self.whole.sent.append(now)
        if method := self.methods.get(METHOD[kind]):
            method.sent.append(now)
        if kind in WRITES:
            self.issue(issue, now).sent.append(now)

    def issue(self, issue: str, now: float) -> _Meter:
        """The meter of one issue's writes."""
        if issue not in self.issues:
            if len(self.issues) >= _MAX_ISSUES:
                self.issues = {key: meter for key, meter in self.issues.items() if not meter.is_idle(now)}
            self.issues[issue] = _Meter(self.allowance.issue)
        return self.issues[issue]


@dataclass(slots=True)
class _Due:
    """One row's place. `leads`: deletes of its subject wait for it."""

    kind: CallKind
    not_before: float
    is_upsert: bool
    leads: bool = False
    in_flight: bool = False

    def changes(self, kind: CallKind, row: Row) -> bool:
        """Whether the row as it stands now has another place."""
        is_upsert = row.wanted.link is not None
        return self.kind is not kind or self.is_upsert is not is_upsert or row.not_before > self.not_before


class Schedule:
    """The rows that want a call. Times are seconds of one clock, the caller's."""

    def __init__(self, allowances: Mapping[str, Allowance]) -> None:
        """`allowances` by site; a row of another site is never handed out."""
        self._sites = {
            name: _Site(allowed, _Meter(allowed.site), {m: _Meter(w) for m, w in allowed.method.items()})
            for name, allowed in allowances.items()
        }
        self._due: dict[LinkKey, _Due] = {}
        self._later: list[tuple[float, LinkKey]] = []
        self._leading: Counter[Subject] = Counter()
        self._writing: Counter[Subject] = Counter()
        self._behind: dict[Subject, list[LinkKey]] = {}

    def __len__(self) -> int:
        """Rows that wait or are in flight."""
        return len(self._due)

    def put(self, rows: Iterable[Row], now: float) -> None:
        """Take the rows as they stand now: due, later, or no longer. One in flight stays so."""
        for row in rows:
            due, kind = self._due.get(row.key), decide(row)
            if due and due.in_flight:
                continue
            if kind is None or row.phase is not Phase.PENDING or row.key.site not in self._sites:
                self._forget(row.key)
            elif due is None or due.changes(kind, row):
                self._forget(row.key)
                self._due[row.key] = _Due(kind, row.not_before, row.wanted.link is not None)
                self._place(row.key, now)

    def take(self, now: float) -> list[LinkKey]:
        """The keys to call now, as many as limits and free places allow; they are then in flight."""
        while self._later and self._later[0][0] <= now:
            moment, key = heappop(self._later)
            due = self._due.get(key)
            if due and not due.in_flight and due.not_before == moment:
                self._place(key, now)
        return [key for site in self._sites.values() for key in self._take_site(site, now)]

    def done(self, key: LinkKey) -> None:
        """The call is over, or turned out not to be needed."""
        due = self._due.get(key)
        if due and due.in_flight:
            self._sites[key.site].in_flight -= 1
            if due.kind in WRITES:
                self._writing[key.subject] -= 1
                if not self._writing[key.subject]:
                    del self._writing[key.subject]
            self._forget(key)
            self._release(key.subject)

    def hold(self, key: LinkKey, kind: CallKind, scope: Scope, until: float) -> None:
        """A rate limit answered the call: what its scope names waits until then."""
        site = self._sites[key.site]
        meter = site.whole
        if scope is Scope.ISSUE:
            meter = site.issue(key.issue, until)
        elif scope is Scope.METHOD:
            meter = site.methods.setdefault(METHOD[kind], _Meter(()))
        meter.held_until = max(meter.held_until, until)

    def halt(self, site: str) -> None:
        """Hand out nothing of the site until `resume`."""
        self._sites[site].is_halted = True

    def resume(self, site: str) -> None:
        """The site's credentials are accepted again; what a rate limit holds stays held."""
        self._sites[site].is_halted = False

    def wake(self, now: float) -> float:
        """The moment at which `take` may have more; FOREVER when only news can change that."""
        moments = [self._later[0][0]] if self._later else []
        for site in self._sites.values():
            if site.in_flight < site.allowance.in_flight:
                moments += [site.free_at(kind) for kind, queue in site.ready.items() if queue]
        return max(now, min(moments, default=FOREVER))

    def _take_site(self, site: _Site, now: float) -> list[LinkKey]:
        taken: list[LinkKey] = []
        for kind in ORDER:
            queue = site.ready[kind]
            while queue and site.in_flight < site.allowance.in_flight and site.free_at(kind) <= now:
                key = queue.popleft()
                if self._may_go(site, key, kind, now):
                    self._due[key].in_flight = True
                    if kind in WRITES:
                        self._writing[key.subject] += 1
                    site.count(key.issue, kind, now)
                    taken.append(key)
        return taken

    def _may_go(self, site: _Site, key: LinkKey, kind: CallKind, now: float) -> bool:
        due = self._due.get(key)
        if due is None or due.in_flight or due.kind is not kind or due.not_before > now:
            return False  # a place in the queue that the row has left
        # A link may stand under another key of a moved issue: what is not sure is asked in quiet.
        is_unquiet = kind is CallKind.LOOK_UP and self._writing[key.subject]
        if is_unquiet or (not due.is_upsert and self._leading[key.subject]):
            self._behind.setdefault(key.subject, []).append(key)
            return False
        if kind in WRITES and (free := site.issue(key.issue, now).free_at()) > now:
            due.not_before = free
            heappush(self._later, (free, key))
            return False
        return True

    def _place(self, key: LinkKey, now: float) -> None:
        """Queue a row that is due; one put off waits, and lets its subject's deletes pass."""
        due = self._due[key]
        if due.not_before > now:
            heappush(self._later, (due.not_before, key))
            return
        due.not_before = 0.0
        if due.is_upsert and not due.leads:
            due.leads = True
            self._leading[key.subject] += 1
        self._sites[key.site].ready[due.kind].append(key)

    def _forget(self, key: LinkKey) -> None:
        due = self._due.pop(key, None)
        if due is None or not due.leads:
            return
        self._leading[key.subject] -= 1
        if not self._leading[key.subject]:
            del self._leading[key.subject]
            self._release(key.subject)

    def _release(self, subject: Subject) -> None:
        for behind in self._behind.pop(subject, ()):
            if waiting := self._due.get(behind):
                self._sites[behind.site].ready[waiting.kind].append(behind)
