"""What every ledger keeps: `bridge.ports.Ledger`, over SQLite and over a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.errors import LeaseLost, PositionMoved, UsageError
from bridge.ledger import open_ledger, open_reader
from bridge.model import (
    Action,
    CallKind,
    Deleted,
    Found,
    Known,
    LinkKey,
    Outcome,
    Phase,
    Position,
    RemoteLink,
    Row,
    Version,
    Wanted,
    Written,
)
from bridge.ports import Lease, Repair
from bridge.state.leases import ARRIVAL
from tests.ledgers import (
    GLOBAL_ID,
    KEY,
    NOW,
    Shown,
    issues,
    item,
    lease,
    link,
    merge,
    pending,
    postgresql,
    read,
    settle,
    skipped,
    start,
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    return await postgresql(request.getfixturevalue("postgres"))


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Shown]:
    """An empty ledger."""
    opened = cast("Shown", open_ledger(url))
    yield opened
    await opened.close()


@pytest.mark.parametrize("url", ["mysql://h/db", "columns:x", "connections:x", "", "../sqlite:///x"])
def test_a_ledger_of_no_known_kind_is_refused(url: str) -> None:
    """A scheme names a ledger, and no other module of its room."""
    for open_ in (open_ledger, open_reader):
        with pytest.raises(UsageError, match="there is no ledger of that scheme"):
            open_(url)


# --- positions -----------------------------------------------------------------------------


async def test_a_merge_moves_the_position_with_it(ledger: Shown) -> None:
    """Rows and position stand in one transaction, by group."""
    merged = await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    assert merged.outcomes == (Outcome.MERGED,)
    assert await ledger.positions("one") == [Position("events", 0, 1)]
    assert await ledger.positions("another") == []


async def test_a_merge_from_elsewhere_is_refused_whole(ledger: Shown) -> None:
    """A worker whose position was overtaken in one partition merges nothing, and moves none."""
    await ledger.merge([item(1, "PROJ-1")], "one", [*read(0, 5), *read(0, 9, partition=1)], NOW, {})
    overtaken = [*read(9, 10, partition=1), *read(3, 4)]
    with pytest.raises(PositionMoved, match=r"events/0 stands at 5, not at 3\."):
        await ledger.merge([item(2, "PROJ-2")], "one", overtaken, NOW, {})
    assert issues(await ledger.rows()) == ["PROJ-1"]
    standing = sorted(await ledger.positions("one"), key=lambda position: position.partition)
    assert standing == [Position("events", 0, 5), Position("events", 1, 9)]


async def test_a_merge_that_was_done_is_refused_when_it_is_repeated(ledger: Shown) -> None:
    """Whoever did not hear of its commit cannot do it twice."""
    await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    with pytest.raises(PositionMoved):
        await ledger.merge([item(1, "PROJ-1")], "one", read(0, 1), NOW, {})
    assert len(await ledger.explain("event-1")) == 1


async def test_a_merge_of_nothing_moves_the_position(ledger: Shown) -> None:
    """Records without changes are in the journal, and read."""
    merged = await ledger.merge([skipped(1)], "one", read(0, 1), NOW, {})
    assert (merged.outcomes, merged.pending) == ((Outcome.SKIPPED,), ())
    (entry,) = await ledger.explain("event-1")
    assert (entry.outcome, entry.reason, entry.key, entry.detail) == (
        Outcome.SKIPPED,
        "no_issue_key",
        None,
        {"kind": "ci"},
    )
    assert await ledger.positions("one") == [Position("events", 0, 1)]


# --- rows and calls ------------------------------------------------------------------------


async def test_a_row_is_unsure_before_its_call_is_handed_out(ledger: Shown) -> None:
    """Whoever starts after a crash finds that a request may have left."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"))
    (call,) = (await start(ledger, held, row.key)).calls
    assert call.before is Known.UNSEEN
    assert [row.known for row in await pending(ledger)] == [Known.UNSURE]


async def test_an_answer_settles_its_row(ledger: Shown) -> None:
    """After the answer nothing is pending, and the journal tells both steps."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"))
    (call,) = (await start(ledger, held, row.key)).calls
    turn = await settle(ledger, held, (call, Written(7, "PROJ-1", created=True)))
    assert turn.rows[0].phase is Phase.SETTLED
    assert await pending(ledger) == []
    assert [entry.outcome for entry in await ledger.explain("event-1")] == [Outcome.MERGED, Outcome.WRITTEN]
    assert await ledger.explain("//ci event-1") == await ledger.explain("event-1")


async def test_an_answer_that_is_taken_in_twice_changes_nothing(ledger: Shown) -> None:
    """Whoever did not hear of the commit may repeat its turn."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"))
    (call,) = (await start(ledger, held, row.key)).calls
    await settle(ledger, held, (call, Written(7, "PROJ-1", created=True)))
    standing = await ledger.rows()
    await settle(ledger, held, (call, Written(7, "PROJ-1", created=True)))
    assert await ledger.rows() == standing


async def test_rows_survive_a_reopening(url: str) -> None:
    """Every field of a row, and a subject's last set, come back as they were."""
    ledger = cast("Shown", open_ledger(url))
    odd = item(1, "PROJ-1", action=Action.SET, title="“ß” \x1b 🚀", global_id="a\x00b\x1b0c")
    await merge(ledger, odd, item(2, "PROJ-2", action=Action.SET))
    held = (await lease(ledger))["main"]
    (call,) = (await start(ledger, held, KEY._replace(issue="PROJ-2"))).calls
    await settle(ledger, held, (call, Written(2**40, "PROJ-2", created=True)))
    standing = await ledger.rows()
    await ledger.close()
    again = cast("Shown", open_ledger(url))
    assert await again.rows() == standing
    assert {row.key.global_id for row in standing} == {"a\x00b\x1b0c", GLOBAL_ID}
    assert (await again.merge([item(1, "PROJ-3")], "two", read(0, 1), NOW, {})).outcomes == (Outcome.STALE,)
    await again.close()


async def test_an_id_of_any_length_and_content_is_explained(ledger: Shown) -> None:
    """What an event calls itself never keeps it out of the ledger."""
    change = item(1, "PROJ-1").changes[0]
    name = "//ci \x00" + "long " * 5_000
    odd = replace(item(1, "PROJ-1"), event=name, changes=(replace(change, event=name),))
    (row,) = await merge(ledger, odd)
    assert row.wanted.event == name
    assert [entry.event for entry in await ledger.explain(name)] == [name]
    assert issues(await ledger.waiting(name)) == ["PROJ-1"]


async def test_a_moved_issue_is_one_row(ledger: Shown) -> None:
    """Jira tells that OLD-1 is NEW-1 now: the old key's row goes, and no delete is due for it."""
    held = (await lease(ledger))["main"]
    (old,) = await merge(ledger, item(1, "OLD-1", action=Action.SET))
    await write(ledger, held, old.key, "OLD-1")
    due = await merge(ledger, item(2, "NEW-1", action=Action.SET))
    await write(ledger, held, next(row.key for row in due if row.wanted.link), "NEW-1")
    assert [(row.key.issue, row.phase) for row in await ledger.rows()] == [("NEW-1", Phase.SETTLED)]
    await merge(ledger, item(3, "OLD-1", title="build 2"))
    assert issues(await pending(ledger)) == ["NEW-1"]


async def test_a_move_is_learnt_from_the_answers_own_key(ledger: Shown) -> None:
    """A write under the old key is answered with the new one, which the row then has."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "OLD-1"))
    turn = await write(ledger, held, row.key, "NEW-1")
    assert issues(turn.rows) == ["NEW-1"]
    assert [(row.key.issue, row.known) for row in await ledger.rows()] == [("NEW-1", Known.PRESENT)]


async def write(ledger: Shown, held: Lease, key: LinkKey, issue: str, link_id: int = 7) -> Any:
    """One call and Jira's answer, which names `issue`."""
    (call,) = (await start(ledger, held, key)).calls
    return await settle(ledger, held, (call, Written(link_id, issue, created=True)))


async def test_an_issue_that_comes_back_is_called_by_its_first_key(ledger: Shown) -> None:
    """Moved there and back, the row stands under the first key, and can still be written."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"))
    await write(ledger, held, row.key, "NEW-1")
    (row,) = await merge(ledger, item(2, "PROJ-1", title="B"))
    await write(ledger, held, row.key, "PROJ-1")
    (row,) = await merge(ledger, item(3, "NEW-1", title="C"))
    assert row.key.issue == "PROJ-1"
    assert len((await start(ledger, held, row.key)).calls) == 1


async def test_an_issue_that_moves_twice_keeps_its_link(ledger: Shown) -> None:
    """A set that names the first key means the issue, whatever it is called by now."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "A-1", action=Action.SET))
    await write(ledger, held, row.key, "B-1")
    (row,) = await merge(ledger, item(2, "A-1", action=Action.SET, title="B"))
    await write(ledger, held, row.key, "C-1")
    await merge(ledger, item(3, "A-1", action=Action.SET, title="C"))
    assert [(row.key.issue, row.wanted.link) for row in await ledger.rows()] == [("C-1", link("C"))]


async def test_a_move_holds_for_the_issues_other_links_too(ledger: Shown) -> None:
    """A link of another subject, merged under the old key, comes to stand under the new one."""
    held = (await lease(ledger))["main"]
    one, other = await merge(ledger, item(1, "OLD-1"), item(2, "OLD-1", global_id="other"))
    await write(ledger, held, one.key, "NEW-1")
    assert issues(await merge(ledger, item(3, "OLD-1", global_id="other", title="B"))) == ["NEW-1"]
    assert {row.key for row in await ledger.rows() if row.key.global_id == "other"} == {
        other.key._replace(issue="NEW-1")
    }


async def test_a_delete_of_what_was_never_seen_asks_first_where_a_link_stands(ledger: Shown) -> None:
    """It may be the former key of the issue whose link was just written under the new one."""
    held = (await lease(ledger))["main"]
    rows = await merge(ledger, item(1, "OLD-1", action=Action.SET), item(2, "NEW-1", action=Action.SET))
    calls = (await start(ledger, held, *(row.key for row in rows))).calls
    assert {call.key.issue: call.kind for call in calls} == {
        "OLD-1": CallKind.LOOK_UP,
        "NEW-1": CallKind.CREATE,
    }


# --- leases --------------------------------------------------------------------------------


async def test_a_lease_is_renewed_under_its_fence(ledger: Shown) -> None:
    """Who keeps a lease has the same one; who asks without it must take it anew."""
    first = await lease(ledger)
    assert first == {"main": Lease("main", "one", 1)}
    assert await lease(ledger, kept={"main": 1}) == first
    assert await lease(ledger) == {"main": Lease("main", "one", 2)}


async def test_a_site_has_one_worker(ledger: Shown) -> None:
    """While its lease lasts no other has it; once it has ended, the next fence is another's."""
    await lease(ledger)
    assert await lease(ledger, "two") == {}
    await lease(ledger, seconds=0.0, kept={"main": 1})
    assert await lease(ledger, "two") == {"main": Lease("main", "two", 2)}
    assert await lease(ledger, kept={"main": 1}) == {}


async def test_a_released_lease_is_free_at_once(ledger: Shown) -> None:
    """Another takes it under the next fence; releasing what is lost changes nothing."""
    held = (await lease(ledger))["main"]
    await ledger.release(held)
    assert await lease(ledger, "two") == {"main": Lease("main", "two", 2)}
    await ledger.release(held)
    assert await lease(ledger, "three") == {}


@pytest.mark.parametrize("workers", [2, 3])
async def test_workers_share_the_sites(ledger: Shown, workers: int) -> None:
    """Whoever comes later has its share of the sites in the end, and each site one worker."""
    sites = ["a", "b", "c", "d", "e"]
    kept: dict[str, dict[str, int]] = {f"worker {number}": {} for number in range(workers)}
    for _ in range(3):
        for worker, fences in kept.items():
            leases, surplus = await ledger.hold(worker, sites, fences, 60.0, NOW)
            for one in [one for one in leases if one.site in surplus]:
                await ledger.release(one)
            kept[worker] = {one.site: one.fence for one in leases if one.site not in surplus}
    assert sorted(site for held in kept.values() for site in held) == sites
    assert {len(held) for held in kept.values()} == {5 // workers, 5 // workers + 1}


async def test_a_turn_under_a_lost_lease_stores_nothing(ledger: Shown) -> None:
    """After a takeover neither an answer nor the mark of a call is stored."""
    held = (await lease(ledger, seconds=0.0))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"))
    (call,) = (await start(ledger, held, row.key)).calls
    await lease(ledger, "two")
    standing = await ledger.rows()
    for settled in ([(call, Written(7, "PROJ-1", created=True))], []):
        with pytest.raises(LeaseLost):
            await settle(ledger, held, *settled, room=10)
    with pytest.raises(LeaseLost):
        await start(ledger, held, row.key)
    assert await ledger.rows() == standing
    assert len(await ledger.explain("event-1")) == 1


async def test_unsure_rows_wait_after_a_takeover(ledger: Shown) -> None:
    """What the former holder sent has arrived before it is looked up; other rows need not wait."""
    held = (await lease(ledger, seconds=0.0))["main"]
    sent, _ = await merge(ledger, item(1, "PROJ-1"), item(2, "PROJ-2", global_id="other"))
    await start(ledger, held, sent.key)
    taken = (await lease(ledger, "two", now=NOW + 100))["main"]
    rows = (await settle(ledger, taken, room=10)).rows
    assert {row.key.issue: row.not_before for row in rows} == {"PROJ-1": NOW + 100 + ARRIVAL, "PROJ-2": 0.0}


# --- claims --------------------------------------------------------------------------------


async def test_a_merge_claims_for_the_lease_that_stands(ledger: Shown) -> None:
    """Rows of a held site are the merging worker's, and no turn hands them out again."""
    held = (await lease(ledger))["main"]
    merged = await ledger.merge(
        [item(1, "PROJ-1"), item(2, "PROJ-2", site="other")], "one", read(0, 1), NOW, {"main": held.fence}
    )
    assert merged.claimed == {"main"}
    assert sorted(issues(merged.pending)) == ["PROJ-1", "PROJ-2"]
    assert (await settle(ledger, held, room=10)).rows == ()


async def test_rows_that_others_left_are_claimed_in_a_turn(ledger: Shown) -> None:
    """At most as many as there is room for, each once, and `more` says that some may be left."""
    held = (await lease(ledger))["main"]
    await merge(ledger, *(item(t, f"PROJ-{t}", global_id=str(t)) for t in range(1, 6)))
    turns = [await settle(ledger, held, room=2) for _ in range(3)]
    assert [(len(turn.rows), turn.more) for turn in turns] == [(2, True), (2, True), (1, False)]
    assert len({row.key for turn in turns for row in turn.rows}) == 5
    assert not (await settle(ledger, held, room=0)).more


async def test_a_turn_claims_whole_subjects(ledger: Shown) -> None:
    """A delete is claimed with the upserts of its subject, for which it waits."""
    held = (await lease(ledger))["main"]
    await merge(ledger, item(1, "OLD-1", "OLD-2", action=Action.SET), item(2, "NEW-1", action=Action.SET))
    turn = await settle(ledger, held, room=1)
    assert sorted(issues(turn.rows)) == ["NEW-1", "OLD-1", "OLD-2"]


async def test_a_merge_under_a_spent_fence_claims_nothing(ledger: Shown) -> None:
    """The rows are left for who has the lease now, and those that were claimed before too."""
    held = (await lease(ledger, seconds=0.0))["main"]
    await merge(ledger, item(1, "PROJ-1"), held={"main": held.fence})
    taken = (await lease(ledger, "two"))["main"]
    late = await ledger.merge([item(2, "PROJ-2")], "one", read(0, 1), NOW, {"main": held.fence})
    assert late.claimed == frozenset()
    assert sorted(issues((await settle(ledger, taken, room=10)).rows)) == ["PROJ-1", "PROJ-2"]


async def test_a_row_that_another_changes_is_claimed_again(ledger: Shown) -> None:
    """A merge by a worker without the lease leaves the row anew, as it is then."""
    held = (await lease(ledger))["main"]
    await merge(ledger, item(1, "PROJ-1"), held={"main": held.fence})
    await merge(ledger, item(2, "PROJ-1", title="B"))
    (row,) = (await settle(ledger, held, room=10)).rows
    assert row.wanted.link == link("B")


# --- doubts and repairs --------------------------------------------------------------------


async def test_a_doubt_is_looked_into_once_the_request_has_arrived(ledger: Shown) -> None:
    """Who took the site over waits for a request that its former holder gave up only now."""
    await merge(ledger, item(1, "PROJ-1"))
    held = (await lease(ledger))["main"]
    await start(ledger, held, KEY)
    await ledger.doubt([KEY], NOW + 20)
    (row,) = await ledger.rows()
    assert row.not_before == NOW + 20 + ARRIVAL


async def test_a_doubt_has_the_link_looked_up(ledger: Shown) -> None:
    """A link that was written after the lease was lost is tangled, and left for the holder."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"), held={"main": held.fence})
    await write(ledger, held, row.key, "PROJ-1")
    await ledger.doubt([row.key, KEY._replace(global_id="nobody's")], NOW)
    (again,) = (await settle(ledger, held, room=10)).rows
    assert (again.known, again.phase) == (Known.TANGLED, Phase.PENDING)
    (call,) = (await start(ledger, held, row.key)).calls
    assert call.kind is CallKind.LOOK_UP
    assert [entry.outcome for entry in await ledger.explain("event-1")][-1] is Outcome.DEFERRED


async def test_a_repair_is_applied_where_the_row_stands(ledger: Shown) -> None:
    """A row that has changed since it was compared is left alone; the others are marked anew."""
    held = (await lease(ledger))["main"]
    one, other = await merge(ledger, item(1, "PROJ-1"), item(2, "PROJ-2", global_id="other"))
    await write(ledger, held, one.key, "PROJ-1")
    await write(ledger, held, other.key, "PROJ-2", link_id=8)
    rows = {row.key: row for row in await ledger.rows()}
    await merge(ledger, item(3, "PROJ-2", global_id="other", title="B"))
    altered = {key: Repair(row, _missing(row), "removed") for key, row in rows.items()}
    assert await ledger.repair([altered[one.key], altered[other.key]], NOW) == 1
    found = {row.key: row for row in await pending(ledger)}
    assert found[one.key].known is Known.ABSENT
    assert found[other.key].wanted.link == link("B")
    assert [entry.outcome for entry in await ledger.explain("event-1")][-1] is Outcome.REPAIRED


async def test_a_repair_makes_a_row_for_a_link_without_one(ledger: Shown) -> None:
    """A link of ours that the ledger does not know is wanted as its subject's last set says."""
    await merge(ledger, item(1, action=Action.SET))
    wish = item(0, "PROJ-9", title=None).changes[0]
    stray = Row(
        KEY._replace(issue="PROJ-9"), Wanted(wish.version, None, wish.event, frozenset()), Known.PRESENT
    )
    assert await ledger.repair([Repair(None, stray, "orphan")], NOW) == 1
    (row,) = await ledger.rows()
    assert (row.wanted.event, row.wanted.link, row.phase) == ("//ci event-1", None, Phase.PENDING)
    assert await ledger.repair([Repair(None, stray, "orphan")], NOW) == 0


def _missing(row: Row) -> Row:
    return replace(row, known=Known.ABSENT, digest=None, link_id=None)


# --- for one who looks ---------------------------------------------------------------------


async def test_pages_have_whole_issues_in_order(ledger: Shown) -> None:
    """All rows of so many issues, after a key; other sites' are not among them."""
    await merge(
        ledger,
        *(item(t, f"P-{t % 3}", global_id=str(t)) for t in range(6)),
        item(9, "P-1", site="other", global_id="9"),
    )
    first = await ledger.page("main", "", 2)
    assert issues(first) == ["P-0", "P-0", "P-1", "P-1"]
    assert issues(await ledger.page("main", first[-1].key.issue, 2)) == ["P-2", "P-2"]
    assert await ledger.page("main", "P-2", 2) == []


async def test_rows_are_found_by_their_keys(ledger: Shown) -> None:
    """Those that are there, of any site, and no others of their subjects."""
    rows = await merge(ledger, item(1, "P-1"), item(2, "P-2"), item(3, "P-1", site="other"))
    keys = {row.key for row in rows}
    absent = LinkKey("main", "P-3", GLOBAL_ID)
    asked = [key for key in keys if key.issue == "P-1"]
    assert {row.key for row in await ledger.find([*asked, absent])} == set(asked)
    assert await ledger.find([]) == []


async def test_an_orphan_that_stands_under_a_former_key_is_no_orphan(ledger: Shown) -> None:
    """Jira shows the link of a row under a key without one: the row moves, and nothing is deleted."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "OLD-1"))
    turn = await start(ledger, held, row.key)
    await settle(ledger, held, (turn.calls[0], Written(7, "OLD-1", created=True)))
    here = LinkKey("main", "NEW-1", GLOBAL_ID)
    wanted = Wanted(Version(0, 0, 0, 0, 0), None, "jira-bridge reconcile", frozenset())
    stray = Row(here, wanted, Known.PRESENT, "digest", 7)
    assert await ledger.repair([Repair(None, stray, "orphaned")], NOW) == 0
    (standing,) = await ledger.rows()
    assert (standing.key, standing.wanted.link, standing.phase) == (here, row.wanted.link, Phase.SETTLED)


async def test_what_waits_for_an_event_is_told(ledger: Shown) -> None:
    """The rows that want a call for its wish, until they have had it."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1"))
    assert await ledger.waiting("//ci event-1") == [row]
    await write(ledger, held, row.key, "PROJ-1")
    assert await ledger.waiting("//ci event-1") == []


async def test_a_reader_looks_beside_a_worker(url: str, ledger: Shown) -> None:
    """`explain` needs no lock and no lease."""
    await merge(ledger, item(1, "PROJ-1"))
    async with open_reader(url) as reader:
        (entry,) = await reader.explain("event-1")
        assert entry.key == KEY
        assert issues(await reader.waiting(entry.event)) == ["PROJ-1"]


async def test_old_tombstones_and_entries_are_pruned(ledger: Shown) -> None:
    """A settled tombstone goes once no older event can come; one that is pending stays."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "PROJ-1", action=Action.DELETE, title=None))
    assert await ledger.prune(0.0, NOW + 1) == 0
    (call,) = (await start(ledger, held, row.key)).calls
    await settle(ledger, held, (call, Deleted()))
    assert await ledger.prune(0.0, NOW - 1) == 0
    assert await ledger.prune(0.0, NOW + 1) == 1
    assert await ledger.rows() == []
    assert await ledger.prune(NOW + 1, 0.0) == 2
    assert await ledger.explain("event-1") == []


async def test_an_empty_set_is_forgotten_with_its_rows_only(ledger: Shown) -> None:
    """A subject's last set stands for issues without a row; it goes once it is old and has none."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(
        ledger, item(5, "PROJ-1", action=Action.SET), item(6, global_id="x", action=Action.SET)
    )
    await write(ledger, held, row.key, "PROJ-1")
    assert await ledger.prune(0.0, NOW + 1) == 1
    assert await merge(ledger, item(4, "PROJ-2")) == []
    assert issues(await merge(ledger, item(4, "PROJ-2", global_id="x"))) == ["PROJ-2"]


async def test_a_look_up_under_another_key_joins_the_rows(ledger: Shown) -> None:
    """What Jira shows under a new key is the row that stands under the old one."""
    held = (await lease(ledger))["main"]
    (row,) = await merge(ledger, item(1, "OLD-1"))
    await start(ledger, held, row.key)
    (call,) = (await start(ledger, held, row.key)).calls
    found = Found(RemoteLink(7, "NEW-1", link(), GLOBAL_ID))
    assert issues((await settle(ledger, held, (call, found))).rows) == ["NEW-1"]
    assert [(row.key.issue, row.phase) for row in await ledger.rows()] == [("NEW-1", Phase.SETTLED)]
