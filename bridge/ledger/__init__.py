"""Where rows, positions and the journal stand; one file a database, found by the URL's scheme."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from bridge.errors import UsageError
from bridge.ports import Ledger, Reader


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


def open_anew(url: str, password: str | None = None) -> AbstractAsyncContextManager[Ledger]:
    """An empty ledger, which is the one at this URL when the block ends without an error.

    Raises LedgerBusy while a worker has the ledger, and what `open_ledger` does.
    """
    ledger: AbstractAsyncContextManager[Ledger] = _ledger(url).open_anew(url, password)
    return ledger


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
