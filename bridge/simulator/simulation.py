"""The simulated Jira with all that can be done to it: faults, their script, and what was seen. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from bridge.simulator.faults import Deployment, Fate, Knobs, instead
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.paths import HttpRequest, Place, locate
from bridge.simulator.reply import Reply, refusal
from bridge.simulator.script import Dice, Script, Step, Throw, Timeline
from bridge.simulator.site import Answer, Site
from bridge.simulator.users import User

CALLS_KEPT = 10_000
"""The log's length; the counts have no end."""

_REASONS = ("RateLimit-Reason", "X-Authentication-Denied-Reason", "X-Seraph-LoginReason")


@dataclass(frozen=True, slots=True)
class Call:
    """One request: `path` as on the wire, with its query; `at` in seconds since the epoch.

    `number` counts the calls from 1, as they end. `status` is None when the connection was closed
    without an answer. `fate` is None when all went well, `reason` what a header of the answer says.
    """

    method: str
    path: str
    status: int | None
    at: float
    number: int = 0
    user: str | None = None
    fate: Fate | None = None
    reason: str | None = None


class Turn(NamedTuple):
    """One request's way through the simulator."""

    asked: HttpRequest
    place: Place
    fate: Fate
    throw: Throw
    at: float


class Simulation:
    """One simulated Jira, without the network.

    Args:
        model: its issues and links.
        seed: of its chance.
        users: who may ask at the start, by name.

    Attributes:
        site: the Jira.
        script: rules that go before chance.
        timeline: turns of knobs that are to come.
        calls: the last requests, the oldest first.
        counts: of all requests since the log was cleared, by "METHOD STATUS".
        last: the number of the last call.
    """

    def __init__(self, model: JiraModel, *, seed: int = 0, users: dict[str, User] | None = None) -> None:
        self.site = Site(model)
        self._seed = seed
        self._users = users or {}
        self._knobs = replace(model.knobs)
        self.last = 0
        self.clear()
        self._begin()

    @property
    def knobs(self) -> Knobs:
        """The faults, and how Jira behaves."""
        return self.site.model.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self.site.model.knobs = knobs

    def reset(self) -> None:
        """Be as at the start, but that the numbers of calls go on."""
        self.knobs = replace(self._knobs)
        self.site.model.reset()
        self.site.reset()
        self.clear()
        self._begin()

    def clear(self) -> None:
        """Forget the calls; their numbers go on."""
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.counts: Counter[str] = Counter()

    def _begin(self) -> None:
        self._dice = Dice(self._seed)
        self.script = Script()
        self.timeline = Timeline()
        for name, user in self._users.items():
            self.site.users.put(name, user)

    def plan(self, steps: Iterable[Step], now: float) -> None:
        """Have these steps to come. Raises pydantic's ValidationError when one could not be done."""
        timeline = Timeline(steps, now)
        knobs = self.knobs
        for step in timeline.steps:
            knobs = knobs.turned(step.knobs)
        self.timeline = timeline

    # --- a request's way -------------------------------------------------------------------

    def begin(self, asked: HttpRequest, now: float) -> Turn:
        """Decide what becomes of a request; `now` in seconds since the epoch."""
        self.advance(now)
        place = locate(asked.target)
        throw = self._dice.throw(asked.method, asked.target)
        scripted = self.script.fate(asked.method, place.issue, by_id=place.link_id is not None)
        return Turn(asked, place, scripted or self.knobs.fate(throw.dice), throw, now)

    def advance(self, now: float) -> None:
        """Turn the knobs whose time has come, where that still fits to what was turned meanwhile."""
        for changes in self.timeline.due(now):
            with suppress(ValidationError):
                self.knobs = self.knobs.turned(changes)

    def instead(self, turn: Turn) -> Answer | None:
        """What is answered in Jira's place; None where Jira does the request."""
        reply = instead(turn.fate, self.knobs, turn.throw.choice, turn.at)
        return Answer(reply) if reply else None

    def apply(self, turn: Turn, now: float) -> Answer:
        """Let Jira do the request."""
        answer = self.site.answer(turn.asked, turn.place, now)
        if turn.fate is Fate.RACED and answer.reply.status == 201:  # noqa: PLR2004 - a link was made
            return answer._replace(reply=refusal(400))
        return answer

    def sign(self, reply: Reply, turn: Turn) -> Reply:
        """The answer with the names under which Atlassian's support would find it."""
        id_, trace = turn.throw.request_id, turn.throw.trace
        if self.knobs.deployment is Deployment.CLOUD:
            return reply.adding({"ATL-TraceId": trace, "ATL-Request-Id": _dashed(trace), "X-AREQUESTID": id_})
        minute, number = int(id_[:4], 16) % 1440, int(id_[4:10], 16)
        return reply.adding({"X-AREQUESTID": f"{minute}x{number}x1"})

    def end(self, turn: Turn, answer: Answer | None, *, is_sent: bool) -> None:
        """Log the request, once it is over."""
        status = answer.reply.status if answer and is_sent else None
        headers = answer.reply.headers if answer else {}
        reason = next((headers[name] for name in _REASONS if name in headers), None)
        fate = None if turn.fate is Fate.ANSWERED else turn.fate
        user = answer.user if answer else None
        self.last += 1
        self.calls.append(
            Call(turn.asked.method, turn.asked.target, status, turn.at, self.last, user, fate, reason)
        )
        self.counts[f"{turn.asked.method} {status}"] += 1

    # --- looking in ------------------------------------------------------------------------

    def issues(self) -> list[dict[str, Any]]:
        """The issues that were named so far."""
        return [{"id": issue.id, "key": issue.key} for issue in self.site.model.issues]

    def state(self) -> dict[str, Any]:
        """All that can be seen: issues, links, calls and counts."""
        model = self.site.model
        history = Counter(entry.action for entry in model.history)
        history["needless"] = sum(entry.needless for entry in model.history)
        return {
            "issues": self.issues(),
            "links": model.links(),
            "calls": [asdict(call) for call in self.calls],
            "counts": dict(self.counts),
            "history": {name: history[name] for name in ("created", "updated", "deleted", "needless")},
        }


def _dashed(digits: str) -> str:
    """A UUID's 32 digits in its usual form."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
