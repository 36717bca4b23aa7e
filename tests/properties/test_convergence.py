"""Convergence: whatever comes, in whatever order, through whatever crash, Jira ends up right."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import bridge.state.batch
import bridge.state.decide
import bridge.state.merge
from bridge.errors import (
    JiraError,
    JiraRateLimited,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
    Scope,
)
from bridge.ledger.sqlite_tables import SqliteTables
from bridge.model import Link, Subject
from bridge.state.schedule import Schedule
from tests.properties.world import ISSUES, Happened, World, link

SUBJECTS = ("system=test&id=1", "system=test&id=2", "system=test&id=3")
ERRORS = (
    *(JiraRateLimited("429", status=429, scope=scope, retry_after=3.0) for scope in Scope),
    JiraUnauthorized("401", status=401),
    JiraUnavailable("503", status=503),
    JiraUnreachable("no connection"),
)
CONTENTS = st.sampled_from(["A", "B", "C", None])
# Few instants, so that events often share one; contents return by the small choice of them.
EVENT = st.tuples(
    st.sampled_from(SUBJECTS),
    st.integers(1, 12),
    st.lists(st.sampled_from(ISSUES), min_size=1, max_size=3, unique=True),
    CONTENTS,
    st.booleans(),
)


BY = st.integers(0, 1)


class Convergence(RuleBasedStateMachine):
    """Events, duplicates, reads, requests, answers and deaths in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()  # until `find` is told how many workers there are
        self.by_hand: dict[str, int] = {}
        self.strays: set[int] = set()
        self.moves = False
        self.is_meddled = False

    @initialize(
        workers=st.integers(1, 2),
        moves=st.booleans(),
        adopts=st.booleans(),
        takes_global_ids=st.booleans(),
        by_hand=st.lists(st.sampled_from(ISSUES), max_size=3),
        events=st.lists(EVENT, min_size=30, max_size=40),
    )
    def find(
        self,
        workers: int,
        moves: bool,
        adopts: bool,
        takes_global_ids: bool,
        by_hand: list[str],
        events: list[tuple[str, int, list[str], str | None, bool]],
    ) -> None:
        """Some issues have links made by hand, of all subjects' URL; the log begins with thirty events."""
        self.world = World(count=workers)
        self.moves = moves
        self.world.adopts = adopts
        self.world.jira.takes_global_ids = takes_global_ids
        for issue in by_hand:
            self.world.jira.add_by_hand(issue, link("by hand"))
        self.by_hand = {issue: by_hand.count(issue) for issue in ISSUES}
        self.strays = {found["id"] for found in self.world.jira.model.links()}
        for event in events:
            self._append(*event)

    def _append(self, subject: str, time: int, issues: list[str], content: str | None, is_set: bool) -> None:
        if self.moves and time % 2:  # some call an issue by the key that it may bear later
            issues = [issue.replace("PROJ", "OTHER") for issue in issues]
        named = tuple(issues) if is_set else (issues[0],)
        number = len(self.world.log)
        self.world.log.append(Happened(f"event-{number}", subject, time, named, content, is_set))

    @rule(event=EVENT)
    def another(self, event: tuple[str, int, list[str], str | None, bool]) -> None:
        """One more event."""
        self._append(*event)

    @rule(number=st.integers(0, 1_000))
    def again(self, number: int) -> None:
        """An event is delivered again, as a record of its own."""
        self.world.log.append(self.world.log[number % len(self.world.log)])

    @rule(by=BY, count=st.integers(1, 9), dies=st.sampled_from([False, False, False, True]))
    def consume(self, by: int, count: int, dies: bool) -> None:
        """Some records are merged; sometimes the process dies right after."""
        self.world.consume(count, by=by % self.world.count, dies=dies)

    @rule(by=BY, dies=st.sampled_from([False, False, False, True]))
    def turn(self, by: int, dies: bool) -> None:
        """The writer takes a turn; sometimes the process dies before a request leaves."""
        self.world.turn(by=by % self.world.count, dies=dies)

    @rule(by=BY, dies=st.booleans())
    def turn_asleep(self, by: int, dies: bool) -> None:
        """A worker takes a turn that does not know that its lease may have ended."""
        self.world.turn(by=by % self.world.count, sleeps=True, dies=dies)

    @rule(by=BY, count=st.integers(1, 9))
    def turn_amid_news(self, by: int, count: int) -> None:
        """Records are merged between what the schedule decides and the writer's transaction."""
        self.world.turn(by=by % self.world.count, meanwhile=count)

    @rule(by=BY, number=st.integers(0, 3), is_lost=st.booleans())
    def apply(self, by: int, number: int, is_lost: bool) -> None:
        """Jira does a request; its answer may be lost."""
        self.world.apply(number, by=by % self.world.count, is_lost=is_lost)

    @rule(by=BY, number=st.integers(0, 3), error=st.sampled_from(ERRORS))
    def fail(self, by: int, number: int, error: JiraError) -> None:
        """A request is not done."""
        self.world.fail(number, error, by=by % self.world.count)

    @rule(by=BY, number=st.integers(0, 3))
    def give_up(self, by: int, number: int) -> None:
        """A request is waited for no longer, and done all the same."""
        self.world.give_up(number, by=by % self.world.count)

    @precondition(lambda self: any(worker.on_their_way for worker in self.world.workers))
    @rule(number=st.integers(0, 3))
    def deliver(self, number: int) -> None:
        """An answer arrives."""
        by = next(by for by, worker in enumerate(self.world.workers) if worker.on_their_way)
        self.world.deliver(number, by=by)

    @precondition(lambda self: self.moves)
    @rule(number=st.integers(1, 2))
    def move(self, number: int) -> None:
        """An issue gets another key in Jira, unless one has that key."""
        with suppress(ValueError):
            self.world.jira.model.move_issue(f"PROJ-{number}", f"OTHER-{number}")

    @rule(by=BY, applied=st.lists(st.booleans(), min_size=4, max_size=4))
    def crash(self, by: int, applied: list[bool]) -> None:
        """The process dies with requests in flight, some of which take effect, at once or soon."""
        self.world.crash(applied, by=by % self.world.count)

    @precondition(lambda self: self.world.late)
    @rule(number=st.integers(0, 3))
    def arrive(self, number: int) -> None:
        """A request arrives whose sender is gone."""
        self.world.arrive(number)

    @rule(by=BY)
    def beat(self, by: int) -> None:
        """A worker renews its lease, takes it, or finds that it is lost."""
        self.world.beat(by % self.world.count)

    @rule(by=BY)
    def release(self, by: int) -> None:
        """A worker is stopped in an orderly way, and started anew."""
        self.world.release(by % self.world.count)

    @rule(
        seconds=st.sampled_from([1.0, 10.0, 40.0, 4_000.0]),
        asleep=st.sampled_from([(), (), (0,), (1,), (0, 1)]),
    )
    def wait(self, seconds: float, asleep: tuple[int, ...]) -> None:
        """Time passes; a worker may sleep past its lease."""
        self.world.wait(seconds, asleep)

    @precondition(lambda self: self.world.read_to == len(self.world.log))
    @rule()
    def replay(self) -> None:
        """A new group reads the whole topic again."""
        self.world.replay()

    @precondition(lambda self: not self.world.adopts)
    @rule(number=st.integers(0, 8), content=st.sampled_from(["by hand", None]))
    def meddle(self, number: int, content: str | None) -> None:
        """Somebody changes or removes a link of the bridge's in Jira."""
        self.world.meddle(number, content)
        self.is_meddled = True

    @rule()
    def reconcile(self) -> None:
        """Rows are compared with Jira, amid all that goes on."""
        self.world.reconcile()

    @precondition(lambda self: not self.world.adopts)
    @rule()
    def rebuild(self) -> None:
        """The ledger is lost and rebuilt from the topic; an adoption that had begun is forgotten with it."""
        self.world.rebuild()

    @invariant()
    def no_needless_write(self) -> None:
        """Jira was never sent what it already had; until it tells, nobody knows that an issue has moved."""
        assert self.moves or not self.world.needless, self.world.needless

    def teardown(self) -> None:
        """In the end Jira holds the newest of every link, and a replay comes to no call."""
        if not self.world.log:
            return
        self.world.settle()
        if self.is_meddled:
            self.what_was_meddled_with_is_found()
        assert self.world.standing() == self.world.expected()
        self.no_needless_write()
        calls = self.world.jira.calls
        self.world.replay()
        self.world.settle()
        assert self.moves or self.world.jira.calls == calls, "a replay of what is settled made a call"
        assert self.world.standing() == self.world.expected()
        self.no_needless_write()
        self.what_was_made_by_hand_is_taken_over_once()
        self.world.tables.close()

    def what_was_meddled_with_is_found(self) -> None:
        """A link that is compared before it is known that its issue has moved is looked up first."""
        while self.world.reconcile():
            self.world.settle()

    def what_was_made_by_hand_is_taken_over_once(self) -> None:
        """The only link of an issue is, where asked for, never doubled; else none is touched."""
        wanted = {issue for issue, _ in self.world.expected()}
        for issue, count in self.by_hand.items():
            left = self.world.jira.by_hand(issue)
            if not (self.world.adopts and count == 1):
                assert left == ["build by hand"] * count
            elif self.world.key_now(issue) in wanted:
                assert left == []
            else:
                assert left in ([], ["build by hand"])
        deleted = {entry.link_id for entry in self.world.jira.model.history if entry.action == "deleted"}
        changed = {entry.link_id for entry in self.world.jira.model.history if entry.action == "updated"}
        assert deleted & self.strays <= changed, "a link was deleted that never had our content"


def converge(examples: int, *, derandomize: bool = False, **changes: Any) -> None:
    """Run the machine for so many examples."""
    run_state_machine_as_test(
        Convergence,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=derandomize,
            database=None,
            suppress_health_check=list(HealthCheck),
            **changes,
        ),
    )


def test_jira_converges() -> None:
    """Jira ends up with the newest version of every link, and settled links get no call."""
    converge(150)


@pytest.mark.slow
def test_jira_converges_for_2000_examples() -> None:
    """The same, for long enough to meet the rare meetings of three faults."""
    converge(2_000)


# --- each safeguard is needed: without any one of them the same test fails ------------------


def _without_tombstones(patch: pytest.MonkeyPatch) -> None:
    turn = SqliteTables.turn

    def forgetful(self: SqliteTables, *args: Any) -> Any:
        done = turn(self, *args)
        self._db.execute("DELETE FROM rows WHERE link IS NULL AND phase = 'settled'")
        return done

    patch.setattr(SqliteTables, "turn", forgetful)


def _without_set_version(patch: pytest.MonkeyPatch) -> None:
    subject = SqliteTables._subject

    def forgetful(self: SqliteTables, *args: Any) -> Any:
        loaded = subject(self, *args)
        return bridge.state.merge.SubjectRows(loaded.subject, None, loaded.rows)

    patch.setattr(SqliteTables, "_subject", forgetful)


def _without_stale_check(patch: pytest.MonkeyPatch) -> None:
    judge = bridge.state.merge._judge

    def credulous(*args: Any) -> Any:
        verdict = judge(*args)
        return bridge.state.merge._Verdict.NEWS if verdict.value == "stale" else verdict

    patch.setattr(bridge.state.merge, "_judge", credulous)


def _without_unsure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bridge.state.batch, "WRITES", frozenset())


def _without_digest(patch: pytest.MonkeyPatch) -> None:
    def always(link: Link) -> str:
        return f"{id(link)}"

    patch.setattr(Link, "digest", property(always))


def _without_id_memory(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bridge.state.merge, "_seen", lambda *_: frozenset())


def _without_looking_after_a_rebuild(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(World, "rebuild", World.lose_all)


@pytest.mark.parametrize(
    "take_out",
    [
        _without_looking_after_a_rebuild,
        _without_tombstones,
        _without_set_version,
        _without_stale_check,
        _without_unsure,
        _without_digest,
        _without_id_memory,
    ],
)
def test_each_safeguard_is_needed(
    take_out: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one safeguard taken out, convergence fails."""
    take_out(monkeypatch)
    with pytest.raises(AssertionError):
        converge(500, derandomize=True, phases=(Phase.generate,), report_multiple_bugs=False)


def test_two_links_of_one_url_take_over_one_link_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one made by hand becomes one's, the other is created; without turns both would take it."""

    def changes() -> list[tuple[str, str | None]]:
        world = World(adopts=True)
        world.jira.add_by_hand("PROJ-1", link("by hand"))
        for number, subject in enumerate(SUBJECTS[:2]):
            world.log.append(Happened(f"e{number}", subject, 1, ("PROJ-1",), "A", False))
        world.settle()
        assert world.standing() == world.expected()
        return [(entry.action, entry.global_id) for entry in world.jira.model.history][1:]

    assert changes() == [("updated", SUBJECTS[0]), ("created", SUBJECTS[1])]
    waits_for = Schedule._waits_for

    def hasty(*args: Any) -> Any:
        first = waits_for(*args)
        return first if isinstance(first, Subject) else None

    monkeypatch.setattr(Schedule, "_waits_for", hasty)
    assert [action for action, _ in changes()] == ["updated", "updated", "created"]


def test_a_late_wish_under_a_moved_issues_present_key_does_not_outlive_a_newer_delete() -> None:
    """The delete named the former key, when no link was there whose answer could have told of the move."""
    world = World()
    world.jira.model.find("PROJ-1")
    world.jira.model.move_issue("PROJ-1", "OTHER-1")
    world.log.append(Happened("e2", SUBJECTS[0], 2, ("PROJ-1",), None, False))
    world.settle()
    world.log.append(Happened("e1", SUBJECTS[0], 1, ("OTHER-1",), "A", False))
    world.settle()
    assert world.standing() == world.expected() == {}
