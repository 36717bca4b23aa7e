"""Settling: what each answer means for a row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import (
    JiraAnswerLost,
    JiraBadRequest,
    JiraError,
    JiraForbidden,
    JiraNotFound,
    JiraRateLimited,
    JiraTooManyLinks,
    JiraUnauthorized,
    JiraUnavailable,
    JiraUnreachable,
)
from bridge.model import (
    Call,
    Deleted,
    Found,
    Known,
    Link,
    LinkKey,
    Listed,
    Outcome,
    Phase,
    RemoteLink,
    Row,
    Version,
    Wanted,
    Written,
)
from bridge.ports import Answer
from bridge.state.decide import WRITES, call_for
from bridge.state.settle import BACKOFF_MAX, Settlement, settle

LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})
OTHER = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 2"}})
KEY = LinkKey("main", "PROJ-1", "g")
NOW = 1_000.0


def row(known: Known, link: Link | None = LINK, digest: str | None = None, time: int = 1) -> Row:
    return Row(KEY, Wanted(Version(0, time, 0, 0, 0), link, "ci e", frozenset()), known, digest, None)


def call_of(before: Row) -> tuple[Row, Call]:
    call = call_for(before)
    assert call is not None
    return (replace(before, known=Known.UNSURE) if call.kind in WRITES else before), call


def answered(before: Row, answer: Answer) -> Settlement:
    marked, call = call_of(before)
    return settle(marked, call, answer, NOW, 1.0)


def test_a_written_link_is_settled() -> None:
    """After a create the row knows the link, its id and that nothing is due."""
    done = answered(row(Known.UNSEEN), Written(7, "PROJ-1", created=True))
    assert (done.row.known, done.row.digest, done.row.link_id) == (Known.PRESENT, LINK.digest, 7)
    assert (done.row.phase, done.outcome) == (Phase.SETTLED, Outcome.WRITTEN)


def test_news_during_the_call_stay_pending() -> None:
    """The answer tells what Jira holds, not what is wanted by now."""
    marked, call = call_of(row(Known.UNSEEN))
    newer = replace(marked, wanted=row(Known.UNSEEN, OTHER, time=2).wanted)
    done = settle(newer, call, Written(7, "PROJ-1", created=True), NOW, 1.0)
    assert (done.row.digest, done.row.phase) == (LINK.digest, Phase.PENDING)


def test_a_delete_that_finds_nothing_is_done_where_nothing_was_known() -> None:
    """404 to the delete of a link that the ledger never saw is as good as 204."""
    done = answered(row(Known.UNSEEN, None), JiraNotFound("404", status=404))
    assert (done.row.known, done.row.phase, done.outcome) == (Known.ABSENT, Phase.SETTLED, Outcome.GONE)


def test_a_delete_that_finds_nothing_where_a_link_was_asks_for_a_list() -> None:
    """The same 404 may hide the issue: only a list tells, and its 404 is a rejection."""
    done = answered(row(Known.PRESENT, None, LINK.digest), JiraNotFound("404", status=404))
    assert (done.row.known, done.row.phase, done.outcome) == (Known.MISSING, Phase.PENDING, None)
    assert answered(done.row, Listed(())).outcome is Outcome.GONE
    hidden = answered(done.row, JiraNotFound("404", status=404))
    assert (hidden.row.phase, hidden.row.reason) == (Phase.REJECTED, "jira_not_found")


def test_a_list_that_has_the_link_leads_to_a_delete() -> None:
    """What the list shows is known again."""
    missing = row(Known.MISSING, None)
    done = answered(missing, Listed((RemoteLink(9, "PROJ-1", OTHER, "g"),)))
    assert (done.row.known, done.row.link_id, done.row.phase) == (Known.PRESENT, 9, Phase.PENDING)


def test_a_look_up_that_finds_the_wanted_link_settles() -> None:
    """After a crash, what Jira already holds is not written again."""
    done = answered(row(Known.UNSURE), Found(RemoteLink(9, "PROJ-1", LINK, "g")))
    assert (done.row.phase, done.outcome) == (Phase.SETTLED, Outcome.WRITTEN)


def test_a_look_up_that_finds_another_link_leads_to_an_update() -> None:
    """Only where Jira differs is it written."""
    done = answered(row(Known.UNSURE), Found(RemoteLink(9, "PROJ-1", OTHER, "g")))
    assert (done.row.known, done.row.phase, done.outcome) == (Known.PRESENT, Phase.PENDING, None)


@pytest.mark.parametrize("error", [JiraUnreachable("-"), JiraRateLimited("-"), JiraUnauthorized("-")])
def test_a_request_without_effect_restores_what_was_known(error: JiraError) -> None:
    """Jira took no notice, so nothing has to be looked up."""
    done = answered(row(Known.PRESENT, OTHER, LINK.digest), error)
    assert (done.row.known, done.row.digest, done.outcome) == (Known.PRESENT, LINK.digest, Outcome.DEFERRED)


@pytest.mark.parametrize("error", [JiraAnswerLost("-"), JiraUnavailable("-")])
def test_a_lost_answer_leaves_the_row_unsure(error: JiraError) -> None:
    """It may have been applied: the row waits, and is looked up."""
    done = answered(row(Known.PRESENT, OTHER, LINK.digest), error)
    assert (done.row.known, done.outcome) == (Known.UNSURE, Outcome.DEFERRED)
    assert done.row.not_before > NOW


@pytest.mark.parametrize(
    "error",
    [JiraForbidden("-"), JiraTooManyLinks("-"), JiraNotFound("-"), JiraBadRequest("-", messages=("no",))],
)
def test_what_would_fail_again_is_rejected(error: JiraError) -> None:
    """The row stands aside with its reason; nothing else waits for it."""
    done = answered(row(Known.UNSEEN), error)
    assert (done.row.phase, done.row.reason, done.outcome) == (Phase.REJECTED, error.code, Outcome.REJECTED)


def test_a_blank_400_is_tried_once_more() -> None:
    """Two first writes that collide are answered so: look it up, then try again, then give up."""
    blank = JiraBadRequest("-", status=400)
    first = answered(row(Known.UNSEEN), blank)
    assert (first.outcome, first.row.known) == (Outcome.DEFERRED, Known.UNSURE)
    looked_up = answered(first.row, JiraNotFound("404", status=404))
    assert looked_up.row.known is Known.MISSING
    assert answered(looked_up.row, blank).outcome is Outcome.REJECTED


def test_a_newer_wish_is_not_rejected_with_the_older_one() -> None:
    """What replaced the refused link meanwhile deserves a try of its own, at once."""
    marked, call = call_of(row(Known.UNSEEN))
    newer = replace(marked, wanted=row(Known.UNSEEN, OTHER, time=2).wanted)
    done = settle(newer, call, JiraBadRequest("-", messages=("no",)), NOW, 1.0)
    assert (done.row.phase, done.row.not_before, done.outcome) == (Phase.PENDING, 0.0, Outcome.REJECTED)


def test_waits_grow_to_a_bound_and_respect_jira() -> None:
    """Each attempt waits longer, never beyond the bound, and never less than Retry-After."""
    waits, standing = [], row(Known.UNSEEN)
    for _ in range(8):
        standing = replace(answered(standing, JiraUnreachable("-")).row, known=Known.UNSEEN)
        waits.append(standing.not_before - NOW)
    assert waits == sorted(waits)
    assert waits[-1] == BACKOFF_MAX
    asked = answered(row(Known.UNSEEN), JiraUnreachable("-", retry_after=90.0))
    assert asked.row.not_before == NOW + 90.0


def test_success_clears_what_failures_left() -> None:
    """A settled row has no reason, no attempts and no wait."""
    failed = answered(row(Known.UNSEEN), JiraUnreachable("-")).row
    done = answered(failed, Written(1, "PROJ-1", created=True)).row
    assert (done.attempts, done.reason, done.not_before) == (0, None, 0.0)


def test_a_delete_is_gone() -> None:
    """204 to a delete settles the tombstone."""
    done = answered(row(Known.PRESENT, None, LINK.digest), Deleted())
    assert (done.row.known, done.outcome) == (Known.ABSENT, Outcome.GONE)


def test_answers_that_disagree_are_given_time() -> None:
    """404 to the delete while the list shows the link: the next try waits longer each time."""
    standing, waits = row(Known.PRESENT, None, LINK.digest), []
    for _ in range(3):
        missing = answered(standing, JiraNotFound("404", status=404)).row
        standing = answered(missing, Listed((RemoteLink(9, "PROJ-1", LINK, "g"),))).row
        waits.append(standing.not_before - NOW)
    assert waits == sorted(set(waits))
    assert standing.phase is Phase.PENDING
