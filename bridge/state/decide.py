"""Deciding: the next call to Jira for one row, or none.

| wanted    | unseen | absent | present, equal | present, other | unsure  | missing |
|-----------|--------|--------|----------------|----------------|---------|---------|
| a link    | create | create | nothing        | update         | look up | create  |
| tombstone | delete | nothing| delete         | delete         | look up | list    |

`missing` is Jira's 404 to the link's own address: it names neither the link nor the issue, so
that only a list of the issue's links tells whether the delete is done or the issue is hidden.
"""

from __future__ import annotations

from typing import Final

from bridge.model import Call, CallKind, Known, Phase, Row

_LINK: Final = {
    Known.UNSEEN: CallKind.CREATE,
    Known.ABSENT: CallKind.CREATE,
    Known.MISSING: CallKind.CREATE,
    Known.PRESENT: CallKind.UPDATE,
    Known.UNSURE: CallKind.LOOK_UP,
}
_TOMBSTONE: Final = {
    Known.UNSEEN: CallKind.DELETE,
    Known.PRESENT: CallKind.DELETE,
    Known.UNSURE: CallKind.LOOK_UP,
    Known.MISSING: CallKind.LIST,
}

WRITES: Final = frozenset((CallKind.CREATE, CallKind.UPDATE, CallKind.DELETE))
"""Calls that change Jira; before one leaves, its row says unsure."""


def decide(row: Row) -> CallKind | None:
    """The call that brings Jira nearer to what is wanted; None when it is there."""
    link = row.wanted.link
    if link is None:
        return _TOMBSTONE.get(row.known)
    if row.known is Known.PRESENT and row.digest == link.digest:
        return None
    return _LINK[row.known]


def phase_of(row: Row) -> Phase:
    """PENDING while a call is due, else SETTLED."""
    return Phase.SETTLED if decide(row) is None else Phase.PENDING


def call_for(row: Row) -> Call | None:
    """The call for `row`, with all that settling its answer needs."""
    kind = decide(row)
    if kind is None or row.phase is not Phase.PENDING:
        return None
    link = row.wanted.link if kind in {CallKind.CREATE, CallKind.UPDATE} else None
    return Call(kind, row.key, link, row.wanted.event, row.wanted.version, row.known, row.digest, row.link_id)
