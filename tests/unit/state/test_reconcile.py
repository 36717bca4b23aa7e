"""Comparing: every difference has its finding, and its repair leads to the call that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import JiraForbidden, JiraNotFound
from bridge.mapping.identity import is_global_id
from bridge.model import (
    CallKind,
    Known,
    Link,
    LinkKey,
    Listed,
    Phase,
    RemoteLink,
    Row,
    Subject,
    Version,
    Wanted,
)
from bridge.ports import Repair
from bridge.state.batch import Batch
from bridge.state.decide import decide, phase_of
from bridge.state.merge import SubjectRows
from bridge.state.reconcile import (
    EVENT,
    MOST_REPAIRS,
    Compared,
    Difference,
    Finding,
    Orphaned,
    Plan,
    Policy,
    Removed,
    Scope,
    compare,
    still,
)

OURS = "system=github:github.com&type=build&id={}"
LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})
OTHER = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "by hand"}})
VERSION = Version(0, 5, 0, 5, 5)


def row(
    number: int = 1, *, link: Link | None = LINK, known: Known = Known.PRESENT, issue: str = "P-1"
) -> Row:
    """A row that is at rest, unless it wants a call."""
    wanted = Wanted(VERSION, link, "ci e", frozenset(["ci e"]))
    is_present = known is Known.PRESENT
    made = Row(LinkKey("main", issue, OURS.format(number)), wanted, known)
    made = replace(made, digest=LINK.digest if is_present else None, link_id=number if is_present else None)
    return replace(made, phase=phase_of(made))


def remote(number: int = 1, link: Link = LINK, issue: str = "P-1", global_id: str = OURS) -> RemoteLink:
    return RemoteLink(number, issue, link, global_id.format(number))


def compared(
    rows: Sequence[Row], *remotes: RemoteLink, policy: Policy | None = None
) -> tuple[Compared, list[Difference]]:
    found = compare(rows, Listed(remotes), policy or Policy(), is_global_id)
    return found, [finding.difference for finding in found.findings]


def marked(finding: Finding, *others: Row) -> Row:
    """The row once the ledger has taken the repair in."""
    repair = finding.repair
    assert repair is not None
    rows = {each.key.issue: each for each in (*others, *([repair.before] if repair.before else ()))}
    subject = Subject("main", finding.key.global_id)
    making = Batch({subject: SubjectRows(subject, None, rows)}, {}, 0.0)
    assert making.repair([repair]) == 1
    after = making.row(finding.key)
    assert after is not None
    return after


def next_call(finding: Finding) -> CallKind | None:
    after = marked(finding)
    assert (after.phase is Phase.PENDING) == (decide(after) is not None)
    return decide(after)


def test_what_agrees_is_no_finding() -> None:
    """Links that stand as they are known, tombstones that do not, and links of others are let be."""
    gone = row(2, link=None, known=Known.ABSENT)
    found, differences = compared([row(), gone], remote(), remote(3, global_id="somebody's {}"))
    assert differences == []
    assert found.links == 1


def test_a_removed_link_is_created_again() -> None:
    """Under `restore` it is known to be absent, which is all that the writer needs."""
    found, differences = compared([row()])
    assert differences == [Difference.REMOVED]
    assert next_call(found.findings[0]) is CallKind.CREATE
    assert not found.findings[0].takes_away


def test_a_removed_link_is_forgotten_until_a_newer_event() -> None:
    """Under `forget` it becomes a tombstone of its own version, which wants no call."""
    found, differences = compared([row()], policy=Policy(Removed.FORGET))
    after = marked(found.findings[0])
    assert differences == [Difference.REMOVED]
    assert (after.wanted.version, after.wanted.link, after.phase) == (VERSION, None, Phase.SETTLED)
    assert found.findings[0].takes_away


def test_an_altered_link_is_written_again() -> None:
    """It is known as Jira has it, so that it differs from what is wanted."""
    found, differences = compared([row()], remote(link=OTHER))
    assert differences == [Difference.ALTERED]
    assert marked(found.findings[0]).digest == OTHER.digest
    assert next_call(found.findings[0]) is CallKind.UPDATE


def test_a_link_that_was_left_is_deleted() -> None:
    """A tombstone at rest, whose link stands in Jira."""
    found, differences = compared([row(link=None, known=Known.ABSENT)], remote())
    assert differences == [Difference.LEFT]
    assert next_call(found.findings[0]) is CallKind.DELETE
    assert found.findings[0].takes_away
    assert found.links == 1


def test_an_orphan_is_deleted_as_the_oldest_wish() -> None:
    """Any event for it is newer than its tombstone, and `explain` finds it by a name of its own."""
    found, differences = compared([row()], remote(), remote(2))
    after = marked(found.findings[0])
    assert differences == [Difference.ORPHANED]
    assert (after.wanted.event, after.wanted.version < VERSION) == (EVENT, True)
    assert next_call(found.findings[0]) is CallKind.DELETE
    assert found.links == 2


def test_an_orphan_may_be_kept() -> None:
    """It is told of, and nothing is marked."""
    found, _ = compared([row()], remote(), remote(2), policy=Policy(orphaned=Orphaned.KEEP))
    assert found.findings == (Finding(Difference.ORPHANED, LinkKey("main", "P-1", OURS.format(2))),)


@pytest.mark.parametrize("global_id", ["appId=1&pageId=2", "system=ci&id=7", "system=x&type=y&id=7", None])
def test_links_of_others_are_no_orphans(global_id: str | None) -> None:
    """Whatever has no globalId of our grammar is not ours, unless a row says so."""
    stranger = replace(remote(2), global_id=global_id)
    assert compared([row()], remote(), stranger)[1] == []


def test_an_issue_that_moved_is_looked_up() -> None:
    """Its links stand under its present key: none is left or orphaned, and a look-up tells the ledger."""
    rows = [row(), row(2, link=None, known=Known.ABSENT)]
    found, differences = compared(rows, *(remote(n, issue="NEW-1") for n in (1, 2, 3)))
    assert differences == [Difference.MOVED, Difference.MOVED]
    assert [next_call(finding) for finding in found.findings] == [CallKind.LOOK_UP, CallKind.LOOK_UP]
    assert not any(finding.takes_away for finding in found.findings)


@pytest.mark.parametrize("error", [JiraNotFound("404"), JiraForbidden("403")])
def test_an_issue_that_is_hidden_is_told_and_let_be(error: JiraNotFound | JiraForbidden) -> None:
    """Its links may stand as they did: nothing is known of them."""
    found = compare([row()], error, Policy(), is_global_id)
    assert [(one.difference, one.repair) for one in found.findings] == [(Difference.HIDDEN, None)]
    assert found.links == 0


def test_rows_that_are_not_at_rest_are_counted_only() -> None:
    """What is unsure is about to be looked up, what was refused has its dead letter, what waits is known."""
    rejected = replace(row(2), phase=Phase.REJECTED)
    rows = [row(known=Known.UNSURE), rejected, row(3, known=Known.ABSENT)]
    found, differences = compared(rows, remote(link=OTHER), remote(2, OTHER), remote(3, OTHER))
    assert differences == [Difference.UNSURE, Difference.REJECTED]
    assert [finding.repair for finding in found.findings] == [None, None]


def test_a_row_that_changed_meanwhile_is_left_out() -> None:
    """What the ledger has learnt since the list was asked for may be why they differ."""
    found, _ = compared([row(), row(2)], remote(3))
    changed = replace(row(), digest="another")
    kept = still(found, [changed, row(2)])
    assert [finding.key.global_id for finding in kept.findings] == [OURS.format(2), OURS.format(3)]
    assert still(found, [row(), row(2), row(3)]).findings == found.findings[:2]


ROWS = st.builds(
    lambda n, link, known: row(n, link=link, known=known),
    st.integers(1, 4),
    st.sampled_from([LINK, None]),
    st.sampled_from(Known),
)
REMOTES = st.builds(remote, st.integers(1, 6), st.sampled_from([LINK, OTHER]))


@given(
    st.lists(ROWS, min_size=1, unique_by=lambda each: each.key),
    st.lists(REMOTES, unique_by=lambda each: each.id),
    st.builds(Policy, st.sampled_from(Removed), st.sampled_from(Orphaned)),
)
def test_a_repair_tells_the_ledger_what_jira_holds(
    rows: list[Row], remotes: list[RemoteLink], policy: Policy
) -> None:
    """After the repairs each row at rest knows just what stands, and a second comparison finds nothing."""
    answer = Listed(tuple(remotes))
    found = compare(rows, answer, policy, is_global_id)
    after = {each.key: each for each in rows}
    after |= {finding.key: marked(finding) for finding in found.findings if finding.repair}
    standing = {each.global_id: each for each in remotes}
    busy = {each.key for each in rows if each.phase is not Phase.SETTLED}
    for each in after.values():
        there = standing.get(each.key.global_id)
        if each.key not in busy:
            assert (each.known is Known.PRESENT) == (there is not None)
            assert each.digest == (there.link.digest if there else None)
    again = compare(list(after.values()), answer, policy, is_global_id)
    assert [finding for finding in again.findings if finding.repair] == []


# --- the plan ------------------------------------------------------------------------------


def test_a_scope_names_issues_of_a_project_with_a_wish_since_then() -> None:
    """An issue is compared whole as soon as one of its links is in the scope."""
    rows = [row(), replace(row(2), wanted=replace(row().wanted, version=Version(0, 9, 0, 9, 9)))]
    assert Scope(("main",), "P", 9).has(rows)
    assert not Scope(("main",), "P", 10).has(rows)
    assert not Scope(("main",), "PR").has(rows)


def test_a_plan_counts_what_it_takes_away() -> None:
    """Deleted and forgotten links count against the links compared; one at the limit is within it."""
    plan = Plan(Scope(("main",)))
    for number in range(1, 11):
        rows = [row(issue=f"P-{number}")]
        plan.add(compared(rows, remote(issue=f"P-{number}"))[0])
    assert (plan.issues, plan.links, plan.at, plan.is_within(0)) == (10, 10, ("main", "P-10"), True)
    plan.add(compared([row(link=None, known=Known.ABSENT)], remote())[0])
    assert (plan.taken_away, plan.links) == (1, 11)
    assert plan.is_within(100 / 11)
    assert not plan.is_within(9)
    assert plan.found == {("main", Difference.LEFT): 1}
    assert len(plan.left) == 1


def test_a_plan_of_nothing_is_safe() -> None:
    """No links compared, none taken away."""
    assert Plan(Scope(("main",))).is_within(0)


def test_a_plan_is_bounded() -> None:
    """It is kept in memory: once it is full the next one finds the rest."""
    plan = Plan(Scope(("main",)))
    repair = Repair(row(), row(), "altered")
    findings = (Finding(Difference.ALTERED, row().key, repair),) * MOST_REPAIRS
    assert not plan.is_full
    plan.add(Compared("main", "P-1", MOST_REPAIRS, findings))
    assert plan.is_full
