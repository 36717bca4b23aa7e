"""Reconciling over both ledgers and a Jira over HTTP: found, planned, refused, resumed, marked, mended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from bridge.errors import UsageError
from bridge.jira.auth import Basic
from bridge.jira.client import JiraClient
from bridge.ledger import open_ledger
from bridge.model import (
    Outcome,
    RemoteLink,
)
from bridge.plan_file import PlanFile
from bridge.ports import Jira
from bridge.reconcile import Rounds
from bridge.simulator.faults import Knobs, Login
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer
from bridge.state.reconcile import Compared, Difference, Orphaned, Plan, Policy, Removed, Scope
from tests.brokers import eventually
from tests.desks import OURS, SITE, Desk, link
from tests.ledgers import Shown, pending, postgresql

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
async def quiet(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Desk]:
    """A desk at which nothing is written yet."""
    for name, seconds in (
        ("LAG", 0.02),
        ("FIRST_WAIT", 0.02),
        ("LONGEST_WAIT", 0.1),
        ("_LOOK_SECONDS", 0.02),
    ):
        monkeypatch.setattr(f"bridge.reconcile.{name}", seconds)
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    if request.param == "postgresql":
        url = await postgresql(request.getfixturevalue("postgres"))
    ledger = cast("Shown", open_ledger(url))
    async with (
        JiraServer(JiraModel(projects=["PROJ", "NEW", "SECRET"])) as jira,
        JiraClient(jira.url, Basic("demo@example.com", "demo"), attempts=1) as client,
    ):
        yield Desk(jira, client, ledger)
        await ledger.close()


@pytest.fixture
async def desk(quiet: Desk) -> AsyncIterator[Desk]:
    """A desk with a worker that writes."""
    async with quiet.writing():
        yield quiet


async def test_every_difference_is_mended(desk: Desk) -> None:
    """What was removed, altered, left and orphaned by hand is as it was; what is not ours stays."""
    await desk.links(8)
    await desk.wish("PROJ-4", None, number=4)
    await desk.settled()
    wanted = desk.standing()
    await desk.client.delete_by_global_id("PROJ-1", OURS.format(1))
    await desk.client.upsert("PROJ-2", link("by hand"), OURS.format(2))
    await desk.client.upsert("PROJ-4", link("left"), OURS.format(4))
    await desk.client.upsert("PROJ-5", link("orphan"), OURS.format(99))
    others = [("PROJ-5", "system=ci&id=7"), ("PROJ-5", None), ("PROJ-9", OURS.format(5))]
    for issue, global_id in others:
        await desk.client.upsert(issue, link("somebody's"), global_id)
    before = len(desk.jira.model.history)
    plan = await desk.reconcile()
    kinds = (Difference.REMOVED, Difference.ALTERED, Difference.LEFT, Difference.ORPHANED)
    assert plan.found == {(SITE, kind): 1 for kind in kinds}
    assert (plan.issues, plan.links, plan.taken_away, plan.left) == (8, 9, 2, [])
    assert desk.standing() == {**wanted, **dict.fromkeys(others, "somebody's")}
    written = desk.jira.model.history[before:]
    assert sorted(entry.action for entry in written) == ["created", "deleted", "deleted", "updated"]
    assert not [entry for entry in written if entry.needless]
    assert [fields["finding"] for fields in desk.told("reconcile_finding")] == [*kinds]
    (ended,) = desk.told("reconcile_ended")
    assert (ended["issues"], ended["links"], ended["marked"]) == (8, 9, 4)


async def test_the_journal_tells_of_a_repair(desk: Desk) -> None:
    """Whoever asks what became of an event sees that its link was repaired, and why."""
    await desk.links(1)
    await desk.client.delete_by_global_id("PROJ-1", OURS.format(1))
    await desk.client.upsert("PROJ-1", link("orphan"), OURS.format(99))
    await desk.reconcile()
    await desk.settled()
    told = [(entry.outcome, entry.reason) for entry in await desk.ledger.explain("e1")]
    assert told[-2:] == [(Outcome.REPAIRED, "removed"), (Outcome.WRITTEN, None)]
    told = [(entry.outcome, entry.reason) for entry in await desk.ledger.explain("reconcile")]
    assert told == [(Outcome.REPAIRED, "orphaned"), (Outcome.GONE, None)]


async def test_what_agrees_costs_one_list_an_issue(desk: Desk) -> None:
    """Nothing is marked, nothing written."""
    await desk.links(5)
    calls = len(desk.jira.calls)
    plan = await desk.reconcile()
    assert (plan.found, plan.repairs, plan.issues) == ({}, [], 5)
    assert len(desk.jira.calls) - calls == desk.lists == 5


async def test_a_removed_link_may_be_forgotten(desk: Desk) -> None:
    """It stays away until a newer event brings it back; an event that was known before does not."""
    await desk.links(4)
    await desk.client.delete_by_global_id("PROJ-1", OURS.format(1))
    await desk.reconcile(Policy(Removed.FORGET))
    assert len(desk.standing()) == 3
    assert (await desk.reconcile(Policy(Removed.FORGET))).found == {}
    desk.time = 0
    await desk.wish("PROJ-1")
    await desk.settled()
    assert len(desk.standing()) == 3
    desk.time = 100
    await desk.wish("PROJ-1", "B")
    await desk.settled()
    assert desk.standing()["PROJ-1", OURS.format(1)] == "B"


async def test_a_plan_that_takes_too_much_away_is_refused(desk: Desk) -> None:
    """Nothing of it is marked, not even what would write; an operator is told of it loudly."""
    await desk.links(3)
    await desk.client.delete_by_global_id("PROJ-1", OURS.format(1))
    await desk.client.upsert("PROJ-2", link("orphan"), OURS.format(99))
    standing = desk.standing()
    plan = await desk.reconcile(percent=24)
    assert (plan.taken_away, plan.links, len(plan.left)) == (1, 4, 2)
    assert desk.told("reconcile_refused") == [{"site": SITE, "deletes": 1, "links": 4}]
    assert desk.standing() == standing
    assert await pending(desk.ledger) == []
    await desk.reconcile(percent=25)
    assert {global_id for _, global_id in desk.standing()} == {OURS.format(n) for n in (1, 2, 3)}


async def test_orphans_may_be_kept(desk: Desk) -> None:
    """They are counted, and stand."""
    await desk.links(1)
    await desk.client.upsert("PROJ-1", link("orphan"), OURS.format(99))
    plan = await desk.reconcile(Policy(orphaned=Orphaned.KEEP), percent=0)
    assert plan.found == {(SITE, Difference.ORPHANED): 1}
    assert desk.standing()["PROJ-1", OURS.format(99)] == "orphan"


async def test_a_moved_issue_keeps_its_links(desk: Desk) -> None:
    """They stand under another key, which the ledger learns from a look-up; nothing is written."""
    await desk.links(2)
    await desk.wish("PROJ-1", number=3)
    await desk.settled()
    desk.jira.model.move_issue("PROJ-1", "NEW-1")
    written = len(desk.jira.model.history)
    assert (await desk.reconcile()).found == {(SITE, Difference.MOVED): 2}
    await desk.settled()
    assert {row.key.issue for row in await desk.ledger.rows()} == {"NEW-1", "PROJ-2"}
    assert (await desk.reconcile()).found == {}
    assert len(desk.jira.model.history) == written


async def test_a_moved_issue_with_rows_under_both_keys_loses_nothing(desk: Desk) -> None:
    """The link of a row under the former key is no orphan under the present one."""
    await desk.links(1)
    desk.jira.model.move_issue("PROJ-1", "NEW-1")
    await desk.wish("NEW-1", number=2)
    await desk.settled()
    standing = desk.standing()
    await desk.reconcile(percent=100)
    await desk.settled()
    await desk.reconcile(percent=100)
    await desk.settled()
    assert desk.standing() == standing
    assert not [entry for entry in desk.jira.model.history if entry.action == "deleted"]


async def test_an_issue_that_is_hidden_is_let_be(desk: Desk) -> None:
    """A project that the account may not see any more costs none of its rows."""
    await desk.wish("SECRET-1")
    await desk.settled()
    desk.jira.model.denied["SECRET"] = {Permission.BROWSE}
    before = await desk.ledger.rows()
    plan = await desk.reconcile(Policy(Removed.FORGET), percent=100)
    assert (plan.found, plan.links) == ({(SITE, Difference.HIDDEN): 1}, 0)
    assert await desk.ledger.rows() == before


class Lagging:
    """A Jira that shows a link only some time after it was made, as Cloud may."""

    def __init__(self, desk: Desk, seconds: float) -> None:
        self._desk, self._seconds = desk, seconds

    async def list_links(self, issue: str) -> list[RemoteLink]:
        """What is old enough to be shown."""
        stored = next(each for each in self._desk.jira.model.issues if each.key == issue).links
        shown = await self._desk.client.list_links(issue)
        return [each for each in shown if time.time() - stored[each.id].created_at >= self._seconds]


async def test_a_link_made_just_now_is_not_found_removed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are read a while before Jira is asked, so that it shows by then what they say."""
    monkeypatch.setattr("bridge.reconcile.LAG", 0.3)
    await desk.links(1)
    plan = Plan(Scope((SITE,)))
    compares = desk.reconciliation(cast("Jira", Lagging(desk, 0.3)))
    await compares.survey(plan, desk.ledger, lambda _: None)
    assert (plan.issues, plan.found) == (1, {})


class Between:
    """A Jira that does something once its answer is there."""

    def __init__(self, desk: Desk, then: Callable[[], object]) -> None:
        self._desk, self._then = desk, then

    async def list_links(self, issue: str) -> list[RemoteLink]:
        """The list, and then what follows it."""
        found = await self._desk.client.list_links(issue)
        await cast("asyncio.Future[None]", self._then())
        return found


async def test_what_changed_while_jira_was_asked_is_no_finding(desk: Desk) -> None:
    """Jira shows what stood before an event that is merged meanwhile."""
    await desk.links(1)
    await desk.client.upsert("PROJ-1", link("by hand"), OURS.format(1))
    await desk.client.upsert("PROJ-1", link("new"), OURS.format(2))
    plan = Plan(Scope((SITE,)))

    async def meanwhile() -> None:
        await desk.wish("PROJ-1", "B")
        await desk.wish("PROJ-1", "new", number=2)

    compares = desk.reconciliation(cast("Jira", Between(desk, meanwhile)))
    await compares.survey(plan, desk.ledger, lambda _: None)
    assert (plan.issues, plan.found) == (1, {})


async def test_what_changed_since_the_plan_is_left_as_it_is(desk: Desk) -> None:
    """A repair is applied only where the row stands as it was compared."""
    await desk.links(2)
    for number in (1, 2):
        await desk.client.delete_by_global_id(f"PROJ-{number}", OURS.format(number))
    plan = Plan(Scope((SITE,)))
    compares = desk.reconciliation()
    await compares.survey(plan, desk.ledger, lambda _: None)
    await desk.wish("PROJ-1", None)
    await desk.settled()
    counts: list[tuple[int, int]] = []
    await compares.apply(plan, desk.ledger, lambda *count: counts.append(count))
    assert counts == [(2, 1)]
    assert desk.standing() == {("PROJ-2", OURS.format(2)): "A"}


async def test_rows_are_marked_a_portion_at_a_time(quiet: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one comes when the one before is written: without a writer there is only the first."""
    monkeypatch.setattr("bridge.reconcile.PORTION", 2)
    async with quiet.writing():
        await quiet.links(5)
    for number in range(1, 6):
        await quiet.client.delete_by_global_id(f"PROJ-{number}", OURS.format(number))
    plan = Plan(Scope((SITE,)))
    compares = quiet.reconciliation()
    await compares.survey(plan, quiet.ledger, lambda _: None)
    counts: list[int] = []
    applying = asyncio.create_task(compares.apply(plan, quiet.ledger, lambda rows, _: counts.append(rows)))
    await eventually(lambda: counts == [2])
    assert len(await pending(quiet.ledger)) == 2
    async with quiet.writing():
        await applying
    assert counts == [2, 2, 1]
    assert len(quiet.standing()) == 5


@pytest.mark.parametrize(
    "knobs",
    [
        Knobs(is_down=True, retry_after=0.02),
        Knobs(rate_5xx=1.0),
        Knobs(rate_429=1.0, retry_after=0.02),
        Knobs(rate_dropped=1.0),
        Knobs(rate_302=1.0),
        Knobs(login=Login.FAILED),
    ],
    ids=["down", "5xx", "429", "dropped", "302", "401"],
)
async def test_it_waits_while_jira_does_not_answer(desk: Desk, knobs: Knobs) -> None:
    """Nothing is taken for an answer that is none, and it goes on by itself."""
    await desk.links(2)
    desk.jira.knobs = knobs
    plan = Plan(Scope((SITE,)))
    survey = asyncio.create_task(desk.reconciliation().survey(plan, desk.ledger, lambda _: None))
    await eventually(lambda: len(desk.told("reconcile_paused")) > 1)
    assert plan.issues == 0
    desk.jira.knobs = Knobs()
    await survey
    assert (plan.issues, plan.links, plan.found) == (2, 2, {})


async def test_rounds_are_made_by_the_clock(desk: Desk) -> None:
    """For the sites that this worker writes, again and again, until it stops."""
    await desk.links(1)
    held: list[str] = []
    rounds = Rounds(desk.reconciliation(), desk.ledger, lambda: held, Policy(), 10, 0.1)
    stop = asyncio.Event()
    running = asyncio.create_task(rounds.run(stop))
    held.append(SITE)
    await eventually(lambda: len(desk.told("reconcile_ended")) >= 2)
    desk.jira.knobs = Knobs(is_down=True)
    await eventually(lambda: bool(desk.told("reconcile_paused")))
    stop.set()
    await running


# --- a plan's file -------------------------------------------------------------------------


async def test_a_comparison_goes_on_where_it_was_stopped(desk: Desk, tmp_path: Path) -> None:
    """Each issue is listed once, by whichever run; the last one has what all of them found."""
    await desk.links(6)
    for number in range(1, 7):
        await desk.client.delete_by_global_id(f"PROJ-{number}", OURS.format(number))
    path, scope = tmp_path / "plan.jsonl", Scope((SITE,))
    for most in (2, 3):
        plan = Plan(scope)
        with PlanFile(path, plan, NOW) as file:
            await _survey(desk, plan, file, most)
        with path.open("ab") as torn:
            torn.write(b'{"compared": {"site')
    plan = Plan(scope)
    with PlanFile(path, plan, NOW) as file:
        assert (plan.issues, plan.is_whole) == (5, False)
        await _survey(desk, plan, file)
        file.is_whole()
        file.applied(4)
    assert (plan.issues, plan.found, desk.lists) == (6, {(SITE, Difference.REMOVED): 6}, 6)
    again = Plan(scope)
    with PlanFile(path, again, NOW):
        pass
    assert (again.is_whole, again.applied, again.repairs) == (True, 4, plan.repairs)
    await desk.reconciliation().apply(again, desk.ledger, lambda *_: None)
    assert len(desk.standing()) == 2


async def _survey(desk: Desk, plan: Plan, file: PlanFile, most: int = 100) -> None:
    """Compare until so many issues were, or all."""
    seen = 0

    def told(compared: Compared) -> None:
        nonlocal seen
        file.add(compared)
        seen += 1
        if seen == most:
            running.cancel()

    running = asyncio.create_task(desk.reconciliation().survey(plan, desk.ledger, told))
    with suppress(asyncio.CancelledError):
        await running


def test_a_file_of_another_scope_is_refused(tmp_path: Path) -> None:
    """So is one of another policy, one in use, and one that is no plan; none is written to."""
    path = tmp_path / "plan.jsonl"
    with PlanFile(path, Plan(Scope(("main",))), NOW), pytest.raises(UsageError, match="in use"):
        PlanFile(path, Plan(Scope(("main",))), NOW)
    before = path.read_bytes()
    for plan in (Plan(Scope(("main",), "PROJ")), Plan(Scope(("main",)), Policy(Removed.FORGET))):
        with pytest.raises(UsageError, match="scope"):
            PlanFile(path, plan, NOW)
    assert path.read_bytes() == before
    path.write_bytes(before + b'{"applied": "many"}\n')
    with pytest.raises(UsageError, match="not a plan"):
        PlanFile(path, Plan(Scope(("main",))), NOW)
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\nand more")
    with pytest.raises(UsageError, match="scope"):
        PlanFile(notes, Plan(Scope(("main",))), NOW)
    assert notes.read_text() == "my notes\nand more"
    with pytest.raises(UsageError, match="opened"):
        PlanFile(tmp_path / "nowhere" / "plan", Plan(Scope(("main",))), NOW)
