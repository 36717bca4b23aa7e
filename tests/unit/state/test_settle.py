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
    Adoption,
    Call,
    CallKind,
    Deleted,
    Found,
    Known,
    Link,
    LinkKey,
    Listed,
    Outcome,
    Phase,
    RemoteLink,
    Replaced,
    Row,
    Stray,
    Version,
    Wanted,
    Written,
)
from bridge.ports import Answer
from bridge.state.batch import _marked
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
    return (_marked(before, call) if call.kind in WRITES else before), call


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


# --- adoption ------------------------------------------------------------------------------

BY_HAND = RemoteLink(7, "PROJ-1", OTHER)
ELSEWHERE = replace(BY_HAND, id=8, link=Link.model_validate({"object": {"url": "https://other.example"}}))
NOT_FOUND = JiraNotFound("404", status=404)


SOUGHT = Stray(Adoption.SOUGHT)
FOUND = Stray(Adoption.FOUND, 7)
BEGUN = Stray(Adoption.BEGUN, 7, LINK.digest)
TAKEN = replace(BY_HAND, link=LINK)  # our content, and no globalId


def seeking(known: Known = Known.UNSEEN, stray: Stray = SOUGHT) -> Row:
    return replace(row(known), stray=stray)


def steps(before: Row, *answers: Answer) -> tuple[list[CallKind], Row]:
    """The calls that are made until the row is settled, and the row."""
    kinds = []
    for answer in answers:
        kinds.append(call_of(before)[1].kind)
        before = answered(before, answer).row
    assert before.phase is Phase.SETTLED
    return kinds, before


def test_the_only_link_to_our_url_is_adopted() -> None:
    """It is given our globalId by its id, and read back; no link is created."""
    kinds, done = steps(
        seeking(), Listed((BY_HAND, ELSEWHERE)), Replaced(), Found(RemoteLink(7, "PROJ-1", LINK, "g"))
    )
    assert kinds == [CallKind.LIST, CallKind.ADOPT, CallKind.LOOK_UP]
    assert (done.link_id, done.stray, done.digest) == (7, None, LINK.digest)


def test_where_the_global_id_does_not_take_ours_replaces_the_other() -> None:
    """The read-back finds nothing, so that ours is created and the stray deleted."""
    ours = RemoteLink(9, "PROJ-1", LINK, "g")
    answers = (Listed((BY_HAND,)), Replaced(), NOT_FOUND, Written(9, "PROJ-1", created=True))
    kinds, done = steps(seeking(), *answers, Listed((TAKEN, ours)), Deleted())
    *first, second, third = kinds
    assert first == [CallKind.LIST, CallKind.ADOPT, CallKind.LOOK_UP, CallKind.CREATE]
    assert (second, third) == (CallKind.LIST, CallKind.DROP)
    assert (done.link_id, done.stray, done.known) == (9, None, Known.PRESENT)


@pytest.mark.parametrize("shown", [(), (BY_HAND,), (replace(TAKEN, global_id="somebody's"),)])
def test_a_stray_that_does_not_bear_our_content_alone_is_left(shown: tuple[RemoteLink, ...]) -> None:
    """Our request never reached it, or somebody else has taken it since: it is not ours to delete."""
    ours = RemoteLink(9, "PROJ-1", LINK, "g")
    kinds, done = steps(
        replace(row(Known.PRESENT, digest=LINK.digest), link_id=9, stray=BEGUN), Listed((*shown, ours))
    )
    assert (kinds, done.stray, done.link_id) == ([CallKind.LIST], None, 9)


@pytest.mark.parametrize(
    "remotes",
    [
        (),
        (ELSEWHERE,),
        (BY_HAND, replace(BY_HAND, id=9)),
        (replace(BY_HAND, global_id="somebody's"),),
    ],
)
def test_anything_but_one_candidate_is_left_alone(remotes: tuple[RemoteLink, ...]) -> None:
    """None, two, one to another URL or with a globalId: ours is created beside it."""
    kinds, done = steps(seeking(), Listed(remotes), Written(10, "PROJ-1", created=True))
    assert kinds == [CallKind.LIST, CallKind.CREATE]
    assert done.stray is None


def test_ours_is_found_by_the_list() -> None:
    """A link that stands under our globalId is ours, whatever else points to the URL."""
    kinds, done = steps(seeking(), Listed((BY_HAND, RemoteLink(3, "PROJ-1", LINK, "g"))))
    assert (kinds, done.link_id) == ([CallKind.LIST], 3)


def test_a_link_that_was_deleted_before_its_adoption_is_created() -> None:
    """404 to the adoption: there is nothing to double any more."""
    kinds, _ = steps(seeking(), Listed((BY_HAND,)), NOT_FOUND, Written(4, "PROJ-1", created=True))
    assert kinds == [CallKind.LIST, CallKind.ADOPT, CallKind.CREATE]


def test_an_adoption_that_did_not_happen_is_tried_again() -> None:
    """A 429 did nothing, so that the candidate is still one."""
    held = answered(seeking(Known.ABSENT, FOUND), JiraRateLimited("429", status=429)).row
    assert (held.stray, call_of(held)[1].kind) == (FOUND, CallKind.ADOPT)


def test_a_lost_adoption_is_read_back() -> None:
    """It may have taken effect: what stands under our globalId tells."""
    lost = answered(seeking(Known.ABSENT, FOUND), JiraAnswerLost("-")).row
    assert (lost.known, lost.stray, call_of(lost)[1].kind) == (Known.UNSURE, BEGUN, CallKind.LOOK_UP)
    done = answered(lost, Found(RemoteLink(7, "PROJ-1", LINK, "g")))
    assert (done.row.stray, done.reason, done.outcome) == (None, "adopted", Outcome.WRITTEN)


@pytest.mark.parametrize(
    ("error", "reason"), [(NOT_FOUND, "jira_not_found"), (JiraForbidden("403"), "jira_forbidden")]
)
def test_a_stray_that_cannot_be_dropped_is_let_go_of(error: JiraError, reason: str) -> None:
    """Ours stands as it should; what became of the other is told in the journal."""
    stray = replace(BEGUN, adoption=Adoption.LEFT_OVER)
    standing = replace(row(Known.PRESENT, digest=LINK.digest), link_id=9, stray=stray)
    done = answered(standing, error)
    assert (done.row.known, done.row.link_id, done.row.stray) == (Known.PRESENT, 9, None)
    assert (done.row.phase, done.outcome, done.reason) == (Phase.SETTLED, Outcome.WRITTEN, reason)


def test_a_refused_adoption_lets_go_of_its_candidate() -> None:
    """Ours is created instead; if Jira refuses that too, it is what is told."""
    done = answered(seeking(Known.ABSENT, FOUND), JiraForbidden("403", status=403)).row
    assert (done.phase, done.stray, call_of(done)[1].kind) == (Phase.PENDING, None, CallKind.CREATE)


def test_a_tombstone_takes_along_what_bears_our_content_and_nothing_else() -> None:
    """The list shows whether the stray took what it was sent; what was only found is not even looked at."""
    begun = replace(row(Known.UNSURE, None), stray=BEGUN)
    kinds, _ = steps(begun, NOT_FOUND, Listed((TAKEN,)), Deleted())
    assert kinds == [CallKind.LOOK_UP, CallKind.LIST, CallKind.DROP]
    kinds, _ = steps(begun, NOT_FOUND, Listed((BY_HAND,)))
    assert kinds == [CallKind.LOOK_UP, CallKind.LIST]
    marked, call = call_of(seeking(Known.ABSENT, FOUND))
    gone = replace(marked, wanted=row(Known.UNSEEN, None, time=2).wanted)
    assert settle(gone, call, JiraRateLimited("429", status=429), NOW, 1.0).row.stray is None


# --- moved issues --------------------------------------------------------------------------


def test_after_tangled_writes_only_a_look_up_that_follows_them_tells() -> None:
    """The answer to either write may be the older news; the look-up's is not."""
    marked, call = call_of(row(Known.UNSEEN))
    tangled = settle(
        replace(marked, known=Known.TANGLED), call, Written(7, "PROJ-1", created=True), NOW, 1.0
    ).row
    assert (tangled.known, call_of(tangled)[1].kind) == (Known.TANGLED, CallKind.LOOK_UP)
    assert answered(tangled, Found(RemoteLink(7, "PROJ-1", LINK, "g"))).row.known is Known.PRESENT
    assert answered(tangled, JiraUnavailable("503")).row.known is Known.TANGLED


def test_a_candidate_found_under_a_former_key_is_sought_again() -> None:
    """Another of the issue's links may have found the same one under its present key."""
    marked, call = call_of(seeking())
    moved = replace(marked, key=KEY._replace(issue="NEW-1"))
    assert settle(moved, call, Listed((BY_HAND,)), NOW, 1.0).row.stray == SOUGHT


def test_a_failed_adoption_of_another_url_is_sought_again() -> None:
    """The candidate was one for the URL that was wanted then."""
    marked, call = call_of(seeking(Known.ABSENT, FOUND))
    elsewhere = Link.model_validate({"object": {"url": "https://other.example", "title": "build 1"}})
    newer = replace(marked, wanted=row(Known.UNSEEN, elsewhere, time=2).wanted)
    assert settle(newer, call, JiraRateLimited("429", status=429), NOW, 1.0).row.stray == SOUGHT
