"""Merging, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import Action, Change, Known, Link, LinkKey, Outcome, Phase, Row, Subject, Version, Wanted
from bridge.state.merge import SubjectRows, join, merge

SUBJECT = Subject("main", "system=ci&id=1")
NOTHING = SubjectRows(SUBJECT)


def link(title: str = "build 1") -> Link:
    return Link.model_validate({"object": {"url": "https://ci.example/1", "title": title}})


def change(action: Action, time: int, *issues: str, title: str | None = "build 1", event: str = "") -> Change:
    content = link(title) if title and action is not Action.DELETE else None
    version = Version(0, time, 0, 1_000 + time, time)
    return Change(action, SUBJECT, issues, content, version, event or f"ci {action}-{time}")


def after(*changes: Change) -> SubjectRows:
    rows = NOTHING
    for each in changes:
        rows = merge(rows, each).after
    return rows


def test_the_first_upsert_is_merged_and_pending() -> None:
    """A link that nothing is known of is wanted, and a call is due."""
    merged = merge(NOTHING, change(Action.UPSERT, 1, "PROJ-1"))
    assert merged.outcome is Outcome.MERGED
    (row,) = merged.changed
    assert (row.key.issue, row.phase, row.known) == ("PROJ-1", Phase.PENDING, Known.UNSEEN)


def test_older_news_is_stale() -> None:
    """An event older than what stands changes nothing."""
    rows = after(change(Action.UPSERT, 5, "PROJ-1"))
    merged = merge(rows, change(Action.UPSERT, 4, "PROJ-1", title="older"))
    assert merged.outcome is Outcome.STALE
    assert not merged.changed


def test_a_delete_leaves_a_tombstone_that_holds_off_older_news() -> None:
    """A delete is remembered: an older upsert that comes later does not revive the link."""
    rows = after(change(Action.DELETE, 5, "PROJ-1"))
    assert rows.rows["PROJ-1"].wanted.link is None
    assert merge(rows, change(Action.UPSERT, 4, "PROJ-1")).outcome is Outcome.STALE


def test_a_redelivery_is_a_duplicate_though_its_record_is_later() -> None:
    """The same event in a later record is no news, even after another of its instant has won."""
    first = change(Action.UPSERT, 5, "PROJ-1", title="A", event="ci a")
    second = change(Action.UPSERT, 5, "PROJ-1", title="B", event="ci b")
    second = replace(second, version=second.version._replace(offset=6))
    again = replace(first, version=first.version._replace(offset=7))
    merged = merge(after(first, second), again)
    assert merged.outcome is Outcome.DUPLICATE
    assert merged.after.rows["PROJ-1"].wanted.link == link("B")


def test_of_one_instant_the_higher_rank_wins() -> None:
    """A final state beats a running one of the same second, whichever comes first."""
    running = change(Action.UPSERT, 5, "PROJ-1", title="running", event="ci a")
    passed = change(Action.UPSERT, 5, "PROJ-1", title="passed", event="ci b")
    passed = replace(passed, version=passed.version._replace(rank=2))
    for order in ((running, passed), (passed, running)):
        assert after(*order).rows["PROJ-1"].wanted.link == link("passed")


def test_a_set_takes_off_what_it_no_longer_names() -> None:
    """What the newest set leaves out is wanted to be gone."""
    rows = after(change(Action.SET, 1, "PROJ-1", "PROJ-2"), change(Action.SET, 2, "PROJ-2")).rows
    assert rows["PROJ-1"].wanted.link is None
    assert rows["PROJ-2"].wanted.link is not None


def test_an_empty_set_is_remembered() -> None:
    """A change older than an empty set is stale, even for an issue without a row."""
    rows = after(change(Action.SET, 5, title=None))
    assert not rows.rows
    assert merge(rows, change(Action.UPSERT, 4, "PROJ-3")).outcome is Outcome.STALE
    assert merge(rows, change(Action.SET, 4, "PROJ-3")).outcome is Outcome.STALE


def test_an_upsert_after_a_set_adds_to_it() -> None:
    """A later per-issue change touches its own link only."""
    rows = after(change(Action.SET, 1, "PROJ-1"), change(Action.UPSERT, 2, "PROJ-2")).rows
    assert {issue for issue, row in rows.items() if row.wanted.link} == {"PROJ-1", "PROJ-2"}


def test_an_older_set_does_not_touch_a_newer_upsert() -> None:
    """The set wins where it is newer, the per-issue change where that is."""
    rows = after(change(Action.UPSERT, 5, "PROJ-1", title="newer"), change(Action.SET, 4, "PROJ-1", "PROJ-2"))
    assert rows.rows["PROJ-1"].wanted.link == link("newer")
    assert rows.rows["PROJ-2"].wanted.link == link()


def test_newer_and_equal_is_unchanged() -> None:
    """A newer event with the same content moves the version, and asks for no call."""
    rows = after(change(Action.UPSERT, 1, "PROJ-1"))
    settled = replace(rows.rows["PROJ-1"], known=Known.PRESENT, digest=link().digest, phase=Phase.SETTLED)
    merged = merge(replace(rows, rows={"PROJ-1": settled}), change(Action.UPSERT, 2, "PROJ-1"))
    assert merged.outcome is Outcome.UNCHANGED
    assert merged.changed[0].phase is Phase.SETTLED
    assert merged.changed[0].wanted.version.time == 2


def test_who_was_overtaken_is_told() -> None:
    """An event whose wish was not yet written is superseded by the newer one."""
    rows = after(change(Action.UPSERT, 1, "PROJ-1", event="ci one"))
    merged = merge(rows, change(Action.UPSERT, 2, "PROJ-1", title="other"))
    assert merged.superseded == (("ci one", LinkKey("main", "PROJ-1", SUBJECT.global_id)),)


def test_a_redelivery_tries_a_rejected_row_again() -> None:
    """Sending an event again is how a user asks for another try, once the cause is mended."""
    first = change(Action.UPSERT, 1, "PROJ-1")
    row = replace(after(first).rows["PROJ-1"], phase=Phase.REJECTED, reason="jira_forbidden", attempts=3)
    merged = merge(SubjectRows(SUBJECT, None, {"PROJ-1": row}), first)
    assert merged.outcome is Outcome.MERGED
    assert (merged.changed[0].phase, merged.changed[0].reason) == (Phase.PENDING, None)


def test_joined_rows_keep_the_later_wish() -> None:
    """Of two keys for one link, the later wish stands under the issue's present key."""

    def row(issue: str, time: int, title: str | None) -> Row:
        wanted = Wanted(Version(0, time, 0, 0, 0), link(title) if title else None, "ci e", frozenset())
        return Row(LinkKey("main", issue, "g"), wanted, Known.PRESENT, link("A").digest, 7)

    joined = join(row("NEW-1", 1, "A"), row("OLD-1", 2, None))
    assert joined.key.issue == "NEW-1"
    assert joined.wanted.link is None
    assert joined.phase is Phase.PENDING


def test_an_adopting_change_marks_its_rows() -> None:
    """Before a link is created the issue's links are to be listed; a tombstone needs none of that."""
    adopting = replace(change(Action.UPSERT, 1, "PROJ-1"), adopts=True)
    rows = after(adopting)
    assert rows.rows["PROJ-1"].adopts
    gone = merge(rows, replace(change(Action.DELETE, 2, "PROJ-1"), adopts=True)).after
    assert not gone.rows["PROJ-1"].adopts


@pytest.mark.parametrize(("adopts", "kept"), [(True, None), (False, 7)])
def test_a_tombstone_lets_go_of_a_candidate_but_not_of_an_adoption_begun(
    adopts: bool, kept: int | None
) -> None:
    """What was only found stays as it was made; what bears our content is to be deleted."""
    row = replace(after(change(Action.UPSERT, 1, "PROJ-1")).rows["PROJ-1"], adopts=adopts, stray=7)
    merged = merge(SubjectRows(SUBJECT, None, {"PROJ-1": row}), change(Action.DELETE, 2, "PROJ-1"))
    assert merged.changed[0].stray == kept


def test_news_do_not_begin_an_adoption_anew() -> None:
    """While the stray is about to give way, ours is created and nothing is listed."""
    row = replace(after(change(Action.UPSERT, 1, "PROJ-1")).rows["PROJ-1"], stray=7)
    news = replace(change(Action.UPSERT, 2, "PROJ-1", title="other"), adopts=True)
    (changed,) = merge(SubjectRows(SUBJECT, None, {"PROJ-1": row}), news).changed
    assert (changed.adopts, changed.stray) == (False, 7)
