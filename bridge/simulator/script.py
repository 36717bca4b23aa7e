"""What happens to which request, and when: scripted rules, a timeline, and chance from a seed. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from bridge.simulator.faults import STRICT, Count, Fate


@dataclass(config=STRICT, frozen=True)
class Rule:
    """A fate for some requests, in the order in which they arrive.

    Args:
        fate: what becomes of them.
        method: only those of this method.
        issue: only those that name this issue, in any case.
        by_id: only those with a link's id in the path, or only those without.
        skip: how many go free first.
        times: how many are struck then; null for all.
    """

    fate: Fate
    method: Annotated[str, AfterValidator(str.upper)] | None = None
    issue: str | None = None
    by_id: bool | None = None
    skip: Annotated[int, Field(ge=0)] = 0
    times: Count | None = 1

    def matches(self, method: str, issue: str | None, *, by_id: bool) -> bool:
        """Whether the rule is about such a request."""
        return (
            self.method in {None, method}
            and (self.issue is None or self.issue.upper() == (issue or "").upper())
            and self.by_id in {None, by_id}
        )

    def strikes(self, number: int) -> bool:
        """Whether the rule strikes the request of that number, from 1, among those that match."""
        return self.skip < number and (self.times is None or number <= self.skip + self.times)


class Script:
    """Rules at work. Each counts the requests that match it; the first that strikes decides."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self._matched = [0] * len(self.rules)

    def fate(self, method: str, issue: str | None, *, by_id: bool) -> Fate | None:
        """The fate of the request that is next; None where no rule strikes."""
        decided = None
        for place, rule in enumerate(self.rules):
            if rule.matches(method, issue, by_id=by_id):
                self._matched[place] += 1
                if decided is None and rule.strikes(self._matched[place]):
                    decided = rule.fate
        return decided


@dataclass(config=STRICT, frozen=True)
class Step:
    """A turn of knobs, so many seconds after the timeline was set."""

    after: Annotated[float, Field(ge=0)]
    knobs: dict[str, Any]


class Timeline:
    """Steps at work. `steps` are those to come, the earliest first."""

    def __init__(self, steps: Iterable[Step] = (), begin: float = 0.0) -> None:
        self.steps = sorted(steps, key=lambda step: step.after)
        self._begin = begin

    def due(self, now: float) -> list[dict[str, Any]]:
        """Take out the changes whose time has come; `now` in seconds since the epoch."""
        due = []
        while self.steps and self.steps[0].after <= now - self._begin:
            due.append(self.steps.pop(0).knobs)
        return due


class Throw(NamedTuple):
    """What chance gives to one request: two dice from 0 up to 1, and names for its answer."""

    dice: float
    choice: float
    trace: str
    request_id: str


class Dice:
    """Chance that can be repeated.

    It depends on the seed, on method and path, and on how often these were seen before: not on
    the order in which requests arrive among others.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: Counter[tuple[str, str]] = Counter()

    def throw(self, method: str, path: str) -> Throw:
        """The next throw for requests of that method and path."""
        self._seen[method, path] += 1
        text = f"{self._seed}\n{method}\n{path}\n{self._seen[method, path]}"
        digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=46).hexdigest()
        return Throw(int(digest[:14], 16) / 2**56, int(digest[14:28], 16) / 2**56, digest[28:60], digest[60:])


RULES = TypeAdapter(list[Rule])
STEPS = TypeAdapter(list[Step])
"""Rules and steps from and to JSON."""
