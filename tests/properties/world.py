"""A world in one thread: a log of events, the ledger's real transactions, a schedule, a Jira.

Nothing runs by itself: a test decides when records are read, which requests Jira applies,
which answers come back, and where the process dies. What should stand in the end is worked
out from the log alone, in the plainest way there is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bridge.errors import JiraAnswerLost, JiraError, LeaseLost, PositionMoved
from bridge.ledger.sqlite_tables import SqliteTables
from bridge.model import (
    Action,
    Call,
    Change,
    Known,
    Link,
    LinkKey,
    Outcome,
    Phase,
    Position,
    Row,
    Subject,
    Version,
)
from bridge.ports import Answer, Item, Lease, Repair, Settled, Turn
from bridge.state.circuit import State
from bridge.state.decide import WRITES
from bridge.state.leases import ARRIVAL
from bridge.state.pace import FOREVER, Allowance, Window
from bridge.state.reconcile import Policy, compare
from bridge.state.schedule import Schedule
from tests.properties.jira_oracle import JiraOracle

SITE = "main"
ISSUES = ("PROJ-1", "PROJ-2", "PROJ-3")
MAX_TURNS = 3_000
ONE_MINUTE = 60.0
LEASE = 15.0
MOST = 6
"""So many rows a worker has in mind, so that it happens that others wait in the ledger."""
ALLOWANCE = Allowance(
    issue=(Window(3, 2.0), Window(6, 30.0)), method={"POST": (Window(2, 1.0),)}, points=100, in_flight=4
)
"""Tight enough that every limit is met in a short run."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One event of the log; `issues` are one for a per-issue change, any number for a set."""

    id: str
    subject: str
    time: int
    issues: tuple[str, ...]
    content: str | None
    is_set: bool


def link(content: str) -> Link:
    """A small link whose title and state differ by content."""
    status = {"resolved": content == "A"}
    return Link.model_validate(
        {"object": {"url": "https://ci.example.com/1", "title": f"build {content}", "status": status}}
    )


@dataclass
class Worker:
    """One process: what it has in memory, and the lease that it goes by until it finds it lost."""

    name: str
    lease: Lease | None = None
    until: float = 0.0
    read_to: int = 0
    has_unclaimed: bool = True
    schedule: Schedule = field(default_factory=lambda: Schedule(ALLOWANCE))
    in_flight: dict[LinkKey, Call] = field(default_factory=dict)
    on_their_way: dict[LinkKey, Answer] = field(default_factory=dict)
    answers: list[tuple[Call, Answer]] = field(default_factory=list)
    doubts: set[LinkKey] = field(default_factory=set)

    @property
    def undone(self) -> list[LinkKey]:
        """The requests in flight that Jira has not done yet."""
        return sorted(self.in_flight.keys() - self.on_their_way.keys())

    def begin(self, lease: Lease | None) -> None:
        """A new tenure, or none: nothing of the former is in memory but its doubts."""
        calls = [*self.in_flight.values(), *(call for call, _ in self.answers)]
        self.doubts |= {call.key for call in calls if call.kind in WRITES}
        self.lease, self.has_unclaimed, self.schedule = lease, True, Schedule(ALLOWANCE)
        self.in_flight, self.on_their_way, self.answers = {}, {}, []


@dataclass
class World:
    """The whole way from records to Jira, driven by hand; `by` is the number of a worker.

    `late` are requests of workers that are gone, and the moment by which Jira has done them.
    """

    jira: JiraOracle = field(default_factory=JiraOracle)
    count: int = 1
    adopts: bool = False
    known: Known = Known.UNSEEN
    log: list[Happened] = field(default_factory=list)
    tables: SqliteTables = field(default_factory=lambda: SqliteTables(":memory:"))
    group: str = "group-0"
    now: float = 1_000_000.0
    late: list[tuple[float, Call]] = field(default_factory=list)
    unasked: set[int] = field(default_factory=set)
    workers: list[Worker] = field(init=False)

    def __post_init__(self) -> None:
        """Begin as processes do that were just started."""
        self.names = iter(range(1_000_000))
        self.workers = [Worker("") for _ in range(self.count)]
        for by in range(self.count):
            self.start(by)

    def start(self, by: int = 0) -> None:
        """A new process over the same ledger: nothing is in memory but what the ledger has."""
        if self.count == 1:  # as a ledger that serves one process does
            self.tables.free_all()
        self.workers[by] = Worker(f"worker {next(self.names)}")
        self._seek(self.workers[by])
        self.beat(by)

    def _seek(self, worker: Worker) -> None:
        standing = {position.partition: position.offset for position in self.tables.positions(self.group)}
        worker.read_to = standing.get(0, 0)

    @property
    def read_to(self) -> int:
        """How far the group has merged."""
        return max(worker.read_to for worker in self.workers)

    def replay(self) -> None:
        """A group of another name reads the topic from its start, into the same ledger."""
        self.group = f"group-{int(self.group.removeprefix('group-')) + 1}"
        for worker in self.workers:
            worker.read_to = 0

    def rebuild(self) -> None:
        """The ledger is lost, and made anew from the log; of Jira it knows that it must ask."""
        self.lose_all(Known.UNSURE)

    def lose_all(self, known: Known = Known.UNSEEN) -> None:
        """The workers are stopped, and the ledger is lost and made anew before they start."""
        for worker in self.workers:
            for key in worker.undone:
                self._do_late(worker.in_flight[key])
        self.wait(ARRIVAL)
        self.tables.close()
        self.tables, self.known = SqliteTables(":memory:"), known
        self.workers = [Worker("rebuild")]
        self.consume(len(self.log))
        self.known = Known.UNSEEN
        self.workers = [Worker("") for _ in range(self.count)]
        for by in range(self.count):
            self.start(by)

    def meddle(self, number: int, content: str | None) -> None:
        """Somebody removes one of the bridge's links by hand, or gives it other content."""
        ours = sorted(self.jira.links())
        if ours:
            issue, global_id = ours[number % len(ours)]
            with self._by_others():
                self.jira.change_by_hand(issue, global_id, link(content) if content else None)

    def reconcile(self) -> int:
        """Compare all rows with what Jira lists, and mark those that differ; how many did."""
        repairs: list[Repair] = []
        rows = self.tables.page(SITE, "", 1_000)
        for issue in sorted({row.key.issue for row in rows}):
            of_issue = [row for row in rows if row.key.issue == issue]
            listed = self.jira.listed(issue)
            compared = compare(of_issue, listed, Policy(), lambda name: name.startswith("system=test"))
            repairs += [finding.repair for finding in compared.findings if finding.repair]
        marked = self.tables.repair(repairs, self.now)
        for worker in self.workers:
            worker.has_unclaimed = True
        return marked

    # --- leases ------------------------------------------------------------------------------

    def beat(self, by: int = 0) -> None:
        """A sign of life: what is in doubt is told, and the lease renewed, taken, or found lost."""
        worker = self.workers[by]
        if worker.lease and self.now >= worker.until:
            self._lose(worker)
        self.tables.doubt(sorted(worker.doubts), self.now)
        worker.doubts = set()
        kept = {SITE: worker.lease.fence} if worker.lease else {}
        leases, _ = self.tables.hold(worker.name, [SITE], kept, LEASE, self.now)
        lease = leases[0] if leases else None
        if lease != worker.lease:
            worker.begin(lease)
        worker.until, worker.has_unclaimed = self.now + LEASE, True

    def release(self, by: int) -> None:
        """A worker stops in an orderly way, once nothing is under way, and is started anew."""
        worker = self.workers[by]
        if worker.lease and not worker.in_flight and not worker.answers:
            self.tables.release(worker.lease, self.now)
            self.start(by)

    def _lose(self, worker: Worker) -> None:
        """The lease was not renewed in time: what was sent before may arrive some moments later."""
        self.late += [(worker.until + ARRIVAL, worker.in_flight[key]) for key in worker.undone]
        worker.begin(None)

    def wait(self, seconds: float, asleep: Collection[int] = ()) -> None:
        """Time passes, and what was to arrive in it has; workers that are awake renew their leases."""
        arrived = [one for one in self.late if one[0] <= self.now + seconds]
        self.late = [one for one in self.late if one[0] > self.now + seconds]
        for _, call in arrived:
            self._do_late(call)
        self.now += seconds
        for by, worker in enumerate(self.workers):
            if by not in asleep:
                worker.until = max(worker.until, self.now + LEASE)
                self.beat(by)

    def awake(self, by: int) -> None:
        """A worker that slept past its lease is awake: what it was about to send leaves, then it notices."""
        worker = self.workers[by]
        for key in worker.undone:
            self._do_late(worker.in_flight[key])
        worker.begin(None)
        self.beat(by)

    def arrive(self, number: int) -> None:
        """One of the late requests arrives now."""
        _, call = self.late.pop(number % len(self.late))
        self._do_late(call)

    def _do_late(self, call: Call) -> None:
        """Jira does what nobody waits for any more; it may be what stands already."""
        with self._by_others():
            self.jira.ask(call, is_applied=True, is_lost=True)

    @contextmanager
    def _by_others(self) -> Iterator[None]:
        """What is written here may be needless: no worker that is at work writes it."""
        before = len(self.jira.model.history)
        yield
        self.unasked |= set(range(before, len(self.jira.model.history)))

    @property
    def needless(self) -> list[object]:
        """The writes that changed nothing, but for those of people and of workers that were gone by then."""
        history = enumerate(self.jira.model.history)
        return [entry for number, entry in history if entry.needless and number not in self.unasked]

    # --- merging and writing -----------------------------------------------------------------

    def consume(self, count: int, *, by: int = 0, dies: bool = False) -> tuple[Outcome, ...]:
        """Merge the next records; `dies` after the commit and before anything else."""
        worker = self.workers[by]
        records = self.log[worker.read_to : worker.read_to + count]
        items = [self._item(worker.read_to + i, happened) for i, happened in enumerate(records)]
        before = Position("events", 0, worker.read_to)
        after = Position("events", 0, worker.read_to + len(records))
        held = {SITE: worker.lease.fence} if worker.lease and not worker.has_unclaimed else {}
        try:
            merged = self.tables.merge(items, self.group, [(before, after)], self.now, held)
        except PositionMoved:
            self._seek(worker)
            return ()
        worker.read_to = after.offset
        if dies:
            self.start(by)
        elif SITE in merged.claimed:
            worker.schedule.put(merged.pending, self.now)
        elif merged.pending:
            for each in self.workers:
                each.has_unclaimed = True
        return merged.outcomes

    def turn(self, *, by: int = 0, dies: bool = False, meanwhile: int = 0, sleeps: bool = False) -> None:
        """One turn of the writer; `dies` after its commit, before a request leaves.

        So many records are merged between what the schedule decides and the transaction. With
        `sleeps` the lease ended after it was last looked at, and before the transaction.
        """
        worker = self.workers[by]
        if worker.lease is None or (self.now >= worker.until and not sleeps):
            self.beat(by)
        if worker.lease is None:
            return
        settled = [Settled(call, answer, self.now, 1.0) for call, answer in worker.answers]
        starting = worker.schedule.take(self.now)
        self.consume(meanwhile, by=by)
        room = MOST - len(worker.schedule) if worker.has_unclaimed else 0
        try:
            turn = self.tables.turn(worker.lease, settled, starting, room, self.now)
        except LeaseLost:
            self._lose(worker)
            return
        if dies:
            self.start(by)
        elif self.now >= worker.until:
            self._lose(worker)
        else:
            worker.has_unclaimed = turn.more if room > 0 else worker.has_unclaimed
            self._take_in(worker, turn, starting)

    def _take_in(self, worker: Worker, turn: Turn, starting: Iterable[LinkKey]) -> None:
        for call, _ in worker.answers:
            worker.schedule.done(call.key, self.now)
        worker.answers = []
        for key in starting:
            if key not in {call.key for call in turn.calls}:
                worker.schedule.done(key, self.now)
        worker.schedule.put(turn.rows, self.now)
        for call in turn.calls:
            assert call.key not in worker.in_flight, "two requests in flight for one link"
            worker.in_flight[call.key] = call
            worker.schedule.left(call.key, self.now)

    def apply(self, number: int, *, by: int = 0, is_lost: bool = False) -> None:
        """Jira does one of the requests in flight; its answer is on its way, or lost."""
        worker = self.workers[by]
        if not worker.undone:
            return
        key = worker.undone[number % len(worker.undone)]
        if self.now < worker.until:
            worker.on_their_way[key] = self.jira.ask(worker.in_flight[key], is_applied=True, is_lost=is_lost)
        else:
            self.awake(by)

    def give_up(self, number: int, *, by: int = 0) -> None:
        """One of the requests in flight is waited for no longer; Jira does it soon after."""
        worker = self.workers[by]
        if worker.undone and self.now < worker.until:
            key = worker.undone[number % len(worker.undone)]
            worker.on_their_way[key] = JiraAnswerLost("nothing came in time")
            self.late.append((self.now + ARRIVAL, worker.in_flight[key]))

    def fail(self, number: int, error: JiraError, *, by: int = 0) -> None:
        """One of the requests in flight is answered with an error, not done."""
        worker = self.workers[by]
        if worker.undone:
            worker.on_their_way[worker.undone[number % len(worker.undone)]] = error

    def deliver(self, number: int, *, by: int = 0) -> None:
        """One of the answers on their way arrives, not in the order in which Jira gave them."""
        worker = self.workers[by]
        key = sorted(worker.on_their_way)[number % len(worker.on_their_way)]
        call, answer = worker.in_flight.pop(key), worker.on_their_way.pop(key)
        worker.schedule.answered(call, answer, None, self.now)
        worker.answers.append((call, answer))

    def crash(self, applied: Iterable[bool], *, by: int = 0) -> None:
        """The process dies; of the requests that Jira has not done yet it does some, soon."""
        worker = self.workers[by]
        if self.now < worker.until:
            undone = [worker.in_flight[key] for key in worker.undone]
            self.late += [
                (self.now + ARRIVAL, call)
                for call, is_applied in zip(undone, applied, strict=False)
                if is_applied
            ]
        self.start(by)

    def settle(self) -> None:
        """Read what is left and let everything come to rest; nothing is left over then.

        A worker that was to be asleep wakes only when the other is at rest.
        """
        asleep = [by for by, worker in enumerate(self.workers) if self.now >= worker.until]
        self._come_to_rest(asleep[1:] if len(asleep) == self.count else asleep)
        for by in asleep:
            self.awake(by)
        self._come_to_rest([])
        for worker in self.workers:
            self._has_nothing_left(worker.schedule)

    def _come_to_rest(self, asleep: Collection[int]) -> None:
        for _ in range(MAX_TURNS):
            for by in range(self.count):
                if by not in asleep:
                    self._go_on(by)
            awake = [worker for by, worker in enumerate(self.workers) if by not in asleep]
            if any(worker.answers for worker in awake):
                continue
            wake = min(worker.schedule.wake(self.now) for worker in awake)
            if wake == FOREVER and self._is_at_rest(awake):
                return
            if wake > self.now:
                self.wait(LEASE if wake == FOREVER else wake - self.now, asleep)
        raise AssertionError("it does not come to rest")

    def _go_on(self, by: int) -> None:
        self.beat(by)
        self.consume(len(self.log), by=by)
        self.turn(by=by)
        worker = self.workers[by]
        while worker.in_flight:
            if worker.undone:
                self.apply(0, by=by)
            self.deliver(0, by=by)

    def _is_at_rest(self, awake: Iterable[Worker]) -> bool:
        is_read = all(worker.read_to == len(self.log) for worker in awake)
        return is_read and not self.late and not self._pending()

    def _pending(self) -> list[Row]:
        return [row for row in self.tables.rows() if row.phase is Phase.PENDING]

    def _has_nothing_left(self, schedule: Schedule) -> None:
        assert len(schedule) == 0, "rows wait, and nothing will wake them"
        assert schedule.circuit.state is State.CLOSED
        site = schedule._site
        meters = (site._whole, *site._methods.values(), *site._issues.values())
        assert [meter._reserved for meter in meters] == [0] * len(meters), "places are reserved for nobody"
        assert site._in_flight == 0
        assert not any((schedule._leading, schedule._writing, schedule._deleting, schedule._adopting))
        assert not schedule._behind

    def key_now(self, issue: str) -> str:
        """The key that an issue bears in the end."""
        found = self.jira.model.find(issue)
        return found.key if found else issue

    def expected(self) -> dict[tuple[str, str], str]:
        """What should stand in Jira: (issue, globalId) to content, by the log alone."""
        first: dict[str, tuple[int, Happened]] = {}
        for offset, happened in enumerate(self.log):
            first.setdefault(happened.id, (offset, happened))
        wanted = {}
        named = {self.key_now(issue) for _, happened in first.values() for issue in happened.issues}
        for subject in {happened.subject for _, happened in first.values()}:
            for issue in named:
                touching = [
                    (happened.time, offset, happened.content if self._is_named(issue, happened) else None)
                    for offset, happened in first.values()
                    if happened.subject == subject and (happened.is_set or self._is_named(issue, happened))
                ]
                if touching and (content := max(touching, key=lambda one: one[:2])[2]) is not None:
                    wanted[issue, subject] = content
        return wanted

    def _is_named(self, issue: str, happened: Happened) -> bool:
        return issue in map(self.key_now, happened.issues)

    def standing(self) -> dict[tuple[str, str], str]:
        """What does stand in Jira."""
        return {
            place: found.object.title.removeprefix("build ") for place, found in self.jira.links().items()
        }

    def _item(self, offset: int, happened: Happened) -> Item:
        action = Action.SET if happened.is_set else Action.UPSERT if happened.content else Action.DELETE
        issues = happened.issues if happened.content or not happened.is_set else ()
        version = Version(0, happened.time, 0, 1_000 + offset, offset)
        content = link(happened.content) if happened.content else None
        change = Change(
            action,
            Subject(SITE, happened.subject),
            issues,
            content,
            version,
            f"//test {happened.id}",
            self.adopts,
            self.known,
        )
        return Item(change.event, (change,))
