"""What an answer that is no success stands for: first whose word it is, then what it says.

Between the bridge and Jira there are proxies, gateways and pages to log in. What they say must
not be taken for Jira's word on an issue: a 404 of theirs would have a link rejected for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from bridge.errors import (
    JiraBadRequest,
    JiraError,
    JiraForbidden,
    JiraForeignAnswer,
    JiraLoginDenied,
    JiraNotFound,
    JiraRateLimited,
    JiraTooManyLinks,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.jira import limits
from bridge.jira.schemas import ErrorCollection
from bridge.jira.wire import HttpAnswer, shown

_KINDS: Final[dict[int, type[JiraError]]] = {
    401: JiraUnauthorized,
    403: JiraForbidden,
    404: JiraNotFound,
    407: JiraUnreachable,  # the proxy's word: Jira has not seen the request
    408: JiraUnavailable,
    413: JiraTooManyLinks,
    425: JiraUnavailable,
    429: JiraRateLimited,
}
_ANYONES = {401, 407, 408, 425, 429}
"""Statuses that mean the same whoever sends them."""
_WITHOUT_A_WORD = {400, 415, 422}
"""Statuses that Jira gives without a body: to the second of two first writes, and for a content type."""
_TRACE_ID = "ATL-TraceId"
_REQUEST_ID = "X-AREQUESTID"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request was about, for errors.

    `operation` is Atlassian's operationId; `which` is the link's globalId or id.
    """

    operation: str
    issue: str
    which: str | int | None = None

    def __str__(self) -> str:
        """The operation, the issue and the link, on one line."""
        parts = (self.operation, self.issue, self.which)
        return " ".join(shown(str(part)) for part in parts if part is not None)


def refusal(asked: Asked, answer: HttpAnswer, now: float) -> JiraError:
    """The error that an answer stands for.

    Args:
        asked: what the request was about.
        answer: what came back, with a status or a body that is no success of that request.
        now: seconds since the epoch, for headers that name a moment.

    Returns:
        The error of the type that stands for it, with Jira's texts and trace ids.
    """
    document = parsed(answer)
    kind = _kind(answer, document)
    said = ErrorCollection.model_validate(document or {})
    messages = said.errorMessages or _others_messages(document)
    texts = [*messages, *(f"{name}: {text}" for name, text in said.errors.items())]
    wait = limits.rate_limited if kind is JiraRateLimited else limits.retry_after
    return kind(
        " ".join(_sentence(kind, asked, answer, document, texts)),
        status=answer.status,
        issue=asked.issue,
        operation=asked.operation,
        messages=messages,
        fields=said.errors,
        trace_id=_header(answer, _TRACE_ID),
        request_id=_header(answer, _REQUEST_ID),
        retry_after=wait(answer.headers, now),
        scope=limits.scope(answer.headers),
    )


def parsed(answer: HttpAnswer) -> dict[str, Any] | None:
    """An answer's JSON object.

    Args:
        answer: of any content type; without one it is tried as JSON.

    Returns:
        The object, empty for no body; None for what is no JSON object.
    """
    if not answer.body.strip():
        return {}
    try:
        document = orjson.loads(answer.body) if is_json(answer) else None
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def is_json(answer: HttpAnswer) -> bool:
    """Whether the content type lets the body be read as JSON.

    Args:
        answer: what came back.

    Returns:
        True where there is no content type, and where there is no body that it could be of.
    """
    media = _media(answer)
    return not answer.body or not media or media == "application/json" or media.endswith("+json")


def _kind(answer: HttpAnswer, document: Mapping[str, Any] | None) -> type[JiraError]:
    """The error that a status stands for, once the headers about the login are looked at.

    A dead token often gets the answer that anybody would: 404. A 5xx may have been done for anybody.
    """
    status = answer.status
    if 300 <= status < 500:  # noqa: PLR2004
        reason = answer.headers.get("x-seraph-loginreason", "")
        denied = answer.headers.get("x-authentication-denied-reason", "")
        if "AUTHENTICATION_DENIED" in reason or "CAPTCHA_CHALLENGE" in denied:
            return JiraLoginDenied
        if "AUTHENTICATED_FAILED" in reason:
            return JiraUnauthorized
    if status not in _ANYONES and not _is_jiras(answer, document):
        # Atlassian's own edge refuses a form of credentials before Jira is asked, with its trace.
        is_edges = status == 403 and bool(document) and _is_traced(answer)  # noqa: PLR2004
        return JiraUnauthorized if is_edges else JiraForeignAnswer
    return _KINDS.get(status, JiraUnavailable if status >= 500 else JiraBadRequest)  # noqa: PLR2004


def _is_jiras(answer: HttpAnswer, document: Mapping[str, Any] | None) -> bool:
    """Whether Jira itself refuses: by its collection of errors, or without a word but with its trace.

    A 5xx may have any object: Jira's frameworks have forms of their own for it.
    """
    if document is None or answer.status < 400:  # noqa: PLR2004
        return False
    if answer.status >= 500 or (answer.status in _WITHOUT_A_WORD and not document):  # noqa: PLR2004
        return True
    if not document:
        return _is_traced(answer)
    return isinstance(document.get("errorMessages"), list) or isinstance(document.get("errors"), dict)


def _is_traced(answer: HttpAnswer) -> bool:
    return bool(_header(answer, _TRACE_ID) or _header(answer, _REQUEST_ID))


def _others_messages(document: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What a gateway says in a form of its own."""
    match document:
        case {"message": str(text)} | {"errorMessage": str(text)} | {"error": str(text)}:
            return (shown(text),)
    return ()


def _sentence(
    kind: type[JiraError],
    asked: Asked,
    answer: HttpAnswer,
    document: Mapping[str, Any] | None,
    texts: Sequence[str],
) -> Iterator[str]:
    yield f"{asked}: {answer.status}"
    if kind is JiraForeignAnswer:
        yield _instead(answer)
    elif kind is JiraTooManyLinks:
        yield "the issue has as many remote links as Jira allows"
    if texts:
        yield "; ".join(texts)
    if kind is JiraUnauthorized and document and document.get("code") == 401:  # noqa: PLR2004
        yield "(says Atlassian's gateway: where the token is good, a scope is missing)"
    yield from _traces(answer)


def _instead(answer: HttpAnswer) -> str:
    """What came instead of Jira's answer; of a redirect's target no query, which may hold secrets."""
    if 300 <= answer.status < 400:  # noqa: PLR2004
        return f"which leads to {_target(answer)}; Jira never redirects"
    media = _media(answer)
    return "which is not Jira's answer" if is_json(answer) else f"with {shown(media)}, not Jira's JSON"


def _target(answer: HttpAnswer) -> str:
    try:
        target = urlsplit(answer.headers.get("location", ""))
        return shown((target.hostname or "") + target.path) or "nowhere"
    except ValueError:
        return "nowhere"


def _traces(answer: HttpAnswer) -> Iterator[str]:
    """What Atlassian's support asks for."""
    found = ((name, _header(answer, name)) for name in (_TRACE_ID, _REQUEST_ID))
    told = ", ".join(f"{name} {value}" for name, value in found if value)
    if told:
        yield f"({told})"


def _header(answer: HttpAnswer, name: str) -> str | None:
    value = answer.headers.get(name.lower())
    return shown(value) if value else None


def _media(answer: HttpAnswer) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip().lower()
