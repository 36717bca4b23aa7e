"""Rows and journal entries as columns of a table, the same in every ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from bridge.model import Adoption, Entry, Known, Link, LinkKey, Outcome, Phase, Row, Stray, Version, Wanted

ROW = (
    "issue, version, event, seen, link, known, digest, link_id, phase, not_before, attempts, reason, "
    "stray, site, global_id"
)
"""The columns of a row, in the order of `read_row` and `row_columns`."""


def read_row(columns: Sequence[Any]) -> Row:
    """The row in these columns."""
    (
        issue,
        version,
        event,
        seen,
        link,
        known,
        digest,
        link_id,
        phase,
        not_before,
        attempts,
        reason,
        stray,
        *subject,
    ) = columns
    return Row(
        LinkKey(subject[0], issue, subject[1]),
        read_wanted(version, event, seen, link),
        Known(known),
        digest,
        link_id,
        Phase(phase),
        not_before,
        attempts,
        reason,
        _stray(stray),
    )


def row_columns(row: Row) -> tuple[Any, ...]:
    """The columns of a row."""
    return (
        row.key.issue,
        *wanted_columns(row.wanted),
        row.wanted.link.json_bytes if row.wanted.link else None,
        row.known,
        row.digest,
        row.link_id,
        row.phase,
        row.not_before,
        row.attempts,
        row.reason,
        _stray_column(row.stray),
        row.key.site,
        row.key.global_id,
    )


def _stray(column: str | None) -> Stray | None:
    if column is None:
        return None
    adoption, link_id, digest = orjson.loads(column)
    return Stray(Adoption(adoption), link_id, digest)


def _stray_column(stray: Stray | None) -> str | None:
    return orjson.dumps((stray.adoption, stray.id, stray.digest)).decode() if stray else None


def read_wanted(version: str, event: str, seen: str, link: bytes | None = None) -> Wanted:
    """The wish in these columns."""
    content = Link.model_validate_json(link) if link is not None else None
    return Wanted(Version.parse(version), content, event, frozenset(orjson.loads(seen)))


def wanted_columns(wanted: Wanted) -> tuple[str, str, str]:
    """The columns of a wish, but for its link."""
    return wanted.version.text(), wanted.event, orjson.dumps(sorted(wanted.seen)).decode()


def read_entry(columns: Sequence[Any]) -> Entry:
    """The journal entry in these columns, `event_id` left out."""
    at, event, outcome, reason, site, issue, global_id, detail = columns
    key = None if site is None else LinkKey(site, issue, global_id)
    return Entry(at, event, Outcome(outcome), reason, key, orjson.loads(detail))


def entry_columns(entry: Entry) -> tuple[Any, ...]:
    """The columns of a journal entry."""
    key = entry.key or (None, None, None)
    event_id = entry.event.partition(" ")[2] or entry.event
    return (entry.at, entry.event, event_id, entry.outcome, entry.reason, *key, orjson.dumps(entry.detail))
