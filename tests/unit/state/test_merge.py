"""Merging, rule by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.model import (
    Action,
    Adoption,
    Change,
    Known,
    Link,
    LinkKey,
    Outcome,
    Phase,
    Row,
    Stray,
    Subject,
    Version,
    Wanted,
)
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


def adopting(time: int, title: str | None = "A", url: str = "https://ci.example/1") -> Change:
    link = Link.model_validate({"object": {"url": url, "title": title}}) if title else None
    action = Action.UPSERT if title else Action.DELETE
    return replace(change(action, time, "PROJ-1"), link=link, adopts=True)


def test_an_adopting_change_seeks_a_link_to_adopt() -> None:
    """Before a link is created the issue's links are to be listed; a tombstone needs none of that."""
    rows = after(adopting(1))
    assert rows.rows["PROJ-1"].stray == Stray(Adoption.SOUGHT)
    assert merge(rows, adopting(2, None)).after.rows["PROJ-1"].stray is None


@pytest.mark.parametrize(
    ("adoption", "news", "left"),
    [
        (Adoption.FOUND, adopting(2, "B"), Adoption.FOUND),
        (Adoption.FOUND, adopting(2, "B", "https://other.example"), Adoption.SOUGHT),
        (Adoption.FOUND, replace(adopting(2, "B"), adopts=False), None),
        (Adoption.FOUND, adopting(2, None), None),
        (Adoption.BEGUN, adopting(2, None), Adoption.BEGUN),
        (Adoption.BEGUN, replace(adopting(2, "B"), adopts=False), Adoption.BEGUN),
        (Adoption.LEFT_OVER, adopting(2, "B"), Adoption.LEFT_OVER),
    ],
)
def test_news_let_go_of_a_candidate_but_not_of_an_adoption_begun(
    adoption: Adoption, news: Change, left: Adoption | None
) -> None:
    """What was only found is one for its URL and as long as it is wanted; an adoption is followed up."""
    row = replace(after(adopting(1)).rows["PROJ-1"], stray=Stray(adoption, 7))
    (changed,) = merge(SubjectRows(SUBJECT, None, {"PROJ-1": row}), news).changed
    assert (changed.stray.adoption if changed.stray else None) is left


def test_joined_rows_of_one_set_keep_its_link() -> None:
    """A set that names a moved issue by its former key wants the link, and no tombstone beside it."""
    wanted = Wanted(Version(0, 1, 0, 0, 0), link("A"), "ci e", frozenset())
    named = Row(LinkKey("main", "OLD-1", "g"), wanted, Known.PRESENT, link("A").digest, 7)
    unnamed = replace(named, key=LinkKey("main", "NEW-1", "g"), wanted=replace(wanted, link=None))
    assert join(unnamed, named).wanted.link == link("A")


def test_joined_rows_are_tangled_while_a_write_is_under_way() -> None:
    """Two writes of one link under both keys: neither answer tells which Jira did last."""
    row = after(change(Action.UPSERT, 1, "PROJ-1")).rows["PROJ-1"]
    assert join(replace(row, known=Known.PRESENT), replace(row, known=Known.UNSURE)).known is Known.TANGLED
    assert join(replace(row, known=Known.PRESENT), replace(row, known=Known.PRESENT)).known is Known.PRESENT


def test_joined_rows_keep_the_adoption_that_has_come_furthest() -> None:
    """What was sent our content under the one key is followed up under the other."""
    row = after(adopting(1)).rows["PROJ-1"]
    begun = Stray(Adoption.BEGUN, 7, "digest")
    for standing, other in ((row, replace(row, stray=begun)), (replace(row, stray=begun), row)):
        assert join(standing, other).stray == begun
    assert join(replace(row, link_id=7), replace(row, stray=begun)).stray == row.stray
