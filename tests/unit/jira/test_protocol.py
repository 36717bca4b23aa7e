"""Requests as they are sent, and answers as they are understood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
import pytest

from bridge.errors import (
    Applied,
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
    Scope,
)
from bridge.jira import protocol
from bridge.jira.wire import HttpAnswer
from bridge.model import Link, RemoteLink, RemoteObject, Written

T = TypeVar("T")
NOW = 1_785_585_600.0  # 2026-08-01T12:00:00Z
SEED_ID = "system=http://www.mycompany.com/support&id=1"
SEED_ESCAPED = "system%3Dhttp%3A%2F%2Fwww.mycompany.com%2Fsupport%26id%3D1"
LINK = Link.model_validate({"object": {"url": "https://example.com/1", "title": "One"}})
SELF = "https://jira.example/rest/api/2/issue/PROJ-1/remotelink/10000"
NO_ISSUE = b'{"errorMessages":["Issue does not exist"],"errors":{}}'

OPERATIONS: list[Callable[[str], protocol.Request[Any]]] = [
    lambda issue: protocol.upsert("2", issue, LINK, "g"),
    lambda issue: protocol.list_links("2", issue),
    lambda issue: protocol.get_by_global_id("2", issue, "g"),
    lambda issue: protocol.delete_by_global_id("2", issue, "g"),
    lambda issue: protocol.get("2", issue, 7),
    lambda issue: protocol.update("2", issue, 7, LINK, "g"),
    lambda issue: protocol.delete("2", issue, 7),
]


def failure(
    status: int,
    body: bytes = b'{"errorMessages":[],"errors":{}}',
    headers: Mapping[str, str] | None = None,
    request: protocol.Request[Any] | None = None,
) -> JiraError:
    """What an answer to a request is raised as."""
    asked = request or protocol.upsert("2", "PROJ-1", LINK, "g")
    with pytest.raises(JiraError) as caught:
        deciphered(asked, status, body, headers)
    return caught.value


def deciphered(
    request: protocol.Request[T], status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> T:
    """What an answer to a request means; headers may have names in any case here."""
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    return protocol.decipher(request, HttpAnswer(status, lower, body), NOW)


# --- what is sent --------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2", "3"])
def test_paths(version: str) -> None:
    """The six operations, in both versions of the API, have the documented method and path."""
    root = f"/rest/api/{version}/issue/PROJ-1/remotelink"
    requests: list[protocol.Request[Any]] = [
        protocol.upsert(version, "PROJ-1", LINK, "g"),
        protocol.list_links(version, "PROJ-1"),
        protocol.get_by_global_id(version, "PROJ-1", SEED_ID),
        protocol.delete_by_global_id(version, "PROJ-1", SEED_ID),
        protocol.get(version, "PROJ-1", 7),
        protocol.update(version, "PROJ-1", 7, LINK, "g"),
        protocol.delete(version, "PROJ-1", 7),
    ]
    assert [(request.method, request.path) for request in requests] == [
        ("POST", root),
        ("GET", root),
        ("GET", f"{root}?globalId={SEED_ESCAPED}"),
        ("DELETE", f"{root}?globalId={SEED_ESCAPED}"),
        ("GET", f"{root}/7"),
        ("PUT", f"{root}/7"),
        ("DELETE", f"{root}/7"),
    ]


@pytest.mark.parametrize(
    ("global_id", "escaped"),
    [
        ("a+b", "a%2Bb"),
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("%3D", "%253D"),
        ("a/b?c#d", "a%2Fb%3Fc%23d"),
        ("é😀", "%C3%A9%F0%9F%98%80"),
        ("-._~", "-._~"),
    ],
)
def test_escaping(global_id: str, escaped: str) -> None:
    """Whatever is not unreserved (RFC 3986) is escaped, and only once."""
    path = protocol.get_by_global_id("2", "PROJ-1", global_id).path
    assert path.partition("?globalId=")[2] == escaped


@pytest.mark.parametrize("issue", ["PROJ-1", "proj-12", "A-1", "AB_C2-999999999999999999", "10000"])
def test_issues_that_are_sent(issue: str) -> None:
    """Keys in any case and numeric ids go into the path as they are."""
    assert protocol.list_links("2", issue).path == f"/rest/api/2/issue/{issue}/remotelink"


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "issue",
    [
        "",
        ".",
        "PROJ",
        "PROJ-",
        "PROJ-0",
        "-1",
        "PROJ 1",
        "PROJ-1/..",
        "PROJ-1/../../../myself",
        "../myself",
        "PROJ-1?x=1",
        "PROJ-1#",
        "P%2F-1",
        "PROJ-1\n",
        "PROJ-\N{ARABIC-INDIC DIGIT ONE}",
        "É-1",
        "PROJ-" + "9" * 40,
    ],
)
def test_issues_that_are_not_sent(operation: Callable[[str], protocol.Request[Any]], issue: str) -> None:
    """What is neither key nor id is refused before there is a URL, and not as a blank 400."""
    with pytest.raises(JiraBadRequest) as caught:
        operation(issue)
    assert caught.value.status is None
    assert not caught.value.is_blank


def test_bodies() -> None:
    """A write carries the link in Jira's form, with the globalId only where there is one."""
    content = {"object": {"url": "https://example.com/1", "title": "One"}}
    bodies = [
        protocol.upsert("2", "PROJ-1", LINK, "g").body,
        protocol.upsert("2", "PROJ-1", LINK, None).body,
        protocol.update("2", "PROJ-1", 7, LINK, "g").body,
        protocol.list_links("2", "PROJ-1").body,
    ]
    assert [body and orjson.loads(body) for body in bodies] == [
        {"globalId": "g", **content},
        content,
        {"globalId": "g", **content},
        None,
    ]


def test_repeatable() -> None:
    """Only a POST without a globalId, or with an empty one, would leave more when it is sent twice."""
    assert all(operation("PROJ-1").is_repeatable for operation in OPERATIONS)
    assert not protocol.upsert("2", "PROJ-1", LINK, "").is_repeatable
    assert not protocol.upsert("2", "PROJ-1", LINK, None).is_repeatable


# --- what comes back -----------------------------------------------------------------------


@pytest.mark.parametrize(("status", "created"), [(201, True), (200, False)])
def test_written(status: int, created: bool) -> None:
    """A POST's answer tells the id, the key in `self`, and whether the link is new."""
    body = orjson.dumps({"id": 10000, "self": SELF, "more": 1})
    request = protocol.upsert("2", "10042", LINK, "g")
    assert deciphered(request, status, body) == Written(10000, "PROJ-1", created)


def test_found() -> None:
    """A link is read with its globalId, its issue from `self`, and empty parts as none."""
    document = {
        "id": 10000,
        "self": SELF.replace("PROJ-1", "NEW-9"),
        "globalId": "g",
        "application": {},
        "object": {"url": "https://example.com/1", "title": "One", "icon": {}, "status": {"icon": {}}},
        "tomorrow": True,
    }
    request = protocol.get_by_global_id("2", "PROJ-1", "g")
    found = deciphered(request, 200, orjson.dumps(document))
    assert found == RemoteLink(10000, "NEW-9", found.link, "g")
    assert found.link.digest == LINK.digest


@pytest.mark.parametrize("address", ["", "https://jira.example/somewhere", SELF.replace("PROJ-1", "a%2Fb")])
def test_self_that_names_no_issue(address: str) -> None:
    """Where `self` names no issue, the link is taken to be of the one that was asked for."""
    body = orjson.dumps({"id": 1, "self": address})
    request = protocol.upsert("2", "PROJ-1", LINK, "g")
    assert deciphered(request, 200, body).issue == "PROJ-1"


def test_listed() -> None:
    """A listing gives each link, those without a globalId too."""
    links = [{"id": n, "self": SELF, "object": {"url": "https://a.example", "title": "A"}} for n in (1, 2)]
    found = deciphered(protocol.list_links("2", "PROJ-1"), 200, orjson.dumps(links))
    assert [(remote.id, remote.global_id) for remote in found] == [(1, None), (2, None)]


@pytest.mark.parametrize(
    "request_", [protocol.update("2", "P-1", 7, LINK, "g"), protocol.delete("2", "P-1", 7)]
)
def test_nothing(request_: protocol.Request[None]) -> None:
    """204 without a body is success where nothing is given back, whatever its content type."""
    deciphered(request_, 204, b"", {"Content-Type": "text/html"})
    assert type(failure(200, b"", request=request_)) is JiraForeignAnswer


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, JiraBadRequest),
        (401, JiraUnauthorized),
        (403, JiraForbidden),
        (404, JiraNotFound),
        (405, JiraBadRequest),
        (407, JiraUnreachable),
        (408, JiraUnavailable),
        (413, JiraTooManyLinks),
        (425, JiraUnavailable),
        (415, JiraBadRequest),
        (422, JiraBadRequest),
        (429, JiraRateLimited),
        (300, JiraForeignAnswer),
        (302, JiraForeignAnswer),
        (500, JiraUnavailable),
        (502, JiraUnavailable),
        (503, JiraUnavailable),
        (504, JiraUnavailable),
        (202, JiraForeignAnswer),
    ],
)
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"errorMessages":[],"errors":{}}', {}),
        (b"{}", {"ATL-TraceId": "abc"}),
        (b"", {"ATL-TraceId": "abc"}),
        (b" \n", {"X-AREQUESTID": "1x2"}),
    ],
)
def test_status_to_type(status: int, kind: type[JiraError], body: bytes, headers: dict[str, str]) -> None:
    """Each status is raised as its own type, with a body or without, where it is Jira's."""
    error = failure(status, body, headers)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize("status", [403, 404, 405, 406, 409, 410, 411, 413, 414, 418, 421, 431, 451])
@pytest.mark.parametrize("body", [b"", b"{}", b" \n"])
def test_not_a_word_of_jiras(status: int, body: bytes) -> None:
    """A refusal without a word and without Jira's trace is a proxy's, and rejects no link."""
    assert type(failure(status, body)) is JiraForeignAnswer


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, JiraBadRequest),
        (401, JiraUnauthorized),
        (407, JiraUnreachable),
        (408, JiraUnavailable),
        (415, JiraBadRequest),
        (422, JiraBadRequest),
        (425, JiraUnavailable),
        (429, JiraRateLimited),
        (503, JiraUnavailable),
    ],
)
def test_not_a_word(status: int, kind: type[JiraError]) -> None:
    """What means the same whoever says it, and what Jira says without a word, needs no trace."""
    assert type(failure(status, b"")) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, JiraForeignAnswer),
        (302, JiraForeignAnswer),
        (400, JiraForeignAnswer),
        (401, JiraUnauthorized),
        (403, JiraForeignAnswer),
        (404, JiraForeignAnswer),
        (407, JiraUnreachable),
        (408, JiraUnavailable),
        (413, JiraForeignAnswer),
        (429, JiraRateLimited),
        (502, JiraForeignAnswer),
        (503, JiraForeignAnswer),
    ],
)
@pytest.mark.parametrize("page", [b"<html>Log in</html>", b"404 page not found", b"\xff\xfe", b"[]", b"404"])
def test_pages_of_others(status: int, kind: type[JiraError], page: bytes) -> None:
    """A proxy's page is never taken for Jira's word on the issue."""
    assert type(failure(status, page)) is kind


@pytest.mark.parametrize("status", [200, 400, 403, 404, 413, 500])
def test_content_type_comes_first(status: int) -> None:
    """What calls itself a page is not read as JSON, though it could be."""
    body = orjson.dumps({"id": 1, "self": SELF, "errorMessages": ["No"], "errors": {}})
    error = failure(status, body, {"Content-Type": "text/html;charset=UTF-8"})
    assert type(error) is JiraForeignAnswer
    assert "with text/html" in str(error)


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON ; charset=utf-8", "application/problem+json", ""]
)
def test_json_by_its_names(content_type: str) -> None:
    """JSON is known by its type with any parameters, and tried where there is no type."""
    assert type(failure(404, NO_ISSUE, {"content-type": content_type})) is JiraNotFound


@pytest.mark.parametrize(
    "body", [b'{"errorMessage":"Site temporarily unavailable"}', b'{"message":"no Route matched"}']
)
@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_json_of_others(status: int, body: bytes) -> None:
    """A gateway's JSON without Jira's collections says nothing of the issue, and is told."""
    error = failure(status, body)
    assert type(error) is JiraForeignAnswer
    assert error.messages == tuple(orjson.loads(body).values())
    assert error.messages[0] in str(error)


def test_json_of_jiras_frameworks() -> None:
    """A failure inside of Jira may be told in another form, and is Jira's all the same."""
    error = failure(500, b'{"message":"It broke","status-code":500}')
    assert type(error) is JiraUnavailable
    assert error.messages == ("It broke",)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://sso.example/login?to=s3cret#s3cret", "302 which leads to sso.example/login;"),
        ("https://me:s3cret@sso.example/", "302 which leads to sso.example/;"),
        ("/login.jsp?os_destination=s3cret", "302 which leads to /login.jsp;"),
        ("http://[", "302 which leads to nowhere;"),
        ("", "302 which leads to nowhere;"),
    ],
)
def test_redirect(location: str, told: str) -> None:
    """A redirect is told with its target, without what may be secret in it."""
    text = str(failure(302, b"", {"Location": location}))
    assert told in text
    assert "s3cret" not in text


@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 404, 413, 429])
@pytest.mark.parametrize("body", [NO_ISSUE, b"<html>", b""])
def test_login_failed(status: int, body: bytes) -> None:
    """A dead token shows in the login's header, whatever the status and the body say."""
    error = failure(status, body, {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"})
    assert type(error) is JiraUnauthorized


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Seraph-LoginReason": "AUTHENTICATION_DENIED"},
        {"X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE; login-url=https://jira.example/login.jsp"},
    ],
)
def test_login_denied(headers: dict[str, str]) -> None:
    """A login that is locked is told apart, since each further try prolongs it."""
    assert type(failure(403, b"<html>", headers)) is JiraLoginDenied


@pytest.mark.parametrize("status", [500, 503])
def test_login_that_failed_beside_a_failure(status: int) -> None:
    """A 5xx may have taken effect, for anybody too, whatever became of the login."""
    error = failure(status, b"{}", {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"})
    assert error.applied is Applied.MAYBE


def test_login_that_worked() -> None:
    """A header that tells of a login that worked changes nothing."""
    assert type(failure(404, NO_ISSUE, {"X-Seraph-LoginReason": "OK"})) is JiraNotFound


def test_scope_mismatch() -> None:
    """The gateway's own form of a 401 is read, and its message kept."""
    error = failure(401, b'{"code":401,"message":"Unauthorized; scope does not match"}')
    assert type(error) is JiraUnauthorized
    assert error.messages == ("Unauthorized; scope does not match",)
    assert "a scope is missing" in str(error)
    assert "scope" not in str(failure(401, b'{"errorMessages":["No"],"errors":{}}'))


@pytest.mark.parametrize("operation", [OPERATIONS[0], OPERATIONS[1]])
@pytest.mark.parametrize("body", [b'{"errorMessages":["Too many"],"errors":{}}', b""])
def test_too_many_links(operation: Callable[[str], protocol.Request[Any]], body: bytes) -> None:
    """The limit of an issue's links is named, to a read and to a write."""
    error = failure(413, body, {"ATL-TraceId": "abc"}, operation("PROJ-1"))
    assert type(error) is JiraTooManyLinks
    assert "as many remote links as Jira allows" in str(error)


def test_rate_limited() -> None:
    """A 429 tells what to slow down, and for how long at least."""
    headers = {
        "Retry-After": "5",
        "RateLimit-Reason": "jira-per-issue-on-write",
        "X-RateLimit-Reset": "2026-08-01T12:00:09Z",
    }
    error = failure(429, b"", headers)
    assert (error.retry_after, error.scope) == (9.0, Scope.ISSUE)


def test_unavailable_may_say_when() -> None:
    """Retry-After of a 503 is kept; a limit's reset is not its matter."""
    error = failure(503, b"", {"retry-after": "12", "X-RateLimit-Reset": "2026-08-01T13:00Z"})
    assert error.retry_after == 12.0


def test_blank() -> None:
    """A 400 with both collections empty is the collision of two first writes; one with a reason is not."""
    blank, told = failure(400), failure(400, b'{"errors":{"title":"is required"}}')
    assert isinstance(blank, JiraBadRequest)
    assert blank.is_blank
    assert isinstance(told, JiraBadRequest)
    assert not told.is_blank
    untyped = failure(415)
    assert isinstance(untyped, JiraBadRequest)
    assert not untyped.is_blank


def test_message() -> None:
    """A message says what was done, Jira's reasons and both traces, which are attributes too."""
    body = b'{"errorMessages":["Nope"],"errors":{"title":"is required"}}'
    error = failure(400, body, {"ATL-TraceId": "abc123", "X-AREQUESTID": "1x2"})
    assert str(error) == (
        "createOrUpdateRemoteIssueLink PROJ-1 g: 400 Nope; title: is required "
        "(ATL-TraceId abc123, X-AREQUESTID 1x2)"
    )
    assert (error.issue, error.operation) == ("PROJ-1", "createOrUpdateRemoteIssueLink")
    assert (error.messages, error.fields) == (("Nope",), {"title": "is required"})
    assert (error.trace_id, error.request_id) == ("abc123", "1x2")
    assert (failure(500).trace_id, failure(500).request_id) == (None, None)


def test_operations_are_named_as_atlassian_names_them() -> None:
    """An error names the operation by its operationId; reads with and without globalId share one."""
    assert [operation("PROJ-1").asked.operation for operation in OPERATIONS] == [
        "createOrUpdateRemoteIssueLink",
        "getRemoteIssueLinks",
        "getRemoteIssueLinks",
        "deleteRemoteIssueLinkByGlobalId",
        "getRemoteIssueLinkById",
        "updateRemoteIssueLink",
        "deleteRemoteIssueLinkById",
    ]


def test_message_is_short() -> None:
    """Endless reasons are cut, and control characters cannot forge a line of a log."""
    long = {"errorMessages": ["x\ny" * 10_000] * 500, "errors": {"f" * 5_000: "e" * 5_000}}
    error = failure(400, orjson.dumps(long), {"ATL-TraceId": "t\n" * 5_000})
    assert len(str(error)) < 2_000
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b'{"errorMessages":[1,{}],"errors":{"a":{"b":1}}}',
        b'{"errorMessages":[1,{}],"errors":[]}',
        b'{"errors":{},"anything":true}',
    ],
)
def test_odd_collections(body: bytes) -> None:
    """A reason in an odd form never hides the status."""
    assert type(failure(404, body)) is JiraNotFound


@pytest.mark.parametrize(
    "body",
    [
        b'{"errorMessages":"text","errors":[]}',
        b'{"errorMessages":null,"errors":null,"message":5}',
        b'{"errors":[{"title":"Not found"}]}',
    ],
)
def test_collections_of_others(body: bytes) -> None:
    """Reasons in a form that only shares a name with Jira's are not Jira's."""
    assert type(failure(404, body)) is JiraForeignAnswer


@pytest.mark.parametrize("link_id", ["true", "7.0", '"7"', "0", "-1", "9223372036854775808", "null"])
def test_ids_that_are_none(link_id: str) -> None:
    """An id is a natural number that Jira and the ledger can hold, in each answer that has one."""
    body = f'{{"id":{link_id},"object":{{}}}}'.encode()
    assert type(failure(201, body)) is JiraForeignAnswer
    assert type(failure(200, body, request=protocol.get("2", "PROJ-1", 1))) is JiraForeignAnswer
    listing = protocol.list_links("2", "PROJ-1")
    assert type(failure(200, b"[" + body + b"]", request=listing)) is JiraForeignAnswer


def test_the_greatest_id() -> None:
    """The last number of 64 bits is an id."""
    body = b'{"id":9223372036854775807,"self":""}'
    assert deciphered(protocol.upsert("2", "PROJ-1", LINK, "g"), 200, body).link_id == 2**63 - 1


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("object", {"url": "https://example.com/1", "title": "One", "icon": []}),
        ("object", []),
        ("application", {"name": 5}),
        ("relationship", ["a"]),
    ],
)
def test_an_odd_link_among_others(part: str, body: Any) -> None:
    """What others wrote in another form is as if it were missing, and hides no other link."""
    links = [{"id": 1, part: body, "globalId": "odd"}, {"id": 2, **LINK.body("g")}]
    odd, good = deciphered(protocol.list_links("2", "PROJ-1"), 200, orjson.dumps(links))
    assert (odd.id, odd.global_id, odd.link.digest) == (1, "odd", Link().digest)
    assert (good.id, good.global_id, good.link.digest) == (2, "g", LINK.digest)


@pytest.mark.parametrize(
    ("request_", "is_asked_for"),
    [
        (protocol.get("2", "PROJ-1", 7), True),
        (protocol.get("2", "PROJ-1", 8), False),
        (protocol.get_by_global_id("2", "PROJ-1", "system=CI"), True),
        (protocol.get_by_global_id("2", "PROJ-1", "system=ci"), True),
        (protocol.get_by_global_id("2", "PROJ-1", "another"), False),
    ],
)
def test_another_link(request_: protocol.Request[RemoteLink], is_asked_for: bool) -> None:
    """A link that was not asked for is no answer of Jira's, which may compare globalIds without case."""
    body = orjson.dumps({"id": 7, **LINK.body("system=CI")})
    if is_asked_for:
        assert deciphered(request_, 200, body).id == 7
    else:
        assert type(failure(200, body, request=request_)) is JiraForeignAnswer


def test_a_link_without_the_global_id_that_was_asked_for() -> None:
    """A link without a globalId is not what was asked for by one."""
    request = protocol.get_by_global_id("2", "PROJ-1", "g")
    assert type(failure(200, orjson.dumps({"id": 7, **LINK.body()}), request=request)) is JiraForeignAnswer


@pytest.mark.parametrize(
    "operation",
    [
        lambda: protocol.upsert("2", "PROJ-1", LINK, "a\udcff"),
        lambda: protocol.upsert("2", "PROJ-1", Link(object=RemoteObject(url="u", title="\udcff")), "g"),
        lambda: protocol.update("2", "PROJ-1", 7, LINK, "a\udcff"),
        lambda: protocol.update("2", "PROJ-1", 7, Link(relationship="\udcff"), "g"),
        lambda: protocol.get_by_global_id("2", "PROJ-1", "a\udcff"),
        lambda: protocol.delete_by_global_id("2", "PROJ-1", "a\udcff"),
        lambda: protocol.list_links("2", "PROJ-\udcff"),
    ],
)
def test_texts_that_are_not_sent(operation: Callable[[], protocol.Request[Any]]) -> None:
    """Half a character, which no encoding has, is refused before there is a request."""
    with pytest.raises(JiraBadRequest, match="Not sent: ") as caught:
        operation()
    assert (caught.value.status, str(caught.value).isprintable()) == (None, True)


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b"", b'{"id":"x","self":1}', b'{"id":1', b'{"id":1,"self":null}']
)
def test_success_that_is_none(body: bytes) -> None:
    """A 200 without what Jira sends may have taken effect, and is nobody's word on it."""
    error = failure(200, body)
    assert type(error) is JiraForeignAnswer
    assert error.applied is Applied.MAYBE


def test_listing_of_another_form() -> None:
    """One object where an array is expected is no listing."""
    assert type(failure(200, b"{}", request=protocol.list_links("2", "PROJ-1"))) is JiraForeignAnswer
