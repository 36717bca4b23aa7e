"""A ledger made anew: an empty one, which takes the place of the one that was there once it is whole."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path

from bridge.ledger import open_ledger
from bridge.ledger.sqlite import SqliteLedger, locked
from bridge.ports import Ledger

_ASIDE = ("-wal", "-shm")


@asynccontextmanager
async def ledger_anew(url: str, password: str | None, now: datetime) -> AsyncIterator[Ledger]:
    """An empty ledger, which is the one at `url` when the block ends without an error.

    Of SQLite the file that was there is kept beside it, as PATH.before-rebuild-TIME. In PostgreSQL the
    tables are emptied first, but for the journal; a block that fails leaves what it did. Raises
    LedgerBusy while a worker has the ledger, and what `open_ledger` does.
    """
    if url.startswith("sqlite:"):
        async with _file_anew(Path(url.removeprefix("sqlite:///")), now) as ledger:
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
async def _file_anew(path: Path, now: datetime) -> AsyncIterator[Ledger]:
    new = path.with_name(f"{path.name}.rebuilding")
    with locked(path):
        _drop(new)
        ledger = SqliteLedger(new)
        try:
            yield ledger
        finally:
            await ledger.close()
        _put_in_place(new, path, now)


def _drop(new: Path) -> None:
    """Drop what a rebuild that was not finished left."""
    for suffix in ("", *_ASIDE):
        Path(f"{new}{suffix}").unlink(missing_ok=True)


def _put_in_place(new: Path, path: Path, now: datetime) -> None:
    """Let the new file be the ledger; the file that was is there until then, and after under another name."""
    if path.exists():
        _keep(path, path.with_name(f"{path.name}.before-rebuild-{now:%Y%m%dT%H%M%SZ}"))
    new.replace(path)
    Path(f"{new}-lock").unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _keep(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except OSError:  # no hard links here
        path.rename(kept)
    for suffix in _ASIDE:  # a new file must not meet them
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
