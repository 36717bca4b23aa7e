"""Deciding: the next call to Jira for one row, or none.

| wanted    | unseen | absent | present, equal | present, other | unsure  | missing |
|-----------|--------|--------|----------------|----------------|---------|---------|
| a link    | create | create | nothing        | update         | look up | create  |
| tombstone | look up| nothing| delete         | delete         | look up | list    |

`missing` is Jira's 404 to the link's own address: it names neither the link nor the issue, so
that only a list of the issue's links tells whether the delete is done or the issue is hidden.

`tangled` is as `unsure`: both are asked when no write of the subject is under way. A link that
was never seen is looked up before it is deleted: it may be one that stands under the present
key of a moved issue.

Where others' links are adopted, a list comes before a create. If it shows just one link to our
URL without a globalId, that stray is adopted: given our globalId and content by its id. This
leaves the row unsure; the look-up that follows reads back whether Jira took the globalId. If it
did not, ours is created. When nothing else is due, one more list shows what became of the stray:
if it has what it was sent, and still no globalId, it is dropped.
"""

from __future__ import annotations

from typing import Final

from bridge.model import Adoption, Call, CallKind, Known, Phase, Row

_LINK: Final = {
    Known.UNSEEN: CallKind.CREATE,
    Known.ABSENT: CallKind.CREATE,
    Known.MISSING: CallKind.CREATE,
    Known.PRESENT: CallKind.UPDATE,
    Known.UNSURE: CallKind.LOOK_UP,
    Known.TANGLED: CallKind.LOOK_UP,
}
_TOMBSTONE: Final = {
    Known.UNSEEN: CallKind.LOOK_UP,
    Known.PRESENT: CallKind.DELETE,
    Known.UNSURE: CallKind.LOOK_UP,
    Known.TANGLED: CallKind.LOOK_UP,
    Known.MISSING: CallKind.LIST,
}
_INSTEAD: Final = {
    (CallKind.CREATE, Adoption.SOUGHT): CallKind.LIST,
    (CallKind.CREATE, Adoption.FOUND): CallKind.ADOPT,
    (None, Adoption.BEGUN): CallKind.LIST,
    (None, Adoption.LEFT_OVER): CallKind.DROP,
}
"""Where an adoption stands, what is done in place of a create or of nothing."""

SENDS: Final = frozenset((CallKind.CREATE, CallKind.UPDATE, CallKind.ADOPT))
"""Calls that send what is wanted."""
DELETES: Final = frozenset((CallKind.DELETE, CallKind.DROP))
"""Calls that take a link away."""
WRITES: Final = SENDS | DELETES
"""Calls that change Jira; before one leaves, its row says unsure."""


DOUBTFUL: Final = frozenset((Known.UNSURE, Known.TANGLED))
"""Of these only a look-up tells: a request may be under way, or its answer was lost."""


def decide(row: Row) -> CallKind | None:
    """The call that brings Jira nearer to what is wanted; None when it is there."""
    link = row.wanted.link
    if link is None:
        kind = _TOMBSTONE.get(row.known)
    elif row.known is Known.PRESENT and row.digest == link.digest:
        kind = None
    else:
        kind = _LINK[row.known]
    return _INSTEAD.get((kind, row.stray.adoption), kind) if row.stray else kind


def phase_of(row: Row) -> Phase:
    """PENDING while a call is due, else SETTLED."""
    return Phase.SETTLED if decide(row) is None else Phase.PENDING


def call_for(row: Row) -> Call | None:
    """The call for `row`, with all that settling its answer needs."""
    kind = decide(row)
    if kind is None or row.phase is not Phase.PENDING:
        return None
    return Call(
        kind,
        row.key,
        row.wanted.link,
        row.wanted.event,
        row.wanted.version,
        row.known,
        row.digest,
        row.link_id,
        row.stray.id if row.stray else None,
        row.attempts,
        row.reason,
    )
