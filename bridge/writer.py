"""The writer: makes Jira what the ledger wants, one transaction a turn.

A turn takes in all answers that came, marks the rows that go next as unsure, and sends their
calls. The ledger's commit always lies between deciding and sending. The writer needs Kafka
only to tell of a row that Jira refuses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from bridge.errors import JiraError, JiraRateLimited, KafkaUnavailable
from bridge.model import Call, CallKind, Deleted, Entry, Found, Link, LinkKey, Listed, Replaced, Row
from bridge.ports import Answer, Jira, Ledger, Observe, Settled
from bridge.state.circuit import Circuit, State
from bridge.state.pace import FOREVER, Allowance
from bridge.state.schedule import Schedule
from bridge.state.settle import rejects

Bury = Callable[[Call, JiraError], Awaitable[None]]
"""Puts a refused row's wish on the dead-letter topic; returns once the broker has it, and raises
KafkaUnavailable only when it is told to stop before that."""


@dataclass(slots=True)
class Writer:
    """Runs the calls of one ledger's rows against its sites.

    `clock` gives seconds since the epoch; `jitter` a factor of 0.7 to 1.3.
    """

    ledger: Ledger
    sites: Mapping[str, Jira]
    allowances: Mapping[str, Allowance]
    bury: Bury
    observe: Observe
    clock: Callable[[], float]
    jitter: Callable[[], float]
    _schedule: Schedule = field(init=False)
    _news: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    _settled: list[Settled] = field(init=False, default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _circuits: dict[str, Circuit] = field(init=False, default_factory=dict)
    _fault: BaseException | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """The schedule starts empty; `run` fills it from the ledger."""
        self._schedule = Schedule(self.allowances)
        self._circuits = {site: Circuit() for site in self.allowances}

    def offer(self, rows: Iterable[Row]) -> None:
        """Rows that a merge left wanting a call."""
        self._schedule.put(rows, self.clock())
        self._news.set()

    @property
    def waiting(self) -> int:
        """Rows that wait for a call or are in flight."""
        return len(self._schedule)

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop`, then let the requests in flight end and settle them."""
        for site in self._circuits:
            self.observe("circuit_closed", site=site)
        self.offer(await self.ledger.pending())
        waker = asyncio.create_task(self._wake_at(stop))
        try:
            while not (stop.is_set() or self._fault):
                if not await self._turn(self._schedule.take(self.clock())):
                    await self._wait()
            while self._tasks or self._settled:
                if self._tasks:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                await self._turn({})
            if self._fault:
                raise self._fault
        finally:
            for task in (waker, *self._tasks):
                task.cancel()

    async def _turn(self, starting: Mapping[LinkKey, CallKind]) -> bool:
        """One transaction, if there is anything to do; whether there was."""
        settled, self._settled = self._settled, []
        if not settled and not starting:
            return False
        turn = await self.ledger.turn(settled, starting, self.clock())
        for one in settled:
            self._schedule.done(one.call.key, self.clock())
        called = {call.key for call in turn.calls}
        for key in starting:
            if key not in called:
                self._schedule.done(key, self.clock())
        self._schedule.put(turn.rows, self.clock())
        for entry in turn.entries:
            self._tell(entry)
        for call in turn.calls:
            self._schedule.left(call.key, self.clock())
            task = asyncio.create_task(self._send(call))
            self._tasks.add(task)
            task.add_done_callback(self._over)
        self._tell_circuits()
        self.observe("backlog", rows=self.waiting)
        return True

    def _over(self, task: asyncio.Task[None]) -> None:
        """A fault of the bridge itself ends the writer: unseen, it would hold its row for ever."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._fault = error
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
        site, budget = call.key.site, self.sites[call.key.site].budget
        self._schedule.answered(call, answer, budget.bucket, self.clock())
        self._news.set()  # a place is free, though its row may be some time in telling of a refusal
        self._tell_circuits()
        if isinstance(answer, JiraRateLimited):
            self.observe("rate_limited", site=site, scope=answer.scope.value, seconds=answer.retry_after)
        elif budget.is_near:
            self.observe("rate_limit_near", site=site)

    def _tell_circuits(self) -> None:
        """Tell of each site whose circuit stands otherwise than it was told of last."""
        for site, told in self._circuits.items():
            circuit = self._circuits[site] = self._schedule.circuit(site)
            if circuit.state is told.state and circuit.error is told.error:
                continue
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
            return await _REQUESTS[call.kind](self.sites[call.key.site], call)
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
