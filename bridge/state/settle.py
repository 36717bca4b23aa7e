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
    JiraAnswerLost,
    JiraBadRequest,
    JiraError,
    JiraForeignAnswer,
    JiraNotFound,
    JiraRateLimited,
    JiraRejected,
    JiraUnauthorized,
)
from bridge.model import (
    Adoption,
    Call,
    CallKind,
    Found,
    Known,
    Link,
    Listed,
    Outcome,
    Phase,
    RemoteLink,
    Replaced,
    Row,
    Stray,
    Written,
)
from bridge.ports import Answer
from bridge.state.decide import SENDS, WRITES, phase_of
from bridge.state.leases import ARRIVAL

BACKOFF_BASE = 1.0
BACKOFF_MAX = 30.0
"""Seconds; doubling between the two, as Atlassian advises for retries (rate limiting page)."""
LAG = 1.0
"""Seconds for which Jira Cloud may not show a link that was just created."""
ADOPTED = "adopted"
REPLACED = "replaced"
"""Reasons in the journal: Jira took our globalId for another's link, or did not, and ours replaced it."""

_UPSERTS = {CallKind.CREATE, CallKind.UPDATE}
_TO_A_STRAY = {CallKind.ADOPT, CallKind.DROP}


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
    if isinstance(answer, JiraError) and not _is_settled(call, answer):
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
    if call.kind in _TO_A_STRAY:  # it is gone, or Jira does not let us: either way it is let go of
        return replace(_as_before(row, call), stray=None)
    is_unclear = isinstance(answer, JiraError) and call.before is not Known.UNSEEN
    return _absent(row, Known.MISSING if is_unclear else Known.ABSENT)


def _as_before(row: Row, call: Call) -> Row:
    return replace(row, known=call.before, digest=call.digest, link_id=call.link_id)


def _present(row: Row, digest: str | None, link_id: int) -> Row:
    stray = None if row.stray and row.stray.id == link_id else row.stray
    return replace(row, known=Known.PRESENT, digest=digest, link_id=link_id, stray=stray)


def _absent(row: Row, known: Known) -> Row:
    return replace(row, known=known, digest=None, link_id=None)


def _tangled(row: Row, call: Call, after: Row) -> Row:
    """After two writes under both keys of a moved issue only a look-up that follows them tells."""
    if row.known is Known.TANGLED and call.before is not Known.TANGLED:
        return replace(after, known=Known.TANGLED)
    return after


def _listed(row: Row, call: Call, remotes: tuple[RemoteLink, ...]) -> Row:
    """Ours, or none, and what the list shows of another's that may be adopted."""
    ours = next((remote for remote in remotes if remote.global_id == call.key.global_id), None)
    after = _present(row, ours.link.digest, ours.id) if ours else _absent(row, Known.ABSENT)
    if row.stray is None:
        return after
    if row.stray.adoption in {Adoption.BEGUN, Adoption.LEFT_OVER}:
        return replace(after, stray=_left_over(row.stray, remotes))
    if call.key != row.key and not ours:  # another of the links may seek under its present key
        return after
    return replace(
        after, stray=None if ours or row.wanted.link is None else _candidate(row.wanted.link, remotes)
    )


def _candidate(link: Link, remotes: Iterable[RemoteLink]) -> Stray | None:
    """The only link that points where ours should, made without a globalId."""
    url = link.object.url
    found = [remote.id for remote in remotes if remote.global_id is None and remote.link.object.url == url]
    return Stray(Adoption.FOUND, found[0]) if len(found) == 1 else None


def _left_over(stray: Stray, remotes: Iterable[RemoteLink]) -> Stray | None:
    """The stray, if it took what it was sent but for the globalId; else it is not ours to delete."""
    for remote in remotes:
        if remote.id == stray.id and remote.global_id is None and remote.link.digest == stray.digest:
            return replace(stray, adoption=Adoption.LEFT_OVER)
    return None


def rejects(call: Call, answer: Answer) -> bool:
    """Whether `answer` says that asking again for the same would fail again.

    A blank 400 is given one more try, since two first writes of one globalId that collide are
    answered so.
    """
    if isinstance(answer, JiraError) and _is_settled(call, answer):
        return False
    if isinstance(answer, JiraBadRequest) and answer.is_blank and call.kind in SENDS:
        return call.reason == answer.code
    return isinstance(answer, JiraRejected)


def _told(row: Row, call: Call, answer: Answer, now: float, jitter: float) -> Settlement:
    after = _tangled(row, call, _stands(row, call, answer))
    after = replace(after, phase=phase_of(after))
    if after.phase is Phase.SETTLED:
        after = replace(after, attempts=0, reason=None, not_before=0.0)
    elif call.kind is CallKind.LIST and after.wanted.link is None:
        # 404 to the delete, and the list shows the link: Jira's answers disagree for a while.
        after = _put_off(after, now, jitter)
    return Settlement(after, _outcome(after, call), _reason(row, call, answer))


def _reason(row: Row, call: Call, answer: Answer) -> str | None:
    if isinstance(answer, Found) and row.stray and row.stray.id == answer.remote.id:
        return ADOPTED
    if call.kind is not CallKind.DROP:
        return None
    return answer.code if isinstance(answer, JiraError) else REPLACED


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
    after = replace(_tangled(row, call, _known_after(row, call, error)), reason=error.code)
    after = replace(after, phase=phase_of(after))
    if rejects(call, error):
        if row.wanted.version == call.version:
            after = replace(after, phase=Phase.REJECTED)
        else:  # a newer wish waits, and deserves a try of its own
            after = replace(after, reason=None, attempts=0, not_before=0.0)
        return Settlement(after, Outcome.REJECTED, error.code)
    if isinstance(error, JiraUnauthorized | JiraRateLimited):
        # The site, the method or the issue waits as a whole: the schedule holds the row.
        return Settlement(after, Outcome.DEFERRED, error.code)
    after = _put_off(after, now, jitter, max(_least_wait(call, error), error.retry_after or 0.0))
    return Settlement(after, Outcome.DEFERRED, error.code)


def _least_wait(call: Call, error: JiraError) -> float:
    """Seconds before a look-up tells what became of the call: Jira may still be about to do it."""
    if call.kind in WRITES and isinstance(error, JiraAnswerLost | JiraForeignAnswer):
        return ARRIVAL
    return LAG if call.kind is CallKind.CREATE else 0.0


def _known_after(row: Row, call: Call, error: JiraError) -> Row:
    """What was known before the call, unless the call or the news in its failure undid that."""
    is_lost = error.applied is Applied.MAYBE or (isinstance(error, JiraBadRequest) and error.is_blank)
    is_hidden = isinstance(error, JiraNotFound) and call.before is Known.PRESENT
    if call.kind in WRITES and (is_lost or is_hidden):
        return replace(row, known=Known.UNSURE)
    before = _as_before(row, call)
    return replace(before, stray=_found_again(row, call)) if call.kind is CallKind.ADOPT else before


def _found_again(row: Row, call: Call) -> Stray | None:
    """The candidate of an adoption that did not happen, if it is one for the URL that is wanted now."""
    if row.wanted.link is None or call.link is None:
        return None
    is_same = row.wanted.link.object.url == call.link.object.url
    return Stray(Adoption.FOUND, call.stray) if is_same else Stray(Adoption.SOUGHT)


def _is_settled(call: Call, error: JiraError) -> bool:
    """Whether the error settles the call: a 404 to a link's own address, or a stray that is not for us.

    To any other address a 404 can only mean the issue.
    """
    if call.kind in _TO_A_STRAY:
        return isinstance(error, JiraRejected)
    return isinstance(error, JiraNotFound) and call.kind in {CallKind.DELETE, CallKind.LOOK_UP}
