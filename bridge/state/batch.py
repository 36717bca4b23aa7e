"""One transaction in the making: merges, settlements, starts and repairs over the same loaded rows.

A ledger loads the subjects that a batch names, hands them in, and stores what comes out. A
moved issue is one issue under two keys: once Jira has told, both keys lead to one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bridge.errors import JiraError, LeaseLost
from bridge.model import (
    Adoption,
    Call,
    CallKind,
    Change,
    Entry,
    Found,
    Known,
    LinkKey,
    Listed,
    Outcome,
    Phase,
    Row,
    Stray,
    Subject,
    Wanted,
    Written,
)
from bridge.ports import Answer, Item, Repair, Settled
from bridge.state.decide import WRITES, call_for, phase_of
from bridge.state.leases import ARRIVAL
from bridge.state.merge import SubjectRows, join, merge
from bridge.state.settle import settle

_TELLING = (Outcome.MERGED, Outcome.UNCHANGED, Outcome.STALE, Outcome.DUPLICATE)


@dataclass(slots=True)
class Batch:
    """What is loaded, and what is to be stored when the transaction commits.

    `moved` maps (site, old key) to the key that Jira gives the issue now, for all that is
    known; `moves` holds those learnt in this batch.
    """

    subjects: dict[Subject, SubjectRows]
    moved: Mapping[tuple[str, str], str]
    now: float
    changed: dict[LinkKey, Row] = field(default_factory=dict)
    removed: set[LinkKey] = field(default_factory=set)
    sets: dict[Subject, Wanted] = field(default_factory=dict)
    moves: dict[tuple[str, str], str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Bring rows that stand under the former key of a moved issue to its present one."""
        for subject in list(self.subjects):
            self._rekey(subject)

    def merge(self, items: Iterable[Item]) -> tuple[Outcome, ...]:
        """Merge the items in order; an outcome for each."""
        return tuple(self._merge_item(item) for item in items)

    def settle(self, settled: Iterable[Settled]) -> None:
        """Take in answers."""
        for one in settled:
            self._settle(one)

    def start(self, reserved: Mapping[LinkKey, CallKind]) -> list[Call]:
        """The calls that the rows want next; the row of each that writes is marked unsure.

        A row that by now wants another call than was reserved for it waits for its own turn, and
        so does one that stands under another key.
        """
        calls = []
        for key, kind in reserved.items():
            row = self.row(key)
            call = call_for(row) if row and row.key == key else None
            if row and call and call.kind is kind:
                calls.append(call)
                if kind in WRITES:
                    self._put(_marked(row, call))
        return calls

    def doubt(self, keys: Iterable[LinkKey]) -> None:
        """Of these links no answer tells what Jira holds; a look-up does, once all requests have arrived."""
        for key in keys:
            if row := self.row(key):
                due = _due(replace(row, known=Known.TANGLED))
                self._put(replace(due, not_before=max(row.not_before, self.now + ARRIVAL)))
                self.entries.append(
                    Entry(self.now, row.wanted.event, Outcome.DEFERRED, LeaseLost.code, row.key)
                )

    def repair(self, repairs: Iterable[Repair]) -> int:
        """Mark the rows anew that still stand as they were compared; how many did."""
        done = 0
        for one in repairs:
            if one.before is None and self._stands_elsewhere(one.after):
                self._join_same_link(one.after.key, one.after.link_id or 0)
            elif self.row(one.after.key) == one.before:
                row = one.after if one.before else self._after_last_set(one.after)
                self._put(_due(row))
                self.entries.append(Entry(self.now, row.wanted.event, Outcome.REPAIRED, one.reason, row.key))
                done += 1
        return done

    def _stands_elsewhere(self, row: Row) -> bool:
        """Whether it is the link of a row under the issue's former key, and so no link without a row."""
        others = [other for other in self.subjects[row.key.subject].rows.values() if other.key != row.key]
        return row.link_id is not None and any(other.link_id == row.link_id for other in others)

    def _after_last_set(self, row: Row) -> Row:
        """A row for a link that had none: what its subject's last set wants of it."""
        return replace(row, wanted=self.subjects[row.key.subject].last_set or row.wanted)

    def row(self, key: LinkKey) -> Row | None:
        """The row that `key` leads to now."""
        return self.subjects[key.subject].rows.get(self._current(key.site, key.issue))

    def _merge_item(self, item: Item) -> Outcome:
        if item.outcome is not None:
            self.entries.append(
                Entry(self.now, item.event, item.outcome, item.reason, None, item.detail or {})
            )
            return item.outcome
        if item.error is not None:  # of one of several objects; the others' changes stand
            rejected = Entry(self.now, item.event, Outcome.REJECTED, item.reason, None, item.detail or {})
            self.entries.append(rejected)
        outcomes = {self._merge_change(change) for change in item.changes}
        return next(outcome for outcome in _TELLING if outcome in outcomes)

    def _merge_change(self, change: Change) -> Outcome:
        site = change.subject.site
        issues = tuple(dict.fromkeys(self._current(site, issue) for issue in change.issues))
        merged = merge(self.subjects[change.subject], replace(change, issues=issues))
        if merged.after.last_set is not self.subjects[change.subject].last_set and merged.after.last_set:
            self.sets[change.subject] = merged.after.last_set
        self.subjects[change.subject] = merged.after
        self.changed.update({row.key: row for row in merged.changed})
        self.removed.difference_update(row.key for row in merged.changed)
        for event, key in merged.superseded:
            self.entries.append(Entry(self.now, event, Outcome.SUPERSEDED, f"by {change.event}", key))
        detail = {"action": change.action.value, "issues": " ".join(issues), "version": change.version.text()}
        key = LinkKey(site, issues[0] if len(issues) == 1 else "", change.subject.global_id)
        self.entries.append(Entry(self.now, change.event, merged.outcome, None, key, detail))
        return merged.outcome

    def _settle(self, settled: Settled) -> None:
        call, answer = settled.call, settled.answer
        self._learn_move(call, answer)
        row = self.row(call.key)
        if row is None:
            return
        done = settle(row, call, answer, settled.at, settled.jitter)
        self._put(done.row)
        if done.outcome is not None:
            title = call.link.object.title if call.link else None
            detail = {"call": call.kind.value, "version": call.version.text(), "link": done.row.link_id}
            detail |= {"title": title} if done.outcome is Outcome.WRITTEN else {}
            detail |= {"error": str(answer)} if isinstance(answer, JiraError) else {}
            self.entries.append(
                Entry(settled.at, call.event, done.outcome, done.reason, done.row.key, detail)
            )
        if isinstance(answer, Written | Found) and done.row.link_id is not None:
            self._join_same_link(done.row.key, done.row.link_id)
        if isinstance(answer, Written) and answer.created:
            self._look_again(done.row)

    def _look_again(self, created: Row) -> None:
        """Have newer wishes for no link looked up again, which were done under other keys before.

        One may be the issue's former key, which no answer told while there was no link to name it.
        """
        for row in list(self.subjects[created.key.subject].rows.values()):
            is_done = row.wanted.link is None and row.phase is Phase.SETTLED
            if is_done and row.key != created.key and row.wanted.version > created.wanted.version:
                self._put(_due(replace(row, known=Known.UNSURE)))

    def _learn_move(self, call: Call, answer: Answer) -> None:
        issue = issue_named_by(answer)
        if issue and issue != call.key.issue:
            self._move(call.key.site, call.key.issue, issue)

    def _join_same_link(self, key: LinkKey, link_id: int) -> None:
        """Another row with this link's id is the same link, under the issue's former key."""
        for issue, row in list(self.subjects[key.subject].rows.items()):
            if issue != key.issue and row.link_id == link_id:
                self._move(key.site, issue, key.issue)

    def _move(self, site: str, former: str, issue: str) -> None:
        """The issue bears another key now; all that is loaded of it stands under that one."""
        if self._current(site, issue) != issue:  # it came back: this key leads nowhere else now
            self.moves[site, issue] = issue
        self.moves[site, former] = issue
        for subject in self.subjects:
            if subject.site == site:
                self._rekey(subject)

    def _rekey(self, subject: Subject) -> None:
        for issue, row in list(self.subjects[subject].rows.items()):
            if (present := self._current(subject.site, issue)) != issue:
                self._take_out(row.key)
                new = _under(row, present)
                standing = self.subjects[subject].rows.get(present)
                self._put(join(standing, new) if standing else new)

    def _take_out(self, key: LinkKey) -> None:
        state = self.subjects[key.subject]
        rows = {issue: row for issue, row in state.rows.items() if issue != key.issue}
        self.subjects[key.subject] = replace(state, rows=rows)
        self.removed.add(key)
        self.changed.pop(key, None)

    def _put(self, row: Row) -> None:
        state = self.subjects[row.key.subject]
        self.subjects[row.key.subject] = replace(state, rows={**state.rows, row.key.issue: row})
        self.changed[row.key] = row
        self.removed.discard(row.key)

    def _current(self, site: str, issue: str) -> str:
        while (now := self.moves.get((site, issue)) or self.moved.get((site, issue), issue)) != issue:
            issue = now
        return issue

    def pending(self) -> list[Row]:
        """The changed rows that want a call."""
        return [row for row in self.changed.values() if row.phase is Phase.PENDING]


def _due(row: Row) -> Row:
    """The row as one that is to be tried at once."""
    return replace(row, phase=phase_of(row), not_before=0.0, attempts=0, reason=None)


def _under(row: Row, issue: str) -> Row:
    """The row under an issue's present key, where another row may have found the same candidate."""
    is_found = row.stray is not None and row.stray.adoption is Adoption.FOUND
    stray = Stray(Adoption.SOUGHT) if is_found else row.stray
    return replace(row, key=row.key._replace(issue=issue), stray=stray)


def _marked(row: Row, call: Call) -> Row:
    """The row once its write is on its way."""
    if call.kind is CallKind.ADOPT and call.link is not None:
        row = replace(row, stray=Stray(Adoption.BEGUN, call.stray, call.link.digest))
    return replace(row, known=Known.UNSURE)


def issue_named_by(answer: Answer) -> str | None:
    """The key that Jira gives the issue, where the answer tells it."""
    match answer:
        case Written(issue=issue):
            return issue
        case Found(remote=remote):
            return remote.issue
        case Listed(remotes=(first, *_)):
            return first.issue
        case _:
            return None
