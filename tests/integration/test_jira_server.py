"""The simulated Jira over real HTTP: what goes over the wire, and what goes wrong on it."""

from __future__ import annotations

import asyncio
import gzip
import io
import logging
import re
from base64 import b64encode
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from bridge.simulator import jira_server, simulation
from bridge.simulator.admin import Admin
from bridge.simulator.faults import Deployment, Knobs
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer
from bridge.simulator.simulation import Simulation
from bridge.simulator.users import ANONYMOUS, User

AUTH = {"Authorization": f"Basic {b64encode(b'demo@example.com:demo').decode()}"}
GLOBAL_ID = "system=http://www.mycompany.com/support&id=1"
LINKS = "/rest/api/3/issue/DEMO-1/remotelink"
LINK = {"globalId": GLOBAL_ID, "object": {"url": "https://example.com/1", "title": "One"}}


@pytest.fixture
async def server() -> AsyncIterator[JiraServer]:
    """A running simulator with one whole project."""
    async with JiraServer(JiraModel(projects=["DEMO"])) as server:
        yield server


@pytest.fixture
async def http(server: JiraServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that sends its credentials, and opens a connection for each request.

    On a connection that was used before, aiohttp by itself repeats a request that got no answer.
    """
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(server.url, headers=AUTH, connector=connector) as session:
        yield session


async def call(
    http: aiohttp.ClientSession, method: str, path: str = LINKS, **more: Any
) -> tuple[int, Any, aiohttp.ClientResponse]:
    """Status, JSON and answer; the path goes over the wire as it is."""
    url = URL(f"{http._base_url}".rstrip("/") + path, encoded=True)
    async with http.request(method, url, **more) as answer:
        is_json = answer.content_type == "application/json"
        return answer.status, await answer.json() if is_json else await answer.text(), answer


async def ask(http: aiohttp.ClientSession, method: str, path: str = LINKS, **more: Any) -> tuple[int, Any]:
    """Status and JSON."""
    status, body, _ = await call(http, method, path, **more)
    return status, body


# --- the operations ------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2", "3"])
async def test_the_six_operations(server: JiraServer, http: aiohttp.ClientSession, version: str) -> None:
    """Both versions answer, and `self` names the one that was called."""
    links = LINKS.replace("/3/", f"/{version}/")
    status, body, answer = await call(http, "POST", links, json=LINK)
    one = urlsplit(body["self"]).path
    assert (status, answer.headers["Location"]) == (201, body["self"])
    assert body["self"] == f"{server.url}{links}/{body['id']}"
    assert (await ask(http, "POST", links, json=LINK))[0] == 200
    assert (await ask(http, "GET", links))[1] == [(await ask(http, "GET", one))[1]]
    assert (await ask(http, "PUT", one, json=LINK)) == (204, "")
    assert (await ask(http, "DELETE", one)) == (204, "")
    assert (await ask(http, "DELETE", f"{links}?globalId={quote(GLOBAL_ID, safe='')}"))[0] == 404
    assert (await ask(http, "PATCH", one))[0] == 405


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (quote("a+b c&d=ä", safe=""), 200),
        ("a%2Bb+c%26d%3D%C3%A4", 200),
        ("a+b+c%26d%3D%C3%A4", 404),
        ("a%2Bb+c&d=%C3%A4", 404),
        ("", 404),
    ],
)
async def test_queries_are_read_off_the_wire(http: aiohttp.ClientSession, query: str, status: int) -> None:
    """A plus is a space, %2B a plus, and an ampersand that is not escaped ends the globalId."""
    await ask(http, "POST", json={**LINK, "globalId": "a+b c&d=ä"})
    assert (await ask(http, "GET", f"{LINKS}?globalId={query}"))[0] == status


@pytest.mark.parametrize("issue", ["DEMO-1%2F..", "%FF", "%00", "DEMO-1%20", "%3Cb%3E"])
async def test_a_path_segment_cannot_lead_elsewhere(http: aiohttp.ClientSession, issue: str) -> None:
    """What is no key is an issue that does not exist."""
    status, body = await ask(http, "GET", f"/rest/api/3/issue/{issue}/remotelink")
    assert (status, len(body["errorMessages"])) == (404, 1)


async def test_errors_have_jiras_shape(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """Refusals of the model come through with status and ErrorCollection."""
    server.model.denied["DEMO"] = {Permission.LINK}
    assert (await ask(http, "POST", json=LINK))[0] == 403
    server.model.denied.clear()
    status, body = await ask(http, "POST", data=b"{", headers={"Content-Type": "application/json"})
    assert (status, set(body)) == (400, {"errorMessages"})


async def test_the_content_type_must_be_json(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """POST and PUT of another type are 415; a DELETE without one only where that is asked for."""
    assert (await ask(http, "POST", data=b"{}"))[0] == 415
    assert (await ask(http, "PUT", f"{LINKS}/1", data="{}"))[0] == 415
    assert (await ask(http, "DELETE", f"{LINKS}/1"))[0] == 404
    server.knobs.is_delete_typed = True
    assert (await ask(http, "DELETE", f"{LINKS}/1"))[0] == 415
    typed = {"Content-Type": "application/json; charset=utf-8"}
    assert (await ask(http, "DELETE", f"{LINKS}/1", headers=typed))[0] == 404


# --- credentials ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authorization", "status", "reason"),
    [
        (AUTH["Authorization"], 200, None),
        ("Bearer demo", 403, None),
        (None, 401, None),
        ("Digest demo", 401, "AUTHENTICATED_FAILED"),
        ("Basic \N{SNOWMAN}", 401, "AUTHENTICATED_FAILED"),
        (f"Basic {b64encode(b'demo@example.com:Demo').decode()}", 401, "AUTHENTICATED_FAILED"),
    ],
)
@pytest.mark.parametrize("path", [LINKS, "/rest/api/2/myself"])
async def test_credentials(
    server: JiraServer, path: str, authorization: str | None, status: int, reason: str | None
) -> None:
    """On Cloud they are Basic with e-mail and token; what fails says so in a header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with aiohttp.ClientSession(server.url) as session:
        got, _, answer = await call(session, "GET", path, headers=headers)
    assert (got, answer.headers.get("X-Seraph-LoginReason")) == (status, reason)


@pytest.mark.parametrize(
    ("authorization", "status", "reason"),
    [
        ("Bearer demo", 200, "OK"),
        ("bearer demo", 200, "OK"),
        ("Bearer other", 401, "AUTHENTICATED_FAILED"),
        ("Bearer ", 401, "AUTHENTICATED_FAILED"),
    ],
)
async def test_bearers_of_tokens(server: JiraServer, authorization: str, status: int, reason: str) -> None:
    """Data Center takes a personal access token."""
    server.knobs.deployment = Deployment.SERVER
    async with aiohttp.ClientSession(server.url, headers={"Authorization": authorization}) as session:
        got, _, answer = await call(session, "GET")
    assert (got, answer.headers.get("X-Seraph-LoginReason")) == (status, reason)


async def test_credentials_that_are_no_text(server: JiraServer) -> None:
    """Bytes that are not UTF-8 are wrong credentials like others."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"GET {LINKS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic "
    writer.write(head.encode() + b"\xff\xfe\r\n\r\n")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"X-Seraph-LoginReason: AUTHENTICATED_FAILED" in answer


async def test_anonymous_requests_may_be_allowed() -> None:
    """Then no credentials will do, wrong ones still not, and nobody is nobody."""
    model = JiraModel(projects=["DEMO"])
    async with (
        JiraServer(model, users={ANONYMOUS: User()}) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        assert (await ask(session, "POST", json=LINK))[0] == 201
        assert (await ask(session, "GET", headers={"Authorization": "Basic x"}))[0] == 401
        assert (await ask(session, "GET", "/rest/api/3/myself"))[0] == 401


# --- HTTP ----------------------------------------------------------------------------------


async def raw(server: JiraServer, *requests: bytes) -> bytes:
    """All that comes back over one connection, which the last request closes."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    for request in requests:
        writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def request(method: str, path: str = LINKS, *headers: str, body: bytes = b"") -> bytes:
    """A request as on the wire, with credentials and a JSON content type."""
    head = [
        f"{method} {path} HTTP/1.1",
        "Host: jira.test:81",
        f"Authorization: {AUTH['Authorization']}",
        "Content-Type: application/json",
        *headers,
        *([f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


BODY = orjson.dumps(LINK)
ADMIN_PATHS = sorted(
    {f"/_simulator/{path.replace('*', 'X-1')}" for _, path in Admin(Simulation(JiraModel())).paths}
)
ODD_HEADERS = [
    "Content-Encoding: gzip",
    "Content-Encoding: br",
    "Expect: 100-continue",
    "Expect: nothing",
    "Accept: text/html",
    "Accept:",
    "Range: bytes=0-1",
    "Upgrade: websocket",
    "Cookie: a=\x7f",
]
"""Such as clients of Jira have no reason to send."""


async def test_a_connection_is_kept_and_may_be_filled_ahead(server: JiraServer) -> None:
    """Requests that came in one go are answered in their order, and `Connection: close` ends it."""
    answers = await raw(
        server,
        request("POST", body=BODY) + request("POST", body=BODY) + request("GET", LINKS, "Connection: close"),
    )
    assert re.findall(rb"HTTP/1.1 ([0-9]{3}) ", answers) == [b"201", b"200", b"200"]
    assert b"Location: http://jira.test:81/rest/api/3/issue/DEMO-1/remotelink/10000\r\n" in answers


async def test_a_client_may_wait_for_leave_to_send_its_body(server: JiraServer) -> None:
    """`Expect: 100-continue` is answered before the body is sent."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    length = f"Content-Length: {len(BODY)}"
    writer.write(request("POST", LINKS, length, "Expect: 100-continue", "Connection: close"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)
    assert (await reader.read()).startswith(b"HTTP/1.1 201 ")
    writer.close()
    await writer.wait_closed()


async def test_a_body_may_come_in_chunks(server: JiraServer) -> None:
    """Its length need not be known before."""
    chunks = b"".join(b"%x\r\n%c\r\n" % (1, octet) for octet in BODY) + b"0\r\n\r\n"
    sent = request("POST", LINKS, "Transfer-Encoding: chunked", "Connection: close") + chunks
    assert (await raw(server, sent)).startswith(b"HTTP/1.1 201 ")
    assert server.model.links()[0]["globalId"] == GLOBAL_ID


async def test_a_body_may_be_compressed(http: aiohttp.ClientSession) -> None:
    """What gzip did is undone, and what it holds is read."""
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await ask(http, "POST", data=gzip.compress(BODY), headers=headers))[0] == 201


@pytest.mark.parametrize("path", [LINKS, "/_simulator/knobs"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_a_body_in_another_encoding_is_refused(
    http: aiohttp.ClientSession, path: str, encoding: str
) -> None:
    """What cannot be undone is 400, and no error of the server's."""
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    method = "POST" if path == LINKS else "PUT"
    assert (await ask(http, method, path, data=b"{}", headers=headers))[0] == 400


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"]),
    st.sampled_from([LINKS, f"{LINKS}/1", f"{LINKS}?globalId=%FF%00", "/oauth/token", "/", "//x", "*"])
    | st.sampled_from(ADMIN_PATHS),
    st.sets(st.sampled_from(ODD_HEADERS)),
    st.binary(max_size=40) | st.sampled_from([b"null", b"[" * 3000, orjson.dumps(LINK)]),
)
def test_whatever_comes_is_answered(method: str, path: str, headers: set[str], body: bytes) -> None:
    """No bytes on the wire are an error of the server's, or leave the client waiting."""

    async def exchange() -> bytes:
        async with asyncio.timeout(10), JiraServer(JiraModel(projects=["DEMO"])) as server:
            return await raw(server, request(method, path, "Connection: close", *headers, body=body))

    assert re.match(rb"HTTP/1\.[01] [1-4]", asyncio.run(exchange()))


async def test_head_is_a_get_without_its_body(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """Status and headers are the same; nothing follows them."""
    await ask(http, "POST", json=LINK)
    answer = await raw(server, request("HEAD", LINKS, "Connection: close"))
    head, _, body = answer.partition(b"\r\n\r\n")
    got, _, shown = (await raw(server, request("GET", LINKS, "Connection: close"))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: %d\r\n" % len(shown) in head
    assert len(head) == len(got)
    assert body == b""


async def test_a_target_may_be_a_whole_url(server: JiraServer) -> None:
    """As clients send it that take the server for a proxy (RFC 9112, 3.2.2)."""
    sent = request("GET", f"http://jira.test:81{LINKS}", "Connection: close")
    assert (await raw(server, sent)).startswith(b"HTTP/1.1 200 ")
    assert server.calls[0].path == LINKS


async def test_octets_in_a_host_are_no_error(server: JiraServer) -> None:
    """What is no text cannot stand in an address; the server's own does."""
    sent = request("POST", LINKS, "Connection: close", body=BODY).replace(b"jira.test:81", b"\xff\xfe")
    answer = await raw(server, sent)
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert f"Location: {server.url}/rest/api/3/".encode() in answer


async def test_a_body_without_end_is_refused(http: aiohttp.ClientSession) -> None:
    """Beyond a mebibyte it is 413, in Jira's shape, and the server goes on."""
    typed = {"Content-Type": "application/json"}
    status, body = await ask(http, "POST", data=io.BytesIO(b" " * (2**20 + 1)), headers=typed)
    assert (status, set(body)) == (413, {"errorMessages", "errors"})
    assert (await ask(http, "POST", json=LINK))[0] == 201


async def test_answers_look_like_jiras(http: aiohttp.ClientSession) -> None:
    """Content type with charset, no caching, and names to trace them by, on refusals too."""
    for body, status in ((LINK, 201), ({}, 400)):
        got, _, answer = await call(http, "POST", json=body)
        assert (got, answer.headers["Content-Type"]) == (status, "application/json;charset=UTF-8")
        assert answer.headers["Cache-Control"] == "no-cache, no-store, no-transform"
        assert len(answer.headers["ATL-TraceId"]) == 32
        assert "X-AREQUESTID" in answer.headers


# --- faults --------------------------------------------------------------------------------


async def test_a_jira_that_is_down(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """Every request is 503 with Retry-After, and nothing is applied."""
    server.knobs = Knobs(is_down=True, retry_after=7)
    status, _, answer = await call(http, "POST", json=LINK)
    assert (status, answer.headers["Retry-After"]) == (503, "7")
    assert server.model.links() == []


async def test_a_429_by_chance(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """It has the headers of Jira Cloud, and nothing is applied."""
    server.knobs = Knobs(rate_429=1, retry_after=3)
    status, _, answer = await call(http, "POST", json=LINK)
    assert (status, answer.headers["Retry-After"]) == (429, "3")
    assert answer.headers["RateLimit-Reason"] == "jira-burst-based"
    assert server.model.links() == []


async def test_a_5xx_by_chance(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """It is one of Jira's own, in JSON, and nothing is applied."""
    server.knobs = Knobs(rate_5xx=1)
    status, _, answer = await call(http, "POST", json=LINK)
    assert status in {500, 502, 503, 504}
    assert answer.content_type == "application/json"
    assert server.model.links() == []


@pytest.mark.parametrize(("knobs", "status"), [(Knobs(rate_502=1), 502), (Knobs(rate_302=1), 302)])
async def test_what_stands_before_jira_answers_in_html(
    server: JiraServer, http: aiohttp.ClientSession, knobs: Knobs, status: int
) -> None:
    """A proxy's error and the way to a login page; who follows it gets a page that is all right."""
    server.knobs = knobs
    got, _, answer = await call(http, "POST", json=LINK, allow_redirects=False)
    assert (got, answer.content_type, server.model.links()) == (status, "text/html", [])
    server.knobs = Knobs()
    if status == 302:
        path = answer.headers["Location"]
        assert (await ask(http, "GET", path))[0] == 200


@pytest.mark.parametrize(
    ("fate", "applied", "error"),
    [
        ("lost", 1, aiohttp.ServerDisconnectedError),
        ("dropped", 0, aiohttp.ServerDisconnectedError),
        ("reset_after", 1, aiohttp.ClientOSError),
        ("reset_before", 0, aiohttp.ClientOSError),
    ],
)
async def test_connections_that_end_unanswered(
    server: JiraServer, http: aiohttp.ClientSession, fate: str, applied: int, error: type[Exception]
) -> None:
    """Closed or reset, the client cannot tell whether its request was applied; model and log can."""
    server.knobs = Knobs().turned({f"rate_{fate}": 1})
    with pytest.raises(error):
        await ask(http, "POST", json=LINK)
    assert len(server.model.links()) == applied
    assert [(call.status, call.fate) for call in server.calls] == [(None, fate)]
    assert [entry.is_answered for entry in server.model.history] == [False] * applied


@pytest.mark.parametrize(("fate", "applied"), [("slow_before", 0), ("slow_after", 1)])
async def test_answers_that_take_too_long(
    server: JiraServer, monkeypatch: pytest.MonkeyPatch, fate: str, applied: int
) -> None:
    """A client that gives up meanwhile finds its request not applied yet, or applied."""
    server.knobs = Knobs(slow=600).turned({f"rate_{fate}": 1})
    waiting = asyncio.Event()

    async def pause(seconds: float) -> None:
        if seconds:
            waiting.set()
            await asyncio.sleep(seconds)

    monkeypatch.setattr(jira_server, "_pause", pause)
    async with aiohttp.ClientSession(server.url, headers=AUTH) as session:
        sending = asyncio.create_task(ask(session, "POST", json=LINK))
        await waiting.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert len(server.model.links()) == applied


async def test_chance_can_be_repeated() -> None:
    """One seed gives one course of things, with every fate in it; another seed gives another."""

    async def course(seed: int) -> list[int | None]:
        async with (
            JiraServer(JiraModel(projects=["DEMO"]), seed=seed) as server,
            aiohttp.ClientSession(server.url, headers=AUTH) as session,
        ):
            server.knobs = Knobs(rate_429=0.2, rate_5xx=0.2, rate_lost=0.2, rate_dropped=0.2)
            for _ in range(60):
                try:
                    await ask(session, "POST", json=LINK)
                except aiohttp.ServerDisconnectedError:
                    continue
            return [call.status for call in server.calls]

    first = await course(1)
    assert {200, 429, None} < set(first)
    assert await course(1) == first
    assert await course(2) != first


async def test_the_hook_stands_between_applying_and_answering(
    server: JiraServer, http: aiohttp.ClientSession
) -> None:
    """It is told method and raw path; what is asked meanwhile sees the request applied."""
    told: list[tuple[str, str]] = []
    seen: list[int] = []

    async def look(method: str, raw_path: str) -> None:
        told.append((method, raw_path))
        seen.append(len(server.model.links()))

    server.after_apply = look
    await ask(http, "POST", json=LINK)
    await ask(http, "DELETE", f"{LINKS}?globalId={quote(GLOBAL_ID, safe='')}")
    assert told == [("POST", LINKS), ("DELETE", f"{LINKS}?globalId={quote(GLOBAL_ID, safe='')}")]
    assert seen == [1, 0]


async def test_a_client_that_leaves_does_not_undo_its_request(
    server: JiraServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The request stays applied, the server goes on, and nothing is logged as an error."""
    applied, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_method: str, _raw_path: str) -> None:
        applied.set()
        await go_on.wait()

    server.after_apply = hold
    with caplog.at_level(logging.WARNING):
        async with aiohttp.ClientSession(server.url, headers=AUTH) as session:
            sending = asyncio.create_task(ask(session, "POST", json=LINK))
            await applied.wait()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        go_on.set()
        server.after_apply = None
        async with aiohttp.ClientSession(server.url, headers=AUTH) as session:
            assert len((await ask(session, "GET"))[1]) == 1
    assert caplog.records == []


async def test_half_a_request_is_none(server: JiraServer, caplog: pytest.LogCaptureFixture) -> None:
    """A client that leaves amid its body has asked for nothing, and nothing is logged as an error."""
    url = urlsplit(server.url)
    with caplog.at_level(logging.WARNING):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        head = f"POST {LINKS} HTTP/1.1\r\nHost: x\r\nAuthorization: {AUTH['Authorization']}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5):
            while not server.calls:  # noqa: ASYNC110 - nothing else tells that the server saw the end
                await asyncio.sleep(0)
    assert server.calls[0].status is None
    assert server.model.history == []
    assert caplog.records == []


async def test_half_a_request_to_the_simulator_is_none(
    server: JiraServer, caplog: pytest.LogCaptureFixture
) -> None:
    """It turns nothing, and nothing is logged as an error."""
    url = urlsplit(server.url)
    with caplog.at_level(logging.WARNING):
        _, writer = await asyncio.open_connection(url.hostname, url.port)
        writer.write(b"PUT /_simulator/knobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with aiohttp.ClientSession(server.url, headers=AUTH) as session:
            assert (await ask(session, "GET"))[0] == 200
    assert server.knobs == Knobs()
    assert caplog.records == []


async def test_many_at_once(server: JiraServer) -> None:
    """Two hundred first requests for ten globalIds make ten links."""
    server.knobs.latency = 0.001
    async with aiohttp.ClientSession(server.url, headers=AUTH) as session:
        bodies = [{**LINK, "globalId": str(n % 10)} for n in range(200)]
        answers = await asyncio.gather(*(ask(session, "POST", json=body) for body in bodies))
    assert sorted(status for status, _ in answers) == [200] * 190 + [201] * 10
    assert len({body["id"] for _, body in answers}) == len(server.model.links()) == 10


async def test_a_request_that_hangs_does_not_hold_the_end() -> None:
    """Leaving the context ends what is under way; the port is free afterwards."""
    applied = asyncio.Event()

    async def hang(_method: str, _raw_path: str) -> None:
        applied.set()
        await asyncio.Event().wait()

    async with aiohttp.ClientSession(headers=AUTH) as session:
        async with asyncio.timeout(5), JiraServer(JiraModel(projects=["DEMO"])) as server:
            server.after_apply = hang
            port = urlsplit(server.url).port or 0
            sending = asyncio.create_task(session.post(server.url + LINKS, json=LINK))
            await applied.wait()
        with pytest.raises(aiohttp.ClientConnectionError):
            await sending
        async with JiraServer(server.model, port=port) as again:
            assert urlsplit(again.url).port == port


# --- the simulator's own pages -------------------------------------------------------------


async def test_the_log_of_calls(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """Calls are told as they came over the wire, with links and history; clearing forgets calls only."""
    await ask(http, "POST", json=LINK)
    await ask(http, "POST", json=LINK)
    await ask(http, "GET", f"{LINKS}?globalId=a%2Bb+c")
    _, state = await ask(http, "GET", "/_simulator")
    assert [(call["method"], call["path"], call["status"]) for call in state["calls"]] == [
        ("POST", LINKS, 201),
        ("POST", LINKS, 200),
        ("GET", f"{LINKS}?globalId=a%2Bb+c", 404),
    ]
    assert [call["at"] for call in state["calls"]] == sorted(call["at"] for call in state["calls"])
    assert state["counts"] == {"POST 201": 1, "POST 200": 1, "GET 404": 1}
    assert state["history"] == {"created": 1, "updated": 1, "deleted": 0, "needless": 1}
    assert state["links"] == server.model.links()
    assert (await ask(http, "DELETE", "/_simulator/calls"))[0] == 204
    _, state = await ask(http, "GET", "/_simulator")
    assert (state["calls"], state["counts"], len(state["links"])) == ([], {}, 1)


async def test_the_log_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last calls are kept; the counts go on."""
    monkeypatch.setattr(simulation, "CALLS_KEPT", 3)
    async with (
        JiraServer(JiraModel(projects=["DEMO"])) as server,
        aiohttp.ClientSession(server.url, headers=AUTH) as session,
    ):
        for number in range(5):
            await ask(session, "GET", f"/rest/api/2/issue/DEMO-{number + 1}/remotelink")
        assert [call.path[-12:-11] for call in server.calls] == ["3", "4", "5"]
        assert server.counts == {"GET 200": 5}


async def test_the_page_escapes_what_it_shows(http: aiohttp.ClientSession) -> None:
    """A browser gets a page, in which neither links nor paths become markup."""
    evil = "<script>alert('x')</script>"
    await ask(http, "POST", json={"globalId": evil, "object": {"title": evil, "url": f"http://x/{evil}"}})
    await ask(http, "GET", f"{LINKS}?globalId=<b>")
    status, page, answer = await call(http, "GET", "/_simulator", headers={"Accept": "text/html,*/*"})
    assert (status, answer.content_type) == (200, "text/html")
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page
    assert "<script>" not in page
    assert "<b>" not in page


async def test_the_page_may_run_its_own_script_only(http: aiohttp.ClientSession) -> None:
    """Its policy lets in nothing from elsewhere but icons; the script is served where there is one."""
    _, _, page = await call(http, "GET", "/_simulator", headers={"Accept": "text/html"})
    assert page.headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; "
        "connect-src 'self'; img-src http: https:"
    )
    status, _, script = await call(http, "GET", "/_simulator/page.js")
    exists = (resources.files("bridge.simulator") / "page.js").is_file()
    assert (status, script.content_type) == (
        (200, "text/javascript") if exists else (404, "application/json")
    )


async def test_knobs_are_turned_over_http(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """PUT sets all knobs, those left out to their defaults, and GET tells them."""
    status, told = await ask(http, "PUT", "/_simulator/knobs", json={"is_down": True, "latency": 0.001})
    assert status == 200
    assert told == (await ask(http, "GET", "/_simulator/knobs"))[1]
    assert server.knobs == Knobs(is_down=True, latency=0.001)
    assert (await ask(http, "GET"))[0] == 503
    await ask(http, "PUT", "/_simulator/knobs", json={})
    assert server.knobs == Knobs()


async def test_history_says_whether_the_answer_was_sent(http: aiohttp.ClientSession) -> None:
    """A write whose answer was lost stands there unanswered."""
    rules = [{"fate": "lost", "method": "POST", "skip": 1}]
    assert (await ask(http, "PUT", "/_simulator/script", json=rules))[0] == 204
    await ask(http, "POST", json=LINK)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(http, "POST", json=LINK)
    _, told = await ask(http, "GET", "/_simulator/history")
    assert [(line["action"], line["answered"]) for line in told["history"]] == [
        ("created", True),
        ("updated", False),
    ]


async def test_rate_limits_over_the_wire(http: aiohttp.ClientSession) -> None:
    """Twenty writes to one issue go through at once, the next is 429; a reset forgets them."""
    await ask(http, "PATCH", "/_simulator/knobs", json={"limits": "cloud"})
    answers = [await call(http, "POST", json=LINK) for _ in range(21)]
    assert [status for status, _, _ in answers] == [201] + [200] * 19 + [429]
    assert answers[-1][2].headers["RateLimit-Reason"] == "jira-per-issue-on-write"
    assert (await ask(http, "POST", "/_simulator/reset"))[0] == 204
    assert (await ask(http, "POST", json=LINK))[0] == 201
