"""The circuit breaker: its table, its waits, and that nothing leads it astray."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import (
    JiraAnswerLost,
    JiraForbidden,
    JiraLoginDenied,
    JiraNotFound,
    JiraRateLimited,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.model import Deleted, Written
from bridge.ports import Answer
from bridge.state import circuit
from bridge.state.circuit import FAILURES, TRANSITIONS, Circuit, Sign, State

WORD = Written(1, "P-1", created=True)
AWAY = JiraUnavailable("503", status=503)
REFUSED = JiraUnauthorized("401", status=401)
LIMITED = JiraRateLimited("429", status=429)


def after(*answers: Answer, now: float = 0.0) -> Circuit:
    standing = Circuit()
    for answer in answers:
        standing = standing.answered(answer, now)
    return standing


def probed(standing: Circuit, answer: Answer, now: float = 0.0) -> Circuit:
    return standing.probe().answered(answer, now)


@pytest.mark.parametrize("away", [AWAY, JiraUnreachable("-"), JiraAnswerLost("-")])
def test_failures_in_a_row_open_it(away: Answer) -> None:
    """One fewer does not, and a word in between begins the count anew."""
    assert after(*[away] * (FAILURES - 1)).state is State.CLOSED
    assert after(*[away] * FAILURES).state is State.OPEN
    assert after(*[away] * (FAILURES - 1), WORD, away).state is State.CLOSED


@pytest.mark.parametrize("word", [WORD, Deleted(), JiraNotFound("404"), JiraForbidden("403")])
def test_any_word_of_jiras_closes_it(word: Answer) -> None:
    """A 404 or a 403 to the probe shows that Jira is there and knows us."""
    closed = probed(after(REFUSED), word)
    assert (closed.state, closed.error, closed.until) == (State.CLOSED, None, 0.0)


def test_refused_credentials_open_it_at_once() -> None:
    """One 401 is enough: each further one could lock the account."""
    assert after(REFUSED).until == circuit.REFUSED_WAIT
    assert after(JiraLoginDenied("403")).until == circuit.DENIED_WAIT
    assert after(REFUSED).is_refused
    assert not after(*[AWAY] * FAILURES).is_refused


def test_its_waits_double_to_a_bound() -> None:
    """A site that stays away is tried less often, and still often enough."""
    standing, waits = after(*[AWAY] * FAILURES), []
    for _ in range(9):
        waits.append(standing.until)
        standing = probed(standing, AWAY)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30]


def test_it_waits_as_long_as_jira_asks_for() -> None:
    """Retry-After is a minimum."""
    away = JiraUnavailable("503", status=503, retry_after=100.0)
    assert after(*[away] * FAILURES, now=5.0).until == 105.0


def test_a_429_closes_nothing_and_opens_nothing() -> None:
    """It is a gateway's word: it tells neither that the site works nor that it knows us."""
    assert after(*[LIMITED] * 100).state is State.CLOSED
    standing = probed(after(REFUSED), LIMITED)
    assert (standing.state, standing.error) == (State.OPEN, REFUSED)


def test_while_open_no_answer_is_heard() -> None:
    """What left before tells nothing of now."""
    standing = after(REFUSED)
    assert standing.answered(WORD, 1.0) == standing
    assert standing.answered(AWAY, 1.0) == standing


def test_a_probe_that_does_not_leave_changes_nothing() -> None:
    """The next one may leave at once."""
    assert after(REFUSED).probe().no_probe() == after(REFUSED)


def test_the_docstring_is_the_table() -> None:
    """What is written above the code is what the code does."""
    names = {"Jira's word": Sign.WORD, "away too often": Sign.AWAY_TOO_OFTEN, "a probe leaves": Sign.PROBE}
    names |= {
        "away": Sign.AWAY,
        "refused": Sign.REFUSED,
        "limited": Sign.LIMITED,
        "it does not": Sign.NO_PROBE,
    }
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (circuit.__doc__ or "").splitlines()
        if line.startswith("|") and "---" not in line
    ]
    states = {state.value.replace("_", " "): state for state in State}
    told = {
        (states[name], names[sign]): states[cell]
        for name, *cells in rows[1:]
        for sign, cell in zip(rows[0][1:], cells, strict=True)
        if cell
    }
    done: dict[tuple[State, Sign], State] = {
        (State.OPEN, sign): State.OPEN for sign in Sign if sign not in {Sign.PROBE, Sign.NO_PROBE}
    }
    assert told == {**done, **TRANSITIONS}


@given(st.lists(st.tuples(st.sampled_from([WORD, AWAY, REFUSED, LIMITED]), st.booleans()), max_size=60))
def test_it_is_never_stuck(signs: list[tuple[Answer, bool]]) -> None:
    """Whatever came, a probe that Jira answers closes it; and it says why while it is not closed."""
    standing, now = Circuit(), 0.0
    for answer, is_probed in signs:
        now += 1.0
        if is_probed and standing.state is State.OPEN:
            standing = standing.probe()
        standing = standing.answered(answer, now)
        assert (standing.error is None) == (standing.state is State.CLOSED)
        assert standing.until <= now + circuit.DENIED_WAIT
    assert probed(standing, WORD).state is State.CLOSED
