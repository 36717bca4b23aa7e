"""Settling: what Jira's answer to a call means for its row.

The row may want something newer by now; the answer tells only what Jira holds. What was known
before the call is restored when it surely had no effect; otherwise the row stays unsure and
is looked up before anything else is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.errors import (
    Applied,
    JiraBadRequest,
    JiraError,
    JiraNotFound,
    JiraRateLimited,
    JiraRejected,
    JiraUnauthorized,
)
from bridge.model import (
    Call,
    CallKind,
    Found,
    Known,
    Listed,
    Outcome,
    Phase,
    RemoteLink,
    Replaced,
    Row,
    Written,
)
from bridge.ports import Answer
from bridge.state.decide import SENDS, WRITES, phase_of

BACKOFF_BASE = 1.0
BACKOFF_MAX = 30.0
"""Seconds; doubling between the two, as Atlassian advises for retries (rate limiting page)."""
LAG = 1.0
"""Seconds for which Jira Cloud may not show a link that was just created."""
ADOPTED = "adopted"
REPLACED = "replaced"
"""Reasons in the journal: Jira took our globalId for another's link, or did not, and ours replaced it."""

_UPSERTS = {CallKind.CREATE, CallKind.UPDATE}
_TO_A_LINK = {CallKind.DELETE, CallKind.LOOK_UP, CallKind.ADOPT, CallKind.DROP}


@dataclass(frozen=True, slots=True)
class Settlement:
    """The row after the answer, and what to tell of it; no outcome when another call follows."""

    row: Row
    outcome: Outcome | None
    reason: str | None = None


def settle(row: Row, call: Call, answer: Answer, now: float, jitter: float) -> Settlement:
    """Take in the answer to `call`.

    Args:
        row: the row as it stands, marked unsure when the call left.
        call: what was asked.
        answer: what came back.
        now: seconds since the epoch.
        jitter: a factor, 0.7 to 1.3, for the wait before the next attempt.
    """
    if isinstance(answer, JiraError) and not _is_link_gone(call, answer):
        return _failed(row, call, answer, now, jitter)
    return _told(row, call, answer, now, jitter)


def _stands(row: Row, call: Call, answer: Answer) -> Row:
    """The row with what Jira holds by this answer."""
    match answer:
        case Written(link_id=link_id):
            return _present(row, call.link.digest if call.link else None, link_id)
        case Found(remote=remote):
            return _present(row, remote.link.digest, remote.id)
        case Listed(remotes=remotes):
            return _listed(row, call, remotes)
        case Replaced():
            return replace(row, known=Known.UNSURE)
        case _:
            return _gone(row, call, answer)


def _gone(row: Row, call: Call, answer: Answer) -> Row:
    """The row after a delete that was done, or a 404 to a link's own address."""
    if call.kind is CallKind.DROP:
        return replace(row, known=call.before, digest=call.digest, link_id=call.link_id, stray=None)
    if call.kind is CallKind.ADOPT:  # somebody else has deleted it
        return _absent(row, call.before, stray=None)
    is_unclear = isinstance(answer, JiraError) and call.before is not Known.UNSEEN
    return _absent(row, Known.MISSING if is_unclear else Known.ABSENT, row.stray)


def _present(row: Row, digest: str | None, link_id: int) -> Row:
    stray = None if row.stray == link_id else row.stray
    return replace(row, known=Known.PRESENT, digest=digest, link_id=link_id, stray=stray)


def _absent(row: Row, known: Known, stray: int | None) -> Row:
    return replace(row, known=known, digest=None, link_id=None, stray=stray)


def _listed(row: Row, call: Call, remotes: Iterable[RemoteLink]) -> Row:
    """Ours, or none; where others' links are adopted, the only one that points where ours should."""
    ours = [remote for remote in remotes if remote.global_id == call.key.global_id]
    if ours:
        return _present(row, ours[0].link.digest, ours[0].id)
    if not row.adopts or row.wanted.link is None:
        return _absent(row, Known.ABSENT, row.stray)
    url = row.wanted.link.object.url
    strays = [remote.id for remote in remotes if remote.global_id is None and remote.link.object.url == url]
    is_clear = len(strays) == 1
    return replace(_absent(row, Known.ABSENT, strays[0] if is_clear else None), adopts=is_clear)


def rejects(row_reason: str | None, call: Call, answer: Answer) -> bool:
    """Whether `answer` says that asking again for the same would fail again.

    `row_reason` is the row's standing reason: a blank 400 is given one more try, since two
    first writes of one globalId that collide are answered so.
    """
    if isinstance(answer, JiraError) and _is_link_gone(call, answer):
        return False
    if isinstance(answer, JiraBadRequest) and answer.is_blank and call.kind in SENDS:
        return row_reason == answer.code
    return isinstance(answer, JiraRejected)


def _told(row: Row, call: Call, answer: Answer, now: float, jitter: float) -> Settlement:
    after = _stands(row, call, answer)
    after = replace(after, phase=phase_of(after))
    if after.phase is Phase.SETTLED:
        after = replace(after, attempts=0, reason=None, not_before=0.0)
    elif call.kind is CallKind.LIST and after.wanted.link is None:
        # 404 to the delete, and the list shows the link: Jira's answers disagree for a while.
        after = _put_off(after, now, jitter)
    is_adopted = isinstance(answer, Found) and row.stray == answer.remote.id
    reason = ADOPTED if is_adopted else REPLACED if call.kind is CallKind.DROP else None
    return Settlement(after, _outcome(after, call), reason)


def _put_off(row: Row, now: float, jitter: float, least: float = 0.0) -> Row:
    wait = min(BACKOFF_MAX, BACKOFF_BASE * 2.0 ** min(row.attempts, 10)) * jitter
    return replace(row, attempts=row.attempts + 1, not_before=now + max(wait, least))


def _outcome(after: Row, call: Call) -> Outcome | None:
    if call.kind in _UPSERTS:
        return Outcome.WRITTEN
    if call.kind is CallKind.DELETE and after.known is Known.ABSENT:
        return Outcome.GONE
    if after.phase is Phase.PENDING:
        return None
    return Outcome.WRITTEN if after.wanted.link else Outcome.GONE


def _failed(row: Row, call: Call, error: JiraError, now: float, jitter: float) -> Settlement:
    after = replace(_known_after(row, call, error), reason=error.code)
    after = replace(after, phase=phase_of(after))
    if rejects(row.reason, call, error):
        if row.wanted.version == call.version:
            after = replace(after, phase=Phase.REJECTED, stray=None)
        else:  # a newer wish waits, and deserves a try of its own
            after = replace(after, reason=None, attempts=0, not_before=0.0)
        return Settlement(after, Outcome.REJECTED, error.code)
    if isinstance(error, JiraUnauthorized | JiraRateLimited):
        # The site, the method or the issue waits as a whole: the schedule holds the row.
        return Settlement(after, Outcome.DEFERRED, error.code)
    least = LAG if call.kind is CallKind.CREATE and after.known is Known.UNSURE else 0.0
    after = _put_off(after, now, jitter, max(least, error.retry_after or 0.0))
    return Settlement(after, Outcome.DEFERRED, error.code)


def _known_after(row: Row, call: Call, error: JiraError) -> Row:
    """What was known before the call, unless the call or the news in its failure undid that."""
    is_lost = error.applied is Applied.MAYBE or (isinstance(error, JiraBadRequest) and error.is_blank)
    is_hidden = isinstance(error, JiraNotFound) and call.before is Known.PRESENT
    if call.kind in WRITES and (is_lost or is_hidden):
        return replace(row, known=Known.UNSURE)
    before = replace(row, known=call.before, digest=call.digest, link_id=call.link_id)
    if call.kind is not CallKind.ADOPT:
        return before
    return replace(before, adopts=True, stray=call.stray if row.wanted.link else None)


def _is_link_gone(call: Call, error: JiraError) -> bool:
    """Whether a 404 was to a link's own address; to any other it can only mean the issue."""
    return isinstance(error, JiraNotFound) and call.kind in _TO_A_LINK
