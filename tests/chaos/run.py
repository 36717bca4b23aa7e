"""Puts the faults on, one after another, and tells what came of them.

Examples:
    python -m tests.chaos.run --list
    python -m tests.chaos.run --only 'crash after call' --seed 7
    python -m tests.chaos.run --write               # all rows, into docs/faults.md
"""

# ruff: noqa: T201 - it is a command
from __future__ import annotations

import argparse
import asyncio
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.brokers import KafkaCluster, KafkaProcess, Missing
from tests.chaos import event_faults, jira_faults, kafka_faults, ledger_faults, process_faults
from tests.chaos.faults import Fault, Result, perform
from tests.chaos.report import line, row, table, write

ALL: Sequence[Fault] = [
    *process_faults.FAULTS,
    *kafka_faults.FAULTS,
    *jira_faults.FAULTS,
    *ledger_faults.FAULTS,
    *event_faults.FAULTS,
]


def chosen(words: Sequence[str]) -> list[Fault]:
    """The rows whose name or group has one of the words in it; all without words."""
    return [
        fault
        for fault in ALL
        if not words or any(word in fault.name or word == fault.group for word in words)
    ]


class Brokers:
    """Kafkas, started when they are first needed: one that all share, or one of a row's own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._shared: KafkaProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def of(self, fault: Fault, stack: ExitStack) -> KafkaProcess | KafkaCluster:
        """The row's Kafka; one of its own ends with `stack`."""
        if fault.brokers > 1:
            return stack.enter_context(KafkaCluster(self._new(fault.name), fault.brokers))
        if fault.brokers:
            return stack.enter_context(KafkaProcess(self._new(fault.name)))
        if self._shared is None:
            self._shared = self._stack.enter_context(KafkaProcess(self._new("shared")))
        return self._shared

    def _new(self, name: str) -> Path:
        folder = self._folder / f"kafka-{name.replace(' ', '-')}"
        folder.mkdir()
        return folder


def run(faults: Sequence[Fault], seed: int, folder: Path, *, writes: bool) -> list[Result]:
    """Put the faults on; the results. What a row needs and this machine lacks is told."""
    results: list[Result] = []
    with Brokers(folder) as brokers:
        for number, fault in enumerate(faults, 1):
            print(f"[{number}/{len(faults)}] {fault.name} …", end=" ", flush=True)
            own = folder / str(number)
            own.mkdir()
            with ExitStack() as stack:
                try:
                    broker = brokers.of(fault, stack)
                    result = asyncio.run(perform(fault, seed, own, broker.cluster, broker))
                except Missing as reason:
                    print(f"left out: {reason}", flush=True)
                    continue
            results.append(result)
            print(line(result), flush=True)
            if writes:
                write([result], [each.name for each in ALL])
            if not result.problems:
                shutil.rmtree(own)
    return results


def main() -> int:
    """The command; 0 when all was withstood."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="rows with it in their name, or of that group; may be given again",
    )
    parser.add_argument(
        "--seed", type=int, help="of events, moments and chance (printed; the same seed repeats them)"
    )
    parser.add_argument("--write", action="store_true", help="write each row into docs/faults.md")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument(
        "--keep", metavar="FOLDER", type=Path, help="where logs and ledgers go, of rows that failed"
    )
    asked = parser.parse_args()
    faults = chosen(asked.only)
    if asked.list:
        for fault in faults:
            print(f"{fault.group:10} {fault.name:34} {fault.how}")
        return 0
    seed = random.randrange(10**6) if asked.seed is None else asked.seed
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers that are away are what this is about
    print(f"seed {seed}, logs of what fails in {folder}")
    began = time.monotonic()
    results = run(faults, seed, folder, writes=asked.write)
    print(f"\n{table(list(map(row, results)))}\n{time.monotonic() - began:.0f} s")
    return 1 if any(result.problems for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
