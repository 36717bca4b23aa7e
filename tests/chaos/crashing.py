"""A worker that kills itself at a named point: `crashing.py worker …`, told by its environment.

CRASH_POINT is one of `POINTS`, CRASH_AFTER how often the point is passed before the end. The points
are laid around the methods of the ledger, of Jira's client and of Kafka's, before the command runs.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
from collections.abc import Callable
from typing import Any

CALLS = ("upsert", "delete_by_global_id", "get_by_global_id", "list_links", "update", "delete")
POINTS = (
    "before call",
    "after call",
    "before merge",
    "within merge",
    "after merge",
    "before turn",
    "within turn",
    "after turn",
    "before commit",
    "after commit",
)


class Fuse:
    """Ends the process at the given passing of its point."""

    def __init__(self, passings: int) -> None:
        self._left = passings

    def burn(self) -> None:
        """One passing."""
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def lay(owner: type, name: str, before: Callable[[], None], after: Callable[[], None]) -> None:
    """Have the method pass both, before it begins and after it is done."""
    method = getattr(owner, name)

    @functools.wraps(method)
    async def later(*args: Any, **named: Any) -> Any:
        before()
        answer = await method(*args, **named)
        after()
        return answer

    @functools.wraps(method)
    def now(*args: Any, **named: Any) -> Any:
        before()
        answer = method(*args, **named)
        after()
        return answer

    setattr(owner, name, later if inspect.iscoroutinefunction(method) else now)


def arm(point: str, passings: int) -> None:
    """Lay the fuse at the point."""
    from aiokafka import AIOKafkaConsumer  # noqa: PLC0415 - nothing is loaded before it is needed

    from bridge.jira.client import JiraClient  # noqa: PLC0415

    moment, what = point.split()
    burn = Fuse(passings).burn
    before, after = (burn, _pass) if moment == "before" else (_pass, burn)
    match what:
        case "call":
            for name in CALLS:
                lay(JiraClient, name, before, after)
        case "commit":
            lay(AIOKafkaConsumer, "commit", before, after)
        case _ if moment == "within":
            _arm_within(what, burn)
        case _:
            for ledger in _ledgers():
                lay(ledger, what, before, after)


def _ledgers() -> list[Any]:
    from bridge.ledger.postgresql import PostgresqlLedger  # noqa: PLC0415
    from bridge.ledger.sqlite_tables import SqliteTables  # noqa: PLC0415

    return [SqliteTables, PostgresqlLedger]


def _arm_within(what: str, burn: Callable[[], None]) -> None:
    """After all statements of that transaction, before it is committed."""
    from bridge.ledger.connections import Connections  # noqa: PLC0415
    from bridge.ledger.sqlite_tables import SqliteTables  # noqa: PLC0415

    under_way: list[bool] = []
    for ledger in _ledgers():
        lay(ledger, what, lambda: under_way.append(True), under_way.clear)
    lay(SqliteTables, "_store", _pass, lambda: burn() if under_way else None)
    transaction: Any = Connections.transaction

    async def burning(self: Connections, body: Callable[[Any], Any]) -> Any:
        async def burnt(connection: Any) -> Any:
            result = await body(connection)
            if under_way:
                burn()
            return result

        return await transaction(self, burnt)

    lay_as: Any = Connections
    lay_as.transaction = burning


def _pass() -> None:
    pass


if __name__ == "__main__":
    from bridge.cli import main

    arm(os.environ["CRASH_POINT"], int(os.environ["CRASH_AFTER"]))
    main()
