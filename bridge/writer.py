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

from bridge.errors import (
    JiraAnswerLost,
    JiraError,
    JiraLoginDenied,
    JiraRateLimited,
    JiraRejected,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
    KafkaUnavailable,
)
from bridge.model import Call, CallKind, Deleted, Entry, Found, LinkKey, Listed, Row
from bridge.ports import Answer, Jira, Ledger, Observe, Settled
from bridge.state.schedule import FOREVER, Allowance, Schedule
from bridge.state.settle import rejects

PROBE_SECONDS = 10.0
"""How often a halted site is asked whether it accepts the credentials again."""
PROBE_SECONDS_DENIED = 300.0
"""The same where each try prolongs the lock (Jira's CAPTCHA)."""
UNTIMED_WAIT = 1.0
"""Seconds to wait on a 429 that names no time."""

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
    _reasons: dict[LinkKey, str | None] = field(init=False, default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(init=False, default_factory=set)
    _probes: dict[str, asyncio.Task[None]] = field(init=False, default_factory=dict)
    _away: set[str] = field(init=False, default_factory=set)
    _fault: BaseException | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """The schedule starts empty; `run` fills it from the ledger."""
        self._schedule = Schedule(self.allowances)

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
        self.offer(await self.ledger.pending())
        waker = asyncio.create_task(self._wake_at(stop))
        try:
            while not (stop.is_set() or self._fault):
                if not await self._turn(self._schedule.take(self.clock())):
                    await self._wait()
            while self._tasks or self._settled:
                if self._tasks:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                await self._turn([])
            if self._fault:
                raise self._fault
        finally:
            for task in (waker, *self._tasks, *self._probes.values()):
                task.cancel()

    async def _turn(self, starting: list[LinkKey]) -> bool:
        """One transaction, if there is anything to do; whether there was."""
        settled, self._settled = self._settled, []
        if not settled and not starting:
            return False
        turn = await self.ledger.turn(settled, starting, self.clock())
        for one in settled:
            self._schedule.done(one.call.key)
        called = {call.key for call in turn.calls}
        for key in starting:
            if key not in called:
                self._schedule.done(key)
        self._schedule.put(turn.rows, self.clock())
        for entry in turn.entries:
            self._tell(entry)
        self._reasons.update({row.key: row.reason for row in turn.rows if row.key in called})
        for call in turn.calls:
            task = asyncio.create_task(self._send(call))
            self._tasks.add(task)
            task.add_done_callback(self._over)
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
        self._notice(call.key.site, answer)
        if isinstance(answer, JiraError):
            try:
                await self._react(call, answer)
            except KafkaUnavailable as error:
                # Not told, so not settled: the row stays unsure, and is looked up again.
                self.observe("kafka_unavailable", client="dead letters", error=str(error))
                return
        self._reasons.pop(call.key, None)
        self._settled.append(Settled(call, answer, self.clock(), self.jitter()))
        self._news.set()

    def _notice(self, site: str, answer: Answer) -> None:
        """Tell once that a site is away, and once that it is back."""
        is_away = isinstance(answer, JiraUnreachable | JiraUnavailable | JiraAnswerLost)
        if is_away is (site in self._away):
            return
        self._away ^= {site}
        if is_away:
            self.observe("jira_unavailable", site=site, error=str(answer))
        else:
            self.observe("jira_available", site=site)

    async def _answer(self, call: Call) -> Answer:
        jira, (_, issue, global_id) = self.sites[call.key.site], call.key
        try:
            match call.kind:
                case CallKind.CREATE | CallKind.UPDATE if call.link is not None:
                    return await jira.upsert(issue, call.link, global_id)
                case CallKind.DELETE:
                    await jira.delete_by_global_id(issue, global_id)
                    return Deleted()
                case CallKind.LOOK_UP:
                    return Found(await jira.get_by_global_id(issue, global_id))
                case _:
                    return Listed(tuple(await jira.list_links(issue)))
        except JiraError as error:
            return error

    async def _react(self, call: Call, error: JiraError) -> None:
        site = call.key.site
        if isinstance(error, JiraUnauthorized):
            self._halt(call, error)
        elif isinstance(error, JiraRateLimited):
            until = self.clock() + (error.retry_after or UNTIMED_WAIT)
            self._schedule.hold(call.key, call.kind, error.scope, until)
            self.observe("rate_limited", site=site, scope=error.scope.value, seconds=error.retry_after)
        elif rejects(self._reasons.get(call.key), call, error):
            await self.bury(call, error)

    def _halt(self, call: Call, error: JiraUnauthorized) -> None:
        site = call.key.site
        if site not in self._probes:
            self._schedule.halt(site)
            self.observe("site_halted", site=site, code=error.code, error=str(error))
            self._probes[site] = asyncio.create_task(self._probe(call, error))

    async def _probe(self, call: Call, error: JiraError) -> None:
        """Read the link until Jira answers as to somebody it knows; then the site goes on by itself.

        Any other read could need a scope that the token for links does not have.
        """
        site, issue, global_id = call.key
        while not isinstance(error, JiraRejected):  # only an answer about the link shows that we are known
            await asyncio.sleep(PROBE_SECONDS_DENIED if isinstance(error, JiraLoginDenied) else PROBE_SECONDS)
            try:
                await self.sites[site].get_by_global_id(issue, global_id)
            except JiraError as again:
                error = again
            else:
                break
        self._schedule.resume(site)
        del self._probes[site]
        self.observe("site_resumed", site=site)
        self._news.set()

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
