"""A Jira in memory: issues, their remote links and their history, without any input or output.

It answers as Jira does, checks in Jira's order and leaves Jira's traces in the history. The
tests hold the bridge against it. What is documented:
https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/; the
order of the checks was observed of Jira Server 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any, NamedTuple

import orjson

from bridge.simulator import fields
from bridge.simulator.fields import Record
from bridge.simulator.rate_limit import RateLimits

MAX_LINKS = 2000
"""Remote links an issue."""

NO_ISSUE = "Issue does not exist or you do not have permission to see it."
NO_LINK = "The remote link does not exist."

_KEY = re.compile(r"([A-Z][A-Z0-9_]*)-[1-9][0-9]{0,17}")
_NUMBER = re.compile(r"[+-]?[0-9]+")


class Permission(StrEnum):
    """A project permission that the caller can lack."""

    BROWSE = "browse"
    EDIT = "edit"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Request:
    """A call of `…/issue/{issue}/remotelink[/{link_id}]`, its parts unescaped.

    `global_id` is the query's: None when it has none, empty when it is empty. `body` is as it
    came. `root` is what `self` begins with: the site and `/rest/api/N`.
    """

    method: str
    issue: str
    link_id: str | None = None
    global_id: str | None = None
    body: bytes | None = None
    root: str = "http://jira.example/rest/api/2"


class Reply(NamedTuple):
    """What Jira answers; `body` None for none."""

    status: int
    headers: Mapping[str, str] = {}
    body: Any = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of an issue's history: one write to one link. `at` is in seconds since the epoch.

    `issue` is the key at that time; `action` is created, updated or deleted. `needless` says that
    nothing was changed by it: Jira writes the line all the same, and people read it.
    """

    at: float
    issue: str
    action: str
    link_id: int
    global_id: str | None
    needless: bool = False


@dataclass(frozen=True, slots=True)
class Stored:
    """A link in Jira's own form."""

    record: Record
    created_at: float


@dataclass(slots=True)
class Issue:
    """An issue and its links by id."""

    id: int
    key: str
    links: dict[int, Stored] = field(default_factory=dict)
    is_deleted: bool = False

    @property
    def project(self) -> str:
        """The key's first part."""
        return self.key.rpartition("-")[0]

    def of_global_id(self, global_id: str) -> list[int]:
        """The ids of the links with that globalId; one, unless somebody made two by PUT."""
        return [number for number, link in self.links.items() if link.record.get("globalId") == global_id]


class _Refused(Exception):
    def __init__(self, status: int, *messages: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.reply = refusal(status, *messages, errors=errors)


def refusal(status: int, *messages: str, errors: Mapping[str, str] | None = None) -> Reply:
    """An answer with Jira's ErrorCollection."""
    return Reply(status, {}, {"errorMessages": list(messages), "errors": dict(errors or {})})


class JiraModel:
    """One Jira. `answer` is what it does; the rest sets it up and looks into it.

    Attributes:
        linking_enabled: whether issue linking is active.
        history: the lines of all issues' histories, oldest first.
        denied: the permissions that the caller lacks, by project.
        lag: seconds for which a new link is not found by its id, as on Cloud.
        max_links: how many remote links an issue takes.
        rate_limits: what is refused with 429, None for nothing.
    """

    def __init__(
        self,
        *,
        issues: Iterable[str] = (),
        projects: Iterable[str] = (),
        rate_limits: RateLimits | None = None,
    ) -> None:
        """`issues` exist by their keys; in `projects` each issue exists."""
        self.linking_enabled = True
        self.history: list[Entry] = []
        self.denied: dict[str, set[Permission]] = {}
        self.lag = 0.0
        self.max_links = MAX_LINKS
        self.rate_limits = rate_limits
        self._projects = {project.upper() for project in projects}
        self._keys: dict[str, Issue] = {}
        self._ids: dict[int, Issue] = {}
        self._issue_ids = count(10_000)
        self._link_ids = count(10_000)
        for key in issues:
            if self.find(key) is None:
                self.add(key)

    # --- set up and look into --------------------------------------------------------------

    @property
    def issues(self) -> list[Issue]:
        """The issues that were named so far and are not deleted."""
        return [issue for issue in self._ids.values() if not issue.is_deleted]

    def add(self, key: str) -> Issue:
        """Make an issue. Raises ValueError when it is there already or `key` is no key."""
        key = key.upper()
        if not _KEY.fullmatch(key) or key in self._keys:
            raise ValueError(f"{key} is no issue key, or is taken")
        issue = Issue(next(self._issue_ids), key)
        self._keys[key] = self._ids[issue.id] = issue
        return issue

    def find(self, key_or_id: str) -> Issue | None:
        """The issue by its key, a former key or its id; None when it does not exist."""
        text = key_or_id.upper()
        if text.isascii() and text.isdigit():
            issue = self._ids.get(int(text)) if len(text) < 19 else None  # noqa: PLR2004 - 64 bits
        elif text in self._keys:
            issue = self._keys[text]
        else:
            key = _KEY.fullmatch(text)
            issue = self.add(text) if key and key[1] in self._projects else None
        return issue if issue and not issue.is_deleted else None

    def move_issue(self, key: str, new_key: str) -> None:
        """Give the issue another key; it goes on answering to the old one, and its links stay.

        Raises ValueError when there is no such issue, or the new key is none or is taken.
        """
        issue, new_key = self._known(key), new_key.upper()
        if not _KEY.fullmatch(new_key) or self._keys.get(new_key, issue) is not issue:
            raise ValueError(f"{new_key} is no issue key, or is taken")
        issue.key = new_key
        self._keys[new_key] = issue

    def delete_issue(self, key: str) -> None:
        """Delete the issue and all its links for good. Raises ValueError when there is no such issue."""
        issue = self._known(key)
        issue.is_deleted = True
        issue.links.clear()

    def links(self, issue: str | None = None) -> list[dict[str, Any]]:
        """The links of an issue, or of all, in the order of their ids.

        Each is `{"issue": key, "id": number, "globalId": text or None, "body": …}`, the body as
        Jira shows it but for `id` and `self`.
        """
        only = None if issue is None else self.find(issue)
        owners = self.issues if issue is None else [only] if only else []
        standing = ((number, owner) for owner in owners for number in owner.links)
        return [_standing(owner, number) for number, owner in sorted(standing, key=lambda pair: pair[0])]

    def _known(self, key: str) -> Issue:
        if issue := self.find(key):
            return issue
        raise ValueError(f"{key} does not exist")

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
            issue = self._visible(request)
            self._limit(request, issue, now)
            return operation(request, issue, now)
        except _Refused as refused:
            return refused.reply

    def _get_links(self, request: Request, issue: Issue, _now: float) -> Reply:
        self._need_linking()
        if request.global_id is None:
            if len(issue.links) > self.max_links:
                raise _Refused(413, "The issue has too many remote links.")
            return Reply(200, {}, [self._shown(request, issue, number) for number in issue.links])
        return Reply(200, {}, self._shown(request, issue, self._named(request.global_id, issue)[0]))

    def _upsert(self, request: Request, issue: Issue, now: float) -> Reply:
        self._need_linking()
        self._need(issue, Permission.LINK)
        record = _accepted(request.body)
        same = issue.of_global_id(record["globalId"]) if "globalId" in record else []
        if not same and len(issue.links) >= self.max_links:
            raise _Refused(413, "The issue has too many remote links.")
        number = same[0] if same else next(self._link_ids)
        self._put(issue, number, record, now)
        address = _self(request, issue, number)
        body = {"id": number, "self": address}
        return Reply(200, {}, body) if same else Reply(201, {"Location": address}, body)

    def _delete_by_global_id(self, request: Request, issue: Issue, now: float) -> Reply:
        self._need_linking()
        if request.global_id is None:
            raise _Refused(400, errors={"globalId": "'globalId' is required."})
        numbers = self._named(request.global_id, issue)
        self._need(issue, Permission.LINK)
        for number in numbers:
            self._drop(issue, number, now)
        return Reply(204)

    def _get(self, request: Request, issue: Issue, now: float) -> Reply:
        return Reply(200, {}, self._shown(request, issue, self._numbered(request, issue, now)))

    def _update(self, request: Request, issue: Issue, now: float) -> Reply:
        number = self._numbered(request, issue, now)
        self._need(issue, Permission.LINK)
        record = _accepted(request.body)
        if "globalId" in record and issue.of_global_id(record["globalId"]) not in ([], [number]):
            raise _Refused(400, errors={"globalId": "Another remote link has this 'globalId'."})
        self._put(issue, number, record, now)
        return Reply(204)

    def _delete(self, request: Request, issue: Issue, now: float) -> Reply:
        number = self._numbered(request, issue, now)
        self._need(issue, Permission.LINK)
        self._need(issue, Permission.EDIT)
        self._drop(issue, number, now)
        return Reply(204)

    def _put(self, issue: Issue, number: int, record: Record, now: float) -> None:
        old = issue.links.get(number)
        issue.links[number] = Stored(record, old.created_at if old else now)
        action, needless = ("updated", old.record == record) if old else ("created", False)
        self.history.append(Entry(now, issue.key, action, number, record.get("globalId"), needless))

    def _drop(self, issue: Issue, number: int, now: float) -> None:
        gone = issue.links.pop(number).record
        self.history.append(Entry(now, issue.key, "deleted", number, gone.get("globalId")))

    # --- checks, in the order in which the operations make them ----------------------------

    def _visible(self, request: Request) -> Issue:
        issue = self.find(request.issue)
        if issue is None or Permission.BROWSE in self.denied.get(issue.project, ()):
            raise _Refused(404, NO_ISSUE)
        return issue

    def _limit(self, request: Request, issue: Issue, now: float) -> None:
        if self.rate_limits is None:
            return
        headers = self.rate_limits.refuse(request.method, issue.id, now, by_id=request.link_id is not None)
        if headers:
            refused = _Refused(429, "Rate limit exceeded.")
            refused.reply = refused.reply._replace(headers=headers)
            raise refused

    def _numbered(self, request: Request, issue: Issue, now: float) -> int:
        """The id in the path, once it is found to be that of a link of this issue."""
        text = request.link_id or ""
        number = int(text) if _NUMBER.fullmatch(text) and len(text) <= 20 else None  # noqa: PLR2004
        if number is None or not -(2**63) <= number < 2**63:
            raise _Refused(400, f"The remote link id '{text[:40]}' is not a number.")
        self._need_linking()
        owner = next((other for other in self._ids.values() if number in other.links), None)
        if owner is None or now - owner.links[number].created_at < self.lag:
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
        if not self.linking_enabled:
            raise _Refused(403, "Issue linking is currently disabled.")

    def _need(self, issue: Issue, permission: Permission) -> None:
        if permission in self.denied.get(issue.project, ()):
            raise _Refused(403, "You do not have permission to link issues in this project.")

    def _shown(self, request: Request, issue: Issue, number: int) -> dict[str, Any]:
        shown = fields.show(issue.links[number].record)
        return {"id": number, "self": _self(request, issue, number), **shown}


def _accepted(body: bytes | None) -> Record:
    try:
        record, errors = fields.accept(orjson.loads(body or b""))
    except orjson.JSONDecodeError:
        raise _Refused(400, "The request body is not JSON.") from None
    if errors:
        raise _Refused(400, errors=errors)
    return record


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
