"""A ledger made anew: an empty one, which takes the place of the one that was there once it is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.ledger import open_ledger
from bridge.ledger.sqlite import ASIDE, SqliteLedger, locked, put_in_place, rebuilt
from bridge.ports import Ledger


@asynccontextmanager
async def ledger_anew(url: str, password: str | None) -> AsyncIterator[Ledger]:
    """An empty ledger, which is the one at `url` when the block ends without an error.

    Of SQLite the file that was there is kept beside it, as PATH.before-rebuild-TIME. In PostgreSQL the
    tables are emptied first, but for the journal; a block that fails leaves what it did. Raises
    LedgerBusy while a worker has the ledger, and what `open_ledger` does.
    """
    if url.startswith("sqlite:"):
        async with _file_anew(Path(url.removeprefix("sqlite:///"))) as ledger:
            yield ledger
        return
    from bridge.ledger.postgresql import PostgresqlLedger  # noqa: PLC0415 - its driver may not be installed

    opened = open_ledger(url, password)
    try:
        if isinstance(opened, PostgresqlLedger):
            await opened.clear()
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def _file_anew(path: Path) -> AsyncIterator[Ledger]:
    new = path.with_name(f"{path.name}.rebuilding")
    with locked(path):
        _drop(new)
        ledger = SqliteLedger(new)
        try:
            yield ledger
        finally:
            await ledger.close()
        _finish(new, path)


def _finish(new: Path, path: Path) -> None:
    Path(f"{new}-lock").unlink()
    new.replace(rebuilt(path))
    put_in_place(path)


def _drop(new: Path) -> None:
    """Drop what a rebuild that was not finished left."""
    for suffix in ("", *ASIDE):
        Path(f"{new}{suffix}").unlink(missing_ok=True)
