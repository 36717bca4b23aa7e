"""OAuth 2.0 over real connections, against a token endpoint that rotates refresh tokens, and a gateway."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bridge.errors import JiraUnauthorized, JiraUnreachable
from bridge.jira import oauth
from bridge.jira.client import JiraClient
from bridge.jira.oauth import OAuth
from bridge.jira.token_file import RefreshTokenFile
from bridge.model import Link
from bridge.parts import jira as client_of
from bridge.parts import jiras as clients_of
from bridge.settings import load
from tests.brokers import eventually
from tests.wire import Sleep

CLOUD_ID = "11111111-2222-3333-4444-555555555555"
LINK = Link.model_validate({"object": {"url": "https://example.com/1", "title": "One"}})


class Atlassian:
    """A token endpoint and a gateway that know each other.

    A refresh token is good once; one that comes again ends the whole chain. `failures` are what the
    next token requests are answered with; `may_answer` holds them up, and `may_end` the answers to a POST.
    """

    def __init__(self) -> None:
        """Nothing is granted yet."""
        self.grants: list[dict[str, Any]] = []
        self.calls: list[tuple[str, int]] = []
        self.access: set[str] = set()
        self.refresh: str | None = "refresh-0"
        self.failures: list[web.Response] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._app = web.Application()
        self._app.router.add_post("/oauth/token", self._token)
        self._app.router.add_route("*", f"/ex/jira/{CLOUD_ID}/{{path:.*}}", self._gateway)

    async def serve(self) -> AsyncIterator[None]:
        """Listen, until the iterator goes on."""
        runner = web.AppRunner(self._app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield
        await runner.cleanup()

    @property
    def gateway(self) -> str:
        """The site's address."""
        return f"{self.url}/ex/jira/{CLOUD_ID}"

    async def _token(self, request: web.Request) -> web.Response:
        grant = await request.json()
        self.grants.append(grant)
        self.asked.set()
        await self.may_answer.wait()
        if self.failures:
            return self.failures.pop(0)
        if grant["client_secret"] != "s3cret":
            return web.json_response({"error": "invalid_client"}, status=401)
        if grant["grant_type"] == "refresh_token" and grant["refresh_token"] != self.refresh:
            self.refresh = None
            return web.json_response({"error": "invalid_grant"}, status=403)
        number = len(self.grants)
        self.access.add(f"access-{number}")
        granted = {"access_token": f"access-{number}", "expires_in": 3600, "token_type": "Bearer"}
        if grant["grant_type"] == "refresh_token":
            self.refresh = granted["refresh_token"] = f"refresh-{number}"
        return web.json_response(granted)

    async def _gateway(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        status = {"GET": 200, "POST": 201}[request.method] if token in self.access else 401
        self.calls.append((request.method, status))
        if status == 401:
            return web.json_response({"code": 401, "message": "Unauthorized"}, status=401)
        if request.method == "GET":
            return web.json_response([])
        await self.may_end.wait()
        near = {"X-RateLimit-NearLimit": "true"}
        return web.json_response({"id": 7, "self": ""}, status=201, headers=near)


@pytest.fixture
async def atlassian() -> AsyncIterator[Atlassian]:
    """Both servers."""
    server = Atlassian()
    async for _ in server.serve():
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the first refresh token."""
    path = tmp_path / "refresh"
    path.write_text("refresh-0\n", "utf-8")
    return path


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are never too young to be renewed."""
    monkeypatch.setattr(oauth, "YOUNG_SECONDS", 0.0)


def client(atlassian: Atlassian, file: Path | None = None, *, attempts: int = 1) -> JiraClient:
    """A client that knows itself to both, by its own credentials or by a refresh token."""
    auth = OAuth("app", "s3cret", RefreshTokenFile(file) if file else None, f"{atlassian.url}/oauth/token")
    return JiraClient(atlassian.gateway, auth, attempts=attempts, sleep=Sleep())


@pytest.mark.usefixtures("aged")
async def test_one_token_for_all_who_wait(atlassian: Atlassian) -> None:
    """Fifty requests at once ask for one token, and fifty that are refused at once for one more."""
    async with client(atlassian) as jira:
        await asyncio.gather(*(jira.list_links("PROJ-1") for _ in range(50)))
        assert (len(atlassian.grants), atlassian.calls) == (1, [("GET", 200)] * 50)
        atlassian.access.clear()
        await asyncio.gather(*(jira.list_links("PROJ-1") for _ in range(50)))
    assert len(atlassian.grants) == 2
    assert atlassian.calls.count(("GET", 200)) == 100


@pytest.mark.usefixtures("aged")
async def test_a_refused_write_is_sent_once_more(atlassian: Atlassian) -> None:
    """A POST that a 401 refused did nothing, so that even one attempt sends it with the new token."""
    async with client(atlassian) as jira:
        await jira.list_links("PROJ-1")
        atlassian.access.clear()
        assert (await jira.upsert("PROJ-1", LINK, None)).link_id == 7
    assert atlassian.calls == [("GET", 200), ("POST", 401), ("POST", 201)]


@pytest.mark.usefixtures("aged")
async def test_refresh_tokens_go_on_after_a_restart(atlassian: Atlassian, file: Path) -> None:
    """Each client takes up the refresh token that the one before it has left."""
    for _ in range(3):
        async with client(atlassian, file) as jira:
            await jira.list_links("PROJ-1")
            atlassian.access.clear()
            await jira.list_links("PROJ-1")
    assert [grant["refresh_token"] for grant in atlassian.grants] == [f"refresh-{n}" for n in range(6)]
    assert RefreshTokenFile(file).read() == "refresh-6"


async def test_a_refused_refresh_token(atlassian: Atlassian, file: Path) -> None:
    """A chain that has ended is an error of the credentials, until somebody puts a new token there."""
    RefreshTokenFile(file).keep("stolen")
    async with client(atlassian, file, attempts=4) as jira:
        with pytest.raises(JiraUnauthorized, match="invalid_grant") as caught:
            await jira.list_links("PROJ-1")
        assert "stolen" not in str(caught.value)
        assert (len(atlassian.grants), atlassian.calls) == (1, [])
        atlassian.refresh = "by-hand"
        RefreshTokenFile(file).keep("by-hand")
        assert await jira.list_links("PROJ-1") == []


async def test_no_token_for_now(atlassian: Atlassian) -> None:
    """A token endpoint that is down leaves Jira unasked, and is asked again."""
    atlassian.failures = [web.Response(status=503), web.Response(status=502, text="<html>")]
    async with client(atlassian, attempts=4) as jira:
        assert await jira.list_links("PROJ-1") == []
    assert (len(atlassian.grants), atlassian.calls) == (3, [("GET", 200)])


async def test_one_failure_for_all_who_wait(atlassian: Atlassian) -> None:
    """Those who wait for a token that is not granted do not ask for it one after the other."""
    atlassian.failures = [web.Response(status=503)]
    async with client(atlassian) as jira:
        asked = (jira.list_links("PROJ-1") for _ in range(20))
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(error) for error in failed} == {JiraUnreachable}
        assert len({id(error) for error in failed}) == 20
        told = {(error.issue, error.operation) for error in failed if isinstance(error, JiraUnreachable)}
        assert told == {("PROJ-1", "getRemoteIssueLinks")}
        assert (len(atlassian.grants), atlassian.calls) == (1, [])
        assert await jira.list_links("PROJ-1") == []


async def test_a_failure_is_not_for_those_who_come_later(atlassian: Atlassian) -> None:
    """Who asks once more after a failure asks the token endpoint, though others still take the failure in."""
    atlassian.failures = [web.Response(status=503)]
    async with client(atlassian) as jira:

        async def twice() -> object:
            with suppress(JiraUnreachable):
                await jira.list_links("PROJ-1")
            return await jira.list_links("PROJ-1")

        others = (jira.list_links("PROJ-1") for _ in range(20))
        found, *_ = await asyncio.gather(twice(), *others, return_exceptions=True)
    assert (found, len(atlassian.grants)) == ([], 2)


@pytest.mark.usefixtures("aged")
async def test_a_failure_is_not_for_those_who_have_an_answer(atlassian: Atlassian) -> None:
    """What Jira did is told, though no token is to be had when its answer comes."""
    async with client(atlassian) as jira:
        await jira.list_links("PROJ-1")
        atlassian.may_end.clear()
        written = asyncio.create_task(jira.upsert("PROJ-1", LINK, None))
        await eventually(lambda: ("POST", 201) in atlassian.calls)
        atlassian.access.clear()
        atlassian.asked.clear()
        atlassian.may_answer.clear()
        atlassian.failures = [web.Response(status=503)]
        refused = asyncio.create_task(jira.list_links("PROJ-1"))
        await atlassian.asked.wait()
        atlassian.may_end.set()
        await eventually(lambda: jira.budget.is_near)
        atlassian.may_answer.set()
        assert (await written).link_id == 7
        with pytest.raises(JiraUnreachable):
            await refused


async def test_no_token_endpoint(atlassian: Atlassian) -> None:
    """Where nobody listens for token requests, the request to Jira never left."""
    auth = OAuth("app", "s3cret", token_url="http://127.0.0.1:1/oauth/token")
    async with JiraClient(atlassian.gateway, auth, attempts=1) as jira:
        with pytest.raises(JiraUnreachable, match="No access token"):
            await jira.upsert("PROJ-1", LINK, None)
    assert atlassian.calls == []


async def test_a_caller_that_gives_up_loses_no_refresh_token(atlassian: Atlassian, file: Path) -> None:
    """A refresh token that is on its way is kept, though nobody waits for the answer any more."""
    atlassian.may_answer.clear()
    async with client(atlassian, file) as jira:
        task = asyncio.create_task(jira.list_links("PROJ-1"))
        await atlassian.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        atlassian.may_answer.set()
    assert RefreshTokenFile(file).read() == "refresh-1"


async def test_a_renewal_that_fails_unseen(
    atlassian: Atlassian, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure that comes when its caller has given up is nobody's, and asyncio is told so."""
    atlassian.may_answer.clear()
    atlassian.failures = [web.Response(status=503)]
    async with client(atlassian, file) as jira:
        task = asyncio.create_task(jira.list_links("PROJ-1"))
        await atlassian.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        atlassian.may_answer.set()
        with pytest.raises(JiraUnreachable):
            await jira.list_links("PROJ-1")
        gc.collect()
        assert caplog.records == []


async def test_a_scope_that_is_missing(atlassian: Atlassian, file: Path) -> None:
    """Requests that Jira goes on to refuse ask for no token each."""
    async with client(atlassian, file) as jira:
        for _ in range(10):
            atlassian.access.clear()
            with suppress(JiraUnauthorized):
                await jira.list_links("PROJ-1")
    assert len(atlassian.grants) == 1


async def test_no_token_is_used_up_in_vain(atlassian: Atlassian, file: Path) -> None:
    """Where the next refresh token could not be kept, the one there is is not sent."""
    blocked = file.with_name(".refresh.next")
    blocked.mkdir()
    async with client(atlassian, file) as jira:
        with pytest.raises(JiraUnauthorized, match="cannot be written"):
            await jira.list_links("PROJ-1")
        assert atlassian.grants == []
        blocked.rmdir()
        assert await jira.list_links("PROJ-1") == []


async def test_tokens_need_no_place(atlassian: Atlassian) -> None:
    """A token is asked for, though all places are taken by requests to Jira."""
    auth = OAuth("app", "s3cret", None, f"{atlassian.url}/oauth/token")
    async with JiraClient(atlassian.gateway, auth, attempts=1, max_connections=1) as jira:
        atlassian.may_end.clear()
        written = asyncio.create_task(jira.upsert("PROJ-1", LINK, None))
        await eventually(lambda: ("POST", 201) in atlassian.calls)
        auth._token = None
        listed = asyncio.create_task(jira.list_links("PROJ-1"))
        await eventually(lambda: len(atlassian.grants) == 2)
        atlassian.may_end.set()
        assert ((await written).link_id, await listed) == (7, [])


async def test_another_process_renews(atlassian: Atlassian, file: Path) -> None:
    """Of two processes with one file, the one that came late takes up what the other was given."""
    async with client(atlassian, file) as one, client(atlassian, file) as other:
        atlassian.may_answer.clear()
        late = asyncio.create_task(other.list_links("PROJ-1"))
        await atlassian.asked.wait()
        atlassian.failures = [web.json_response({"error": "unauthorized_client"}, status=403)]
        RefreshTokenFile(file).keep("refresh-next")
        atlassian.refresh = "refresh-next"
        atlassian.may_answer.set()
        assert await late == []
        assert await one.list_links("PROJ-1") == []
    asked_with = [grant["refresh_token"] for grant in atlassian.grants]
    assert asked_with == ["refresh-0", "refresh-next", "refresh-2"]


def configured(atlassian: Atlassian, file: Path) -> dict[str, Any]:
    """A site as the configuration has it, with an app of OAuth."""
    app = {
        "client_id": "app",
        "client_secret": "s3cret",
        "refresh_token_file": str(file),
        "token_url": f"{atlassian.url}/oauth/token",
    }
    return {"url": atlassian.gateway, "auth": {"oauth": app}}


async def test_sites_share_a_refresh_token(atlassian: Atlassian, file: Path) -> None:
    """Sites that name one file ask for one token between them, even at the same time."""
    site = configured(atlassian, file)
    sites = {"a": {**site, "projects": ["AA"]}, "b": {**site, "projects": ["BB"]}}
    clients = clients_of(load(None, {}, {"sites": sites}))
    async with clients["a"] as one, clients["b"] as other:
        found = await asyncio.gather(one.list_links("AA-1"), other.list_links("BB-1"))
    assert [*found] == [[], []]
    assert len(atlassian.grants) == 1


async def test_as_configured(atlassian: Atlassian, file: Path) -> None:
    """What the configuration says of an app of OAuth reaches the token endpoint and the gateway."""
    site = configured(atlassian, file)
    async with client_of(load(None, {}, {"sites": {"a": site}}).sites["a"]) as jira:
        assert await jira.list_links("PROJ-1") == []
    assert [grant["client_id"] for grant in atlassian.grants] == ["app"]
