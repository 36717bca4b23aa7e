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
    Row,
    Written,
)
from bridge.ports import Answer
from bridge.state.decide import WRITES, phase_of

BACKOFF_BASE = 1.0
BACKOFF_MAX = 30.0
"""Seconds; doubling between the two, as Atlassian advises for retries (rate limiting page)."""

_UPSERTS = {CallKind.CREATE, CallKind.UPDATE}


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
    return _told(row, call, _stands(call, answer), now, jitter)


def _stands(call: Call, answer: Answer) -> tuple[Known, str | None, int | None]:
    """What Jira holds by this answer: known, digest, link id."""
    match answer:
        case Written(link_id=link_id):
            return Known.PRESENT, call.link.digest if call.link else None, link_id
        case Found(remote=remote):
            return Known.PRESENT, remote.link.digest, remote.id
        case Listed(remotes=remotes):
            ours = _ours(remotes, call.key.global_id)
            return (Known.PRESENT, ours.link.digest, ours.id) if ours else (Known.ABSENT, None, None)
        case JiraError() if call.before is not Known.UNSEEN:
            return Known.MISSING, None, None
        case _:
            return Known.ABSENT, None, None


def rejects(row_reason: str | None, call: Call, answer: Answer) -> bool:
    """Whether `answer` says that asking again for the same would fail again.

    `row_reason` is the row's standing reason: a blank 400 is given one more try, since two
    first writes of one globalId that collide are answered so.
    """
    if isinstance(answer, JiraError) and _is_link_gone(call, answer):
        return False
    if isinstance(answer, JiraBadRequest) and answer.is_blank and call.kind in _UPSERTS:
        return row_reason == answer.code
    return isinstance(answer, JiraRejected)


def _told(
    row: Row, call: Call, stands: tuple[Known, str | None, int | None], now: float, jitter: float
) -> Settlement:
    known, digest, link_id = stands
    after = replace(row, known=known, digest=digest, link_id=link_id)
    after = replace(after, phase=phase_of(after))
    if after.phase is Phase.SETTLED:
        after = replace(after, attempts=0, reason=None, not_before=0.0)
    elif call.kind is CallKind.LIST:
        # 404 to the delete, and the list shows the link: Jira's answers disagree for a while.
        after = _put_off(after, now, jitter)
    return Settlement(after, _outcome(after, call))


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
            after = replace(after, phase=Phase.REJECTED)
        else:  # a newer wish waits, and deserves a try of its own
            after = replace(after, reason=None, attempts=0, not_before=0.0)
        return Settlement(after, Outcome.REJECTED, error.code)
    if isinstance(error, JiraUnauthorized | JiraRateLimited):
        # The site, the method or the issue waits as a whole: the schedule holds the row.
        return Settlement(after, Outcome.DEFERRED, error.code)
    return Settlement(_put_off(after, now, jitter, error.retry_after or 0.0), Outcome.DEFERRED, error.code)


def _known_after(row: Row, call: Call, error: JiraError) -> Row:
    """What was known before the call, unless the call or the news in its failure undid that."""
    is_lost = error.applied is Applied.MAYBE or (isinstance(error, JiraBadRequest) and error.is_blank)
    is_hidden = isinstance(error, JiraNotFound) and call.before is Known.PRESENT
    if call.kind in WRITES and (is_lost or is_hidden):
        return replace(row, known=Known.UNSURE)
    return replace(row, known=call.before, digest=call.digest, link_id=call.link_id)


def _is_link_gone(call: Call, error: JiraError) -> bool:
    """Whether a 404 was to a link's own address; to any other it can only mean the issue."""
    return isinstance(error, JiraNotFound) and call.kind in {CallKind.DELETE, CallKind.LOOK_UP}


def _ours(remotes: Iterable[RemoteLink], global_id: str) -> RemoteLink | None:
    return next((remote for remote in remotes if remote.global_id == global_id), None)
