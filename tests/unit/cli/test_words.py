"""What commands make of what they are given and of what they tell, without a process."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.cli.explain import sentence
from bridge.cli.reconcile import DOES, moment
from bridge.errors import UsageError
from bridge.model import Entry, LinkKey, Outcome
from bridge.state.reconcile import Difference

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_words(outcome: Outcome) -> None:
    """`explain` has a sentence for each line of a journal."""
    entry = Entry(0.0, "//ci e1", outcome, "why", LinkKey("main", "PROJ-1", "g"))
    assert sentence(entry).startswith("1970-01-01 00:00:00.000  PROJ-1: ")
    assert "(why)" in sentence(entry)


@pytest.mark.parametrize("outcome", [Outcome.MERGED, Outcome.UNCHANGED])
def test_a_set_of_no_issues_is_told_as_such(outcome: Outcome) -> None:
    """That a link is missing since no key was found is what people ask most; `set` is not skipped then."""
    detail = {"action": "set", "issues": "", "version": "0"}
    told = sentence(Entry(0.0, "//ci e1", outcome, None, LinkKey("main", "", "g"), detail))
    assert "no issue: taken in: it names no issue of a known project" in told


def test_every_difference_has_what_is_done() -> None:
    """The table at the end of `reconcile` has words for each."""
    assert set(DOES) == set(Difference)


@pytest.mark.parametrize(
    ("text", "day", "hour"),
    [
        ("3d", 7, 0),
        ("24h", 9, 0),
        ("2026-01-05", 5, 0),
        ("2026-01-05T12:00Z", 5, 12),
        ("2026-01-05T12:00+02:00", 5, 10),
    ],
)
def test_a_moment_is_an_age_or_a_time(text: str, day: int, hour: int) -> None:
    """A time without a zone is UTC."""
    assert moment(text, NOW) == datetime(2026, 1, day, hour, tzinfo=UTC).timestamp() * 1000


@pytest.mark.parametrize("text", ["yesterday", "3x", "", "-1d", "99999999w", "999999w"])
def test_what_is_no_moment_is_wrong_usage(text: str) -> None:
    """The error names what is expected."""
    with pytest.raises(UsageError, match="2h"):
        moment(text, NOW)
