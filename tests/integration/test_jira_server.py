"""The simulated Jira over real HTTP: what goes over the wire, and what goes wrong on it."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
from yarl import URL

from bridge.simulator import jira_server
from bridge.simulator.faults import Knobs
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer

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
    assert (status, set(body)) == (400, {"errorMessages", "errors"})


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
        ("Bearer demo", 200, None),
        ("bearer demo", 200, None),
        (None, 401, None),
        ("Bearer other", 401, "AUTHENTICATED_FAILED"),
        ("Bearer ", 401, "AUTHENTICATED_FAILED"),
        ("Digest demo", 401, "AUTHENTICATED_FAILED"),
        ("Basic \N{SNOWMAN}", 401, "AUTHENTICATED_FAILED"),
        (f"Basic {b64encode(b'demo@example.com:Demo').decode()}", 401, "AUTHENTICATED_FAILED"),
    ],
)
@pytest.mark.parametrize("path", [LINKS, "/rest/api/2/myself", "/rest/api/3/serverInfo"])
async def test_credentials(
    server: JiraServer, path: str, authorization: str | None, status: int, reason: str | None
) -> None:
    """Basic with e-mail and token, or Bearer with the token; what fails says so in a header."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with aiohttp.ClientSession(server.url) as session:
        got, _, answer = await call(session, "GET", path, headers=headers)
    assert (got, answer.headers.get("X-Seraph-LoginReason")) == (status, reason)


async def test_credentials_that_are_no_text(server: JiraServer) -> None:
    """Bytes that are not UTF-8 are wrong credentials like others."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    head = f"GET {LINKS} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "
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
        JiraServer(model, is_anonymous_allowed=True) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        assert (await ask(session, "POST", json=LINK))[0] == 201
        assert (await ask(session, "GET", headers={"Authorization": "Bearer x"}))[0] == 401
        assert (await ask(session, "GET", "/rest/api/3/myself"))[0] == 401


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
    """It is a gateway's page, not JSON, and nothing is applied."""
    server.knobs = Knobs(rate_5xx=1)
    status, _, answer = await call(http, "POST", json=LINK)
    assert status in {500, 502, 503, 504}
    assert answer.content_type == "text/html"
    assert server.model.links() == []


@pytest.mark.parametrize(("knobs", "applied"), [(Knobs(rate_lost=1), 1), (Knobs(rate_dropped=1), 0)])
async def test_connections_that_close_unanswered(
    server: JiraServer, http: aiohttp.ClientSession, knobs: Knobs, applied: int
) -> None:
    """The client cannot tell whether its request was applied; the model and the log can."""
    server.knobs = knobs
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(http, "POST", json=LINK)
    assert len(server.model.links()) == applied
    assert [call.status for call in server.calls] == [None]


async def test_chance_can_be_repeated() -> None:
    """One seed gives one course of things, with every fate in it; another seed gives another."""

    async def course(seed: int) -> list[int | None]:
        async with (
            JiraServer(JiraModel(projects=["DEMO"]), seed=seed) as server,
            aiohttp.ClientSession(server.url, headers=AUTH) as session,
        ):
            server.knobs = Knobs(rate_429=0.2, rate_5xx=0.2, rate_lost=0.2, rate_dropped=0.2)
            for _ in range(40):
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
    monkeypatch.setattr(jira_server, "CALLS_KEPT", 3)
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


async def test_knobs_are_turned_over_http(server: JiraServer, http: aiohttp.ClientSession) -> None:
    """PUT sets all knobs, those left out to their defaults, and GET tells them."""
    status, told = await ask(http, "PUT", "/_simulator/knobs", json={"is_down": True, "latency": 0.001})
    assert status == 200
    assert told == (await ask(http, "GET", "/_simulator/knobs"))[1]
    assert server.knobs == Knobs(is_down=True, latency=0.001)
    assert (await ask(http, "GET"))[0] == 503
    await ask(http, "PUT", "/_simulator/knobs", json={})
    assert server.knobs == Knobs()


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('{"rate_lost": 2}', "rate_lost"),
        ('{"rate_lost": "0.5"}', "rate_lost"),
        ('{"latency": -1}', "latency"),
        ('{"latency": NaN}', "latency"),
        ('{"is_down": 1}', "is_down"),
        ('{"is_up": true}', "is_up"),
        ('{"rate_lost": 0.6, "rate_dropped": 0.6}', "knobs"),
        ("{", "knobs"),
        ("[1]", "knobs"),
    ],
)
async def test_wrong_knobs_are_refused(
    server: JiraServer, http: aiohttp.ClientSession, body: str, named: str
) -> None:
    """The answer names what is wrong, and nothing is turned."""
    status, told = await ask(http, "PUT", "/_simulator/knobs", data=body)
    assert (status, list(told["errors"])) == (400, [named])
    assert told["errors"][named]
    assert server.knobs == Knobs()
