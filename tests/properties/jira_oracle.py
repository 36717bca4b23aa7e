"""The simulator's model as the writer sees it, with an eye on writes that change nothing."""

from __future__ import annotations

from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import orjson

from bridge.errors import JiraAnswerLost, JiraError, JiraUnreachable
from bridge.jira import protocol
from bridge.jira.wire import HttpAnswer
from bridge.model import Call, CallKind, Deleted, Found, Link, Listed, Replaced
from bridge.ports import Answer
from bridge.simulator.jira_model import Entry, JiraModel, Request

T = TypeVar("T")

VERSION = "2"
SITE_URL = "http://jira.example"


class JiraOracle:
    """Answers calls as the client would report Jira's answers.

    `calls` counts all requests. `takes_global_ids`: an update by id may give a link a globalId.
    """

    def __init__(self) -> None:
        self.model = JiraModel(projects=["PROJ", "OTHER"])
        self.calls = 0
        self.takes_global_ids = True

    @property
    def needless(self) -> list[Entry]:
        """The lines of history that tell of no change."""
        return [entry for entry in self.model.history if entry.needless]

    def links(self) -> dict[tuple[str, str], Link]:
        """All links with a globalId, by issue and globalId."""
        return {
            (found["issue"], found["globalId"]): Link.model_validate(found["body"])
            for found in self.model.links()
            if found["globalId"] is not None
        }

    def by_hand(self, issue: str) -> list[str]:
        """The titles of the issue's links without a globalId."""
        links = self.model.links(issue)
        return [found["body"]["object"]["title"] for found in links if found["globalId"] is None]

    def add_by_hand(self, issue: str, link: Link) -> None:
        """Somebody makes a link in Jira."""
        self._send(protocol.upsert(VERSION, issue, link, None))

    def change_by_hand(self, issue: str, global_id: str, link: Link | None) -> None:
        """Somebody gives a link other content in Jira, or removes it."""
        if link is None:
            self._send(protocol.delete_by_global_id(VERSION, issue, global_id))
        else:
            self._send(protocol.upsert(VERSION, issue, link, global_id))

    def listed(self, issue: str) -> Listed | JiraError:
        """The issue's links, for one who compares."""
        try:
            found = self._send(protocol.list_links(VERSION, issue))
        except JiraError as error:
            return error
        return Listed(tuple(found))

    def ask(self, call: Call, *, is_applied: bool, is_lost: bool) -> Answer:
        """Do the call, or lose it on the way there or back."""
        self.calls += 1
        if not is_applied:
            return JiraUnreachable("the request never left")
        try:
            answer = self._do(call)
        except JiraError as error:
            answer = error
        return JiraAnswerLost("the answer was lost") if is_lost else answer

    def _do(self, call: Call) -> Answer:
        _, issue, global_id = call.key
        match call.kind:
            case CallKind.CREATE | CallKind.UPDATE if call.link is not None:
                return self._send(protocol.upsert(VERSION, issue, call.link, global_id))
            case CallKind.DELETE:
                self._send(protocol.delete_by_global_id(VERSION, issue, global_id))
                return Deleted()
            case CallKind.ADOPT if call.link is not None and call.stray is not None:
                named = global_id if self.takes_global_ids else None
                self._send(protocol.update(VERSION, issue, call.stray, call.link, named))
                return Replaced()
            case CallKind.DROP if call.stray is not None:
                self._send(protocol.delete(VERSION, issue, call.stray))
                return Deleted()
            case CallKind.LOOK_UP:
                return Found(self._send(protocol.get_by_global_id(VERSION, issue, global_id)))
            case _:
                found = self._send(protocol.list_links(VERSION, issue))
                return Listed(tuple(found))

    def _send(self, request: protocol.Request[T]) -> T:
        """Through both ends of the wire: the client's own request and reading, the model between."""
        url = urlsplit(request.path)
        issue, _, link_id = url.path.partition("/issue/")[2].partition("/remotelink")
        query = parse_qs(url.query, keep_blank_values=True)
        global_id = query["globalId"][0] if "globalId" in query else None
        root = f"{SITE_URL}/rest/api/{VERSION}"
        asked = Request(request.method, issue, link_id.lstrip("/") or None, global_id, request.body, root)
        reply = self.model.answer(asked, 0.0)
        body = b"" if reply.body is None else orjson.dumps(reply.body)
        headers = {name.lower(): value for name, value in reply.headers.items()}
        answer = HttpAnswer(reply.status, {"content-type": "application/json", **headers}, body)
        return protocol.decipher(request, answer, 0.0)
