"""The command `explain`: what became of one event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

import orjson
import typer

from bridge import errors
from bridge.cli import options
from bridge.cli.app import FAILED, app, err, out
from bridge.errors import BridgeError
from bridge.ledger import open_reader
from bridge.model import Entry, Outcome, Phase, Row
from bridge.settings.sections import Ledger

_WORDS = {
    Outcome.MERGED: "taken in: it is the newest of its subject",
    Outcome.UNCHANGED: "taken in: it is newer, and wants what already stood",
    Outcome.STALE: "left aside: something newer was known already",
    Outcome.DUPLICATE: "left aside: it had been seen before",
    Outcome.SUPERSEDED: "overtaken, before it was written",
    Outcome.SKIPPED: "skipped",
    Outcome.REJECTED: "rejected",
    Outcome.WRITTEN: "written to Jira",
    Outcome.GONE: "deleted from Jira",
    Outcome.DEFERRED: "put off, to be tried again",
    Outcome.REPAIRED: "found in Jira otherwise than it should be, and marked to be repaired",
}

_NO_ISSUE = "it names no issue of a known project, or its object is gone"
_WORDS_OF_NONE = {
    Outcome.MERGED: f"taken in: {_NO_ISSUE}; the object's links are taken off",
    Outcome.UNCHANGED: f"taken in: {_NO_ISSUE}; the object has no links",
}
"""Of a set of no issues."""


@app.command(epilog="Example: `jira-bridge explain 72d3162e-cc78-11e3-81ab-4c9367dc0958`")
def explain(
    event: Annotated[str, typer.Argument(metavar="ID", help="A delivery's id, or an event's.")],
    config: options.Config = None,
    ledger: options.Ledger = None,
    json: options.Json = False,
) -> None:
    """Tell what became of an event, from the ledger's journal."""
    settings = options.settings(config, ledger__url=ledger).ledger
    entries, rows = asyncio.run(_read(settings, event))
    if json:
        print(orjson.dumps([_plain(entry) for entry in entries]).decode())  # noqa: T201 - for a script
    else:
        tell(entries, rows)
    if not entries:
        err.print(f"The journal of {settings.url} has nothing of {event}.", markup=False)
        err.print("It may not have been read yet, or be older than `ledger.journal_days`.")
        raise typer.Exit(FAILED)


async def _read(ledger: Ledger, event: str) -> tuple[list[Entry], list[Row]]:
    """The journal of one event, and the rows that wait for its wish."""
    async with open_reader(ledger.url, ledger.secret) as reader:
        entries = await reader.explain(event)
        events = {entry.event for entry in entries}
        return entries, [row for each in events for row in await reader.waiting(each)]


def tell(entries: Sequence[Entry], rows: Sequence[Row]) -> None:
    """Print the journal in words, equal entries in a row as one, and what is still waited for."""
    for _, group in groupby(entries, key=lambda entry: (entry.outcome, entry.reason, entry.key)):
        *before, last = group
        times = f"  ({len(before) + 1} times)" if before else ""
        out.print(sentence(last) + times, markup=False)
    for row in rows:
        why = f": {row.reason}. {ADVICE.get(row.reason, '')}" if row.reason else " for Jira."
        state = "stands aside" if row.phase is Phase.REJECTED else "waits"
        out.print(f"Now: {row.key.issue} {state}{why}", markup=False)


def sentence(entry: Entry) -> str:
    """One line of the journal in words."""
    when = datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    where = entry.key and (entry.key.issue or entry.detail.get("issues") or "no issue")
    title = f" as “{entry.detail['title']}”" if entry.detail.get("title") else ""
    reason = f" ({entry.reason})" if entry.reason else ""
    is_empty_set = where == "no issue" and entry.detail.get("action") == "set"
    words = {**_WORDS, **_WORDS_OF_NONE} if is_empty_set else _WORDS
    told = [f"{words[entry.outcome]}{title}{reason}."]
    told += [str(text) for text in (entry.detail.get("error"), ADVICE.get(entry.reason or "")) if text]
    what = f"  [{entry.key.global_id}]" if entry.key else ""
    return f"{when}  {where or 'the event'}: {' '.join(told)}{what}"


def _advice(base: type[BridgeError]) -> dict[str, str]:
    found = {base.code: base.advice}
    for kind in base.__subclasses__():
        found |= _advice(kind)
    return found


ADVICE = _advice(errors.BridgeError)
"""What to do, by the code of the error."""


def _plain(entry: Entry) -> dict[str, object]:
    site, issue, global_id = entry.key or (None, None, None)
    at = datetime.fromtimestamp(entry.at, UTC).isoformat(timespec="milliseconds")
    return {
        "at": at,
        "event": entry.event,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "site": site,
        "issue": issue or None,
        "globalId": global_id,
        "detail": dict(entry.detail),
    }
