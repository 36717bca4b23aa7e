"""A site's circuit breaker: while Jira is away, or refuses the credentials, its rows wait.

| state     | Jira's word | away   | away too often | refused | limited | a probe leaves | it does not |
|-----------|-------------|--------|----------------|---------|---------|----------------|-------------|
| closed    | closed      | closed | open           | open    | closed  |                |             |
| open      | open        | open   | open           | open    | open    | half open      |             |
| half open | closed      | open   | open           | open    | open    |                | open        |

A probe is a request that is due anyway, so that it costs one request. While the circuit is
half open, only the probe's answer is heard; while it is open, none: what left before says
nothing of now. A 429 tells neither that the site works nor that it knows us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bridge.errors import (
    JiraAnswerLost,
    JiraError,
    JiraForeignAnswer,
    JiraLoginDenied,
    JiraRateLimited,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.ports import Answer

FAILURES: Final = 5
"""So many failures in a row, of one site, open its circuit."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 30.0
"""Seconds before a probe of a site that is away; doubling from the first to the longest."""
REFUSED_WAIT: Final = 10.0
"""Seconds before a probe of a site that refuses the credentials."""
DENIED_WAIT: Final = 300.0
"""The same where each try prolongs the lock (Jira's CAPTCHA)."""
UNTIMED_WAIT: Final = 2.0
"""Seconds to wait on a 429 that names no time."""

AWAY: Final = (JiraUnreachable, JiraUnavailable, JiraAnswerLost)
"""The errors that say that a site does not answer, or not as Jira does."""
AWAY_CODES: Final = frozenset(error.code for error in (*AWAY, JiraForeignAnswer))
"""The codes of these, as they stand in a row's reason."""


class State(StrEnum):
    """Whether requests go to a site: all, none, or one to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Sign(StrEnum):
    """What is met on the way to a site."""

    WORD = "word"
    AWAY = "away"
    AWAY_TOO_OFTEN = "away_too_often"
    REFUSED = "refused"
    LIMITED = "limited"
    PROBE = "probe"
    NO_PROBE = "no_probe"


_CLOSED, _OPEN, _HALF_OPEN = State
TRANSITIONS: Final[Mapping[tuple[State, Sign], State]] = {
    (_CLOSED, Sign.WORD): _CLOSED,
    (_CLOSED, Sign.AWAY): _CLOSED,
    (_CLOSED, Sign.AWAY_TOO_OFTEN): _OPEN,
    (_CLOSED, Sign.REFUSED): _OPEN,
    (_CLOSED, Sign.LIMITED): _CLOSED,
    (_OPEN, Sign.PROBE): _HALF_OPEN,
    (_HALF_OPEN, Sign.WORD): _CLOSED,
    (_HALF_OPEN, Sign.AWAY): _OPEN,
    (_HALF_OPEN, Sign.AWAY_TOO_OFTEN): _OPEN,
    (_HALF_OPEN, Sign.REFUSED): _OPEN,
    (_HALF_OPEN, Sign.LIMITED): _OPEN,
    (_HALF_OPEN, Sign.NO_PROBE): _OPEN,
}
"""Where each sign leads; a pair that is not here leads nowhere."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """One site's circuit.

    `failures` counts those in a row. `until` is the moment from which a probe may leave, in
    seconds since the epoch, and `error` says why, both while the circuit is not closed.
    """

    state: State = State.CLOSED
    failures: int = 0
    until: float = 0.0
    error: JiraError | None = None

    @property
    def is_refused(self) -> bool:
        """Whether it is the credentials that Jira refuses."""
        return isinstance(self.error, JiraUnauthorized)

    def answered(self, answer: Answer, now: float) -> Circuit:
        """The circuit after an answer that counts: any while closed, the probe's while half open."""
        failures = 0 if _is_word(answer) else self.failures + (not isinstance(answer, JiraRateLimited))
        state = TRANSITIONS.get((self.state, _sign(answer, failures)), self.state)
        if state is State.CLOSED:
            return Circuit(failures=failures)
        if not isinstance(answer, JiraError) or self.state is State.OPEN:
            return self
        error = self.error if isinstance(answer, JiraRateLimited) else answer
        return Circuit(state, failures, now + _wait(answer, failures), error)

    def probe(self) -> Circuit:
        """The circuit once a probe is on its way."""
        return replace(self, state=TRANSITIONS.get((self.state, Sign.PROBE), self.state))

    def no_probe(self) -> Circuit:
        """The circuit once the probe turned out not to be needed: the next one may leave."""
        return replace(self, state=TRANSITIONS.get((self.state, Sign.NO_PROBE), self.state))


def _is_word(answer: Answer) -> bool:
    return not isinstance(answer, (*AWAY, JiraUnauthorized, JiraRateLimited))


def _sign(answer: Answer, failures: int) -> Sign:
    if _is_word(answer):
        return Sign.WORD
    if isinstance(answer, JiraUnauthorized):
        return Sign.REFUSED
    if isinstance(answer, JiraRateLimited):
        return Sign.LIMITED
    return Sign.AWAY_TOO_OFTEN if failures >= FAILURES else Sign.AWAY


def _wait(error: JiraError, failures: int) -> float:
    if isinstance(error, JiraLoginDenied):
        wait = DENIED_WAIT
    elif isinstance(error, JiraUnauthorized):
        wait = REFUSED_WAIT
    elif isinstance(error, JiraRateLimited):
        wait = UNTIMED_WAIT
    else:
        wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(max(0, failures - FAILURES), 10))
    return max(wait, error.retry_after or 0.0)
