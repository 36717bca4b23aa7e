"""Merging: what a change does to the rows of its subject.

The rules, in the order in which they apply to each link that a change touches:

1. A link without a row is, since the subject's last set, wanted to be nothing: the set's
   version stands for it. So a change older than the set is stale even for an issue that it
   alone names, and one special case less needs a test.
2. The very version that stands, or an event already seen at the version's instant, is a
   duplicate. Ids are kept for that instant only: before it everything is stale, after it
   everything is news.
3. A lesser version is stale; its id is remembered when it is of the same instant, so that a
   redelivery with a later offset does not turn it into news.
4. Anything else is news: the row wants it now. A delete is kept as a tombstone.

A `set` touches every row of its subject and every issue that it names; a per-issue change
touches one link. The set's version is kept for the subject, for an empty set too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from bridge.model import Action, Adoption, Change, Known, LinkKey, Outcome, Phase, Row, Stray, Subject, Wanted
from bridge.state.decide import DOUBTFUL, phase_of

MAX_SEEN = 1_000
"""Ids kept for one instant: bounds a row when a producer gives all its events one time."""
_STEPS = list(Adoption)


@dataclass(frozen=True, slots=True)
class SubjectRows:
    """All that the ledger holds of one subject: its last set, and its rows by issue."""

    subject: Subject
    last_set: Wanted | None = None
    rows: Mapping[str, Row] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Merge:
    """What a change came to. `changed` are the rows to store; `superseded` the events that lost."""

    after: SubjectRows
    outcome: Outcome
    changed: tuple[Row, ...] = ()
    superseded: tuple[tuple[str, LinkKey], ...] = ()


class _Verdict(Enum):
    NEWS = Outcome.MERGED
    STALE = Outcome.STALE
    DUPLICATE = Outcome.DUPLICATE


def merge(before: SubjectRows, change: Change) -> Merge:
    """Merge one change into its subject's rows."""
    if change.action is not Action.SET:
        return _merge_rows(before, change, change.issues)
    verdict = _judge(before.last_set, change)
    after = replace(before, last_set=_base(before.last_set, change, verdict))
    if verdict is not _Verdict.NEWS:
        retried = [row for row in before.rows.values() if _is_retry(row, change)]
        return _retry(after, retried) if retried else Merge(after, verdict.value)
    return _merge_rows(after, change, sorted({*before.rows, *change.issues}), base=before.last_set)


def _merge_rows(
    state: SubjectRows, change: Change, issues: Iterable[str], base: Wanted | None = None
) -> Merge:
    """`base` is what an issue without a row had before the change."""
    if change.action is not Action.SET:
        base = state.last_set
    changed, superseded, outcomes = [], [], set[Outcome]()
    for issue in issues:
        row = state.rows.get(issue)
        after, outcome = _merge_row(
            LinkKey(change.subject.site, issue, change.subject.global_id), row, base, change
        )
        outcomes.add(outcome)
        if after is not None and after != row:
            changed.append(after)
            if row is not None and row.phase is Phase.PENDING and after.wanted.event != row.wanted.event:
                superseded.append((row.wanted.event, row.key))
    rows = {**state.rows, **{row.key.issue: row for row in changed}}
    return Merge(replace(state, rows=rows), _overall(outcomes), tuple(changed), tuple(superseded))


def _merge_row(
    key: LinkKey, row: Row | None, base: Wanted | None, change: Change
) -> tuple[Row | None, Outcome]:
    standing = row.wanted if row else base
    verdict = _judge(standing, change)
    if row and verdict is _Verdict.DUPLICATE and _is_retry(row, change):
        return _again(row), Outcome.MERGED
    link = change.link if key.issue in change.issues else None
    if verdict is _Verdict.NEWS:
        wanted = Wanted(change.version, link, change.event, _seen(standing, change))
        return _want(row or Row(key, wanted, change.known), wanted, is_new=row is None, adopts=change.adopts)
    if standing is None or (seen := _seen(standing, change)) == standing.seen:
        return row, verdict.value
    remembered = row or Row(key, standing, Known.ABSENT, phase=Phase.SETTLED)  # rule 1's row, written out
    return replace(remembered, wanted=replace(standing, seen=seen)), verdict.value


def _want(row: Row, wanted: Wanted, *, is_new: bool, adopts: bool) -> tuple[Row, Outcome]:
    row = replace(row, stray=_stray(row, wanted, adopts=adopts))
    same = not is_new and _digest(row.wanted) == _digest(wanted)
    fresh = row.phase is Phase.REJECTED
    after = replace(
        row,
        wanted=wanted,
        reason=None if fresh else row.reason,
        attempts=0 if fresh else row.attempts,
        not_before=0.0 if fresh else row.not_before,
    )
    return replace(after, phase=phase_of(after)), Outcome.UNCHANGED if same else Outcome.MERGED


def _stray(row: Row, wanted: Wanted, *, adopts: bool) -> Stray | None:
    """An adoption that has begun goes on; before that a candidate is one for its URL only."""
    stray, link = row.stray, wanted.link
    if stray and stray.adoption in {Adoption.BEGUN, Adoption.LEFT_OVER}:
        return stray
    if not adopts or link is None:
        return None
    before = row.wanted.link
    is_same = before is not None and before.object.url == link.object.url
    return stray if stray and is_same else Stray(Adoption.SOUGHT)


def _judge(standing: Wanted | None, change: Change) -> _Verdict:
    if standing is None:
        return _Verdict.NEWS
    same_instant = change.version.instant == standing.version.instant
    if change.version == standing.version or (same_instant and change.event in standing.seen):
        return _Verdict.DUPLICATE
    return _Verdict.STALE if change.version < standing.version else _Verdict.NEWS


def _seen(standing: Wanted | None, change: Change) -> frozenset[str]:
    """The ids to remember: of the later instant, both events' when it is the same one."""
    if standing is None or change.version.instant > standing.version.instant:
        return frozenset((change.event,))
    if change.version.instant < standing.version.instant or len(standing.seen) >= MAX_SEEN:
        return standing.seen
    return standing.seen | {change.event}


def _base(last_set: Wanted | None, change: Change, verdict: _Verdict) -> Wanted:
    seen = _seen(last_set, change)
    if last_set is None or verdict is _Verdict.NEWS:
        return Wanted(change.version, None, change.event, seen)
    return replace(last_set, seen=seen)


def _is_retry(row: Row, change: Change) -> bool:
    """Whether a duplicate asks again for what Jira had refused: its cause may be mended."""
    return row.phase is Phase.REJECTED and row.wanted.event == change.event


def _again(row: Row) -> Row:
    after = replace(row, attempts=0, not_before=0.0, reason=None)
    return replace(after, phase=phase_of(after))


def _retry(state: SubjectRows, rows: Iterable[Row]) -> Merge:
    again = tuple(_again(row) for row in rows)
    return Merge(
        replace(state, rows={**state.rows, **{r.key.issue: r for r in again}}), Outcome.MERGED, again
    )


def _digest(wanted: Wanted) -> str | None:
    return wanted.link.digest if wanted.link else None


def _overall(outcomes: set[Outcome]) -> Outcome:
    """A change of several rows is told by its most telling one; of none it changed nothing."""
    order = (Outcome.MERGED, Outcome.UNCHANGED, Outcome.STALE, Outcome.DUPLICATE)
    return next((o for o in order if o in outcomes), Outcome.UNCHANGED)


def join(standing: Row, other: Row) -> Row:
    """One row of two whose keys name the same link: the issue was moved.

    The later wish wins, under `standing`'s key and with what is known of it. Nothing is
    deleted in Jira for the key that goes.
    """
    # A set that names the issue by one key wants no link under the other.
    wanted = max(standing.wanted, other.wanted, key=lambda wanted: (wanted.version, wanted.link is not None))
    if standing.wanted.version.instant == other.wanted.version.instant:
        wanted = replace(wanted, seen=standing.wanted.seen | other.wanted.seen)
    strays = [each for each in (standing.stray, other.stray) if each and each.id != (standing.link_id or 0)]
    joined = replace(
        standing,
        wanted=wanted,
        known=Known.TANGLED if {standing.known, other.known} & DOUBTFUL else standing.known,
        not_before=max(standing.not_before, other.not_before),
        stray=max(strays, key=lambda stray: _STEPS.index(stray.adoption), default=None),
    )
    return replace(joined, phase=phase_of(joined))
