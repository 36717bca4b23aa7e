"""Members of a group that come, go, freeze and die, over a real Kafka."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import MemberFenced
from bridge.kafka.cluster import Cluster
from tests.brokers import ROOT, create_topic, eventually
from tests.consuming import Book, Worker, a_group, members, publish, working
from tests.consuming_process import FileBook

SESSION_MS = 12_000
"""Long enough for a member to come back on a busy machine."""

STORM_MEMBERS = 40


def partitions(worker: Worker) -> object:
    """The partitions that the worker was assigned last."""
    return [fields["partitions"] for state, fields in worker.told if state == "partitions_assigned"][-1]


# --- static members ------------------------------------------------------------------------


async def test_a_rolling_restart_moves_no_partition(real_kafka: Cluster) -> None:
    """Members with an instance id come back one by one to what they had; the others notice nothing."""
    topic, group, book = await create_topic(real_kafka, 4), a_group(), Book()
    static: dict[str, Any] = {"session_timeout_ms": SESSION_MS}

    @asynccontextmanager
    async def member(name: str) -> AsyncIterator[Worker]:
        async with working(real_kafka, topic, group, book, instance_id=name, **static) as worker:
            yield worker

    async with member("a") as first, member("b") as second:
        await eventually(lambda: (first.assigned(), second.assigned()) == (2, 2))
        had = partitions(first), partitions(second)
        told = len(second.told)
        await first.leave()
        assert await members(real_kafka, group) == 2
        async with member("a") as first_again:
            # Were they shared out anew, it would have to wait until the other one had joined.
            await eventually(lambda: first_again.assigned() == 2)
            assert "partitions_revoked" not in [state for state, _ in second.told[told:]]
            await second.leave()
            async with member("b") as second_again:
                await eventually(lambda: second_again.assigned() == 2)
                assert (partitions(first_again), partitions(second_again)) == had
                await publish(real_kafka, topic, *"abcdefgh")
                await eventually(lambda: book.values == list("abcdefgh"))
                assert "partitions_revoked" not in first_again.states()


async def test_of_two_members_with_one_instance_id_the_older_one_stops(real_kafka: Cluster) -> None:
    """It says why, in readiness too, and leaves the newer one alone; which goes on reading."""
    topic, group, book = await create_topic(real_kafka, 1), a_group(), Book()
    async with working(real_kafka, topic, group, book, instance_id="same") as older:
        await eventually(lambda: older.assigned() == 1)
        async with working(real_kafka, topic, group, book, instance_id="same") as newer:
            with pytest.raises(MemberFenced, match=f"{group} has the instance id same"):
                await asyncio.wait_for(older.task, 20)
            assert older.states()[-1] == "member_fenced"
            assert older.health.ready()["consumer"].reason.startswith("member_fenced: ")
            await publish(real_kafka, topic, "a")
            await eventually(lambda: book.values == ["a"])
            assert newer.states().count("partitions_assigned") == 1
            assert newer.health.ready()["consumer"].ok


# --- members that come and go --------------------------------------------------------------


async def test_a_storm_of_rebalances_loses_and_doubles_nothing(real_kafka: Cluster) -> None:
    """Every half second a member joins and another leaves while records flow; each is merged once."""
    topic, group, book = await create_topic(real_kafka, 8), a_group(), Book()
    storm, published = asyncio.Event(), 0

    async def flow() -> None:
        nonlocal published
        while not storm.is_set():
            await publish(real_kafka, topic, *(f"{published + number:05}" for number in range(20)))
            published += 20

    async def passing(number: int) -> list[str]:
        async with working(real_kafka, topic, group, book, session_timeout_ms=3_000) as worker:
            with suppress(TimeoutError):
                await asyncio.wait_for(storm.wait(), 0.5 + number % 3)
            await worker.leave()
        return worker.states()

    async with working(real_kafka, topic, group, book, session_timeout_ms=3_000) as steady:
        flowing = asyncio.create_task(flow())
        visits = []
        for number in range(STORM_MEMBERS):
            visits.append(asyncio.create_task(passing(number)))
            await asyncio.wait({flowing}, timeout=0.5)
        told = [state for states in await asyncio.gather(*visits) for state in states]
        storm.set()
        await flowing
        await eventually(lambda: len(book.merged) >= published, seconds=60)
        assert steady.states().count("partitions_assigned") > STORM_MEMBERS / 8
    assert "partitions_assigned" in told
    assert book.values == [f"{number:05}" for number in range(published)]
    for partition in range(8):
        offsets = [record.offset for record in book.merged if record.partition == partition]
        assert offsets == sorted(offsets)


# --- processes -----------------------------------------------------------------------------


@dataclass
class Process:
    """A consumer in a process of its own, and what it told."""

    process: asyncio.subprocess.Process
    states: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        """Take in what it tells, until its end."""
        assert self.process.stdout
        async for line in self.process.stdout:
            self.states.append(json.loads(line)[0])

    def say(self) -> None:
        """Let it merge what it holds."""
        assert self.process.stdin
        self.process.stdin.write(b"\n")


@asynccontextmanager
async def process(cluster: Cluster, topic: str, group: str, file: Path, *more: str) -> AsyncIterator[Process]:
    """A running consumer; it is killed at the end of the block."""
    pipe = asyncio.subprocess.PIPE
    running = Process(
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.consuming_process", cluster.bootstrap, topic, group, str(file)),
            *more,
            stdin=pipe,
            stdout=pipe,
            cwd=ROOT,
        )
    )
    listening = asyncio.create_task(running.listen())
    try:
        yield running
    finally:
        if running.process.returncode is None:
            running.process.kill()
        await running.process.wait()
        await listening


@asynccontextmanager
async def sharing(
    cluster: Cluster, topic: str, group: str, book: FileBook, **more: Any
) -> AsyncIterator[Worker]:
    """A consumer in this process that merges into the same file."""
    shared = {"positions": book.positions, "take": book.take, "session_timeout_ms": 2_000}
    async with working(cluster, topic, group, Book(), **shared, **more) as worker:
        yield worker


@pytest.mark.parametrize("static", [False, True])
async def test_a_zombies_merge_fails_and_it_forgets(
    real_kafka: Cluster, tmp_path: Path, static: bool
) -> None:
    """Frozen with a batch in hand and overtaken, it merges nothing of it, and is a member again."""
    topic, group, file = await create_topic(real_kafka, 1), a_group(), tmp_path / "book.sqlite"
    book = FileBook(file)
    settings = ["--hold", "session_timeout_ms=2000", "poll_ms=100"]
    settings += ['instance_id="zombie"'] if static else []
    await publish(real_kafka, topic, "a", "b")
    async with process(real_kafka, topic, group, file, *settings) as zombie:
        await eventually(lambda: "holding" in zombie.states)
        zombie.process.send_signal(signal.SIGSTOP)
        async with sharing(real_kafka, topic, group, book) as heir:
            await eventually(lambda: book.values == ["a", "b"], seconds=40)
            zombie.process.send_signal(signal.SIGCONT)
            zombie.say()
            await eventually(lambda: "position_moved" in zombie.states)
            await heir.leave()
        await publish(real_kafka, topic, "c")
        zombie.say()
        await eventually(lambda: book.values == ["a", "b", "c"], seconds=40)
        assert "member_fenced" not in zombie.states


async def test_a_standby_that_idled_past_the_poll_interval_takes_over(
    real_kafka: Cluster, tmp_path: Path
) -> None:
    """Without partitions for longer than `max_poll_ms`, it is still there when the owner dies."""
    topic, group, file = await create_topic(real_kafka, 1), a_group(), tmp_path / "book.sqlite"
    book, clock = FileBook(file), asyncio.get_running_loop().time
    settings = ["session_timeout_ms=2000", "max_poll_ms=1000"]
    async with process(real_kafka, topic, group, file, *settings) as owner:
        await eventually(lambda: "merged" in owner.states)
        async with sharing(real_kafka, topic, group, book, max_poll_ms=1_000) as standby:
            await eventually(lambda: "partitions_assigned" in standby.states())
            until = clock() + 3
            await eventually(lambda: clock() > until)
            assert await members(real_kafka, group) == 2
            owner.process.kill()
            await publish(real_kafka, topic, "a")
            await eventually(lambda: book.values == ["a"], seconds=40)
            assert standby.assigned() == 1
