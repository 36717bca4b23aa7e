"""The writer against a real ledger and a Jira over HTTP: halts, limits, refusals, lost answers, moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.errors import JiraError
from bridge.jira.auth import Basic
from bridge.jira.client import JiraClient
from bridge.leaseholder import Leaseholder
from bridge.ledger.sqlite import SqliteLedger
from bridge.model import Action, Call, Change, Link, Outcome, Phase, Row, Subject, Version
from bridge.ports import Item, Lease, Merged
from bridge.shadow import Shadow
from bridge.simulator.faults import Knobs, Limits, Login
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer
from bridge.state.pace import Allowance
from bridge.writer import Writer
from tests.brokers import eventually
from tests.ledgers import pending

SITE = "main"


@dataclass
class Desk:
    """A writer at work, and hands to give it wishes."""

    jira: JiraServer
    ledger: SqliteLedger
    writers: Leaseholder
    buried: list[tuple[Call, JiraError]]
    states: list[str]
    time: int = 0
    adopts: bool = False

    async def wish(self, *issues: str, title: str | None, link: int = 1, is_set: bool = False) -> Outcome:
        """Merge a change that is newer than all before."""
        self.time += 1
        action = Action.SET if is_set else Action.UPSERT if title else Action.DELETE
        content = (
            Link.model_validate({"object": {"url": "https://ci.example", "title": title}}) if title else None
        )
        version = Version(0, self.time, 0, self.time, self.time)
        change = Change(
            action, Subject(SITE, f"g{link}"), issues, content, version, f"//ci e{self.time}", self.adopts
        )
        items = [Item(change.event, (change,))]
        merged = await self.ledger.merge(items, "group", [], time.time(), self.writers.held)
        self.writers.offer(merged)
        return merged.outcomes[0]

    @property
    def writer(self) -> Writer:
        """The site's writer."""
        return self.writers._tenures[SITE].writer

    async def rows(self) -> dict[str, Row]:
        """All rows by issue."""
        return {row.key.issue: row for row in await self.ledger.rows()}

    async def settled(self) -> None:
        """Wait until nothing wants a call any more."""

        async def nothing_waits() -> bool:
            return not self.writer.waiting and not await pending(self.ledger)

        await eventually(nothing_waits)

    def titles(self) -> dict[str, str]:
        """The titles that stand in Jira, by issue."""
        return {link["issue"]: link["body"]["object"]["title"] for link in self.jira.model.links()}


@pytest.fixture
async def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr("bridge.state.circuit.REFUSED_WAIT", 0.05)
    monkeypatch.setattr("bridge.state.circuit.FIRST_WAIT", 0.05)
    monkeypatch.setattr("bridge.state.settle.BACKOFF_BASE", 0.02)
    monkeypatch.setattr("bridge.state.settle.LAG", 0.02)
    stop = asyncio.Event()
    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    async with (
        JiraServer(JiraModel(projects=["PROJ", "NEW", "SECRET"])) as jira,
        JiraClient(jira.url, Basic("demo@example.com", "demo"), attempts=1) as client,
    ):
        buried: list[tuple[Call, JiraError]] = []
        states: list[str] = []

        async def bury(call: Call, error: JiraError) -> None:
            buried.append((call, error))

        def observe(state: str, /, **_fields: object) -> None:
            states.append(state)

        def writer(lease: Lease) -> Writer:
            return Writer(
                lease=lease,
                ledger=ledger,
                jira=client,
                allowance=Allowance(),
                bury=bury,
                observe=observe,
                clock=time.time,
                jitter=lambda: 1.0,
            )

        writers = Leaseholder(ledger, "one", [SITE], writer, observe, time.time)
        found = Desk(jira, ledger, writers, buried, states)
        running = asyncio.create_task(writers.run(stop))
        try:
            await eventually(lambda: bool(writers.held))
            yield found
        finally:
            stop.set()
            await running
            await ledger.close()


async def test_an_unchanged_link_costs_no_call(desk: Desk) -> None:
    """A newer event with the same content is merged, and Jira hears nothing of it."""
    await desk.wish("PROJ-1", title="A")
    await desk.settled()
    calls = len(desk.jira.calls)
    assert await desk.wish("PROJ-1", title="A") is Outcome.UNCHANGED
    await desk.settled()
    assert len(desk.jira.calls) == calls


async def test_a_link_comes_changes_and_goes(desk: Desk) -> None:
    """Create, update and delete, and a delete of what was never there."""
    await desk.wish("PROJ-1", title="A")
    await desk.settled()
    await desk.wish("PROJ-1", title="B")
    await desk.settled()
    assert desk.titles() == {"PROJ-1": "B"}
    await desk.wish("PROJ-1", title=None)
    await desk.wish("PROJ-2", title=None, link=2)
    await desk.settled()
    assert desk.titles() == {}


@pytest.mark.parametrize("login", [Login.FAILED, Login.HIDDEN, Login.UNSCOPED])
async def test_a_dead_token_halts_and_goes_on_by_itself(desk: Desk, login: Login) -> None:
    """While the credentials are refused nothing is rejected; once they are accepted all is written."""
    desk.jira.knobs = Knobs(login=login)
    for number in range(1, 6):
        await desk.wish(f"PROJ-{number}", title="A", link=number)
    await eventually(lambda: "site_halted" in desk.states)
    assert desk.buried == []
    desk.jira.knobs = Knobs()
    await desk.settled()
    assert len(desk.titles()) == 5
    assert "circuit_closed" in desk.states


async def test_a_site_that_is_away_is_tried_by_one_request_at_a_time(desk: Desk) -> None:
    """Five failures open its circuit; what waits costs a probe, and all of it goes when the site is back."""
    desk.jira.knobs = Knobs(is_down=True, retry_after=0.05)
    for number in range(1, 31):
        await desk.wish(f"PROJ-{number}", title="A", link=number)
    await eventually(lambda: desk.states.count("circuit_half_open") > 2)
    probes = desk.states.count("circuit_half_open")
    assert len(desk.jira.calls) <= 30 + probes
    desk.jira.knobs = Knobs()
    await desk.settled()
    assert len(desk.titles()) == 30
    assert desk.states[-1:] != ["circuit_open"]
    assert desk.buried == []


async def test_data_centers_bucket_is_kept_to(desk: Desk) -> None:
    """What each answer tells of the bucket is enough never to find it empty."""
    desk.jira.knobs = Knobs(limits=Limits.DATACENTER, bucket_size=20, bucket_fill=20, bucket_interval=1)
    for number in range(1, 61):
        await desk.wish(f"PROJ-{number}", title="A", link=number)
    await desk.settled()
    assert len(desk.titles()) == 60
    assert desk.jira.counts == {"POST 201": 60}


async def by_hand(desk: Desk, issue: str, *urls: str) -> None:
    """Somebody makes links on the issue, without a globalId."""
    async with JiraClient(desk.jira.url, Basic("demo@example.com", "demo"), attempts=1) as client:
        for url in urls:
            link = Link.model_validate({"object": {"url": url, "title": "by hand"}})
            await client.upsert(issue, link, None)


async def test_a_link_made_by_hand_is_taken_over(desk: Desk) -> None:
    """It keeps its id, and has our globalId and title; what points elsewhere is left alone."""
    await by_hand(desk, "PROJ-1", "https://ci.example", "https://other.example")
    (first, _) = desk.jira.model.links("PROJ-1")
    desk.adopts = True
    await desk.wish("PROJ-1", title="A")
    await desk.settled()
    found = {link["id"]: link for link in desk.jira.model.links("PROJ-1")}
    assert len(found) == 2
    assert (found[first["id"]]["globalId"], found[first["id"]]["body"]["object"]["title"]) == ("g1", "A")
    assert [entry.action for entry in desk.jira.model.history] == ["created", "created", "updated"]
    await desk.wish("PROJ-1", title=None)
    await desk.settled()
    assert [link["body"]["object"]["title"] for link in desk.jira.model.links("PROJ-1")] == ["by hand"]


async def test_two_links_made_by_hand_are_left_alone(desk: Desk) -> None:
    """Nobody can say which of them is meant."""
    await by_hand(desk, "PROJ-1", "https://ci.example", "https://ci.example")
    desk.adopts = True
    await desk.wish("PROJ-1", title="A")
    await desk.settled()
    assert sorted(str(link["globalId"]) for link in desk.jira.model.links("PROJ-1")) == ["None", "None", "g1"]


async def test_one_projects_403_is_that_projects(desk: Desk) -> None:
    """A refused row is told and stands aside; other projects go on, and a redelivery tries again."""
    desk.jira.model.denied["SECRET"] = {Permission.LINK}
    await desk.wish("SECRET-1", title="A")
    await desk.wish("PROJ-1", title="A", link=2)
    await eventually(lambda: len(desk.buried) == 1)
    await desk.settled()
    assert desk.titles() == {"PROJ-1": "A"}
    row = (await desk.rows())["SECRET-1"]
    assert (row.phase, row.reason) == (Phase.REJECTED, "jira_forbidden")
    desk.jira.model.denied.clear()
    await desk.wish("SECRET-1", title="A")
    await desk.settled()
    assert desk.titles() == {"PROJ-1": "A", "SECRET-1": "A"}


async def test_telling_of_a_refusal_holds_nothing_else_up(desk: Desk) -> None:
    """While the dead-letter topic is away the refused row alone waits, even with one place for all."""
    told = asyncio.Event()

    async def bury(call: Call, error: JiraError) -> None:
        await told.wait()
        desk.buried.append((call, error))

    desk.writer.bury = bury
    desk.writer._schedule._site.allowance = Allowance(in_flight=1)
    desk.jira.model.denied["SECRET"] = {Permission.LINK}
    await desk.wish("SECRET-1", title="A")
    await desk.wish("PROJ-1", title="A", link=2)
    await eventually(lambda: desk.titles() == {"PROJ-1": "A"})
    assert desk.buried == []
    told.set()
    await desk.settled()
    assert len(desk.buried) == 1


async def test_lost_answers_are_looked_up(desk: Desk) -> None:
    """With half of all answers lost, everything is written in the end, and nothing twice."""
    desk.jira.knobs = Knobs(rate_lost=0.5)
    for turn in ("A", "B"):
        for number in range(1, 11):
            await desk.wish(f"PROJ-{number}", title=turn, link=number)
    await desk.settled()
    assert set(desk.titles().values()) == {"B"}
    assert not [entry for entry in desk.jira.model.history if entry.needless]


async def test_outages_and_429_are_waited_out(desk: Desk) -> None:
    """5xx, 429 and dropped connections put rows off, and reject none."""
    desk.jira.knobs = Knobs(rate_5xx=0.1, rate_429=0.1, rate_dropped=0.1, retry_after=0.05)
    for number in range(1, 21):
        await desk.wish(f"PROJ-{number}", title="A", link=number)
    await desk.settled()
    assert len(desk.titles()) == 20
    assert desk.buried == []


async def test_a_moved_issue_keeps_its_link(desk: Desk) -> None:
    """An issue moves, and its object names it by the new key: the link is one, and is not deleted."""
    await desk.wish("PROJ-1", title="A", is_set=True)
    await desk.settled()
    desk.jira.model.move_issue("PROJ-1", "NEW-1")
    await desk.wish("NEW-1", title="B", is_set=True)
    await desk.settled()
    assert desk.titles() == {"NEW-1": "B"}
    assert list(await desk.rows()) == ["NEW-1"]
    assert not [entry for entry in desk.jira.model.history if entry.action == "deleted"]


async def test_an_issue_that_moves_back_is_still_written(desk: Desk) -> None:
    """There and back again: each time the link stands once, under the key of the day."""
    there, back = ("PROJ-1", "NEW-1"), ("NEW-1", "PROJ-1")
    await desk.wish("PROJ-1", title="A", is_set=True)
    for (former, present), title in zip((there, back, there), "BCD", strict=True):
        desk.jira.model.move_issue(former, present)
        await desk.wish(former, title=title, is_set=True)
        await desk.settled()
        assert desk.titles() == {present: title}


async def test_a_moved_issue_survives_the_loss_of_the_ledger(desk: Desk) -> None:
    """Read again from the topic, the former key's delete does not take the link that stands."""
    desk.jira.model.find("PROJ-1")
    desk.jira.model.move_issue("PROJ-1", "NEW-1")
    await desk.wish("PROJ-1", title="A", is_set=True)
    await desk.wish("NEW-1", title="A", is_set=True)
    await desk.settled()
    assert desk.titles() == {"NEW-1": "A"}


async def test_a_deleted_issue_is_told(desk: Desk) -> None:
    """A link whose issue is gone is rejected with that reason, not counted as deleted."""
    await desk.wish("PROJ-1", title="A")
    await desk.settled()
    desk.jira.model.delete_issue("PROJ-1")
    await desk.wish("PROJ-1", title=None)
    await eventually(lambda: len(desk.buried) == 1)
    await desk.settled()
    row = (await desk.rows())["PROJ-1"]
    assert (row.phase, row.reason) == (Phase.REJECTED, "jira_not_found")


async def test_a_link_deleted_by_hand_is_deleted(desk: Desk) -> None:
    """Somebody was faster: the list of the issue's links says that the delete is done."""
    await desk.wish("PROJ-1", title="A")
    await desk.settled()
    (link,) = desk.jira.model.links()
    del desk.jira.model.find("PROJ-1").links[link["id"]]  # type: ignore[union-attr]
    await desk.wish("PROJ-1", title=None)
    await desk.settled()
    assert (await desk.rows())["PROJ-1"].phase is Phase.SETTLED
    assert desk.buried == []


async def test_a_shadow_tells_and_asks_nothing(tmp_path: Path) -> None:
    """What it would do is told at its start and as it comes; all of it is still to be done."""
    told: list[tuple[str, object, object]] = []

    def observe(state: str, /, **fields: object) -> None:
        told.append((state, fields["call"], fields["issue"]))

    ledger, stop = SqliteLedger(tmp_path / "ledger.sqlite"), asyncio.Event()
    link = Link.model_validate({"object": {"url": "https://ci.example", "title": "A"}})

    async def wish(number: int) -> Merged:
        version = Version(0, 1, 0, 1, number)
        change = Change(
            Action.UPSERT, Subject(SITE, "g"), (f"PROJ-{number}",), link, version, f"//ci e{number}"
        )
        return await ledger.merge([Item(change.event, (change,))], "group", [], time.time(), {})

    await wish(1)
    shadow = Shadow(ledger, "shadow", [SITE], observe, time.time)
    running = asyncio.create_task(shadow.run(stop))
    await eventually(lambda: len(told) == 1)
    shadow.offer(await wish(2))
    stop.set()
    await running
    assert told == [("shadow_call", "create", "PROJ-1"), ("shadow_call", "create", "PROJ-2")]
    assert [row.phase for row in await pending(ledger)] == [Phase.PENDING] * 2
    await ledger.close()


async def test_a_fault_of_the_bridge_ends_the_writer(tmp_path: Path) -> None:
    """What no error was foreseen for is raised, not swallowed with the row it happened to."""

    class Broken:
        def __getattr__(self, _name: str) -> object:
            raise ZeroDivisionError

    ledger = SqliteLedger(tmp_path / "ledger.sqlite")
    ((lease,), _) = await ledger.hold("one", [SITE], {}, 15.0, time.time())
    writer = Writer(
        lease=lease,
        ledger=ledger,
        jira=Broken(),  # type: ignore[arg-type]
        allowance=Allowance(),
        bury=lambda *_: asyncio.sleep(0),
        observe=lambda *_, **__: None,
        clock=time.time,
        jitter=lambda: 1.0,
    )
    link = Link.model_validate({"object": {"url": "https://ci.example", "title": "A"}})
    change = Change(Action.UPSERT, Subject(SITE, "g"), ("PROJ-1",), link, Version(0, 1, 0, 1, 1), "//ci e")
    await ledger.merge([Item("//ci e", (change,))], "group", [], time.time(), {})
    with pytest.raises(ZeroDivisionError):
        await writer.run(asyncio.Event())
    await ledger.close()


async def test_an_object_takes_its_links_along(desk: Desk) -> None:
    """Naming another issue takes the link off the first; an object that is gone takes all of them off."""
    await desk.wish("PROJ-1", "PROJ-2", title="A", is_set=True)
    await desk.settled()
    await desk.wish("PROJ-2", "PROJ-3", title="A", is_set=True)
    await desk.settled()
    assert desk.titles() == {"PROJ-2": "A", "PROJ-3": "A"}
    await desk.wish(title=None, is_set=True)
    await desk.settled()
    assert desk.titles() == {}
    written = [(entry.issue, entry.action) for entry in desk.jira.model.history]
    assert len(written) == 6, "two creates, one more, one delete, and two deletes"
