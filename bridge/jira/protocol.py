"""Jira's remote issue links as requests and answers, without any input or output.

A `Request` says what to send and how to read the answer; `decipher` gives the answer's value or
raises the error that it stands for. The operations:
https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

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
    JiraUnreachable,
)
from bridge.jira import limits
from bridge.model import Link, RemoteLink, Written

T = TypeVar("T")

_ISSUE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}-[1-9][0-9]{0,18}|[1-9][0-9]{0,18}")
_SELF = re.compile(r"/issue/([^/?#]+)/remotelink/")
_MESSAGES_SHOWN = 5
_TEXT_SHOWN = 200

_ERRORS: dict[int, type[JiraError]] = {
    401: JiraUnauthorized,
    403: JiraForbidden,
    404: JiraNotFound,
    407: JiraUnreachable,  # the proxy's word: Jira has not seen the request
    408: JiraUnavailable,
    413: JiraTooManyLinks,
    425: JiraUnavailable,
    429: JiraRateLimited,
}
_JUDGES_THE_ISSUE = {400, 403, 404}
_LOGIN_JUDGED = {301, 302, 303, 307, 308, 401, 403, 404}


# --- what is sent --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One operation on one issue.

    `path` is escaped already and goes below the site's URL. `read` makes the value out of the
    status and the parsed body; `statuses` are those of success. `is_repeatable`: sending it
    twice leaves Jira as sending it once does.
    """

    method: str
    what: str
    path: str
    statuses: frozenset[int]
    read: Callable[[int, Any], T]
    body: bytes | None = None
    is_repeatable: bool = True

    def __str__(self) -> str:
        """For error messages: the method and what it was about."""
        return f"{self.method} {self.what}"


def upsert(version: str, issue: str, link: Link, global_id: str | None) -> Request[Written]:
    """Create the link, or replace the one that the issue has under `global_id`.

    Without a globalId each request adds one more link.
    """

    def read(status: int, document: Any) -> Written:  # noqa: ANN401 - JSON
        answer = RemoteIssueLinkIdentifies.model_validate(document)
        return Written(answer.id, _issue_of(answer.self_url, issue), created=status == 201)  # noqa: PLR2004

    return Request(
        "POST",
        _what(issue, global_id),
        _path(version, issue),
        frozenset({200, 201}),
        read,
        orjson.dumps(link.body(global_id)),
        is_repeatable=global_id is not None,
    )


def list_links(version: str, issue: str) -> Request[list[RemoteLink]]:
    """All links of the issue, in no order."""

    def read(_status: int, document: Any) -> list[RemoteLink]:  # noqa: ANN401 - JSON
        if not isinstance(document, list):
            raise TypeError("expected an array")
        return [_remote_link(item, issue) for item in document]

    return Request("GET", issue, _path(version, issue), frozenset({200}), read)


def get_by_global_id(version: str, issue: str, global_id: str) -> Request[RemoteLink]:
    """The link that the issue has under `global_id`."""
    return Request(
        "GET",
        _what(issue, global_id),
        _path(version, issue) + _query(global_id),
        frozenset({200}),
        lambda _status, document: _remote_link(document, issue),
    )


def delete_by_global_id(version: str, issue: str, global_id: str) -> Request[None]:
    """Delete what the issue has under `global_id`."""
    return Request(
        "DELETE",
        _what(issue, global_id),
        _path(version, issue) + _query(global_id),
        frozenset({204}),
        _nothing,
    )


def get(version: str, issue: str, link_id: int) -> Request[RemoteLink]:
    """The link of that id."""
    return Request(
        "GET",
        _what(issue, link_id),
        f"{_path(version, issue)}/{link_id:d}",
        frozenset({200}),
        lambda _status, document: _remote_link(document, issue),
    )


def update(version: str, issue: str, link_id: int, link: Link, global_id: str | None) -> Request[None]:
    """Replace the link of that id, its globalId too: None leaves it without one."""
    return Request(
        "PUT",
        _what(issue, link_id),
        f"{_path(version, issue)}/{link_id:d}",
        frozenset({204}),
        _nothing,
        orjson.dumps(link.body(global_id)),
    )


def delete(version: str, issue: str, link_id: int) -> Request[None]:
    """Delete the link of that id."""
    return Request(
        "DELETE",
        _what(issue, link_id),
        f"{_path(version, issue)}/{link_id:d}",
        frozenset({204}),
        _nothing,
    )


def _path(version: str, issue: str) -> str:
    """Raises JiraBadRequest for what is no key: pasted, it could lead to another resource."""
    if not _ISSUE.fullmatch(issue):
        text = f"{_cut(issue)!r} is neither an issue key nor an issue id"
        raise JiraBadRequest(f"Not sent: {text}.", messages=(text,))
    return f"/rest/api/{version}/issue/{issue}/remotelink"


def _query(global_id: str) -> str:
    return "?globalId=" + quote(global_id, safe="")


def _what(issue: str, which: str | int | None) -> str:
    return issue if which is None else f"{issue} {_cut(str(which))}"


# --- what comes back -----------------------------------------------------------------------


class RemoteIssueLinkIdentifies(BaseModel):
    """Jira's answer to a create or an update."""

    id: int
    self_url: str = Field("", alias="self")


class RemoteIssueLink(RemoteIssueLinkIdentifies):
    """A link's identity as Jira gives it; its content is read as a `Link`."""

    global_id: str | None = Field(None, alias="globalId")


class ErrorCollection(BaseModel):
    """Jira's reasons, or a gateway's single `message`. What has another shape is left out."""

    model_config = ConfigDict(extra="ignore")

    messages: tuple[str, ...] = Field((), alias="errorMessages")
    errors: dict[str, str] = {}
    message: str = ""

    @field_validator("messages", mode="before")
    @classmethod
    def _texts(cls, value: object) -> tuple[str, ...]:
        return tuple(_cut(str(item)) for item in value[:_MESSAGES_SHOWN]) if isinstance(value, list) else ()

    @field_validator("errors", mode="before")
    @classmethod
    def _fields(cls, value: object) -> dict[str, str]:
        items = list(value.items())[:_MESSAGES_SHOWN] if isinstance(value, dict) else []
        return {_cut(str(name)): _cut(str(text)) for name, text in items}

    @field_validator("message", mode="before")
    @classmethod
    def _text(cls, value: object) -> str:
        return _cut(value) if isinstance(value, str) else ""


def decipher(request: Request[T], status: int, headers: Mapping[str, str], body: bytes, now: float) -> T:
    """The value that the answer carries.

    Args:
        request: what was asked.
        status: the HTTP status.
        headers: the answer's, names in any case.
        body: the whole body.
        now: seconds since the epoch, for headers that name a moment.

    Raises:
        JiraError: whatever else the answer says, as the type that stands for it.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    if status not in request.statuses:
        raise _error(request, status, lower, body, now)
    try:
        return request.read(status, orjson.loads(body) if body else None)
    except (ValueError, TypeError, RecursionError):  # pydantic's and orjson's errors are ValueErrors
        text = f"{request}: {status} with a body that is not Jira's"
        raise JiraUnavailable(text, status=status, trace=_trace(lower)) from None


def _error(
    request: Request[Any], status: int, headers: Mapping[str, str], body: bytes, now: float
) -> JiraError:
    said = _error_collection(body)
    kind = _kind(status, headers, is_jiras=said is not None)
    said = said or ErrorCollection()
    messages = (*said.messages, said.message) if said.message else said.messages
    trace = _trace(headers)
    wait = limits.rate_limited if kind is JiraRateLimited else limits.retry_after
    return kind(
        " ".join(_sentence(request, status, messages, said.errors, trace)),
        status=status,
        messages=messages,
        fields=said.errors,
        trace=trace,
        retry_after=wait(headers, now),
        scope=limits.scope(headers),
    )


def _kind(status: int, headers: Mapping[str, str], *, is_jiras: bool) -> type[JiraError]:
    """The error that a status stands for, once the headers about the login are looked at.

    A dead token often gets the answer that anybody would: 404. And where a proxy answers in
    Jira's place with a page of its own, its 404 says nothing about the issue.
    """
    if status in _LOGIN_JUDGED:
        reason = headers.get("x-seraph-loginreason", "")
        denied = headers.get("x-authentication-denied-reason", "")
        if "AUTHENTICATION_DENIED" in reason or "CAPTCHA_CHALLENGE" in denied:
            return JiraLoginDenied
        if "AUTHENTICATED_FAILED" in reason:
            return JiraUnauthorized
    if status in _JUDGES_THE_ISSUE and not is_jiras:
        return JiraUnavailable
    return _ERRORS.get(status, JiraBadRequest if 400 <= status < 500 else JiraUnavailable)  # noqa: PLR2004


def _error_collection(body: bytes) -> ErrorCollection | None:
    """The reasons given; none for an empty body; None for a body that is not a JSON object."""
    if not body.strip():
        return ErrorCollection()
    try:
        return ErrorCollection.model_validate(orjson.loads(body))
    except (ValueError, RecursionError):
        return None


def _sentence(
    request: Request[Any],
    status: int,
    messages: tuple[str, ...],
    fields: Mapping[str, str],
    trace: str | None,
) -> Iterator[str]:
    yield f"{request}: {status}"
    reasons = [*messages, *(f"{name}: {text}" for name, text in fields.items())]
    if reasons:
        yield "; ".join(reasons)
    if trace:
        yield f"(trace {trace})"


def _trace(headers: Mapping[str, str]) -> str | None:
    """What Atlassian's support asks for."""
    return headers.get("atl-traceid") or headers.get("x-arequestid")


def _remote_link(document: Any, asked: str) -> RemoteLink:  # noqa: ANN401 - JSON
    found = RemoteIssueLink.model_validate(document)
    link = Link.model_validate(document)
    return RemoteLink(found.id, _issue_of(found.self_url, asked), link, found.global_id)


def _issue_of(self_url: str, asked: str) -> str:
    """The key that `self` names: another than was asked for when the issue has moved."""
    match = _SELF.search(self_url)
    return match[1] if match and _ISSUE.fullmatch(match[1]) else asked


def _nothing(_status: int, _document: Any) -> None:  # noqa: ANN401 - JSON
    """Where the status says it all."""


def _cut(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= _TEXT_SHOWN else printable[: _TEXT_SHOWN - 1] + "…"
