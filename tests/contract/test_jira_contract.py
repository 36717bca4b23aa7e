"""What the client relies on in Jira, tried on the simulator always, and on a real site where one is named.

JIRA_CONTRACT_URL is the site's address (or the gateway's), JIRA_CONTRACT_USER and _TOKEN are the
credentials (an empty user makes the token a bearer's), and JIRA_CONTRACT_ISSUE is the key of an
issue whose links may be read, written and deleted. On it only links under an address of the run's
own are touched, and they are deleted in the end.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from bridge.errors import (
    JiraBadRequest,
    JiraError,
    JiraForbidden,
    JiraNotFound,
    JiraTooManyLinks,
    JiraUnauthorized,
)
from bridge.jira import protocol
from bridge.jira.auth import Auth, Basic, Bearer, OAuth
from bridge.jira.client import JiraClient
from bridge.jira.wire import HttpRequest
from bridge.model import Link, RemoteLink, Written
from bridge.simulator.faults import Knobs, Login
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer
from bridge.simulator.oauth import CLOUD_ID
from bridge.simulator.users import User
from tests.atlassian import STATUSES

VARIABLES = ("JIRA_CONTRACT_URL", "JIRA_CONTRACT_TOKEN", "JIRA_CONTRACT_ISSUE")
REAL = {name: os.environ.get(name, "") for name in (*VARIABLES, "JIRA_CONTRACT_USER")}
no_site = pytest.mark.skipif(
    not all(REAL[name] for name in VARIABLES), reason=f"no real site: {', '.join(VARIABLES)} are not set"
)

HARD_IDS = (
    "system=http://www.mycompany.com/support&id=1",
    "a+b c",
    "100%25",
    "a/b?c#d;e",
    "é 😀 \u4e2d",
    "'\"<>\\`{}|^",
)


@dataclass(frozen=True, slots=True)
class Site:
    """A site under test, an issue on it, and names that nobody else uses there."""

    jira: JiraClient
    url: str
    auth: Auth
    wrong: Auth
    issue: str
    mark: str
    known_id: str | None = None

    async def issue_id(self) -> str:
        """The issue's number, by a resource that the client does not have."""
        if self.known_id:
            return self.known_id
        asked = HttpRequest("GET", f"{self.url}/rest/api/2/issue/{self.issue}?fields=summary")
        headers = next(self.auth.flow(asked, 0.0)).headers
        async with aiohttp.ClientSession() as session, session.get(asked.url, headers=headers) as answer:
            return str((await answer.json())["id"])

    def global_id(self, text: str = "") -> str:
        """A globalId of this test's own."""
        return f"{self.mark} {text}"

    def link(self, title: str = "One", **more: Any) -> Link:
        """A link of this test's own, by its address."""
        thing = {"url": f"https://contract.example/{self.mark}", "title": title, **more.pop("object", {})}
        return Link.model_validate({"object": thing, **more})

    async def mine(self) -> list[RemoteLink]:
        """What stands of this test."""
        return [
            found for found in await self.jira.list_links(self.issue) if self.mark in found.link.object.url
        ]


async def _simulated(stack: AsyncExitStack, version: str, *, is_app: bool = False) -> Site:
    """A simulator asked as a user of the site, or as an app of OAuth through the gateway."""
    model = JiraModel()
    issue = model.add("PROJ-1")
    app = User(token="app-secret", is_app=True)
    server = await stack.enter_async_context(JiraServer(model, users={"app": app}))
    basic = Basic("demo@example.com", "demo")
    oauth = OAuth("app", "app-secret", token_url=f"{server.url}/oauth/token")
    auth, wrong = (
        (oauth, replace(oauth, client_secret="wrong")) if is_app else (basic, replace(basic, token="wrong"))
    )
    url = f"{server.url}/ex/jira/{CLOUD_ID}" if is_app else server.url
    jira = await stack.enter_async_context(JiraClient(url, auth, api_version=version))
    return Site(jira, url, auth, wrong, issue.key, f"contract-{uuid4().hex}", str(issue.id))


async def _real(stack: AsyncExitStack) -> Site:
    user, token = REAL["JIRA_CONTRACT_USER"], REAL["JIRA_CONTRACT_TOKEN"]
    auth = Basic(user, token) if user else Bearer(token)
    url = REAL["JIRA_CONTRACT_URL"].rstrip("/")
    jira = await stack.enter_async_context(JiraClient(url, auth))
    mark = f"contract-{uuid4().hex}"
    return Site(jira, url, auth, replace(auth, token="wrong"), REAL["JIRA_CONTRACT_ISSUE"], mark)


SITES: dict[str, Callable[[AsyncExitStack], Awaitable[Site]]] = {
    "simulator, v2": partial(_simulated, version="2"),
    "simulator, v3": partial(_simulated, version="3"),
    "simulator, OAuth": partial(_simulated, version="3", is_app=True),
    "real": _real,
}


@pytest.fixture(params=[pytest.param(name, marks=[no_site] if name == "real" else []) for name in SITES])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """Each site, and afterwards none of the test's links on it."""
    async with AsyncExitStack() as stack:
        site = await SITES[request.param](stack)
        try:
            yield site
        finally:
            for found in await site.mine():
                with suppress(JiraNotFound):
                    await site.jira.delete(site.issue, found.id)
        assert await site.mine() == []


# --- on every site -------------------------------------------------------------------------


async def test_create_and_update(site: Site) -> None:
    """The first write of a globalId creates a link, the next one updates the same."""
    created = await site.jira.upsert(site.issue, site.link("One"), site.global_id())
    updated = await site.jira.upsert(site.issue, site.link("Two"), site.global_id())
    assert (created.created, updated.created) == (True, False)
    assert created.link_id == updated.link_id
    assert created.issue == site.issue
    assert [found.link.object.title for found in await site.mine()] == ["Two"]


async def test_what_is_written_is_read(site: Site) -> None:
    """A link with all its fields comes back with an equal digest, by each way of reading."""
    full = site.link(
        object={
            "summary": "Printer is on fire",
            "icon": {"url16x16": "https://contract.example/icon.png", "title": "Ticket"},
            "status": {
                "resolved": True,
                "icon": {
                    "url16x16": "https://contract.example/closed.png",
                    "title": "Closed",
                    "link": "https://contract.example/closed",
                },
            },
        },
        application={"type": "example.contract", "name": "Contract"},
        relationship="is caused by",
    )
    written = await site.jira.upsert(site.issue, full, site.global_id())
    by_id = await site.jira.get(site.issue, written.link_id)
    assert (by_id.link.digest, by_id.global_id) == (full.digest, site.global_id())
    assert by_id == await site.jira.get_by_global_id(site.issue, site.global_id())
    assert [by_id] == await site.mine()


@pytest.mark.parametrize("resolved", [True, False, None])
async def test_resolved_has_three_values(site: Site, resolved: bool | None) -> None:
    """Resolved, not resolved and not said are told apart."""
    link = site.link(object={"status": {"resolved": resolved}})
    written = await site.jira.upsert(site.issue, link, site.global_id())
    assert (await site.jira.get(site.issue, written.link_id)).link.digest == link.digest


async def test_an_update_replaces(site: Site) -> None:
    """What an update leaves out is gone, and nothing of it is merged."""
    full = site.link(object={"summary": "Gone"}, relationship="goes", application={"name": "Goes"})
    await site.jira.upsert(site.issue, full, site.global_id())
    await site.jira.upsert(site.issue, site.link(), site.global_id())
    (found,) = await site.mine()
    assert found.link.digest == site.link().digest


async def test_replace_by_id(site: Site) -> None:
    """A replacement by id has everything replaced, the globalId too."""
    written = await site.jira.upsert(site.issue, site.link("One"), site.global_id("1"))
    await site.jira.update(site.issue, written.link_id, site.link("Two"), site.global_id("2"))
    found = await site.jira.get_by_global_id(site.issue, site.global_id("2"))
    assert (found.id, found.link.object.title) == (written.link_id, "Two")
    with pytest.raises(JiraNotFound):
        await site.jira.get_by_global_id(site.issue, site.global_id("1"))


async def test_without_a_global_id_links_add_up(site: Site) -> None:
    """Two writes without a globalId make two links, which only their ids reach."""
    for _ in range(2):
        assert (await site.jira.upsert(site.issue, site.link(), None)).created
    assert [found.global_id for found in await site.mine()] == [None, None]


async def test_delete(site: Site) -> None:
    """A link is deleted by its globalId or its id, and is then found by neither."""
    await site.jira.upsert(site.issue, site.link(), site.global_id("1"))
    second = await site.jira.upsert(site.issue, site.link(), site.global_id("2"))
    await site.jira.delete_by_global_id(site.issue, site.global_id("1"))
    await site.jira.delete(site.issue, second.link_id)
    assert await site.mine() == []
    for ask in (
        site.jira.get_by_global_id(site.issue, site.global_id("1")),
        site.jira.delete_by_global_id(site.issue, site.global_id("1")),
        site.jira.get(site.issue, second.link_id),
        site.jira.delete(site.issue, second.link_id),
        site.jira.update(site.issue, second.link_id, site.link(), None),
    ):
        with pytest.raises(JiraNotFound):
            await ask


async def test_an_issue_that_is_not_there(site: Site) -> None:
    """Every operation on an issue that does not exist is told so."""
    issue = "NOSUCHPROJECT-1"
    for ask in (
        site.jira.upsert(issue, site.link(), site.global_id()),
        site.jira.list_links(issue),
        site.jira.get_by_global_id(issue, site.global_id()),
        site.jira.delete_by_global_id(issue, site.global_id()),
        site.jira.get(issue, 1),
        site.jira.update(issue, 1, site.link(), None),
        site.jira.delete(issue, 1),
    ):
        with pytest.raises(JiraNotFound) as caught:
            await ask
        assert caught.value.issue == issue
        assert caught.value.messages


@pytest.mark.parametrize(
    "fault", [{"title": " "}, {"url": "ftp://contract.example"}, {"url": "no address"}, {"title": "x" * 256}]
)
async def test_fields_that_are_refused(site: Site, fault: dict[str, str]) -> None:
    """A field that Jira does not take is refused with a reason, and nothing is written."""
    with pytest.raises(JiraBadRequest) as caught:
        await site.jira.upsert(site.issue, site.link(object=fault), site.global_id())
    assert not caught.value.is_blank
    assert await site.mine() == []


@pytest.mark.parametrize("text", HARD_IDS)
async def test_hard_global_ids(site: Site, text: str) -> None:
    """A globalId of any signs is escaped so that it is found, and no other one is."""
    global_id = site.global_id(text)
    written = await site.jira.upsert(site.issue, site.link(), global_id)
    found = await site.jira.get_by_global_id(site.issue, global_id)
    assert (found.id, found.global_id) == (written.link_id, global_id)
    await site.jira.delete_by_global_id(site.issue, global_id)
    assert await site.mine() == []


async def test_keys_have_no_case(site: Site) -> None:
    """A key in small letters names the same issue, which `self` shows as it is."""
    written = await site.jira.upsert(site.issue.lower(), site.link(), site.global_id())
    assert written.issue == site.issue
    assert len(await site.mine()) == 1


async def test_numeric_ids(site: Site) -> None:
    """An issue is named by its id, too, and `self` still shows its key."""
    written = await site.jira.upsert(await site.issue_id(), site.link(), site.global_id())
    assert written.issue == site.issue
    assert [found.issue for found in await site.mine()] == [site.issue]


async def test_bad_credentials(site: Site) -> None:
    """Credentials that are not accepted are told as such, and not as an issue that is not there."""
    async with JiraClient(site.url, site.wrong, attempts=1) as jira:
        with pytest.raises(JiraUnauthorized):
            await jira.list_links(site.issue)


# --- every documented status, on the simulator ---------------------------------------------


@dataclass(slots=True)
class Desk:
    """A simulator, its client, and two issues with a link each."""

    server: JiraServer
    jira: JiraClient
    mine: int
    other: int

    def send(self, request: protocol.Request[Any], **changes: Any) -> Awaitable[Any]:
        """Send a request that the client's own operations never make."""
        return self.jira._ask(replace(request, **changes))


LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "One"}})
NO_TITLE = Link.model_validate({"object": {"url": "https://ci.example/1"}})
ISSUE = "PROJ-1"
NONE = "PROJ-9"

Operation = Callable[[Desk, str], Awaitable[Any]]

OPERATIONS: dict[str, Operation] = {
    "deleteRemoteIssueLinkByGlobalId": lambda desk, issue: desk.jira.delete_by_global_id(issue, "g"),
    "getRemoteIssueLinks": lambda desk, issue: desk.jira.list_links(issue),
    "createOrUpdateRemoteIssueLink": lambda desk, issue: desk.jira.upsert(issue, LINK, "g"),
    "deleteRemoteIssueLinkById": lambda desk, issue: desk.jira.delete(issue, desk.mine),
    "getRemoteIssueLinkById": lambda desk, issue: desk.jira.get(issue, desk.mine),
    "updateRemoteIssueLink": lambda desk, issue: desk.jira.update(issue, desk.mine, LINK, "g"),
}
"""Each operation as it succeeds on ISSUE."""

BAD_REQUESTS: dict[str, Callable[[Desk], Awaitable[Any]]] = {
    "deleteRemoteIssueLinkByGlobalId": lambda desk: desk.send(
        protocol.delete_by_global_id("2", ISSUE, ""), path=f"/rest/api/2/issue/{ISSUE}/remotelink"
    ),
    "createOrUpdateRemoteIssueLink": lambda desk: desk.jira.upsert(ISSUE, NO_TITLE, "new"),
    "getRemoteIssueLinks": lambda desk: desk.jira.get_by_global_id(ISSUE, "g" * 256),
    "deleteRemoteIssueLinkById": lambda desk: desk.jira.delete(ISSUE, desk.other),
    "getRemoteIssueLinkById": lambda desk: desk.jira.get(ISSUE, desk.other),
    "updateRemoteIssueLink": lambda desk: desk.jira.update(ISSUE, desk.mine, NO_TITLE, "g"),
}
SUCCESSES: dict[int, type] = {200: Written, 201: Written, 204: type(None)}
ERRORS: dict[int, type[JiraError]] = {
    400: JiraBadRequest,
    401: JiraUnauthorized,
    403: JiraForbidden,
    404: JiraNotFound,
    413: JiraTooManyLinks,
}
READS: dict[str, type] = {"getRemoteIssueLinks": list, "getRemoteIssueLinkById": RemoteLink}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Two issues with a link each, under one globalId."""
    server = JiraServer(JiraModel(issues=[ISSUE, "PROJ-2"]))
    async with server, JiraClient(server.url, Basic("demo@example.com", "demo"), attempts=1) as jira:
        mine = (await jira.upsert(ISSUE, LINK, "g")).link_id
        other = (await jira.upsert("PROJ-2", LINK, "g")).link_id
        server.calls.clear()
        yield Desk(server, jira, mine, other)


async def outcome(desk: Desk, operation: str, status: int) -> Any:
    """What comes of an operation when Jira is led to that status; an error is returned."""
    do = OPERATIONS[operation]
    match status:
        case 201:
            await desk.jira.delete_by_global_id(ISSUE, "g")
        case 401:
            desk.server.knobs = Knobs(login=Login.FAILED)
        case 403 if operation.startswith("get"):
            desk.server.knobs = Knobs(is_linking_enabled=False)
        case 403:
            desk.server.model.denied["PROJ"] = {Permission.LINK}
        case 413:
            await desk.jira.upsert(ISSUE, LINK, "one too many")
            desk.server.knobs = Knobs(max_links=1)
    try:
        if status == 400:
            return await BAD_REQUESTS[operation](desk)
        return await do(desk, NONE if status == 404 else ISSUE)
    except JiraError as error:
        return error


DOCUMENTED = sorted((operation, status) for operation, statuses in STATUSES.items() for status in statuses)


@pytest.mark.parametrize(("operation", "status"), DOCUMENTED)
async def test_every_documented_status(desk: Desk, operation: str, status: int) -> None:
    """The simulator gives each documented status over HTTP, and the client knows what it stands for."""
    found = await outcome(desk, operation, status)
    assert desk.server.calls[-1].status == status
    if status in ERRORS:
        assert type(found) is ERRORS[status]
        assert (found.status, found.operation) == (status, operation)
    else:
        assert type(found) is READS.get(operation, SUCCESSES[status])
