"""Where rows, positions and the journal stand; one file a database, found by the URL's scheme."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Protocol

from bridge.errors import UsageError
from bridge.model import Entry, LinkKey, Row
from bridge.ports import Ledger


class Reader(Protocol):
    """What a ledger tells one who only looks, beside workers that may be writing."""

    async def explain(self, event: str) -> list[Entry]:
        """See `bridge.ports.Ledger`."""
        ...

    async def waiting(self, event: str) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        ...

    async def page(self, site: str, after: str, most: int) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        ...

    async def find(self, keys: Sequence[LinkKey]) -> list[Row]:
        """See `bridge.ports.Ledger`."""
        ...


def open_ledger(url: str, password: str | None = None) -> Ledger:
    """The ledger at this URL.

    Raises UsageError for a scheme without a ledger; SQLite's raises LedgerBusy, LedgerFormat,
    LedgerCorrupt and LedgerUnavailable too. PostgreSQL's connects only when it is asked something.
    """
    ledger: Ledger = _ledger(url).open_ledger(url, password)
    return ledger


def open_reader(url: str, password: str | None = None) -> AbstractAsyncContextManager[Reader]:
    """The ledger at this URL for one who only looks. Raises UsageError where there is none."""
    reader: AbstractAsyncContextManager[Reader] = _ledger(url).open_reader(url, password)
    return reader


def _ledger(url: str) -> ModuleType:
    scheme = url.partition(":")[0]
    name = f"{__name__}.{scheme}"
    if scheme.isalpha() and find_spec(name):
        module = import_module(name)
        if hasattr(module, "open_ledger"):
            return module
    raise UsageError(
        f"{scheme}: there is no ledger of that scheme; expected sqlite:///PATH or postgresql://…"
    )
