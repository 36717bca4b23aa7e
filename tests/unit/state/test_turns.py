"""Turns: each issue has its own, and keeps the order of its keys."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.model import LinkKey
from bridge.state.turns import Turns


def key(issue: str, number: int) -> LinkKey:
    return LinkKey("main", issue, f"g{number}")


@given(st.lists(st.sampled_from(["P-1", "P-2", "P-3", "P-4"]), max_size=60))
def test_issues_take_turns_and_nothing_is_lost(issues: list[str]) -> None:
    """All keys come out, an issue's in their order, and no issue twice while another waits."""
    turns = Turns()
    keys = [key(issue, number) for number, issue in enumerate(issues)]
    for each in keys:
        turns.add(each)
    popped = []
    while turns:
        popped.append(turns.pop())
    assert sorted(popped) == sorted(keys)
    for issue in set(issues):
        assert [each for each in popped if each.issue == issue] == [
            each for each in keys if each.issue == issue
        ]
    left = {issue: issues.count(issue) for issue in issues}
    for before, after in pairwise(popped):
        left[before.issue] -= 1
        if before.issue == after.issue:
            assert not any(count for issue, count in left.items() if issue != before.issue)


def test_a_key_has_one_place() -> None:
    """However often it becomes due, it comes out once, where it first stood."""
    turns = Turns()
    for number in (1, 2, 1, 1):
        turns.add(key("P-1", number))
    assert [turns.pop(), turns.pop()] == [key("P-1", 1), key("P-1", 2)]
    assert not turns


def test_a_parked_issue_has_no_turn_until_it_is_resumed() -> None:
    """Its keys stay, those that come meanwhile too."""
    turns = Turns()
    turns.add(key("P-1", 1))
    turns.park()
    turns.add(key("P-1", 2))
    assert not turns
    turns.resume("P-1")
    assert turns.next == "P-1"
    assert [turns.pop(), turns.pop()] == [key("P-1", 1), key("P-1", 2)]
