"""One transaction in the making: what is called, and what a moved issue brings along."""

from __future__ import annotations

from bridge.errors import BadLink
from bridge.model import (
    Action,
    Adoption,
    Call,
    CallKind,
    Change,
    Found,
    Known,
    Link,
    LinkKey,
    Outcome,
    RemoteLink,
    Row,
    Stray,
    Subject,
    Version,
    Wanted,
)
from bridge.ports import Item, Settled
from bridge.state.batch import Batch
from bridge.state.decide import call_for
from bridge.state.merge import SubjectRows

LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})


def row(issue: str, subject: str = "g", known: Known = Known.UNSEEN, stray: Stray | None = None) -> Row:
    wanted = Wanted(Version(0, 1, 0, 0, 0), LINK, "ci e", frozenset())
    return Row(LinkKey("main", issue, subject), wanted, known, None, 7, stray=stray)


def batch(*rows: Row, moved: dict[tuple[str, str], str] | None = None) -> Batch:
    subjects = {
        each.key.subject: SubjectRows(each.key.subject, None, {each.key.issue: each}) for each in rows
    }
    return Batch(subjects, moved or {}, 0.0)


def call(one: Row) -> Call:
    found = call_for(one)
    assert found is not None
    return found


def test_only_the_call_that_was_reserved_is_made() -> None:
    """What wants another one by now waits for its own turn, and is marked by nothing."""
    one = row("PROJ-1", known=Known.TANGLED)
    making = batch(one)
    assert making.start({one.key: CallKind.UPDATE}) == []
    assert not making.changed
    assert [each.kind for each in making.start({one.key: CallKind.LOOK_UP})] == [CallKind.LOOK_UP]


def test_learning_of_a_move_moves_all_that_is_loaded_of_the_issue() -> None:
    """Rows of other subjects are not lost from the turn that learns of it."""
    asked, other = row("OLD-1", "g", Known.UNSURE), row("OLD-1", "h")
    making = batch(asked, other)
    remote = RemoteLink(7, "NEW-1", LINK, "g")
    making.settle([Settled(call(asked), Found(remote), 0.0, 1.0)])
    assert {key.issue for key in making.changed} == {"NEW-1"}
    assert making.subjects[Subject("main", "h")].rows["NEW-1"].wanted == other.wanted
    assert making.row(other.key) is making.subjects[Subject("main", "h")].rows["NEW-1"]


def test_a_candidate_found_under_a_former_key_is_let_go_of() -> None:
    """Under the present key another row may have found the same one."""
    found = row("OLD-1", stray=Stray(Adoption.FOUND, 7))
    begun = row("OLD-1", "h", stray=Stray(Adoption.BEGUN, 8, "digest"))
    making = batch(found, begun, moved={("main", "OLD-1"): "NEW-1"})
    strays = {key.global_id: each.stray for key, each in making.changed.items()}
    assert strays == {"g": Stray(Adoption.SOUGHT), "h": Stray(Adoption.BEGUN, 8, "digest")}


def test_what_is_wrong_with_some_objects_is_told_beside_the_others() -> None:
    """The journal has a line for the changes and one for the rejection."""
    subject = Subject("main", "g")
    change = Change(Action.UPSERT, subject, ("PROJ-1",), LINK, Version(0, 1, 0, 0, 0), "ci e")
    making = Batch({subject: SubjectRows(subject, None, {})}, {}, 0.0)
    error = BadLink("url: is not a text")
    item = Item("ci e", (change,), None, error.code, {"error": str(error)}, error)
    assert making.merge([item]) == (Outcome.MERGED,)
    told = [(entry.outcome, entry.reason) for entry in making.entries]
    assert told == [(Outcome.REJECTED, "bad_link"), (Outcome.MERGED, None)]
