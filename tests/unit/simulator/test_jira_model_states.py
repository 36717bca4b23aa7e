"""The simulated Jira against a plain table, over any course of requests."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.simulator.jira_model import JiraModel, Request
from bridge.simulator.reply import Reply

ISSUES = st.sampled_from(["DEMO-1", "demo-1", "DEMO-2", "OLD-1"])
GLOBAL_IDS = st.sampled_from(["a", "b", None])
TITLES = st.sampled_from(["One", "Two"])
MOVED = {"OLD-1": "DEMO-2"}
"""A key that an issue had before."""


class Course(RuleBasedStateMachine):
    """`table` holds what should stand: issue, globalId and title by the link's id."""

    def __init__(self) -> None:
        super().__init__()
        self.jira = JiraModel(issues=["DEMO-1", "OLD-1"])
        self.jira.move_issue("OLD-1", "DEMO-2")
        self.table: dict[int, tuple[str, str | None, str]] = {}
        self.writes = 0

    def ask(self, method: str, issue: str, link_id: int | None = None, **more: Any) -> Reply:
        """Send one request."""
        text = None if link_id is None else str(link_id)
        return self.jira.answer(Request(method, issue, text, **more), 0.0)

    def known(self, issue: str, global_id: str | None) -> list[int]:
        """The ids of the links that this globalId names on the issue."""
        key = key_of(issue)
        return [number for number, row in self.table.items() if row[:2] == (key, global_id) and global_id]

    @rule(issue=ISSUES, global_id=GLOBAL_IDS, title=TITLES)
    def upsert(self, issue: str, global_id: str | None, title: str) -> None:
        """A known globalId updates, all else creates."""
        known = self.known(issue, global_id)
        reply = self.ask("POST", issue, body=body(global_id, title))
        assert (reply.status, reply.body["id"] in self.table) == ((200, True) if known else (201, False))
        self.table[reply.body["id"]] = (key_of(issue), global_id, title)
        self.writes += 1

    @rule(issue=ISSUES, number=st.integers(10_000, 10_010), global_id=GLOBAL_IDS, title=TITLES)
    def update(self, issue: str, number: int, global_id: str | None, title: str) -> None:
        """A PUT changes its own link, unless another has the globalId."""
        reply = self.ask("PUT", issue, number, body=body(global_id, title))
        others = [other for other in self.known(issue, global_id) if other != number]
        assert reply.status == (self.by_id(issue, number) or (400 if others else 204))
        if reply.status == 204:
            self.table[number] = (key_of(issue), global_id, title)
            self.writes += 1

    @rule(issue=ISSUES, number=st.integers(10_000, 10_010))
    def delete(self, issue: str, number: int) -> None:
        """A DELETE by id takes that link away."""
        reply = self.ask("DELETE", issue, number)
        assert reply.status == (self.by_id(issue, number) or 204)
        if reply.status == 204:
            del self.table[number]
            self.writes += 1

    @rule(issue=ISSUES, global_id=st.sampled_from(["a", "b"]))
    def delete_by_global_id(self, issue: str, global_id: str) -> None:
        """A DELETE by globalId takes away what it names."""
        known = self.known(issue, global_id)
        assert self.ask("DELETE", issue, global_id=global_id).status == (204 if known else 404)
        for number in known:
            del self.table[number]
            self.writes += 1

    def by_id(self, issue: str, number: int) -> int | None:
        """The status of a request by an id that does not name a link of the issue."""
        if number not in self.table:
            return 404
        return None if self.table[number][0] == key_of(issue) else 400

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        """Lists, single links, and one line of history for each write."""
        for issue in ("DEMO-1", "DEMO-2"):
            shown = {link["id"]: link for link in self.ask("GET", issue).body}
            assert {
                number: (link.get("globalId"), link["object"]["title"]) for number, link in shown.items()
            } == {number: row[1:] for number, row in self.table.items() if row[0] == issue}
            assert all(self.ask("GET", issue, number).body == link for number, link in shown.items())
        assert len(self.jira.history) == self.writes


def key_of(issue: str) -> str:
    """The issue's present key."""
    return MOVED.get(issue, issue.upper())


def body(global_id: str | None, title: str) -> bytes:
    """A request's body."""
    return orjson.dumps({"globalId": global_id, "object": {"url": "https://example.com/", "title": title}})


TestCourse = Course.TestCase
TestCourse.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
