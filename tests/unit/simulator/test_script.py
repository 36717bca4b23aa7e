"""What happens to which request: rules, a timeline, and chance that can be repeated."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bridge.simulator.faults import Fate, Knobs, Limits, Login, instead
from bridge.simulator.script import Dice, Rule, Script, Step, Timeline

SLOW, LOST = Fate.SLOW_AFTER, Fate.LOST


def fates(script: Script, *requests: tuple[str, str | None, bool]) -> list[Fate | None]:
    """The fates of requests in their order."""
    return [script.fate(method, issue, by_id=by_id) for method, issue, by_id in requests]


def test_a_rule_strikes_so_often_after_letting_some_go() -> None:
    """The first `skip` go free, the next `times` are struck, the rest go free again."""
    script = Script([Rule(LOST, skip=2, times=3)])
    assert fates(script, *[("POST", "DEMO-1", False)] * 7) == [None, None, LOST, LOST, LOST, None, None]


def test_a_rule_may_strike_for_ever() -> None:
    """Without a number of times it has no end."""
    assert fates(Script([Rule(LOST, times=None)]), *[("GET", None, False)] * 50) == [LOST] * 50


@pytest.mark.parametrize(
    ("rule", "struck"),
    [
        (Rule(LOST, times=None), [True, True, True, True]),
        (Rule(LOST, method="POST", times=None), [True, False, False, True]),
        (Rule(LOST, issue="demo-1", times=None), [True, True, False, False]),
        (Rule(LOST, by_id=True, times=None), [False, True, False, False]),
        (Rule(LOST, by_id=False, method="GET", times=None), [False, False, True, False]),
    ],
)
def test_a_rule_is_about_some_requests(rule: Rule, struck: list[bool]) -> None:
    """By method, by issue in any case, by whether a link's id is named; what is left out is any."""
    requests = [
        ("POST", "DEMO-1", False),
        ("GET", "Demo-1", True),
        ("GET", None, False),
        ("POST", "OPS-7", False),
    ]
    assert [fate is not None for fate in fates(Script([rule]), *requests)] == struck


def test_the_first_rule_that_strikes_decides_and_all_count() -> None:
    """A rule counts a request that another decided about."""
    script = Script([Rule(SLOW, times=1), Rule(LOST, skip=1, times=1), Rule(Fate.FAILED, times=None)])
    assert fates(script, *[("GET", None, False)] * 3) == [SLOW, LOST, Fate.FAILED]


def test_a_timeline_turns_knobs_when_their_time_comes() -> None:
    """Each step once, the earliest first, from the moment at which the timeline was set."""
    timeline = Timeline([Step(20, {"login": "failed"}), Step(10, {"is_down": True})], begin=100)
    assert timeline.due(109.9) == []
    assert timeline.due(110) == [{"is_down": True}]
    assert timeline.due(200) == [{"login": "failed"}]
    assert timeline.due(300) == []


REQUESTS = st.lists(
    st.tuples(st.sampled_from(["GET", "POST"]), st.sampled_from(["/a", "/b", "/c"])), max_size=20
)


@given(st.integers(0, 5), REQUESTS, st.randoms())
def test_chance_does_not_see_the_order_among_others(
    seed: int, requests: list[tuple[str, str]], chance: Random
) -> None:
    """However requests interleave, the n-th of a method and path has the same throw."""

    def throws(order: list[tuple[str, str]]) -> dict[tuple[str, str], list[float]]:
        dice, seen = Dice(seed), dict[tuple[str, str], list[float]]()
        for request in order:
            seen.setdefault(request, []).append(dice.throw(*request).dice)
        return seen

    shuffled = list(requests)
    chance.shuffle(shuffled)
    assert throws(shuffled) == throws(requests)


def test_another_seed_is_another_chance() -> None:
    """The same requests get other throws, and each name of an answer is there once."""
    one, two = ([dice.throw("GET", "/") for _ in range(200)] for dice in (Dice(1), Dice(2)))
    assert not {throw.dice for throw in one} & {throw.dice for throw in two}
    assert len({throw.trace for throw in one}) == len({throw.request_id for throw in one}) == 200
    assert 0.3 < sum(throw.dice for throw in one) / 200 < 0.7


RATES = [name for name in Knobs.__dataclass_fields__ if name.startswith("rate_")]


@pytest.mark.parametrize("name", RATES)
def test_each_rate_has_a_fate_of_its_own(name: str) -> None:
    """A rate of one strikes everything, half a rate the lower half."""
    fate = Knobs().turned({name: 1.0}).fate(0.99)
    assert fate is not Fate.ANSWERED
    assert [Knobs().turned({name: 0.5}).fate(dice) for dice in (0.0, 0.49, 0.5)] == [
        fate,
        fate,
        Fate.ANSWERED,
    ]
    assert fate not in {Knobs().turned({other: 1.0}).fate(0.5) for other in RATES if other != name}


def test_knobs_are_turned_in_part() -> None:
    """What is named changes, the rest stays, and what is no knob is refused."""
    knobs = Knobs(latency=0.5, login=Login.HIDDEN).turned({"rate_lost": 0.5, "limits": "cloud"})
    assert knobs == Knobs(latency=0.5, login=Login.HIDDEN, rate_lost=0.5, limits=Limits.CLOUD)
    with pytest.raises(ValidationError):
        knobs.turned({"rate_dropped": 0.6})
    with pytest.raises(ValidationError):
        knobs.turned({"is_up": True})


def test_what_is_answered_in_jiras_place() -> None:
    """Each has its status; the 5xx differ by chance, and only Jira's own are JSON."""
    knobs = Knobs(retry_after=3)
    answers = {fate: instead(fate, knobs, 0.0, 0.0) for fate in Fate}
    assert {fate: reply.status for fate, reply in answers.items() if reply} == {
        Fate.UNAVAILABLE: 503,
        Fate.LIMITED: 429,
        Fate.FAILED: 500,
        Fate.PROXIED: 502,
        Fate.REDIRECTED: 302,
    }
    assert {fate for fate, reply in answers.items() if reply and isinstance(reply.body, bytes)} == {
        Fate.PROXIED,
        Fate.REDIRECTED,
    }
    failed = [instead(Fate.FAILED, knobs, dice, 0.0) for dice in (0.0, 0.26, 0.51, 0.999)]
    assert [reply and reply.status for reply in failed] == [500, 502, 503, 504]
