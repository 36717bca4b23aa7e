"""The writer: makes one Jira site what the ledger wants, one transaction a turn.

A turn takes in all answers that came, marks the rows that go next as unsure, and claims those that
others left; then the calls leave. The ledger's commit always lies between deciding and sending,
and compares the lease: whoever lost it sends nothing. The writer needs Kafka only to tell of a
row that Jira refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from bridge.errors import JiraError, JiraRateLimited, KafkaUnavailable
from bridge.model import Call, CallKind, Deleted, Entry, Found, Link, LinkKey, Listed, Replaced, Row
from bridge.ports import Answer, Jira, Lease, Ledger, Observe, Settled
from bridge.state.circuit import Circuit, State
from bridge.state.decide import WRITES
from bridge.state.pace import FOREVER, Allowance
from bridge.state.schedule import Schedule
from bridge.state.settle import rejects

Bury = Callable[[Call, JiraError], Awaitable[None]]
"""Puts a refused row's wish on the dead-letter topic; returns once the broker has it, and raises
KafkaUnavailable only when it is told to stop before that."""


@dataclass(slots=True)
class Writer:
    """Runs the calls of one site's rows, under its lease.

    `clock` gives seconds since the epoch; `jitter` a factor of 0.7 to 1.3. `most` rows are had in
    mind at a time, give or take a batch; the others wait in the ledger. `drain_seconds` is how long
    requests under way may take to end.
    """

    lease: Lease
    ledger: Ledger
    jira: Jira
    allowance: Allowance
    bury: Bury
    observe: Observe
    clock: Callable[[], float]
    jitter: Callable[[], float]
    most: int = 100_000
    drain_seconds: float = 25.0
    _schedule: Schedule = field(init=False)
    _news: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _has_unclaimed: bool = field(init=False, default=True)
    _settled: list[Settled] = field(init=False, default_factory=list)
    _under_way: dict[LinkKey, Call] = field(init=False, default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _circuit: Circuit = field(init=False, default_factory=Circuit)
    _fault: BaseException | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """The schedule starts empty; the first turn claims what waits in the ledger."""
        self._schedule = Schedule(self.allowance)

    def offer(self, rows: Iterable[Row]) -> None:
        """Rows that a merge left wanting a call, and claimed."""
        self._schedule.put(rows, self.clock())
        self._news.set()

    def hear(self) -> None:
        """There may be rows in the ledger that nobody has claimed."""
        self._has_unclaimed = True
        self._news.set()

    @property
    def waiting(self) -> int:
        """Rows that wait for a call or are in flight, as far as they are claimed."""
        return len(self._schedule)

    @property
    def takes_rows(self) -> bool:
        """Whether rows may be claimed for it with their merge: those that wait unclaimed go first."""
        return self.waiting < self.most and not self._has_unclaimed

    @property
    def in_doubt(self) -> list[LinkKey]:
        """The links that are written, or were without the ledger knowing how it went."""
        return [key for key, call in self._under_way.items() if call.kind in WRITES]

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, then let the requests in flight end and settle them.

        What does not end within `drain_seconds` is cancelled and stays unsure. Raises LeaseLost,
        LedgerUnavailable and LedgerCorrupt; what was under way then is in doubt.
        """
        self.observe("circuit_closed", site=self.lease.site)
        waker = asyncio.create_task(self._wake_at(stop))
        try:
            while not stop.is_set():
                if not await self._turn(self._schedule.take(self.clock())):
                    await self._wait()
            try:
                async with asyncio.timeout(self.drain_seconds):
                    await self._finish()
            except TimeoutError:
                self.observe("drain_cut_short", seconds=self.drain_seconds)
        finally:
            for task in (waker, *self._tasks):
                task.cancel()

    def abort(self, error: BaseException) -> None:
        """End `run` with that error, and send nothing more.

        Of an overdue request not even the part that is ready to be sent leaves: whoever is called
        by a timer comes before the task that the same moment woke.
        """
        self._fault = error
        for task in self._tasks:
            task.cancel()
        self._news.set()

    async def _finish(self) -> None:
        while self._tasks or self._settled:
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._turn({})

    async def _turn(self, starting: Mapping[LinkKey, CallKind]) -> bool:
        """One transaction, if there is anything to do; whether there was."""
        if self._fault:
            raise self._fault
        settled, self._settled = self._settled, []
        room = self._room()
        if not (settled or starting or room):
            return False
        if room:
            self._has_unclaimed = False
        turn = await self.ledger.turn(self.lease, settled, starting, room, self.clock())
        if self._fault:
            raise self._fault
        self._has_unclaimed |= turn.more
        for one in settled:
            self._under_way.pop(one.call.key, None)
            self._schedule.done(one.call.key, self.clock())
        called = {call.key for call in turn.calls}
        for key in starting:
            if key not in called:
                self._schedule.done(key, self.clock())
        self._schedule.put(turn.rows, self.clock())
        for entry in turn.entries:
            self._tell(entry)
        for call in turn.calls:
            self._begin(call)
        self._tell_circuit()
        self.observe("backlog", site=self.lease.site, rows=self.waiting)
        return True

    def _room(self) -> int:
        """How many rows to claim: none before half of those in mind are done."""
        return self.most - self.waiting if self._has_unclaimed and self.waiting <= self.most / 2 else 0

    def _begin(self, call: Call) -> None:
        self._under_way[call.key] = call
        self._schedule.left(call.key, self.clock())
        task = asyncio.create_task(self._send(call))
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        """A fault of the bridge itself ends the writer: unseen, it would hold its row for ever."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._fault = self._fault or error
            self._news.set()

    async def _wait(self) -> None:
        """Until an answer, news, the stop, or the next moment that the schedule names."""
        seconds = self._schedule.wake(self.clock()) - self.clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if seconds == FOREVER else max(0.0, seconds)):
                await self._news.wait()
        self._news.clear()

    async def _wake_at(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._news.set()

    async def _send(self, call: Call) -> None:
        began = self.clock()
        answer = await self._answer(call)
        status = answer.status if isinstance(answer, JiraError) else None
        code = answer.code if isinstance(answer, JiraError) else "ok"
        self.observe(
            "jira_call",
            site=call.key.site,
            call=call.kind.value,
            code=code,
            status=status,
            seconds=self.clock() - began,
        )
        self._hear(call, answer)
        if isinstance(answer, JiraError) and rejects(call, answer):
            try:
                await self.bury(call, answer)
            except KafkaUnavailable as error:
                # Not told, so not settled: the row stays unsure, and is looked up again.
                self.observe("kafka_unavailable", client="dead letters", error=str(error))
                return
        self._settled.append(Settled(call, answer, self.clock(), self.jitter()))
        self._news.set()

    def _hear(self, call: Call, answer: Answer) -> None:
        """Let what the answer says of limits and of the site's health hold for the next calls."""
        site, budget = self.lease.site, self.jira.budget
        self._schedule.answered(call, answer, budget.bucket, self.clock())
        self._news.set()  # a place is free, though its row may be some time in telling of a refusal
        self._tell_circuit()
        if isinstance(answer, JiraRateLimited):
            self.observe("rate_limited", site=site, scope=answer.scope.value, seconds=answer.retry_after)
        elif budget.is_near:
            self.observe("rate_limit_near", site=site)

    def _tell_circuit(self) -> None:
        """Tell of the site's circuit where it stands otherwise than it was told of last."""
        told, circuit, site = self._circuit, self._schedule.circuit, self.lease.site
        self._circuit = circuit
        if circuit.state is told.state and circuit.error is told.error:
            return
        if circuit.error is None:
            self.observe("circuit_closed", site=site)
        elif circuit.state is State.HALF_OPEN:
            self.observe("circuit_half_open", site=site)
        else:
            self.observe(
                "site_halted" if circuit.is_refused else "circuit_open",
                site=site,
                code=circuit.error.code,
                error=str(circuit.error),
                seconds=round(circuit.until - self.clock(), 1),
            )

    async def _answer(self, call: Call) -> Answer:
        try:
            return await _REQUESTS[call.kind](self.jira, call)
        except JiraError as error:
            return error

    def _tell(self, entry: Entry) -> None:
        key = entry.key or LinkKey("", "", "")
        self.observe(
            "link",
            outcome=entry.outcome.value,
            reason=entry.reason or "",
            site=key.site,
            issue=key.issue,
            global_id=key.global_id,
            event_id=entry.event,
        )


async def _upsert(jira: Jira, call: Call) -> Answer:
    return await jira.upsert(call.key.issue, cast("Link", call.link), call.key.global_id)


async def _adopt(jira: Jira, call: Call) -> Answer:
    await jira.update(call.key.issue, cast("int", call.stray), cast("Link", call.link), call.key.global_id)
    return Replaced()


async def _drop(jira: Jira, call: Call) -> Answer:
    await jira.delete(call.key.issue, cast("int", call.stray))
    return Deleted()


async def _delete(jira: Jira, call: Call) -> Answer:
    await jira.delete_by_global_id(call.key.issue, call.key.global_id)
    return Deleted()


async def _look_up(jira: Jira, call: Call) -> Answer:
    return Found(await jira.get_by_global_id(call.key.issue, call.key.global_id))


async def _list(jira: Jira, call: Call) -> Answer:
    return Listed(tuple(await jira.list_links(call.key.issue)))


_REQUESTS: Mapping[CallKind, Callable[[Jira, Call], Awaitable[Answer]]] = {
    CallKind.CREATE: _upsert,
    CallKind.UPDATE: _upsert,
    CallKind.ADOPT: _adopt,
    CallKind.DROP: _drop,
    CallKind.DELETE: _delete,
    CallKind.LOOK_UP: _look_up,
    CallKind.LIST: _list,
}
"""How each kind of call is made; what its request needs, `decide` has put into it."""
