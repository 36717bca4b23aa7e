"""Jira's remote-link operations as functions of bytes: requests out, answers in.

https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/
Version 3 has the same operations under another path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from bridge.errors import (
    JiraBadRequest,
    JiraError,
    JiraForbidden,
    JiraLoginDenied,
    JiraNotFound,
    JiraRateLimited,
    JiraTooManyLinks,
    JiraUnauthorized,
    JiraUnavailable,
)
from bridge.jira import limits
from bridge.model import Link, RemoteLink, Written

_ISSUE = re.compile(r"[A-Za-z][A-Za-z0-9_]+-[1-9][0-9]{0,17}|[1-9][0-9]{0,17}", re.ASCII)
_SELF = re.compile(r"/issue/([^/]+)/remotelink/")
_MESSAGE_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` is escaped and goes on the wire as it is; `body` is JSON or None."""

    method: str
    path: str
    body: bytes | None = None
    is_repeatable: bool = True

    def __str__(self) -> str:
        """The method and the path, for messages."""
        return f"{self.method} {self.path}"


class RemoteIssueLinkIdentifies(BaseModel):
    """Jira's answer to a POST."""

    model_config = ConfigDict(extra="ignore")

    id: int
    self_: str = Field(alias="self")


class RemoteIssueLink(BaseModel):
    """A link as Jira gives it, with what it may add in future ignored."""

    model_config = ConfigDict(extra="allow")

    id: int
    self_: str = Field(alias="self")
    global_id: str | None = Field(None, alias="globalId")


class ErrorCollection(BaseModel):
    """Jira's account of what is wrong. The texts are localised: for people only."""

    model_config = ConfigDict(extra="ignore")

    error_messages: list[str] = Field([], alias="errorMessages")
    errors: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. Header names are lower-case; `now` is when it came, seconds since the epoch."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    now: float


@dataclass(frozen=True, slots=True)
class RemoteLinks:
    """The requests, for one version of the API ("2" or "3")."""

    api_version: str = "2"
    _root: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out the common part of the paths."""
        object.__setattr__(self, "_root", f"/rest/api/{self.api_version}")

    def list(self, issue: str) -> Request:
        """All links of the issue."""
        return Request("GET", self._links(issue))

    def get_by_global_id(self, issue: str, global_id: str) -> Request:
        """One link, by its globalId."""
        return Request("GET", f"{self._links(issue)}?globalId={escape(global_id)}")

    def get(self, issue: str, link_id: int) -> Request:
        """One link, by its id."""
        return Request("GET", f"{self._links(issue)}/{link_id}")

    def upsert(self, issue: str, link: Link, global_id: str | None) -> Request:
        """Create, or replace the link with that globalId. Without one, each POST adds a link."""
        body = orjson.dumps(link.body(global_id))
        return Request("POST", self._links(issue), body, is_repeatable=global_id is not None)

    def update(self, issue: str, link_id: int, link: Link, global_id: str | None) -> Request:
        """Replace a link, and its globalId with it."""
        return Request("PUT", f"{self._links(issue)}/{link_id}", orjson.dumps(link.body(global_id)))

    def delete_by_global_id(self, issue: str, global_id: str) -> Request:
        """Delete the link with that globalId."""
        return Request("DELETE", f"{self._links(issue)}?globalId={escape(global_id)}")

    def delete(self, issue: str, link_id: int) -> Request:
        """Delete one link by its id."""
        return Request("DELETE", f"{self._links(issue)}/{link_id}")

    def myself(self) -> Request:
        """Who the credentials say we are."""
        return Request("GET", f"{self._root}/myself")

    def _links(self, issue: str) -> str:
        # A key is a segment of the path: anything else could name another resource.
        if _ISSUE.fullmatch(issue) is None:
            raise JiraBadRequest(f"{issue[:80]!r} is neither an issue's key nor its id.")
        return f"{self._root}/issue/{issue}/remotelink"


def escape(global_id: str) -> str:
    """The globalId for a query: all reserved characters escaped, a space as %20."""
    return quote(global_id, safe="")


# --- answers -------------------------------------------------------------------------------

_LIST = TypeAdapter(list[RemoteIssueLink])


def read_none(request: Request, answer: Answer) -> None:
    """The answer to an operation that gives nothing back. Raises JiraError."""
    _check(request, answer)


def read_link(request: Request, answer: Answer) -> RemoteLink:
    """The answer to a GET of one link. Raises JiraError."""
    _check(request, answer)
    try:
        return _remote(RemoteIssueLink.model_validate_json(answer.body))
    except ValidationError as error:
        raise _unreadable(request, answer) from error


def read_links(request: Request, answer: Answer) -> list[RemoteLink]:
    """The answer to a GET of all links. Raises JiraError."""
    _check(request, answer)
    try:
        return [_remote(found) for found in _LIST.validate_json(answer.body)]
    except ValidationError as error:
        raise _unreadable(request, answer) from error


def read_written(request: Request, answer: Answer) -> Written:
    """The answer to a POST. Raises JiraError."""
    _check(request, answer)
    try:
        found = RemoteIssueLinkIdentifies.model_validate_json(answer.body)
        return Written(found.id, _issue(found.self_), answer.status == 201)  # noqa: PLR2004 - Created
    except ValidationError as error:
        raise _unreadable(request, answer) from error


def _remote(found: RemoteIssueLink) -> RemoteLink:
    link = Link.model_validate(found.model_extra)
    return RemoteLink(found.id, _issue(found.self_), link, found.global_id)


def _issue(self_url: str) -> str:
    """The issue's key as Jira's own `self` names it: the new one of an issue that was moved."""
    found = _SELF.search(urlsplit(self_url).path)
    return unquote(found[1]) if found else ""


def _check(request: Request, answer: Answer) -> None:
    """Raise the error that the answer tells of, if it tells of one."""
    if 200 <= answer.status < 300:  # noqa: PLR2004 - what HTTP calls successful
        return
    collection = _errors(answer)
    reason = "; ".join([*collection.error_messages, *(f"{k}: {v}" for k, v in collection.errors.items())])
    raise _kind(answer)(
        f"{request}: {answer.status} {reason[:_MESSAGE_CHARACTERS] or '(no reason given)'}",
        status=answer.status,
        messages=tuple(collection.error_messages),
        fields=collection.errors,
        trace=answer.headers.get("atl-traceid") or answer.headers.get("x-arequestid"),
        retry_after=limits.retry_after(answer.headers, answer.now),
        scope=limits.scope(answer.headers),
    )


def _kind(answer: Answer) -> type[JiraError]:
    """The error's type by status; but a header that tells of a failed login says more than it.

    A dead token is often answered as anonymous: 404 for an issue that is there, with
    `X-Seraph-LoginReason: AUTHENTICATED_FAILED`.
    """
    login = answer.headers.get("x-seraph-loginreason", "")
    if answer.status in {401, 403, 404}:
        if "AUTHENTICATION_DENIED" in login or "x-authentication-denied-reason" in answer.headers:
            return JiraLoginDenied
        if "AUTHENTICATED_FAILED" in login:
            return JiraUnauthorized
        # A proxy's page is no word of Jira's on the issue.
        if answer.status != 401 and not _is_json(answer):  # noqa: PLR2004 - Unauthorized
            return JiraUnavailable
    return _BY_STATUS.get(
        answer.status, JiraUnavailable if answer.status not in _FOR_GOOD else JiraBadRequest
    )


_FOR_GOOD = frozenset(range(400, 500)) - {408, 425}
_BY_STATUS: dict[int, type[JiraError]] = {
    400: JiraBadRequest,
    401: JiraUnauthorized,
    403: JiraForbidden,
    404: JiraNotFound,
    413: JiraTooManyLinks,
    429: JiraRateLimited,
}


def _errors(answer: Answer) -> ErrorCollection:
    """Jira's reasons; the gateway has a form of its own, `{"code", "message"}`."""
    try:
        body: Any = orjson.loads(answer.body) if _is_json(answer) else {}
        if isinstance(body, dict) and isinstance(body.get("message"), str):
            return ErrorCollection(errorMessages=[body["message"]])
        return ErrorCollection.model_validate(body)
    except (orjson.JSONDecodeError, ValidationError):
        return ErrorCollection()


def _is_json(answer: Answer) -> bool:
    return "json" in answer.headers.get("content-type", "")


def _unreadable(request: Request, answer: Answer) -> JiraUnavailable:
    kind = answer.headers.get("content-type", "no content type")
    return JiraUnavailable(
        f"{request}: {answer.status} with a body that is not Jira's ({kind[:80]})", status=answer.status
    )
