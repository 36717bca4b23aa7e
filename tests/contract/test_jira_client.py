"""The real client over real connections: against the simulated Jira, and against scripted bytes."""

from __future__ import annotations

import asyncio
import socket
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import (
    ConfigError,
    JiraAnswerLost,
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
from bridge.jira.auth import Anonymous, Auth, Basic, Bearer
from bridge.jira.client import JiraClient
from bridge.jira.transport import MAX_BODY_BYTES
from bridge.model import Bucket, Budget, Link
from bridge.simulator.faults import Deployment, Knobs, Login
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests.wire import CLOSE, HANG, Sleep, Wire, answer

SEED_ID = "system=http://www.mycompany.com/support&id=1"
SEED_ESCAPED = b"system%3Dhttp%3A%2F%2Fwww.mycompany.com%2Fsupport%26id%3D1"
LINK = Link.model_validate({"object": {"url": "https://example.com/1", "title": "One"}})
OTHER = Link.model_validate({"object": {"url": "https://example.com/2", "title": "Two"}})
BASIC = Basic("demo@example.com", "s3cret")
AUTHORIZATION = "Basic ZGVtb0BleGFtcGxlLmNvbTpzM2NyZXQ="
ROOT = b"/rest/api/2/issue/PROJ-1/remotelink"

Operation = Callable[[JiraClient], Awaitable[Any]]

OPERATIONS: dict[str, tuple[Operation, bytes]] = {
    "upsert": (lambda jira: jira.upsert("PROJ-1", LINK, SEED_ID), b"POST " + ROOT),
    "list": (lambda jira: jira.list_links("PROJ-1"), b"GET " + ROOT),
    "get_by_global_id": (
        lambda jira: jira.get_by_global_id("PROJ-1", SEED_ID),
        b"GET " + ROOT + b"?globalId=" + SEED_ESCAPED,
    ),
    "delete_by_global_id": (
        lambda jira: jira.delete_by_global_id("PROJ-1", SEED_ID),
        b"DELETE " + ROOT + b"?globalId=" + SEED_ESCAPED,
    ),
    "get": (lambda jira: jira.get("PROJ-1", 7), b"GET " + ROOT + b"/7"),
    "update": (lambda jira: jira.update("PROJ-1", 7, LINK, SEED_ID), b"PUT " + ROOT + b"/7"),
    "delete": (lambda jira: jira.delete("PROJ-1", 7), b"DELETE " + ROOT + b"/7"),
}
every_operation = pytest.mark.parametrize(("do", "line"), OPERATIONS.values(), ids=OPERATIONS)


CREATED = answer(201, b'{"id": 7, "self": "https://j/rest/api/2/issue/PROJ-1/remotelink/7"}')
UPDATED = answer(200, b'{"id": 7, "self": "https://j/rest/api/2/issue/PROJ-1/remotelink/7"}')
NO_ISSUE = answer(404, b'{"errorMessages": ["No such issue"], "errors": {}}')
BLANK = answer(400, b'{"errorMessages": [], "errors": {}}')


@asynccontextmanager
async def scripted(
    *script: bytes, attempts: int = 1, auth: Auth = BASIC, path: str = "", seconds: float = 5.0
) -> AsyncIterator[tuple[JiraClient, Wire, Sleep]]:
    """A client of a server of scripted bytes."""
    sleep = Sleep()
    async with (
        Wire(*script) as wire,
        JiraClient(wire.url + path, auth, attempts=attempts, timeout=seconds, sleep=sleep) as jira,
    ):
        yield jira, wire, sleep


@pytest.fixture
async def server() -> AsyncIterator[JiraServer]:
    """A simulated Jira with one issue and one whole project."""
    model = JiraModel(issues=["PROJ-1"], projects=["DEMO"])
    async with JiraServer(model, auth="demo@example.com:s3cret") as running:
        yield running


def home(auth: Auth) -> Knobs:
    """A Jira that takes such credentials: a personal access token is Data Center's."""
    return Knobs(deployment=Deployment.SERVER if isinstance(auth, Bearer) else Deployment.CLOUD)


# --- against the simulated Jira ------------------------------------------------------------


@pytest.mark.parametrize("version", ["2", "3"])
@pytest.mark.parametrize("auth", [BASIC, Bearer("s3cret")])
async def test_six_operations(server: JiraServer, version: str, auth: Auth) -> None:
    """Create, read in three ways, update in two and delete in two, in both versions."""
    server.knobs = home(auth)
    async with JiraClient(server.url, auth, api_version=version, attempts=1) as jira:
        created = await jira.upsert("PROJ-1", LINK, SEED_ID)
        updated = await jira.upsert("PROJ-1", OTHER, SEED_ID)
        assert (created.created, updated.created) == (True, False)
        assert (created.link_id, created.issue) == (updated.link_id, "PROJ-1")

        found = await jira.get_by_global_id("PROJ-1", SEED_ID)
        assert found == await jira.get("PROJ-1", created.link_id)
        assert [found] == await jira.list_links("PROJ-1")
        assert (found.link.digest, found.global_id, found.issue) == (OTHER.digest, SEED_ID, "PROJ-1")

        await jira.update("PROJ-1", created.link_id, LINK, "another")
        assert (await jira.get_by_global_id("PROJ-1", "another")).link.digest == LINK.digest
        await jira.delete_by_global_id("PROJ-1", "another")
        second = await jira.upsert("PROJ-1", LINK, None)
        await jira.delete("PROJ-1", second.link_id)
        assert await jira.list_links("PROJ-1") == []


async def test_not_found(server: JiraServer) -> None:
    """An issue and a link that do not exist are JiraNotFound in each operation that meets them."""
    async with JiraClient(server.url, BASIC, attempts=1) as jira:
        with pytest.raises(JiraNotFound):
            await jira.upsert("PROJ-2", LINK, "g")
        with pytest.raises(JiraNotFound):
            await jira.list_links("PROJ-2")
        with pytest.raises(JiraNotFound):
            await jira.get_by_global_id("PROJ-1", "g")
        with pytest.raises(JiraNotFound):
            await jira.delete_by_global_id("PROJ-1", "g")
        with pytest.raises(JiraNotFound):
            await jira.get("PROJ-1", 99)


async def test_field_errors(server: JiraServer) -> None:
    """Jira's field errors come with their names."""
    bad = Link.model_validate({"object": {"url": "ftp://example.com", "title": "x" * 256}})
    async with JiraClient(server.url, BASIC, attempts=1) as jira:
        with pytest.raises(JiraBadRequest) as caught:
            await jira.upsert("PROJ-1", bad, "g")
    assert set(caught.value.fields) == {"title", "url"}


@pytest.mark.parametrize("auth", [Basic("demo@example.com", "wrong"), Bearer("wrong"), Anonymous()])
async def test_wrong_credentials(server: JiraServer, auth: Auth) -> None:
    """Credentials that are not accepted are told apart from an issue that is not there."""
    server.knobs = home(auth)
    async with JiraClient(server.url, auth, attempts=1) as jira:
        with pytest.raises(JiraUnauthorized):
            await jira.list_links("PROJ-1")


@pytest.mark.parametrize(
    ("login", "kind"),
    [
        (Login.FAILED, JiraUnauthorized),
        (Login.HIDDEN, JiraUnauthorized),
        (Login.UNSCOPED, JiraUnauthorized),
        (Login.DENIED, JiraLoginDenied),
    ],
)
async def test_token_dies(server: JiraServer, login: Login, kind: type[JiraError]) -> None:
    """However Jira says that a token is dead, it is no word on the issue."""
    async with JiraClient(server.url, BASIC, attempts=4) as jira:
        server.knobs = Knobs(login=login)
        with pytest.raises(JiraError) as caught:
            await jira.list_links("PROJ-1")
        assert type(caught.value) is kind
        server.knobs = Knobs()
        assert await jira.list_links("PROJ-1") == []


def _texts(most: int) -> st.SearchStrategy[str]:
    """Texts that are not blank, of at most `most` characters, twice as many UTF-16 units."""
    whole = st.characters(exclude_categories=["Cs"])
    visible = st.characters(exclude_categories=("Cs", "Cc", "Z"))
    return st.builds("".join, st.tuples(st.text(whole, max_size=most - 1), visible))


_urls = st.builds(
    "https://{}.example/{}".format, st.from_regex(r"[a-z]{1,9}", fullmatch=True), st.text("ab/?&=#%+é")
)
_parts = {"url16x16": _urls, "title": _texts(300)}
_links = st.builds(
    Link.model_validate,
    st.fixed_dictionaries(
        {
            "object": st.fixed_dictionaries(
                {"url": _urls, "title": _texts(127)},
                optional={
                    "summary": _texts(600),
                    "icon": st.fixed_dictionaries({}, optional=_parts),
                    "status": st.fixed_dictionaries(
                        {},
                        optional={
                            "resolved": st.booleans(),
                            "icon": st.fixed_dictionaries({}, optional={**_parts, "link": _urls}),
                        },
                    ),
                },
            )
        },
        optional={
            "application": st.fixed_dictionaries({}, optional={"type": _texts(127), "name": _texts(127)}),
            "relationship": _texts(127),
        },
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(link=_links, global_id=_texts(127))
async def test_round_trip(server: JiraServer, link: Link, global_id: str) -> None:
    """Any link that Jira takes comes back with an equal digest, under any globalId."""
    async with JiraClient(server.url, BASIC, attempts=1) as jira:
        await jira.upsert("DEMO-1", link, global_id)
        found = await jira.get_by_global_id("DEMO-1", global_id)
        await jira.delete_by_global_id("DEMO-1", global_id)
    assert found.link.digest == link.digest
    assert found.global_id == global_id


# --- what goes over the wire ---------------------------------------------------------------


@every_operation
async def test_on_the_wire(do: Operation, line: bytes) -> None:
    """Each operation sends one request: its line as documented, with its headers, DELETE too."""
    async with scripted(NO_ISSUE) as (jira, wire, _):
        with pytest.raises(JiraNotFound):
            await do(jira)
    assert [request.partition(b"\r\n")[0] for request in wire.requests] == [line + b" HTTP/1.1"]
    headers = wire.headers()
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"accept"] == b"application/json"
    assert headers[b"authorization"] == AUTHORIZATION.encode()


@pytest.mark.parametrize("path", ["/jira", "/jira/", "/ex/jira/11111111-2222-3333-4444-555555555555"])
async def test_below_a_path(path: str) -> None:
    """A context path and the gateway's form stand before the API's path."""
    async with scripted(CREATED, path=path) as (jira, wire, _):
        await jira.upsert("PROJ-1", LINK, "g")
    assert wire.requests[0].startswith(b"POST " + path.rstrip("/").encode() + ROOT + b" HTTP/1.1\r\n")


async def test_anonymous(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who is nobody sends no credentials, not even those of ~/.netrc."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted(answer(200, b"[]"), auth=Anonymous()) as (jira, wire, _):
        await jira.list_links("PROJ-1")
    assert b"authorization" not in wire.headers()


async def test_netrc_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The configured credentials are sent even where ~/.netrc has others for the host."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    async with scripted(CREATED) as (jira, wire, _):
        await jira.upsert("PROJ-1", LINK, "g")
    assert wire.headers()[b"authorization"] == AUTHORIZATION.encode()


async def test_no_cookies() -> None:
    """A session that Jira opens is not gone on with."""
    async with scripted(answer(200, b"[]", "Set-Cookie: JSESSIONID=1; Path=/")) as (jira, wire, _):
        await jira.list_links("PROJ-1")
        await jira.list_links("PROJ-1")
    assert b"cookie" not in wire.headers(1)


async def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy is used, with the globalId's escapes as they were."""
    async with Wire(NO_ISSUE) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with JiraClient("http://jira.invalid", BASIC, attempts=1) as jira:
            with pytest.raises(JiraNotFound):
                await jira.get_by_global_id("PROJ-1", SEED_ID)
    line = b"GET http://jira.invalid" + ROOT + b"?globalId=" + SEED_ESCAPED + b" HTTP/1.1"
    assert proxy.requests[0].partition(b"\r\n")[0] == line


async def test_nothing_is_sent_for_no_key() -> None:
    """What is no issue key does not reach the wire."""
    async with scripted(NO_ISSUE) as (jira, wire, _):
        with pytest.raises(JiraBadRequest):
            await jira.list_links("PROJ-1/../../../myself?")
    assert wire.requests == []


async def test_connection_is_kept() -> None:
    """Requests one after the other share a connection."""
    async with scripted(CREATED) as (jira, wire, _):
        for _ in range(5):
            await jira.upsert("PROJ-1", LINK, "g")
    assert (len(wire.requests), wire.connections) == (5, 1)


async def test_connections_are_bounded() -> None:
    """No more requests than allowed are under way, and to wait for one's turn is no failure to connect."""
    async with (
        Wire(HANG, HANG, answer(200, b"[]")) as wire,
        JiraClient(wire.url, BASIC, attempts=1, timeout=0.3, max_connections=1) as jira,
    ):
        asked = (jira.list_links("PROJ-1") for _ in range(5))
        found = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(each) for each in found] == [JiraAnswerLost, JiraAnswerLost, list, list, list]
    assert (len(wire.requests), wire.most_open) == (5, 1)


async def test_a_client_that_is_not_open() -> None:
    """Before and after `async with` it is told how a client is used."""
    jira = JiraClient("https://jira.invalid", BASIC)
    with pytest.raises(RuntimeError, match="async with"):
        await jira.list_links("PROJ-1")
    async with jira:
        pass
    with pytest.raises(RuntimeError, match="async with"):
        await jira.list_links("PROJ-1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"max_connections": 0},
        {"api_version": "4"},
    ],
)
def test_bounds(wrong: dict[str, Any]) -> None:
    """Arguments with which no request could be sent are refused at once."""
    with pytest.raises(ConfigError):
        JiraClient("https://jira.invalid", BASIC, **wrong)


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://u:s3cret@127.0.0.1:1",
        "https://u:s3cret@127.0.0.1:1",
        "127.0.0.1:1",
        "http://[::1",
        "http://u:s3cret@host:99999",
        "http://",
    ],
)
async def test_proxies_that_are_none(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that could not be used is told when the client is opened, and passed over by no request."""
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(ConfigError, match="https_proxy") as caught:
        async with JiraClient("https://jira.invalid", BASIC):
            pass
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jira.example",
        "ftp://jira.example",
        "https://",
        "https://u:s3cret@jira.example",
        "https://s3cret@jira.example",
        "https://:s3cret@jira.example",
        "http://[::1",
        "https://jira.example?x=1",
        "https://jira.example#x",
    ],
)
def test_urls_that_are_none(url: str) -> None:
    """What is no site's address is refused at once, and without showing it."""
    with pytest.raises(ConfigError) as caught:
        JiraClient(url, BASIC)
    assert "s3cret" not in str(caught.value)


# --- what comes back -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scripted_answer", "kind"),
    [
        (answer(400, b'{"errors": {"title": "is required"}}'), JiraBadRequest),
        (answer(401), JiraUnauthorized),
        (answer(403, b'{"errorMessages": ["No"]}'), JiraForbidden),
        (answer(403), JiraForeignAnswer),
        (answer(404), JiraForeignAnswer),
        (answer(404, b"", "ATL-TraceId: 1"), JiraNotFound),
        (answer(403, b"<html>", "X-Authentication-Denied-Reason: CAPTCHA_CHALLENGE"), JiraLoginDenied),
        (NO_ISSUE, JiraNotFound),
        (answer(404, b"{}", "X-Seraph-LoginReason: AUTHENTICATED_FAILED"), JiraUnauthorized),
        (answer(404, b"<html>Not found</html>", "Content-Type: text/html"), JiraForeignAnswer),
        (answer(413, b"{}", "X-AREQUESTID: 1"), JiraTooManyLinks),
        (answer(415), JiraBadRequest),
        (answer(422), JiraBadRequest),
        (answer(429), JiraRateLimited),
        (answer(302, b"", "Location: /login.jsp"), JiraForeignAnswer),
        (answer(500, b"<html>"), JiraForeignAnswer),
        (answer(502), JiraUnavailable),
        (answer(503), JiraUnavailable),
        (answer(504), JiraUnavailable),
        (answer(201, b"<html>Log in</html>"), JiraForeignAnswer),
        (b"HTTP/1.1 200 X\r\nContent-Length: 900\r\n\r\n[", JiraAnswerLost),
        (b"nonsense\r\n\r\n", JiraAnswerLost),
        (CLOSE, JiraAnswerLost),
    ],
)
async def test_typed(scripted_answer: bytes, kind: type[JiraError]) -> None:
    """Each status, page and failure of the connection has its type."""
    closing = scripted_answer.endswith(b"\r\n\r\n[") or scripted_answer.startswith(b"nonsense")
    async with scripted(scripted_answer, seconds=0.5 if closing else 5.0) as (jira, _, _):
        with pytest.raises(JiraError) as caught:
            await jira.upsert("PROJ-1", LINK, "g")
    assert type(caught.value) is kind


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    """A redirect is no answer of Jira's, and its target is not asked."""
    async with Wire(CREATED) as target:
        there = answer(status, b"", f"Location: {target.url}/login.jsp")
        async with scripted(there) as (jira, wire, _):
            with pytest.raises(JiraForeignAnswer):
                await jira.upsert("PROJ-1", LINK, "g")
    assert (len(wire.requests), target.requests) == (1, [])


async def test_rate_limit() -> None:
    """A 429 tells what to slow down, and for how long."""
    told = answer(429, b"", "Retry-After: 7", "RateLimit-Reason: jira-burst-based")
    async with scripted(told) as (jira, _, _):
        with pytest.raises(JiraRateLimited) as caught:
            await jira.upsert("PROJ-1", LINK, "g")
    assert (caught.value.retry_after, caught.value.scope) == (7.0, Scope.METHOD)


async def test_timeout() -> None:
    """A request whose answer does not come in time has perhaps taken effect."""
    async with scripted(HANG, seconds=0.2) as (jira, wire, _):
        with pytest.raises(JiraAnswerLost):
            await jira.upsert("PROJ-1", LINK, "g")
    assert len(wire.requests) == 1


async def test_refused() -> None:
    """Where nobody listens, the request never left."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        async with JiraClient(url, BASIC, attempts=1) as jira:
            with pytest.raises(JiraUnreachable):
                await jira.list_links("PROJ-1")


async def test_no_tls() -> None:
    """Where TLS fails, the request never left."""
    async with scripted(CREATED) as (_, wire, _):
        url = wire.url.replace("http:", "https:")
        async with JiraClient(url, BASIC, attempts=1, timeout=0.6) as jira:
            with pytest.raises(JiraUnreachable):
                await jira.upsert("PROJ-1", LINK, "g")


@pytest.mark.parametrize("script", [CLOSE, answer(401), answer(500, b"<html>"), b"nonsense\r\n\r\n"])
async def test_errors_keep_secrets(script: bytes) -> None:
    """Neither an error nor its traceback shows the credentials."""
    async with scripted(script) as (jira, _, _):
        with pytest.raises(JiraError) as caught:
            await jira.upsert("PROJ-1", LINK, "g")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "s3cret" not in shown
    assert AUTHORIZATION.split()[1] not in shown
    before = caught.value.__context__
    while before:
        assert AUTHORIZATION.split()[1] not in f"{before!r} {vars(before)}"
        assert not isinstance(before, aiohttp.ClientError)
        before = before.__context__


def _gzipped(length: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(bytes(1_000_000)) for _ in range(length // 1_000_000)]
    return b"".join(pieces) + packer.flush()


BOMB = answer(404, _gzipped(200_000_000), "Content-Encoding: gzip")


@pytest.mark.parametrize("script", [BOMB, answer(404, bytes(MAX_BODY_BYTES + 1))], ids=["packed", "plain"])
async def test_an_answer_without_end(script: bytes) -> None:
    """An answer beyond any that Jira gives is not read to its end, nor unpacked, and counts as lost."""
    async with scripted(script, seconds=30.0) as (jira, _, _):
        tracemalloc.start()
        with pytest.raises(JiraAnswerLost, match="more than"):
            await jira.list_links("PROJ-1")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * MAX_BODY_BYTES


async def test_a_packed_answer() -> None:
    """An answer that is packed and of a length that Jira's have is read."""
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packed.compress(b"[]" + b" " * 1_000_000) + packed.flush()
    async with scripted(answer(200, body, "Content-Encoding: gzip")) as (jira, _, _):
        assert await jira.list_links("PROJ-1") == []


# --- trying again --------------------------------------------------------------------------


async def test_tries_again() -> None:
    """429, 5xx and a lost answer are tried again, later each time, and Retry-After is a minimum."""
    script = (answer(503), answer(429, b"", "Retry-After: 25"), CLOSE, CREATED)
    async with scripted(*script, attempts=4) as (jira, wire, sleep):
        written = await jira.upsert("PROJ-1", LINK, "g")
    assert (written.link_id, len(wire.requests)) == (7, 4)
    first, second, third = sleep.seconds
    assert 1.4 <= first <= 2.6
    assert second == 25.0
    assert 5.6 <= third <= 10.4


async def test_a_long_wait_is_the_callers() -> None:
    """A Jira that asks for longer than we would wait is told at once, with how long it asks for."""
    async with scripted(answer(429, b"", "Retry-After: 31"), attempts=4) as (jira, wire, sleep):
        with pytest.raises(JiraRateLimited) as caught:
            await jira.list_links("PROJ-1")
    assert (caught.value.retry_after, len(wire.requests), sleep.seconds) == (31.0, 1, [])


async def test_waits_are_told() -> None:
    """Who asked is told what is waited for, and for how long."""
    told: list[tuple[str, float]] = []

    def tell(error: JiraError, seconds: float) -> None:
        told.append((error.code, seconds))

    sleep = Sleep()
    async with (
        Wire(answer(429, b"", "Retry-After: 9"), answer(200, b"[]")) as wire,
        JiraClient(wire.url, BASIC, sleep=sleep, on_wait=tell) as jira,
    ):
        await jira.list_links("PROJ-1")
    assert told == [("jira_rate_limited", 9.0)]
    assert sleep.seconds == [9.0]


async def test_gives_up() -> None:
    """After so many attempts the last error is raised as it is."""
    async with scripted(answer(503), attempts=9) as (jira, wire, sleep):
        with pytest.raises(JiraUnavailable):
            await jira.list_links("PROJ-1")
    assert len(wire.requests) == 9
    assert max(sleep.seconds) <= 30 * 1.3


@pytest.mark.parametrize(
    "last",
    [
        answer(400, b'{"errorMessages": ["No"]}'),
        answer(401),
        answer(403),
        NO_ISSUE,
        answer(302, b"", "Location: /login.jsp"),
        answer(404, b"<html>Not found</html>"),
    ],
)
async def test_rejections_are_final(last: bytes) -> None:
    """What would fail again is not tried again."""
    async with scripted(last, attempts=4) as (jira, wire, _):
        with pytest.raises(JiraError):
            await jira.upsert("PROJ-1", LINK, "g")
    assert len(wire.requests) == 1


@pytest.mark.parametrize("failure", [CLOSE, answer(500), answer(200, b"<html>")])
async def test_create_without_global_id_is_not_repeated(failure: bytes) -> None:
    """A POST that adds a link each time is not sent again when it may have been applied."""
    async with scripted(failure, CREATED, attempts=4) as (jira, wire, _):
        with pytest.raises(JiraError):
            await jira.upsert("PROJ-1", LINK, None)
    assert len(wire.requests) == 1


async def test_create_without_global_id_is_repeated_when_refused() -> None:
    """A 429 was surely not applied, so that the same POST is sent again."""
    async with scripted(answer(429), CREATED, attempts=4) as (jira, wire, _):
        await jira.upsert("PROJ-1", LINK, None)
    assert len(wire.requests) == 2


SAME = answer(200, b'{"id": 7, "globalId": "g", "object": {"url": "https://example.com/1", "title": "One"}}')
DIFFERENT = answer(
    200, b'{"id": 7, "globalId": "g", "object": {"url": "https://example.com/2", "title": "Two"}}'
)
NO_LINK = answer(404, b'{"errorMessages": ["No such link"], "errors": {}}')


@pytest.mark.parametrize(
    ("script", "methods"),
    [
        ((BLANK, SAME), [b"POST", b"GET"]),
        ((BLANK, DIFFERENT, CREATED), [b"POST", b"GET", b"POST"]),
        ((BLANK, NO_LINK, CREATED), [b"POST", b"GET", b"POST"]),
    ],
)
async def test_collision(script: tuple[bytes, ...], methods: list[bytes]) -> None:
    """After a blank 400 to an upsert the link is looked up, and written where it differs or is absent."""
    async with scripted(*script, attempts=4) as (jira, wire, sleep):
        written = await jira.upsert("PROJ-1", LINK, "g")
    assert (written.link_id, written.created) == (7, script[-1] is CREATED)
    assert [request.split()[0] for request in wire.requests] == methods
    assert len(sleep.seconds) == 1


async def test_collision_is_tried_once() -> None:
    """A second blank 400 is final."""
    async with scripted(BLANK, NO_LINK, BLANK, CREATED, attempts=4) as (jira, wire, _):
        with pytest.raises(JiraBadRequest):
            await jira.upsert("PROJ-1", LINK, "g")
    assert len(wire.requests) == 3


@pytest.mark.parametrize(("attempts", "global_id"), [(1, "g"), (4, None), (4, "")])
async def test_no_collision(attempts: int, global_id: str | None) -> None:
    """With one attempt the caller decides, and without a globalId nothing can collide."""
    async with scripted(BLANK, CREATED, attempts=attempts) as (jira, wire, _):
        with pytest.raises(JiraBadRequest):
            await jira.upsert("PROJ-1", LINK, global_id)
    assert len(wire.requests) == 1


FOUND = answer(200, b'{"id": 7, "object": {"url": "https://example.com/1", "title": "One"}}')
DONE = b"HTTP/1.1 204 X\r\n\r\n"


@pytest.mark.parametrize(
    ("do", "good"),
    [(OPERATIONS["get"][0], FOUND), (OPERATIONS["update"][0], DONE), (OPERATIONS["delete"][0], DONE)],
)
async def test_a_new_link_is_waited_for(do: Operation, good: bytes) -> None:
    """A link that this client has just created may not be found by its id for about a second."""
    async with scripted(CREATED, NO_LINK, NO_LINK, good, attempts=2) as (jira, wire, sleep):
        await jira.upsert("PROJ-1", LINK, None)
        await do(jira)
    assert len(wire.requests) == 4
    assert sleep.seconds == [0.5, 1.0]


async def test_a_new_link_is_not_waited_for_long() -> None:
    """After three seconds it is not there."""
    async with scripted(CREATED, NO_LINK, attempts=4) as (jira, wire, sleep):
        await jira.upsert("PROJ-1", LINK, "g")
        with pytest.raises(JiraNotFound):
            await jira.get("PROJ-1", 7)
    assert len(wire.requests) == 5
    assert sum(sleep.seconds) == 3.0


@pytest.mark.parametrize(
    ("created", "attempts", "link_id"), [(CREATED, 1, 7), (CREATED, 4, 8), (UPDATED, 4, 7)]
)
async def test_no_other_link_is_waited_for(created: bytes, attempts: int, link_id: int) -> None:
    """One attempt is one request, and only a link that is new to Jira may be late."""
    async with scripted(created, NO_LINK, attempts=attempts) as (jira, wire, sleep):
        await jira.upsert("PROJ-1", LINK, "g")
        with pytest.raises(JiraNotFound):
            await jira.delete("PROJ-1", link_id)
    assert (len(wire.requests), sleep.seconds) == (2, [])


async def test_a_deleted_link_is_not_waited_for() -> None:
    """What this client has deleted by its id is gone at once."""
    async with scripted(CREATED, DONE, NO_LINK, attempts=4) as (jira, wire, _):
        await jira.upsert("PROJ-1", LINK, "g")
        await jira.delete("PROJ-1", 7)
        with pytest.raises(JiraNotFound):
            await jira.get("PROJ-1", 7)
    assert len(wire.requests) == 3


async def test_lag_of_the_simulator(server: JiraServer) -> None:
    """A Jira that lags as Cloud does is read by id at last, without a word to the caller."""
    server.knobs = Knobs(lag=3600.0)

    async def catch_up(_seconds: float) -> None:
        server.knobs = Knobs()

    async with JiraClient(server.url, BASIC, sleep=catch_up) as jira:
        created = await jira.upsert("PROJ-1", LINK, "g")
        assert (await jira.get("PROJ-1", created.link_id)).global_id == "g"


async def test_race_of_the_simulator(server: JiraServer) -> None:
    """Of a race that was lost to an equal write, the link that stands is found, and not written again."""
    server.knobs = Knobs(rate_raced=1.0)
    async with JiraClient(server.url, BASIC, sleep=Sleep()) as jira:
        written = await jira.upsert("PROJ-1", LINK, "g")
    assert [link["id"] for link in server.model.links()] == [written.link_id]
    assert [(entry.action, entry.needless) for entry in server.model.history] == [("created", False)]


# --- what the limits say -------------------------------------------------------------------


async def test_budget() -> None:
    """Every answer tells of the limits, a refusal too, and the newest one counts."""
    bucket = (
        "X-RateLimit-Limit: 50",
        "X-RateLimit-Remaining: 7",
        "X-RateLimit-FillRate: 5",
        "X-RateLimit-Interval-Seconds: 10",
        "retry-after: 0",
    )
    script = (
        answer(200, b"[]", *bucket),
        answer(429, b"", "X-RateLimit-NearLimit: true"),
        answer(200, b"[]"),
    )
    async with scripted(*script) as (jira, _, _):
        assert jira.budget == Budget()
        await jira.list_links("PROJ-1")
        assert jira.budget == Budget(bucket=Bucket(50, 7, 5, 10.0))
        with pytest.raises(JiraRateLimited):
            await jira.list_links("PROJ-1")
        assert jira.budget == Budget(is_near=True)
        await jira.list_links("PROJ-1")
        assert jira.budget == Budget()


@every_operation
async def test_one_attempt_is_one_request(do: Operation, line: bytes) -> None:
    """On a kept connection that closes, no operation is sent anew behind the caller's back."""
    async with scripted(answer(200, b"[]"), CLOSE) as (jira, wire, _):
        await jira.list_links("PROJ-1")
        with pytest.raises(JiraAnswerLost):
            await do(jira)
    assert [request.split(b" HTTP")[0] for request in wire.requests] == [b"GET " + ROOT, line]
