"""Scheduling: order, limits, halts."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import Scope
from bridge.model import CallKind, Known, Link, LinkKey, Phase, Row, Version, Wanted
from bridge.state.schedule import FOREVER, Allowance, Schedule, Window, paced

LINK = Link.model_validate({"object": {"url": "https://ci.example/1", "title": "build 1"}})


def row(issue: str, subject: str = "g", *, known: Known = Known.UNSEEN, link: Link | None = LINK) -> Row:
    wanted = Wanted(Version(0, 1, 0, 0, 0), link, "ci e", frozenset())
    return Row(LinkKey("main", issue, subject), wanted, known, "other", 1)


def schedule(**allowance: object) -> Schedule:
    return Schedule({"main": Allowance(**allowance)})  # type: ignore[arg-type]


def issues(keys: list[LinkKey]) -> list[str]:
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
    plan.done(row("P-2").key)
    assert issues(plan.take(0.0)) == ["P-1"]


def test_an_upsert_put_off_lets_deletes_pass() -> None:
    """A deferred row holds only itself."""
    plan = schedule()
    plan.put([row("P-1", known=Known.PRESENT, link=None), replace(row("P-2"), not_before=9.0)], 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]
    assert plan.wake(0.0) == 9.0
    assert issues(plan.take(9.0)) == ["P-2"]


def test_one_request_in_flight_a_link() -> None:
    """News for a link in flight wait until its call is over."""
    plan = schedule()
    plan.put([row("P-1")], 0.0)
    assert plan.take(0.0)
    plan.put([row("P-1")], 0.0)
    assert plan.take(0.0) == []
    plan.done(row("P-1").key)
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
    assert plan.take(0.0) == []
    assert len(plan) == 0


def test_one_issues_limit_holds_only_that_issue() -> None:
    """Two writes in two seconds to one issue; the third waits, other issues go on."""
    plan = schedule(issue=(Window(2, 2.0),))
    plan.put([row("P-1", f"g{n}") for n in range(3)] + [row("P-2")], 0.0)
    assert sorted(issues(plan.take(0.0))) == ["P-1", "P-1", "P-2"]
    assert plan.wake(0.0) == 2.0
    assert issues(plan.take(2.0)) == ["P-1"]


def test_a_methods_limit_lets_other_methods_go() -> None:
    """A 429 for POST holds no look-up."""
    plan = schedule(method={"POST": (Window(1, 1.0),)})
    plan.put([row("P-1"), row("P-2"), row("P-3", "h", known=Known.UNSURE)], 0.0)
    assert sorted(issues(plan.take(0.0))) == ["P-1", "P-3"]
    plan.hold(row("P-1").key, CallKind.CREATE, Scope.METHOD, 30.0)
    plan.done(row("P-1").key)
    assert plan.take(5.0) == []
    assert issues(plan.take(30.0)) == ["P-2"]


def test_a_429_of_an_issue_holds_that_issue() -> None:
    """The scope of the limit says what waits."""
    plan = schedule()
    plan.hold(row("P-1").key, CallKind.CREATE, Scope.ISSUE, 10.0)
    plan.put([row("P-1"), row("P-2")], 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]
    assert issues(plan.take(10.0)) == ["P-1"]


def test_a_halted_site_waits_and_others_go_on() -> None:
    """With the credentials of one site refused, only its rows wait, and they go on afterwards."""
    plan = Schedule({"main": Allowance(), "other": Allowance()})
    elsewhere = replace(row("Q-1"), key=LinkKey("other", "Q-1", "g"))
    plan.halt("main")
    plan.put([row("P-1"), elsewhere], 0.0)
    assert issues(plan.take(0.0)) == ["Q-1"]
    assert plan.wake(0.0) == FOREVER
    plan.resume("main")
    assert issues(plan.take(0.0)) == ["P-1"]


@given(st.lists(st.floats(0.0, 0.3), min_size=1, max_size=80), st.sampled_from([5.0, 20.0, 100.0]))
def test_pacing_never_exceeds_its_rate(steps: list[float], rate: float) -> None:
    """In no second are there more requests than the rate and half a second's burst."""
    plan = schedule(site=paced(rate), in_flight=10_000)
    plan.put([row(f"P-{n}") for n in range(2_000)], 0.0)
    now, sent = 0.0, []
    for step in steps:
        now += step
        sent += [now] * len(plan.take(now))
    for moment in sent:
        assert len([other for other in sent if moment <= other < moment + 1.0]) <= rate + rate / 20 + 1


def test_waiting_uses_nearly_all_of_the_allowance() -> None:
    """Waking exactly when told to, a backlog goes out at the rate."""
    plan = schedule(site=paced(50.0), in_flight=10_000)
    plan.put([row(f"P-{n}") for n in range(2_000)], 0.0)
    now, sent = 0.0, 0
    while now < 10.0:
        sent += len(plan.take(now))
        now = plan.wake(now)
    assert sent >= 0.98 * 500


def test_a_look_up_waits_for_its_subjects_writes() -> None:
    """A moved issue's link is asked for only when no write to it is under way under another key."""
    plan = schedule()
    plan.put([row("P-1", known=Known.PRESENT, link=None)], 0.0)
    assert issues(plan.take(0.0)) == ["P-1"]
    plan.put([row("P-2", known=Known.UNSURE), row("P-3", "h", known=Known.UNSURE)], 0.0)
    assert issues(plan.take(0.0)) == ["P-3"]
    plan.done(row("P-1").key)
    assert issues(plan.take(0.0)) == ["P-2"]


def test_a_tombstone_that_becomes_a_link_leads_again() -> None:
    """The same look-up is an upsert's now, and its subject's deletes wait for it."""
    plan = schedule()
    plan.put([row("P-2", known=Known.UNSURE, link=None)], 0.0)
    plan.put([row("P-2", known=Known.UNSURE), row("P-1", known=Known.PRESENT, link=None)], 0.0)
    assert issues(plan.take(0.0)) == ["P-2"]


def test_a_halt_does_not_end_a_rate_limits_wait() -> None:
    """When the credentials are accepted again, a quota that was used up still is."""
    plan = schedule()
    plan.hold(row("P-1").key, CallKind.CREATE, Scope.SITE, 3_600.0)
    plan.halt("main")
    plan.resume("main")
    plan.put([row("P-1")], 0.0)
    assert plan.take(1.0) == []
    assert plan.wake(1.0) == 3_600.0
