"""Reconciling: where the ledger's rows and what Jira holds disagree, and how a row is marked anew.

Nothing is written to Jira for it: a row that says what Jira holds wants a call by itself. Only a
row that is at rest is compared, since Jira may still be on its way to what another one wants.

| the ledger              | Jira           | finding  | the row then                                    |
|-------------------------|----------------|----------|-------------------------------------------------|
| wanted, present         | no such link   | removed  | absent, so created; or wanted no more (policy)  |
| wanted, present         | another digest | altered  | present with that digest, so updated            |
| a tombstone             | the link       | left     | present, so deleted                             |
| no row, globalId is ours| the link       | orphaned | a tombstone, present, so deleted (policy)       |
| any                     | another key    | moved    | unsure, so looked up, which tells of the move   |
| any                     | 404 or 403     | hidden   | as it is                                        |
| unsure                  | not compared   | unsure   | as it is: it is about to be looked up           |
| refused                 | not compared   | rejected | as it is                                        |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bridge.errors import JiraError
from bridge.model import Known, LinkKey, Listed, Phase, RemoteLink, Row, Version, Wanted
from bridge.ports import Repair
from bridge.state.decide import DOUBTFUL

EVENT = "jira-bridge reconcile"
"""What a link without a row is deleted for; `explain reconcile` finds it."""
MOST_REPAIRS = 10_000
"""So many rows one plan marks at the most: it is kept in memory."""
_LEAST = Version(0, 0, 0, 0, 0)


class Difference(StrEnum):
    """How the ledger and Jira disagree about a link, or why it was not compared."""

    REMOVED = "removed"
    ALTERED = "altered"
    LEFT = "left"
    ORPHANED = "orphaned"
    MOVED = "moved"
    HIDDEN = "hidden"
    UNSURE = "unsure"
    REJECTED = "rejected"


_TAKING = {Difference.LEFT, Difference.ORPHANED, Difference.REMOVED}


class Removed(StrEnum):
    """What is done about a link that somebody removed: made again, or wanted no more."""

    RESTORE = "restore"
    FORGET = "forget"


class Orphaned(StrEnum):
    """What is done about a link of ours that no row knows: deleted, or let be."""

    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done about what somebody may have meant."""

    removed: Removed = Removed.RESTORE
    orphaned: Orphaned = Orphaned.DELETE


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; `repair` is None where nothing is to be marked."""

    difference: Difference
    key: LinkKey
    repair: Repair | None = None

    @property
    def takes_away(self) -> bool:
        """Whether its repair deletes a link, or gives one up."""
        return self.repair is not None and self.difference in _TAKING and not self.repair.after.wanted.link


@dataclass(frozen=True, slots=True)
class Compared:
    """What one issue came to: how many links were compared, and where they differ."""

    site: str
    issue: str
    links: int
    findings: tuple[Finding, ...]


def compare(
    rows: Sequence[Row], answer: Listed | JiraError, policy: Policy, is_ours: Callable[[str], bool]
) -> Compared:
    """Compare the rows of one issue with what Jira lists of it.

    Args:
        rows: all rows of the issue, at least one, as they stood a while before Jira was asked: Jira
            may show for about a second what was before a write.
        answer: the list, or the error that hides the issue.
        policy: what is done about links that were removed, or that no row knows.
        is_ours: whether a globalId is one that the bridge makes.
    """
    site, issue, _ = rows[0].key
    aside = tuple(Finding(kind, row.key) for row in rows if (kind := _aside(row)))
    settled = [row for row in rows if row.phase is Phase.SETTLED]
    if isinstance(answer, JiraError):
        hidden = Finding(Difference.HIDDEN, LinkKey(site, issue, ""))
        return Compared(site, issue, 0, (hidden, *aside))
    if any(remote.issue != issue for remote in answer.remotes):
        moved = tuple(_finding(Difference.MOVED, row, _doubtful(row)) for row in settled)
        return Compared(site, issue, 0, (*moved, *aside))
    remotes = {remote.global_id: remote for remote in answer.remotes if remote.global_id is not None}
    differing = tuple(one for row in settled if (one := _compare_row(row, remotes, policy)))
    known = {row.key.global_id for row in rows}
    unknown = [remote for id_, remote in remotes.items() if id_ not in known and is_ours(id_)]
    orphans = tuple(
        _orphan(LinkKey(site, issue, remote.global_id or ""), remote, policy) for remote in unknown
    )
    links = sum(row.wanted.link is not None or row.key.global_id in remotes for row in settled)
    return Compared(site, issue, links + len(orphans), (*differing, *orphans, *aside))


def _aside(row: Row) -> Difference | None:
    """Why a row that is not at rest is told of."""
    if row.phase is Phase.REJECTED:
        return Difference.REJECTED
    is_doubtful = row.phase is Phase.PENDING and row.known in DOUBTFUL
    return Difference.UNSURE if is_doubtful else None


def _compare_row(row: Row, remotes: Mapping[str, RemoteLink], policy: Policy) -> Finding | None:
    remote = remotes.get(row.key.global_id)
    if row.wanted.link is None:
        return _finding(Difference.LEFT, row, _standing(row, remote)) if remote else None
    if remote is None:
        return _finding(Difference.REMOVED, row, _removed(row, policy))
    if remote.link.digest != row.digest:
        return _finding(Difference.ALTERED, row, _standing(row, remote))
    return None


def _finding(difference: Difference, row: Row, after: Row) -> Finding:
    return Finding(difference, row.key, Repair(row, after, difference.value))


def _standing(row: Row, remote: RemoteLink) -> Row:
    return replace(row, known=Known.PRESENT, digest=remote.link.digest, link_id=remote.id)


def _removed(row: Row, policy: Policy) -> Row:
    gone = replace(row, known=Known.ABSENT, digest=None, link_id=None)
    if policy.removed is Removed.RESTORE:
        return gone
    return replace(gone, wanted=replace(row.wanted, link=None))  # only a newer event brings it back


def _doubtful(row: Row) -> Row:
    return replace(row, known=Known.UNSURE)


def _orphan(key: LinkKey, remote: RemoteLink, policy: Policy) -> Finding:
    if policy.orphaned is Orphaned.KEEP:
        return Finding(Difference.ORPHANED, key)
    row = Row(key, Wanted(_LEAST, None, EVENT, frozenset()))
    return Finding(Difference.ORPHANED, key, Repair(None, _standing(row, remote), Difference.ORPHANED.value))


def still(compared: Compared, rows: Iterable[Row]) -> Compared:
    """The same without what was found of rows that changed in the meantime; `rows` as they stand now."""
    standing = {row.key: row for row in rows}
    findings = compared.findings
    kept = tuple(one for one in findings if not one.repair or standing.get(one.key) == one.repair.before)
    return replace(compared, findings=kept)


# --- the plan ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """Which links are compared: those of the sites' issues, of a project, with an event since then.

    `since` is in milliseconds since the epoch, of the record that asked for the link.
    """

    sites: tuple[str, ...]
    project: str | None = None
    since: int | None = None

    def has(self, rows: Sequence[Row]) -> bool:
        """Whether the issue of these rows is compared."""
        is_of_project = self.project is None or rows[0].key.issue.startswith(f"{self.project}-")
        return is_of_project and any(row.wanted.version.timestamp >= (self.since or 0) for row in rows)


@dataclass(slots=True)
class Plan:
    """What a walk over a scope came to so far, and how much of it was applied.

    `at` is the last issue compared, `is_whole` says that none is left. `applied` counts the repairs
    that were handed to the ledger.
    """

    scope: Scope
    policy: Policy = Policy()
    at: tuple[str, str] | None = None
    issues: int = 0
    links: int = 0
    is_whole: bool = False
    applied: int = 0
    found: Counter[tuple[str, Difference]] = field(default_factory=Counter)
    repairs: list[Repair] = field(default_factory=list)
    taken_away: int = 0

    def add(self, compared: Compared) -> None:
        """Count one more issue, and keep what is to be marked."""
        self.at = compared.site, compared.issue
        self.issues += 1
        self.links += compared.links
        for finding in compared.findings:
            self.found[compared.site, finding.difference] += 1
            self.taken_away += finding.takes_away
            if finding.repair:
                self.repairs.append(finding.repair)

    @property
    def is_full(self) -> bool:
        """Whether it has as much to be marked as one plan may; the next one finds the rest."""
        return len(self.repairs) >= MOST_REPAIRS

    @property
    def left(self) -> list[Repair]:
        """The repairs that were not applied yet."""
        return self.repairs[self.applied :]

    def is_within(self, percent: float) -> bool:
        """Whether no more than that share of the links compared is to be taken away."""
        return self.taken_away * 100 <= self.links * percent
