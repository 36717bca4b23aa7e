"""Scheduling: order, limits, halts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import (
    JiraAnswerLost,
    JiraRateLimited,
    JiraUnauthorized,
    JiraUnavailable,
    Scope,
)
from bridge.model import (
    Adoption,
    Bucket,
    Call,
    Deleted,
    Known,
    Link,
    LinkKey,
    Listed,
    Phase,
    Row,
    Stray,
    Version,
    Wanted,
    Written,
)
from bridge.ports import Answer
from bridge.state.circuit import FAILURES, REFUSED_WAIT, State
from bridge.state.decide import call_for
from bridge.state.pace import FOREVER, Allowance, Window, per_second
from bridge.state.schedule import Schedule
from bridge.state.site import METHOD

LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})


def row(issue: str, subject: str = "g", *, known: Known = Known.UNSEEN, link: Link | None = LINK) -> Row:
    wanted = Wanted(Version(0, 1, 0, 0, 0), link, "ci e", frozenset())
    return Row(LinkKey("main", issue, subject), wanted, known, "other", 1)


def schedule(**allowance: object) -> Schedule:
    return Schedule(Allowance(**allowance))  # type: ignore[arg-type]


def call(one: Row) -> Call:
    found = call_for(one)
    assert found is not None
    return found


def answer(plan: Schedule, one: Row, said: Answer, now: float, bucket: Bucket | None = None) -> None:
    """Send the call of a row that was taken, and have it answered and settled at once."""
    plan.left(one.key, now)
    plan.answered(call(one), said, bucket, now)
    plan.done(one.key, now)


SWAP = (("A", "g"), ("B", "h"))
WRITTEN = Written(1, "P-1", created=True)


def limited(scope: Scope, seconds: float) -> JiraRateLimited:
    return JiraRateLimited("too many", status=429, scope=scope, retry_after=seconds)


def issues(keys: Iterable[LinkKey]) -> list[str]:
    return [key.issue for key in keys]


def test_creates_go_before_updates() -> None:
    """With one place free, a new link comes before a change of an old one."""
    plan = schedule(in_flight=1)
    plan.put([row("P-1", known=Known.PRESENT), row("P-2", "h")], 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]


def test_a_delete_waits_for_its_subjects_upserts() -> None:
    """The new issue has its link before the old one loses it."""
    plan = schedule()
    gone = row("P-1", known=Known.PRESENT, link=None)
    plan.put([gone, row("P-2")], 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]
    answer(plan, row("P-2"), WRITTEN, 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]


def test_an_upsert_put_off_lets_deletes_pass() -> None:
    """A deferred row holds only itself."""
    plan = schedule()
    plan.put([row("P-1", known=Known.PRESENT, link=None), replace(row("P-2"), not_before=9.0)], 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]
    answer(plan, row("P-1", known=Known.PRESENT, link=None), Deleted(), 0.0)
    assert plan.wake(0.0) == 9.0
    assert issues(plan.take(9.0)) == ["P-2"]


def test_an_upsert_waits_for_its_subjects_delete_under_way() -> None:
    """Under both keys of a moved issue they are one link, which the delete could reach last."""
    plan = schedule()
    gone = row("P-1", known=Known.PRESENT, link=None)
    plan.put([gone], 0.0)
    plan.take(0.0)
    plan.put([row("P-2"), row("P-3", "h")], 0.0)
    assert issues(plan.take(0.0)) == ["P-3"]
    answer(plan, gone, Deleted(), 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]


def test_links_that_seek_one_to_adopt_follow_each_other() -> None:
    """Of an issue's seekers one goes at a time, and one that is gone holds up none."""
    plan = schedule()
    rows = [replace(row("P-1", f"g{n}"), stray=Stray(Adoption.SOUGHT)) for n in range(5)]
    plan.put(rows, 0.0)
    assert list(plan.take(0.0)) == [rows[0].key]
    assert not plan.take(0.0)
    plan.put([replace(rows[1], phase=Phase.SETTLED)], 0.0)
    answer(plan, rows[0], Listed(()), 0.0)
    plan.put([replace(rows[2], phase=Phase.SETTLED)], 0.0)
    assert list(plan.take(0.0)) == [rows[3].key]
    answer(plan, rows[3], Listed(()), 0.0)
    assert list(plan.take(0.0)) == [rows[4].key]
    answer(plan, rows[4], Listed(()), 0.0)
    assert len(plan) == 0


def test_news_do_not_put_off_what_its_sites_return_has_hastened() -> None:
    """A row that may go since its site is back keeps its place when an event comes for it."""
    plan = schedule()
    rows = [row(f"P-{n}") for n in range(FAILURES)]
    plan.put(rows, 0.0)
    plan.take(0.0)
    for one in rows:
        answer(plan, one, JiraUnavailable("503", status=503), 0.0)
    away = [replace(one, not_before=600.0, reason=JiraUnavailable.code) for one in rows]
    plan.put([*away, row("Q-1")], 0.0)
    plan.take(1.0)
    answer(plan, row("Q-1"), WRITTEN, 1.0)
    plan.put(away, 1.0)
    assert len(plan.take(1.0)) == len(away)


def test_a_probe_is_of_each_kind_in_turn() -> None:
    """Links whose every request fails are not all that a site is ever tried with."""
    plan = schedule(in_flight=FAILURES)
    bad = [row(f"B-{n}", known=Known.UNSURE) for n in range(FAILURES)]
    good, now = row("G-1", known=Known.PRESENT), 0.0
    plan.put(bad, now)
    plan.take(now)
    for one in bad:
        answer(plan, one, JiraUnavailable("502", status=502), now)
    plan.put([*bad, good], now)
    for _ in METHOD:
        now = plan.wake(now)
        (key,) = plan.take(now)
        if key == good.key:
            break
        answer(plan, next(one for one in bad if one.key == key), JiraUnavailable("502", status=502), now)
        plan.put(bad, now)
    assert key == good.key


def test_links_that_wait_to_adopt_hold_no_delete_back() -> None:
    """Two subjects swap issues: each waits for the other's candidate to be let go of."""
    plan = schedule()
    found = Stray(Adoption.BEGUN, 7)
    old = [
        replace(row(issue, subject, link=None), known=Known.PRESENT, stray=found) for issue, subject in SWAP
    ]
    new = [
        replace(row(issue, subject), stray=Stray(Adoption.SOUGHT))
        for issue, subject in zip("BA", "gh", strict=True)
    ]
    plan.put([*new, *old], 0.0)
    assert sorted(plan.take(0.0)) == sorted(one.key for one in old)


def test_a_429_of_an_issue_to_a_read_holds_its_method() -> None:
    """An issue's share is of writes; what a read is told holds the reads."""
    plan = schedule(in_flight=1)
    rows = [row(f"P-{n}", f"g{n}", known=Known.UNSURE) for n in range(2)]
    plan.put(rows, 0.0)
    plan.take(0.0)
    answer(plan, rows[0], limited(Scope.ISSUE, 10.0), 0.0)
    assert not plan.take(5.0)
    assert plan.wake(5.0) == 10.0


def test_a_clock_that_was_set_back_holds_nothing_for_long() -> None:
    """A moment of before counts for an hour at most, as long as Jira may ask for."""
    plan = schedule()
    plan.put([replace(row("P-1"), not_before=1_000_000.0)], 0.0)
    assert plan.wake(0.0) == 3_600.0


def test_one_request_in_flight_a_link() -> None:
    """News for a link in flight wait until its call is over."""
    plan = schedule()
    plan.put([row("P-1")], 0.0)
    assert plan.take(0.0)
    plan.put([row("P-1")], 0.0)
    assert not plan.take(0.0)
    answer(plan, row("P-1"), WRITTEN, 0.0)
    plan.put([row("P-1")], 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]


def test_in_flight_is_bounded() -> None:
    """No more requests at a time than allowed, though more are due."""
    plan = schedule(in_flight=3)
    plan.put([row(f"P-{n}") for n in range(9)], 0.0)
    assert len(plan.take(0.0)) == 3
    assert plan.wake(0.0) == FOREVER


def test_a_settled_row_leaves() -> None:
    """What wants no call any more is not called."""
    plan = schedule()
    plan.put([row("P-1")], 0.0)
    plan.put([replace(row("P-1"), phase=Phase.SETTLED)], 0.0)
    assert not plan.take(0.0)
    assert len(plan) == 0


def test_one_issues_limit_holds_only_that_issue() -> None:
    """Two writes in two seconds to one issue, counted from their answers; other issues go on."""
    plan = schedule(issue=(Window(2, 2.0),))
    rows = [row("P-1", f"g{n}") for n in range(3)]
    plan.put([*rows, row("P-2")], 0.0)
    assert sorted(issues(plan.take(0.0))) == ["P-1", "P-1", "P-2"]
    assert plan.wake(0.0) == FOREVER
    answer(plan, rows[0], WRITTEN, 0.5)
    answer(plan, rows[1], WRITTEN, 0.7)
    assert plan.wake(1.0) == 2.5
    assert not plan.take(2.4)
    assert issues(plan.take(2.5)) == ["P-1"]


def test_a_call_that_was_not_needed_takes_nothing_from_the_issues_share() -> None:
    """What never left leaves its place to the next one."""
    plan = schedule(issue=(Window(1, 2.0),))
    plan.put([row("P-1", "g1"), row("P-1", "g2")], 0.0)
    taken = plan.take(0.0)
    plan.done(next(iter(taken)), 0.0)
    assert len(plan.take(0.0)) == 1


def test_issues_take_turns() -> None:
    """An issue with one new link does not wait behind another's hundred."""
    plan = schedule(in_flight=2)
    plan.put([row("P-1", f"g{n}") for n in range(100)] + [row("P-2")], 0.0)
    assert issues(plan.take(0.0)) == ["P-1", "P-2"]


def test_a_methods_limit_lets_other_methods_go() -> None:
    """A 429 for POST holds no look-up."""
    plan = schedule(method={"POST": (Window(1, 1.0),)})
    plan.put([row("P-1"), row("P-2"), row("P-3", "h", known=Known.UNSURE)], 0.0)
    assert sorted(issues(plan.take(0.0))) == ["P-1", "P-3"]
    answer(plan, row("P-1"), limited(Scope.METHOD, 30.0), 0.0)
    assert not plan.take(5.0)
    assert issues(plan.take(30.0)) == ["P-2"]


def test_a_429_of_an_issue_holds_that_issue() -> None:
    """The scope of the limit says what waits."""
    plan = schedule(in_flight=1)
    plan.put([row("P-1"), row("P-1", "h"), row("P-2")], 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]
    answer(plan, row("P-1"), limited(Scope.ISSUE, 10.0), 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]
    answer(plan, row("P-2"), WRITTEN, 0.0)
    assert not plan.take(9.0)
    assert issues(plan.take(10.0)) == ["P-1"]


def test_a_halted_site_waits() -> None:
    """With the site's credentials refused its rows wait, and one of them tries it."""
    plan = schedule()
    plan.put([row("P-1")], 0.0)
    plan.take(0.0)
    answer(plan, row("P-1"), JiraUnauthorized("no", status=401), 0.0)
    plan.put([row("P-1"), row("P-2")], 0.0)
    assert not plan.take(0.0)
    assert plan.wake(0.0) == REFUSED_WAIT
    assert issues(plan.take(REFUSED_WAIT)) == ["P-1"]
    assert plan.circuit.state is State.HALF_OPEN
    assert plan.wake(REFUSED_WAIT) == FOREVER
    answer(plan, row("P-1"), WRITTEN, REFUSED_WAIT)
    assert issues(plan.take(REFUSED_WAIT)) == ["P-2"]


def test_a_late_answer_of_before_does_not_close_the_circuit() -> None:
    """Only the probe tells how the site is now."""
    plan = schedule()
    rows = [row(f"P-{n}") for n in range(2)]
    plan.put(rows, 0.0)
    plan.take(0.0)
    answer(plan, rows[0], JiraUnauthorized("no", status=401), 0.0)
    plan.put([rows[0]], 0.0)
    assert issues(plan.take(REFUSED_WAIT)) == ["P-0"]
    answer(plan, rows[1], WRITTEN, REFUSED_WAIT)
    assert plan.circuit.state is State.HALF_OPEN


def test_a_probe_that_was_not_needed_leaves_its_place_to_the_next() -> None:
    """When the row wants nothing any more, another one tries the site."""
    plan = schedule()
    plan.put([row("P-1")], 0.0)
    plan.take(0.0)
    answer(plan, row("P-1"), JiraUnauthorized("no", status=401), 0.0)
    plan.put([row("P-1"), row("P-2")], 0.0)
    (probe,) = plan.take(REFUSED_WAIT)
    plan.done(probe, REFUSED_WAIT)
    assert len(plan.take(REFUSED_WAIT)) == 1


def test_a_site_that_is_back_gets_what_was_put_off() -> None:
    """Rows that were put off because their site was away go as soon as its circuit closes."""
    plan = schedule()
    rows = [row(f"P-{n}") for n in range(FAILURES)]
    plan.put(rows, 0.0)
    plan.take(0.0)
    for one in rows:
        answer(plan, one, JiraUnavailable("503", status=503), 0.0)
    plan.put([replace(one, not_before=30.0, reason=JiraUnavailable.code) for one in rows], 0.0)
    plan.put([row("Q-1"), replace(row("Q-2"), not_before=40.0, reason="jira_rate_limited")], 0.0)
    assert not plan.take(0.5)
    assert issues(plan.take(1.0)) == ["Q-1"]
    answer(plan, row("Q-1"), WRITTEN, 1.1)
    assert sorted(issues(plan.take(1.1))) == [one.key.issue for one in rows]
    assert not plan.take(39.0)
    assert issues(plan.take(40.0)) == ["Q-2"]


def test_one_of_an_issues_links_looks_for_one_to_adopt_at_a_time() -> None:
    """Two links of one URL would take the same one over; the second looks when the first has it."""
    plan = schedule()
    first, second, other = (
        replace(row(*name), stray=Stray(Adoption.SOUGHT)) for name in (("P-1", "g"), ("P-1", "h"), ("P-2",))
    )
    plan.put([first, second, other], 0.0)
    assert issues(plan.take(0.0)) == ["P-1", "P-2"]
    answer(plan, first, Deleted(), 0.0)
    plan.put([replace(first, stray=Stray(Adoption.FOUND, 7))], 0.0)
    assert list(plan.take(0.0)) == [first.key]
    answer(plan, replace(first, stray=Stray(Adoption.FOUND, 7)), Deleted(), 0.0)
    plan.put([replace(first, phase=Phase.SETTLED)], 0.0)
    assert list(plan.take(0.0)) == [second.key]


def test_data_centers_bucket_is_never_overdrawn() -> None:
    """What an answer tells of the bucket holds at once, with what is in flight taken off."""
    plan = schedule(in_flight=100)
    rows = [row(f"P-{n}") for n in range(20)]
    plan.put(rows[:2], 0.0)
    plan.take(0.0)
    answer(plan, rows[0], WRITTEN, 0.0, Bucket(limit=10, remaining=4, fill=5, seconds=2.0))
    plan.put(rows[2:], 0.0)
    assert len(plan.take(0.0)) == 3
    assert plan.wake(0.0) == 2.0
    assert len(plan.take(2.0)) == 5


def test_a_lost_answer_tells_nothing_of_the_bucket() -> None:
    """What the answer before it told holds, with the requests since then taken off."""
    plan = schedule(in_flight=1)
    rows = [row(f"P-{n}") for n in range(4)]
    plan.put(rows, 0.0)
    bucket = Bucket(limit=10, remaining=1, fill=1, seconds=60.0)
    for said in (WRITTEN, JiraAnswerLost("-")):
        (key,) = plan.take(0.0)
        answer(plan, next(one for one in rows if one.key == key), said, 0.0, bucket)
    assert not plan.take(0.0)
    assert plan.wake(0.0) == 60.0


def test_new_links_go_before_updates_when_points_are_short() -> None:
    """The last points of a young hour are kept for new links, and no more than the points are spent."""
    plan = schedule(points=100, in_flight=1_000)
    old = [row(f"P-{n}", known=Known.PRESENT) for n in range(200)]
    new = [row(f"Q-{n}") for n in range(200)]
    plan.put(old, 0.0)
    assert len(plan.take(0.0)) == 90
    plan.put(new, 0.0)
    assert {key.issue[0] for key in plan.take(0.0)} == {"Q"}
    assert not plan.take(3_599.0)
    assert len(plan.take(3_600.0)) == 100


@given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=80), st.sampled_from([5.0, 20.0, 100.0]))
def test_pacing_never_exceeds_its_rate(steps: list[float], rate: float) -> None:
    """In no second are there more requests than the rate, nor a quarter of them at one moment."""
    plan = schedule(site=per_second(rate), in_flight=10_000)
    plan.put([row(f"P-{n}") for n in range(2_000)], 0.0)
    now, sent = 0.0, []
    for step in steps:
        now += step
        taken = plan.take(now)
        assert len(taken) <= -(-rate // 4)
        for key in taken:
            plan.left(key, now)
        sent += [now] * len(taken)
    for moment in sent:
        assert len([other for other in sent if moment <= other < moment + 1.0]) <= rate


def test_waiting_uses_nearly_all_of_the_allowance() -> None:
    """Waking when told to, some milliseconds late, a backlog goes out at 95 % of the rate or more."""
    plan = schedule(site=per_second(50.0), in_flight=10_000)
    plan.put([row(f"P-{n}") for n in range(2_000)], 0.0)
    now, sent = 0.0, 0
    while now < 20.0:
        taken = plan.take(now)
        for key in taken:
            plan.left(key, now + 0.005)
        sent += len(taken)
        now = plan.wake(now) + 0.010
    assert sent >= 0.95 * 20 * 50


def test_a_look_up_waits_for_its_subjects_writes() -> None:
    """A moved issue's link is asked for only when no write to it is under way under another key."""
    plan = schedule()
    plan.put([row("P-1", known=Known.PRESENT, link=None)], 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]
    plan.put([row("P-2", known=Known.UNSURE), row("P-3", "h", known=Known.UNSURE)], 0.0)
    assert issues(plan.take(0.0)) == ["P-3"]
    answer(plan, row("P-1", known=Known.PRESENT, link=None), Deleted(), 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]


def test_a_tombstone_that_becomes_a_link_leads_again() -> None:
    """The same look-up is an upsert's now, and its subject's deletes wait for it."""
    plan = schedule()
    plan.put([row("P-2", known=Known.UNSURE, link=None)], 0.0)
    plan.put([row("P-2", known=Known.UNSURE), row("P-1", known=Known.PRESENT, link=None)], 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]


def test_a_probe_does_not_end_a_rate_limits_wait() -> None:
    """When the credentials are accepted again, a quota that was used up still is."""
    plan = schedule()
    rows = [row(f"P-{n}") for n in range(3)]
    plan.put(rows, 0.0)
    plan.take(0.0)
    answer(plan, rows[0], limited(Scope.SITE, 3_600.0), 0.0)
    answer(plan, rows[1], JiraUnauthorized("no", status=401), 0.0)
    plan.put([rows[0]], 0.0)
    assert not plan.take(3_599.0)
    assert plan.wake(1.0) == 3_600.0
