"""A Jira in memory: issues, their remote links and their history, without any input or output.

It answers as Jira does, checks in Jira's order and leaves Jira's traces in the history. The
tests hold the bridge against it. What is documented:
https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/; the
order of the checks was observed of Jira Server 6, and what is answered to a body that cannot be
read of a Cloud site in October 2026.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

import orjson

from bridge.simulator import fields
from bridge.simulator.faults import Knobs
from bridge.simulator.fields import Record
from bridge.simulator.issues import Issue, Issues, Stored
from bridge.simulator.reply import Reply, refusal

NO_ISSUE = "Issue does not exist or you do not have permission to see it."
NO_LINK = "The remote link does not exist."

_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_LONG = 2**63

Denied = Mapping[str, AbstractSet["Permission"]]
"""Permissions that somebody lacks, by project."""


class Permission(StrEnum):
    """A project permission that the caller can lack."""

    BROWSE = "browse"
    EDIT = "edit"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Request:
    """A call of `…/issue/{issue}/remotelink[/{link_id}]`, its parts unescaped.

    `global_id` is the query's: None when it has none, empty when it is empty. `body` is as it
    came. `root` is what `self` begins with: the site and `/rest/api/N`. `denied` is what the
    caller lacks beside what everybody lacks.
    """

    method: str
    issue: str
    link_id: str | None = None
    global_id: str | None = None
    body: bytes | None = None
    root: str = "http://jira.example/rest/api/2"
    denied: Denied = field(default_factory=dict)


@dataclass(slots=True)
class Entry:
    """A line of an issue's history: one write to one link. `at` is in seconds since the epoch.

    `issue` is the key at that time; `action` is created, updated or deleted. `needless` says that
    nothing was changed by it: Jira writes the line all the same, and people read it. `is_answered`
    says that the caller was told, and `record` is what was written, None of a deletion: the
    simulator's own knowledge, of use to whoever tests with it.
    """

    at: float
    issue: str
    action: str
    link_id: int
    global_id: str | None
    needless: bool = False
    is_answered: bool = False
    record: Record | None = None

    def body(self) -> dict[str, Any] | None:
        """What was written, as Jira shows it but for `id` and `self`."""
        return None if self.record is None else fields.show(self.record)


class _Refused(Exception):
    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.reply = refusal(status, *messages, errors=errors)


class _Unreadable(_Refused):
    """A body that Jira's framework cannot read; it says so without `errors`."""

    def __init__(self, message: str) -> None:
        super().__init__(400)
        self.reply = Reply(400, {}, {"errorMessages": [message]})


class JiraModel(Issues):
    """One Jira. `answer` is what it does; the rest sets it up and looks into it.

    Attributes:
        knobs: how it behaves.
        history: the lines of all issues' histories, oldest first.
        denied: the permissions that everybody lacks, by project.
    """

    def __init__(self, *, issues: Iterable[str] = (), projects: Iterable[str] = ()) -> None:
        """`issues` exist by their keys; in `projects` each issue exists."""
        self.knobs = Knobs()
        super().__init__(issues, projects)

    def reset(self) -> None:
        """Be as at the start, but for the knobs."""
        super().reset()
        self.history: list[Entry] = []
        self.denied: dict[str, set[Permission]] = {}
        self._link_ids = count(10_000)
        self._owners: dict[int, Issue] = {}

    def links(self, issue: str | None = None) -> list[dict[str, Any]]:
        """The links of an issue, or of all, in the order of their ids.

        Each is `{"issue": key, "id": number, "globalId": text or None, "body": …}`, the body as
        Jira shows it but for `id` and `self`.
        """
        only = None if issue is None else self.find(issue)
        owners = self.issues if issue is None else [only] if only else []
        standing = ((number, owner) for owner in owners for number in owner.links)
        return [_standing(owner, number) for number, owner in sorted(standing, key=lambda pair: pair[0])]

    def lacks(self, permission: Permission, project: str, denied: Denied) -> bool:
        """Whether somebody with these permissions denied lacks this one, as everybody may."""
        return permission in self.denied.get(project, ()) or permission in denied.get(project, ())

    # --- answer ----------------------------------------------------------------------------

    def answer(self, request: Request, now: float) -> Reply:
        """What Jira does with the request; `now` in seconds since the epoch."""
        operations = {
            ("GET", False): self._get_links,
            ("POST", False): self._upsert,
            ("DELETE", False): self._delete_by_global_id,
            ("GET", True): self._get,
            ("PUT", True): self._update,
            ("DELETE", True): self._delete,
        }
        operation = operations.get((request.method, request.link_id is not None))
        if operation is None:
            return refusal(405, "Method Not Allowed")
        try:
            return operation(request, now)
        except _Refused as refused:
            return refused.reply

    def _get_links(self, request: Request, _now: float) -> Reply:
        issue = self._visible(request)
        self._need_linking()
        if request.global_id is None:
            if len(issue.links) > self.knobs.max_links:
                raise _Refused(413, "The issue has too many remote links.")
            return Reply(200, {}, [self._shown(request, issue, number) for number in issue.links])
        if fields.is_too_long(request.global_id):  # the one "invalid request" that can be meant
            raise _Refused(400, errors={"globalId": "'globalId' is too long."})
        return Reply(200, {}, self._shown(request, issue, self._named(request.global_id, issue)[0]))

    def _upsert(self, request: Request, now: float) -> Reply:
        record = _read(request.body)
        issue = self._visible(request)
        self._need_linking()
        self._need(request, issue, Permission.LINK)
        _need_right_fields(record)
        same = issue.of_global_id(record["globalId"]) if "globalId" in record else []
        if not same and len(issue.links) >= self.knobs.max_links:
            raise _Refused(413, "The issue has too many remote links.")
        number = same[0] if same else next(self._link_ids)
        self._put(issue, number, record, now)
        address = _self(request, issue, number)
        body = {"id": number, "self": address}
        return Reply(200, {}, body) if same else Reply(201, {"Location": address}, body)

    def _delete_by_global_id(self, request: Request, now: float) -> Reply:
        issue = self._visible(request)
        self._need_linking()
        if request.global_id is None:
            raise _Refused(400, errors={"globalId": "'globalId' is required."})
        numbers = self._named(request.global_id, issue)
        self._need(request, issue, Permission.LINK)
        for number in numbers:
            self._drop(issue, number, now)
        return Reply(204)

    def _get(self, request: Request, now: float) -> Reply:
        issue = self._visible(request)
        return Reply(200, {}, self._shown(request, issue, self._numbered(request, issue, now)))

    def _update(self, request: Request, now: float) -> Reply:
        record = _read(request.body)
        issue = self._visible(request)
        number = self._numbered(request, issue, now)
        self._need(request, issue, Permission.LINK)
        _need_right_fields(record)
        if "globalId" in record and issue.of_global_id(record["globalId"]) not in ([], [number]):
            raise _Refused(400, errors={"globalId": "Another remote link has this 'globalId'."})
        self._put(issue, number, record, now)
        return Reply(204)

    def _delete(self, request: Request, now: float) -> Reply:
        issue = self._visible(request)
        number = self._numbered(request, issue, now)
        self._need(request, issue, Permission.LINK)
        self._need(request, issue, Permission.EDIT)
        self._drop(issue, number, now)
        return Reply(204)

    def _put(self, issue: Issue, number: int, record: Record, now: float) -> None:
        old = issue.links.get(number)
        issue.put(number, Stored(record, old.created_at if old else now))
        self._owners[number] = issue
        action, needless = ("updated", old.record == record) if old else ("created", False)
        written = Entry(now, issue.key, action, number, record.get("globalId"), needless, record=record)
        self.history.append(written)

    def _drop(self, issue: Issue, number: int, now: float) -> None:
        gone = issue.links.pop(number).record
        self.history.append(Entry(now, issue.key, "deleted", number, gone.get("globalId")))

    # --- checks, in the order in which the operations make them ----------------------------

    def _visible(self, request: Request) -> Issue:
        issue = self.find(request.issue)
        if issue is None or self.lacks(Permission.BROWSE, issue.project, request.denied):
            raise _Refused(404, NO_ISSUE)
        return issue

    def _numbered(self, request: Request, issue: Issue, now: float) -> int:
        """The id in the path, once it is found to be that of a link of this issue."""
        text = request.link_id or ""
        number = int(text) if _NUMBER.fullmatch(text) else None
        if number is None or not -_LONG <= number < _LONG:
            raise _Refused(400, f"The remote link id '{text[:40]}' is not a number.")
        self._need_linking()
        owner = self._owners.get(number)
        link = owner.links.get(number) if owner else None
        if link is None or now - link.created_at < self.knobs.lag:
            raise _Refused(404, NO_LINK)
        if owner is not issue:
            raise _Refused(400, "The remote link does not belong to the issue.")
        return number

    def _named(self, global_id: str, issue: Issue) -> list[int]:
        numbers = issue.of_global_id(global_id)
        if not numbers:
            raise _Refused(404, NO_LINK)
        return numbers

    def _need_linking(self) -> None:
        if not self.knobs.is_linking_enabled:
            raise _Refused(403, "Issue linking is currently disabled.")

    def _need(self, request: Request, issue: Issue, permission: Permission) -> None:
        if self.lacks(permission, issue.project, request.denied):
            raise _Refused(403, "You do not have permission to link issues in this project.")

    def _shown(self, request: Request, issue: Issue, number: int) -> dict[str, Any]:
        shown = fields.show(issue.links[number].record)
        return {"id": number, "self": _self(request, issue, number), **shown}


def _read(body: bytes | None) -> Record:
    """The record that a body stands for: Jira's framework reads it before it asks for anything else."""
    try:
        return fields.read(orjson.loads(body or b""))
    except orjson.JSONDecodeError:
        raise _Unreadable("There was an error parsing JSON. Check that your request body is valid.") from None
    except fields.Misread:
        raise _Unreadable("Invalid request payload.") from None


def _need_right_fields(record: Record) -> None:
    if errors := fields.faults(record):
        raise _Refused(400, errors=errors)


def _standing(issue: Issue, number: int) -> dict[str, Any]:
    record = issue.links[number].record
    return {
        "issue": issue.key,
        "id": number,
        "globalId": record.get("globalId"),
        "body": fields.show(record),
    }


def _self(request: Request, issue: Issue, number: int) -> str:
    return f"{request.root}/issue/{issue.key}/remotelink/{number}"
