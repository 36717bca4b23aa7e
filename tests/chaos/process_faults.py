"""What befalls the processes: they are killed at points and moments, frozen, and told to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from tests.brokers import eventually
from tests.chaos.crashing import POINTS
from tests.chaos.faults import Fault
from tests.chaos.processes import Process
from tests.chaos.stage import Setting, Stage

PASSINGS = {"call": 25, "turn": 12, "merge": 3, "commit": 3}
"""How often a point is passed at most before the end: it comes as often as it can."""
BUSY = Setting(knobs={"latency": 0.02}, rate=80)


async def crash(stage: Stage, point: str, deaths: int) -> None:
    """The worker kills itself at the point, again and again."""
    most = PASSINGS[point.split()[1]]
    stage.crash = lambda: {"CRASH_POINT": point, "CRASH_AFTER": str(stage.chance.randint(1, most))}
    (worker,) = stage.workers
    await stage.asked(10)
    worker.kill()
    before = len(worker.ends)
    await eventually(lambda: len(worker.ends) - before >= deaths, 60 + 20 * deaths)
    stage.crash = lambda: None
    worker.kill()
    stage.hits = worker.ends[before:].count(-signal.SIGKILL)


async def kill(stage: Stage, kills: int) -> None:
    """SIGKILL at a random moment after it has begun to ask Jira."""
    (worker,) = stage.workers
    for _ in range(kills):
        await stage.asked(1)
        await asyncio.sleep(stage.chance.uniform(0, 1.5))  # the moment is what is drawn by lot
        stage.hits += worker.kill()


async def freeze(stage: Stage, seconds: float, times: int) -> None:
    """SIGSTOP while requests are under way, and on again."""
    for number in range(times):
        worker = stage.workers[number % len(stage.workers)]
        await stage.asked(20)
        before = await stage.jira.calls()
        worker.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        worker.send(signal.SIGCONT)
        stage.hits += await stage.jira.calls() > before or len(stage.workers) == 1


async def end(stage: Stage, times: int) -> None:
    """SIGTERM while events flow; it is to end with 0."""
    (worker,) = stage.workers
    for _ in range(times):
        await stage.asked(30)
        code = await worker.stop()
        assert code == 0, f"SIGTERM ended it with {code}"
        stage.hits += 1


async def end_at_once(stage: Stage, times: int) -> None:
    """SIGTERM twice: the second ends it, whatever is under way."""
    (worker,) = stage.workers
    await stage.jira.turn(latency=5)
    for _ in range(times):
        await stage.asked(3)
        worker.send(signal.SIGTERM)
        await eventually(lambda: worker.said.count('"draining"') > stage.hits, 20)
        worker.send(signal.SIGTERM)
        await worker.ended(5)
        stage.hits += 1
    await stage.jira.turn(latency=0.02)


async def burst(stage: Stage, events: int) -> None:
    """Many events while no worker is there, then one whose memory is limited."""
    (worker,) = stage.workers
    stage.held = {0}
    worker.kill()
    await stage.flowed(events)
    stage.held = set()
    await eventually(lambda: worker.is_running)
    stage.hits += 1
    peak = 0

    async def is_through() -> bool:
        nonlocal peak
        with open(f"/proc/{worker.pid}/status", encoding="ascii") as status:  # noqa: ASYNC230, PTH123
            peak = max(peak, *(int(line.split()[1]) for line in status if line.startswith("VmHWM")))
        return await stage.jira.calls() > events / 10

    await eventually(is_through, 120)
    stage.notes["peak_mb"] = peak // 1024


async def kill_any(stage: Stage, kills: int) -> None:
    """SIGKILL of one of several workers, drawn by lot, at a random moment while they write."""
    for _ in range(kills):
        await stage.asked(1)
        await asyncio.sleep(stage.chance.uniform(0, 1.5))
        stage.hits += stage.chance.choice(stage.workers).kill()


async def crash_one(stage: Stage, point: str, deaths: int) -> None:
    """Of several workers, each that starts kills itself at the point."""
    most = PASSINGS[point.split()[1]]
    stage.crash = lambda: {"CRASH_POINT": point, "CRASH_AFTER": str(stage.chance.randint(1, most))}
    await stage.asked(10)
    for worker in stage.workers:
        worker.kill()
    before = len(stage.ends)
    await eventually(lambda: len(stage.ends) - before >= deaths, 60 + 20 * deaths)
    stage.hits = len(stage.ends) - before
    stage.crash = lambda: None
    for worker in stage.workers:
        worker.kill()


async def thaw(stage: Stage, seconds: float, times: int) -> None:
    """The worker that writes a site is frozen until another has taken it over, then goes on."""
    for _ in range(times):
        await stage.asked(20)
        owner = next(worker for worker in stage.workers if worker.writes)
        taken = _count(stage.workers, "lease_taken") + 1
        lost = _count([owner], "lease_lost") + 1
        owner.send(signal.SIGSTOP)
        await eventually(partial(_has_said, stage.workers, "lease_taken", taken), 60)
        await asyncio.sleep(seconds)
        owner.send(signal.SIGCONT)
        await eventually(partial(_has_said, [owner], "lease_lost", lost), 30)
        stage.hits += 1


async def roll(stage: Stage, times: int) -> None:
    """One worker after another is told to end, and started again."""
    for number in range(times):
        worker = stage.workers[number % len(stage.workers)]
        await stage.asked(20)
        code = await worker.stop()
        assert code == 0, f"SIGTERM ended it with {code}"
        stage.hits += 1


async def dethrone(stage: Stage, times: int) -> None:
    """The worker that has the only partition is killed."""
    for _ in range(times):
        await stage.flowed(100)
        await eventually(lambda: any(worker.reads for worker in stage.workers), 60)
        for worker in [worker for worker in stage.workers if worker.reads]:
            stage.hits += worker.kill()


def _has_said(workers: Sequence[Process], state: str, times: int) -> bool:
    return _count(workers, state) >= times


def _count(workers: Sequence[Process], state: str) -> int:
    return sum(worker.said.count(f'"{state}"') for worker in workers)


SEVERAL = Setting(ledger="postgresql", workers=2, sites=2, knobs={"latency": 0.02}, rate=80, is_quiet_in=240)
ON_POSTGRESQL = [
    *(
        Fault(
            f"two workers crash {point}",
            "processes",
            "on PostgreSQL, each worker kills itself (SIGKILL) at the point, each life after another number",
            partial(crash_one, point=point, deaths=5),
            SEVERAL,
            least=5,
        )
        for point in ("before call", "after call", "within merge", "after merge", "within turn", "after turn")
    ),
    Fault(
        "one of three workers killed",
        "processes",
        "on PostgreSQL, SIGKILL of one of three at moments drawn by lot, 30 times",
        partial(kill_any, kills=30),
        replace(SEVERAL, workers=3, rate=60),
        least=30,
    ),
    Fault(
        "zombies",
        "processes",
        "on PostgreSQL, SIGSTOP of who writes a site until another has taken it, SIGCONT 5 s later, twice",
        partial(thaw, seconds=5, times=2),
        SEVERAL,
        least=2,
        checks="it says `lease_lost` and stores nothing",
    ),
    Fault(
        "workers come and go",
        "processes",
        "on PostgreSQL, SIGTERM of one of three workers while events flow, 10 times",
        partial(roll, times=10),
        replace(SEVERAL, workers=3, rate=60),
        least=10,
        checks="exit code 0",
    ),
    Fault(
        "more workers than partitions",
        "processes",
        "on PostgreSQL, three workers on one partition; who has it is killed, 3 times",
        partial(dethrone, times=3),
        replace(SEVERAL, workers=3, partitions=1, rate=60),
        least=3,
    ),
]
FAULTS = [
    *(
        Fault(
            f"crash {point}",
            "processes",
            "the worker kills itself (SIGKILL) at the point, each life after another number of passings",
            partial(crash, point=point, deaths=8),
            BUSY,
            least=8,
        )
        for point in POINTS
    ),
    Fault(
        "killed at 100 moments",
        "processes",
        "SIGKILL at moments drawn by lot, while it writes",
        partial(kill, kills=100),
        Setting(knobs={"latency": 0.02}, rate=60, is_quiet_in=300),
        least=100,
    ),
    Fault(
        "frozen for 30 s",
        "processes",
        "SIGSTOP while requests are under way, SIGCONT 30 s later, twice",
        partial(freeze, seconds=30, times=2),
        BUSY,
        least=2,
    ),
    Fault(
        "SIGTERM under load",
        "processes",
        "SIGTERM while events flow, 5 times",
        partial(end, times=5),
        BUSY,
        least=5,
        checks="exit code 0",
    ),
    Fault(
        "SIGTERM twice",
        "processes",
        "SIGTERM and, while it waits for slow answers, SIGTERM again, 3 times",
        partial(end_at_once, times=3),
        BUSY,
        least=3,
        checks="it ends within 5 s",
        ends=frozenset({0, -signal.SIGTERM, -signal.SIGKILL, 130, 143}),
    ),
    Fault(
        "memory limited under a burst",
        "processes",
        "10,000 events are waiting for a worker with 700 MB of address space (prlimit)",
        partial(burst, events=10_000),
        Setting(before=("prlimit", "--as=700000000"), rate=2_000, is_quiet_in=300),
        checks="no worker died; peak of resident memory",
        ends=frozenset({0, -signal.SIGKILL}),
    ),
    *ON_POSTGRESQL,
]
