"""One site: what it allows, whether its circuit is closed, and what of it is due."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from bridge.errors import JiraRateLimited, Scope
from bridge.model import Bucket, Call, CallKind, LinkKey, Listed
from bridge.ports import Answer
from bridge.state.circuit import AWAY, UNTIMED_WAIT, Circuit, State
from bridge.state.decide import WRITES
from bridge.state.pace import FOREVER, Allowance, Meter, Points, Tokens
from bridge.state.turns import Turns

METHOD = {
    CallKind.CREATE: "POST",
    CallKind.ADOPT: "PUT",
    CallKind.LIST: "GET",
    CallKind.LOOK_UP: "GET",
    CallKind.UPDATE: "POST",
    CallKind.DROP: "DELETE",
    CallKind.DELETE: "DELETE",
}
"""The HTTP method of each kind of call, the kinds that go first first."""
_NEW = {CallKind.CREATE, CallKind.ADOPT, CallKind.LIST}
_POINTS = {CallKind.LOOK_UP: 2}
"""A request costs a point, and one more for each object that it reads; a list is charged when it is there."""
_MAX_ISSUES = 10_000


class Site:
    """One site: what it allows, and what is due."""

    def __init__(self, allowance: Allowance) -> None:
        self.allowance = allowance
        self.circuit = Circuit()
        self.turns = {kind: Turns() for kind in METHOD}
        self.tokens = Tokens()
        self._whole = Meter(allowance.site)
        self._points = Points(allowance.points)
        self._methods = {method: Meter(allowance.method.get(method, ())) for method in METHOD.values()}
        self._issues: dict[str, Meter] = {}
        self._crowded_at = _MAX_ISSUES
        self._parked: dict[str, set[CallKind]] = {}
        self._free: list[tuple[float, str]] = []
        self._in_flight = 0
        self._probe: LinkKey | None = None
        self._probes = 0

    def kinds(self) -> Iterable[tuple[CallKind, Turns]]:
        """What is due by kind, in order; for a probe each kind comes first in turn.

        Rows whose every request fails could else be all that is ever tried.
        """
        kinds = list(self.turns.items())
        first = self._probes % len(kinds) if self.circuit.state is State.OPEN else 0
        return kinds[first:] + kinds[:first]

    def free_at(self, kind: CallKind, now: float) -> float:
        """The moment from which the site and the method allow one more call of that kind."""
        if self._in_flight >= self.allowance.in_flight or self.circuit.state is State.HALF_OPEN:
            return FOREVER
        points = self._points.free_at(_POINTS.get(kind, 1), now, is_new=kind in _NEW)
        method = self._methods[METHOD[kind]].free_at()
        return max(self.circuit.until, points, method, self._whole.free_at(), self.tokens.free_at(now))

    def wake(self, now: float) -> float:
        """The moment at which more may go."""
        moments = [self._free[0][0]] if self._free else []
        moments += [self.free_at(kind, now) for kind, turns in self.turns.items() if turns]
        return min(moments, default=FOREVER)

    # --- a call's way ------------------------------------------------------------------------

    def begin(self, key: LinkKey, kind: CallKind, now: float) -> None:
        """A call is about to be made."""
        if self.circuit.state is State.OPEN:
            self.circuit, self._probe = self.circuit.probe(), key
            self._probes += 1
        self._in_flight += 1
        self._points.spend(_POINTS.get(kind, 1), now)
        self.tokens.spend(now)
        for meter in self._meters(key.issue, kind, now):
            meter.reserve()

    def leave(self, kind: CallKind, now: float) -> None:
        """Its request leaves: rates count it from now on."""
        self._whole.stamp(now)
        self._methods[METHOD[kind]].stamp(now)

    def end(self, call: Call, answer: Answer, bucket: Bucket | None, now: float) -> None:
        """Its answer is there, and with it what holds the next ones."""
        self._in_flight -= 1
        key = call.key
        if not isinstance(answer, AWAY):  # else nobody told of the bucket just now
            self.tokens.learn(bucket, self._in_flight, now)
        if isinstance(answer, Listed):
            self._points.spend(len(answer.remotes), now)
        if call.kind in WRITES:  # here, not when it left: the bounds of an issue are never exceeded
            self._meter(key.issue, now).stamp(now)
            self._unpark_later(key.issue, now)
        if isinstance(answer, JiraRateLimited):
            self._hold(call, answer, now)
        if self._probe in {None, key}:
            self._probe = None
            self.circuit = self.circuit.answered(answer, now)

    def cancel(self, key: LinkKey, kind: CallKind, now: float) -> None:
        """It turned out not to be needed."""
        self._in_flight -= 1
        for meter in self._meters(key.issue, kind, now):
            meter.release()
        self._unpark_later(key.issue, now)
        if self._probe == key:
            self._probe, self.circuit = None, self.circuit.no_probe()

    def _meters(self, issue: str, kind: CallKind, now: float) -> list[Meter]:
        common = [self._whole, self._methods[METHOD[kind]]]
        return [*common, self._meter(issue, now)] if kind in WRITES else common

    def _hold(self, call: Call, error: JiraRateLimited, now: float) -> None:
        """What the rate limit's scope names waits as long as Jira asks for."""
        meter = self._whole
        if error.scope is Scope.ISSUE and call.kind in WRITES:
            meter = self._meter(call.key.issue, now)
        elif error.scope is not Scope.SITE:
            meter = self._methods[METHOD[call.kind]]
        meter.held_until = max(meter.held_until, now + (error.retry_after or UNTIMED_WAIT))

    # --- one issue's writes ------------------------------------------------------------------

    def park(self, kind: CallKind, now: float) -> bool:
        """Let the issue whose turn it is wait when it takes no write now; whether it does."""
        issue = self.turns[kind].next
        free = self._meter(issue, now).free_at() if kind in WRITES else now
        if free <= now:
            return False
        self.turns[kind].park()
        self._parked.setdefault(issue, set()).add(kind)
        if free != FOREVER:  # else its next answer tells
            heappush(self._free, (free, issue))
        return True

    def unpark(self, now: float) -> None:
        """Let the issues queue up again that take a write now."""
        while self._free and self._free[0][0] <= now:
            _, issue = heappop(self._free)
            for kind in self._parked.pop(issue, ()):
                self.turns[kind].resume(issue)

    def _unpark_later(self, issue: str, now: float) -> None:
        if issue in self._parked and (free := self._meter(issue, now).free_at()) != FOREVER:
            heappush(self._free, (free, issue))

    def _meter(self, issue: str, now: float) -> Meter:
        if issue not in self._issues:
            if len(self._issues) >= self._crowded_at:
                self._issues = {key: meter for key, meter in self._issues.items() if not meter.is_idle(now)}
                self._crowded_at = max(_MAX_ISSUES, 2 * len(self._issues))
            self._issues[issue] = Meter(self.allowance.issue)
        return self._issues[issue]
