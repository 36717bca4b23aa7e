"""Jira's six operations on remote issue links as requests and answers, without any input or output.

A `Request` says what to send and how to read the answer; `decipher` gives the answer's value or
raises the error that it stands for. The operations:
https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/. Reading
with and without a globalId is one of Atlassian's operations, and two functions here: one gives a
link, the other all links.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson

from bridge.errors import JiraBadRequest
from bridge.jira.refusals import Asked, is_json, refusal
from bridge.jira.schemas import RemoteIssueLink, RemoteIssueLinkIdentifies, RemoteIssueLinkRequest
from bridge.jira.wire import HttpAnswer, shown
from bridge.model import Link, RemoteLink, Written

T = TypeVar("T")

_ISSUE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}-[1-9][0-9]{0,18}|[1-9][0-9]{0,18}")
_SELF = re.compile(r"/issue/([^/?#]+)/remotelink/")
_CREATED = 201


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One operation on one issue.

    `path` is escaped already and goes below the site's URL. `read` makes the value out of the
    status and the parsed body; `statuses` are those of success. `is_repeatable`: sending it
    twice leaves Jira as sending it once does.
    """

    asked: Asked
    method: str
    path: str
    statuses: frozenset[int]
    read: Callable[[int, Any], T]
    body: bytes | None = None
    is_repeatable: bool = True


# --- the operations ------------------------------------------------------------------------


def upsert(version: str, issue: str, link: Link, global_id: str | None) -> Request[Written]:
    """Create the link, or replace the one that the issue has under `global_id`.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-post

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.
        link: the whole content; what it lacks is emptied.
        global_id: the link's address within the issue; without one, each request adds a link.

    Returns:
        The request; its value tells the link's id and whether it is new.

    Raises:
        JiraBadRequest: `issue` is neither key nor id, or a text is no Unicode.
    """
    asked = Asked("createOrUpdateRemoteIssueLink", issue, global_id)

    def read(status: int, document: Any) -> Written:  # noqa: ANN401 - JSON
        answer = RemoteIssueLinkIdentifies.model_validate(document)
        return Written(answer.id, _issue_of(answer.self_url, issue), created=status == _CREATED)

    return Request(
        asked,
        "POST",
        _path(version, asked),
        frozenset({200, _CREATED}),
        read,
        _body(asked, link, global_id),
        is_repeatable=bool(global_id),
    )


def list_links(version: str, issue: str) -> Request[list[RemoteLink]]:
    """Read all links of the issue, in no order.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-get

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.

    Returns:
        The request; its value is the links.

    Raises:
        JiraBadRequest: `issue` is neither key nor id.
    """
    asked = Asked("getRemoteIssueLinks", issue)

    def read(_status: int, document: Any) -> list[RemoteLink]:  # noqa: ANN401 - JSON
        if not isinstance(document, list):
            raise TypeError("expected an array")
        return [_remote_link(item, issue) for item in document]

    return Request(asked, "GET", _path(version, asked), frozenset({200}), read)


def get_by_global_id(version: str, issue: str, global_id: str) -> Request[RemoteLink]:
    """Read the link that the issue has under `global_id`.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-get

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.
        global_id: the link's address within the issue, unescaped.

    Returns:
        The request; its value is the link.

    Raises:
        JiraBadRequest: `issue` is neither key nor id, or the globalId is no Unicode.
    """
    asked = Asked("getRemoteIssueLinks", issue, global_id)
    path = _path(version, asked) + _query(asked, global_id)

    def read(_status: int, document: Any) -> RemoteLink:  # noqa: ANN401 - JSON
        found = _remote_link(document, issue)
        # Databases that Jira runs on may compare without case.
        if found.global_id is None or found.global_id.casefold() != global_id.casefold():
            raise ValueError("expected the link of that globalId")
        return found

    return Request(asked, "GET", path, frozenset({200}), read)


def delete_by_global_id(version: str, issue: str, global_id: str) -> Request[None]:
    """Delete what the issue has under `global_id`.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-delete

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.
        global_id: the link's address within the issue, unescaped.

    Returns:
        The request; it has no value.

    Raises:
        JiraBadRequest: `issue` is neither key nor id, or the globalId is no Unicode.
    """
    asked = Asked("deleteRemoteIssueLinkByGlobalId", issue, global_id)
    path = _path(version, asked) + _query(asked, global_id)
    return Request(asked, "DELETE", path, frozenset({204}), _nothing)


def get(version: str, issue: str, link_id: int) -> Request[RemoteLink]:
    """Read the link of that id.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-linkid-get

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.
        link_id: the link's id in Jira.

    Returns:
        The request; its value is the link.

    Raises:
        JiraBadRequest: `issue` is neither key nor id.
    """
    asked = Asked("getRemoteIssueLinkById", issue, link_id)
    path = f"{_path(version, asked)}/{link_id:d}"

    def read(_status: int, document: Any) -> RemoteLink:  # noqa: ANN401 - JSON
        found = _remote_link(document, issue)
        if found.id != link_id:
            raise ValueError("expected the link of that id")
        return found

    return Request(asked, "GET", path, frozenset({200}), read)


def update(version: str, issue: str, link_id: int, link: Link, global_id: str | None) -> Request[None]:
    """Replace the link of that id, its globalId too.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-linkid-put

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.
        link_id: the link's id in Jira.
        link: the whole content; what it lacks is emptied.
        global_id: the globalId that it has from now on; None leaves it without one.

    Returns:
        The request; it has no value.

    Raises:
        JiraBadRequest: `issue` is neither key nor id, or a text is no Unicode.
    """
    asked = Asked("updateRemoteIssueLink", issue, link_id)
    path = f"{_path(version, asked)}/{link_id:d}"
    return Request(asked, "PUT", path, frozenset({204}), _nothing, _body(asked, link, global_id))


def delete(version: str, issue: str, link_id: int) -> Request[None]:
    """Delete the link of that id.

    https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/#api-rest-api-2-issue-issueidorkey-remotelink-linkid-delete

    Args:
        version: of Jira's REST API, `2` or `3`.
        issue: the issue's key or id.
        link_id: the link's id in Jira.

    Returns:
        The request; it has no value.

    Raises:
        JiraBadRequest: `issue` is neither key nor id.
    """
    asked = Asked("deleteRemoteIssueLinkById", issue, link_id)
    return Request(asked, "DELETE", f"{_path(version, asked)}/{link_id:d}", frozenset({204}), _nothing)


def _path(version: str, asked: Asked) -> str:
    """Raises JiraBadRequest for what is no key: pasted, it could lead to another resource."""
    if not _ISSUE.fullmatch(asked.issue):
        raise _not_sent(asked, f"{shown(asked.issue)!r} is neither an issue key nor an issue id")
    return f"/rest/api/{version}/issue/{asked.issue}/remotelink"


def _query(asked: Asked, global_id: str) -> str:
    """Raises JiraBadRequest for half a character (a lone surrogate), as `_body` does: no encoding has it."""
    try:
        return "?globalId=" + quote(global_id, safe="")
    except UnicodeEncodeError:
        raise _not_sent(asked, "the globalId is not Unicode text") from None


def _body(asked: Asked, link: Link, global_id: str | None) -> bytes:
    try:
        return RemoteIssueLinkRequest.of(link, global_id).json_bytes
    except orjson.JSONEncodeError:
        raise _not_sent(asked, "the link or its globalId is not Unicode text") from None


def _not_sent(asked: Asked, text: str) -> JiraBadRequest:
    return JiraBadRequest(
        f"Not sent: {text}.", issue=shown(asked.issue), operation=asked.operation, messages=(text,)
    )


# --- what comes back -----------------------------------------------------------------------


def decipher(request: Request[T], answer: HttpAnswer, now: float) -> T:
    """The value that an answer carries.

    Args:
        request: what was asked.
        answer: what came back.
        now: seconds since the epoch, for headers that name a moment.

    Returns:
        What the request's `read` makes of the body.

    Raises:
        JiraError: whatever else the answer says, as the type that stands for it.
    """
    if answer.status in request.statuses and is_json(answer):
        try:
            return request.read(answer.status, orjson.loads(answer.body) if answer.body else None)
        except (ValueError, TypeError):  # pydantic's and orjson's errors are ValueErrors
            pass
    raise refusal(request.asked, answer, now)


def _remote_link(document: Any, asked: str) -> RemoteLink:  # noqa: ANN401 - JSON
    found = RemoteIssueLink.model_validate(document)
    return RemoteLink(found.id, _issue_of(found.self_url, asked), found.link, found.globalId)


def _issue_of(self_url: str, asked: str) -> str:
    """The key that `self` names: another than was asked for when the issue has moved."""
    match = _SELF.search(self_url)
    return match[1] if match and _ISSUE.fullmatch(match[1]) else asked


def _nothing(_status: int, _document: Any) -> None:  # noqa: ANN401 - JSON
    """Where the status says it all."""
