"""What a fault is, and how one is put on: inject while events flow, wait for rest, judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from bridge.kafka.cluster import Cluster
from tests.brokers import Missing
from tests.chaos.checker import Evidence, Verdict, judge
from tests.chaos.setting import Setting
from tests.chaos.stage import KILLED, Inject, Stage, staged

Check = Callable[[Stage, Evidence], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row: how it is injected, what is checked beside the checker's words, and how often it must hit.

    `letters` is whether records or links may be rejected; `ends` are the exit codes that workers
    may end with; `brokers` is 0 for a Kafka that others use too, else how many it has of its own.
    `check` raises AssertionError.
    """

    name: str
    group: str
    how: str
    inject: Inject
    setting: Setting = field(default_factory=Setting)
    least: int = 1
    checks: str = ""
    check: Check | None = None
    letters: bool = False
    ends: frozenset[int] = frozenset({0, KILLED})
    brokers: int = 0
    with_journal: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one fault; `problems` is empty when it was withstood."""

    fault: Fault
    seed: int
    hits: int
    figures: dict[str, int]
    problems: list[str]
    seconds: float


async def perform(fault: Fault, seed: int, folder: Path, cluster: Cluster, broker: object) -> Result:
    """Put the fault on. Raises brokers.Missing where a server is not on this machine."""
    began = time.monotonic()
    async with staged(seed, folder, cluster, broker, fault.setting) as stage:
        problems: list[str] = []
        figures: dict[str, int] = {}
        feeding = asyncio.create_task(stage.feed())
        try:
            await fault.inject(stage)
            stage.injected.set()
            await feeding
            await stage.quiet()
            await _stop(stage, fault)
            evidence = await stage.evidence(with_journal=fault.with_journal)
            verdict = judge(evidence)
            figures = verdict.figures
            problems += _problems(fault, stage, verdict)
            if fault.check and (checked := fault.check(stage, evidence)):
                await checked
        except Missing:
            raise
        except Exception as error:  # noqa: BLE001 - a row that breaks has failed, the others go on
            problems.append(f"{type(error).__name__}: {error}"[:500])
        finally:
            feeding.cancel()
        figures |= {"deaths": sum(code != 0 for code in stage.ends), **stage.notes}
        return Result(fault, seed, stage.hits, figures, problems, time.monotonic() - began)


async def _stop(stage: Stage, fault: Fault) -> None:
    """End the workers as an orchestrator does; they have nothing left to do."""
    stage.held = set(range(len(stage.workers)))
    for worker in stage.workers:
        if worker.is_running:
            await worker.served()
            code = await worker.stop()
            assert code in fault.ends, f"SIGTERM ended a worker with {code}"


def _problems(fault: Fault, stage: Stage, verdict: Verdict) -> list[str]:
    found = [f"{word}: {len(said)}, {said[0]}" for word, said in verdict.faults.items()]
    found += stage.early[:1]
    if stage.hits < fault.least:
        found.append(f"{stage.hits} injections hit their target, {fault.least} were to")
    if verdict.figures["letters"] and not fault.letters:
        found.append(f"{verdict.figures['letters']} dead letters, where nothing was to be rejected")
    if others := set(stage.ends) - fault.ends:
        found.append(f"workers ended with {sorted(others)}")
    if any("unexpected_error" in worker.said or "Traceback" in worker.said for worker in stage.workers):
        found.append("a worker met an unexpected error")
    return found
