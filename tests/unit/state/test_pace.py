"""Pacing: windows, points and tokens, never exceeded and nearly all used."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Bucket
from bridge.state.pace import FOREVER, HOUR, Meter, Points, Tokens, Window, per_second


def test_a_reserved_request_counts_until_it_is_stamped() -> None:
    """It may arrive at any moment, so that nobody can say when its place is free."""
    meter = Meter((Window(2, 10.0),))
    meter.reserve()
    meter.reserve()
    assert meter.free_at() == FOREVER
    meter.stamp(3.0)
    assert meter.free_at() == 13.0
    meter.reserve()
    assert meter.free_at() == FOREVER


def test_a_released_request_leaves_its_place() -> None:
    """What did not go does not count."""
    meter = Meter((Window(1, 10.0),))
    meter.reserve()
    meter.release()
    assert meter.free_at() == 0.0
    assert meter.is_idle(0.0)


def test_a_meter_is_idle_when_forgetting_it_loses_nothing() -> None:
    """Not while a window, a hold or a request of its own is open."""
    meter = Meter((Window(1, 10.0),))
    meter.reserve()
    assert not meter.is_idle(99.0)
    meter.stamp(5.0)
    assert not meter.is_idle(14.0)
    assert meter.is_idle(15.0)
    meter.held_until = 20.0
    assert not meter.is_idle(19.0)


def test_a_rate_is_a_window_and_a_smoother_one() -> None:
    """A hundred a second, no more than a quarter of them at once; rates below one a second too."""
    assert per_second(100.0) == (Window(100, 1.03), Window(25, 0.2))
    assert per_second(0.5) == (Window(1, 2.06), Window(1, 1.6))


WINDOWS = (Window(20, 2.0), Window(100, 30.0))


@given(st.integers(0, 2**32), st.sampled_from([0.05, 0.5, 5.0]), st.sampled_from([0.01, 0.3, 2.0]))
def test_no_window_is_ever_exceeded_however_slow_the_answers(seed: int, latency: float, pause: float) -> None:
    """Requests arrive at any moment between leaving and their answers; no window of arrivals overflows."""
    chance, meter, now = Random(seed), Meter(WINDOWS), 0.0
    arrived: list[float] = []
    answered: list[float] = []
    while len(arrived) < 250:
        now += chance.uniform(0.0, pause)
        for moment in sorted(each for each in answered if each <= now):
            meter.stamp(moment)
        answered = [each for each in answered if each > now]
        while meter.free_at() <= now:
            meter.reserve()
            back = now + chance.uniform(0.0, latency)
            arrived.append(chance.uniform(now, back))
            answered.append(back)
    for moment in arrived:
        for window in WINDOWS:
            within = [other for other in arrived if moment <= other < moment + window.seconds]
            assert len(within) <= window.count


def test_points_begin_anew_with_the_hour() -> None:
    """What is spent is spent until the hour ends, by UTC."""
    points = Points(100)
    points.spend(100, 5.0)
    assert points.free_at(1, 6.0, is_new=True) == HOUR
    assert points.free_at(1, HOUR, is_new=True) == 0.0


def test_the_last_points_are_for_new_links_until_the_hour_runs_out() -> None:
    """A tenth at its beginning, none at its end: all of them can be used."""
    points = Points(1_000)
    points.spend(899, 0.0)
    assert points.free_at(1, 0.0, is_new=False) <= 0.0
    points.spend(51, 0.0)
    assert points.free_at(1, 0.0, is_new=True) == 0.0
    assert points.free_at(1, 0.0, is_new=False) == HOUR - HOUR * 49 / 100
    points.spend(49, 0.0)
    assert points.free_at(1, 0.0, is_new=False) == HOUR


def test_no_quota_is_no_limit() -> None:
    """API tokens have none."""
    points = Points(None)
    points.spend(10**9, 0.0)
    assert points.free_at(10**9, 0.0, is_new=False) == 0.0


def test_an_unknown_bucket_allows_anything() -> None:
    """Cloud tells of none."""
    tokens = Tokens()
    tokens.spend(0.0)
    assert tokens.free_at(0.0) == 0.0
    tokens.learn(Bucket(limit=2, remaining=2, fill=1, seconds=10.0), 0, 0.0)
    tokens.spend(0.0)
    assert tokens.free_at(0.0) == 10.0
    tokens.learn(Bucket(limit=5, remaining=0, fill=2, seconds=10.0), 0, 0.0)
    tokens.learn(None, 0, 0.0)
    assert tokens.free_at(0.0) == 0.0


def test_a_bucket_fills_in_steps() -> None:
    """So many tokens at each interval, never more than it holds."""
    tokens = Tokens()
    tokens.learn(Bucket(limit=5, remaining=1, fill=2, seconds=10.0), 0, 100.0)
    for _ in range(4):
        tokens.spend(100.0)
    assert tokens.free_at(100.0) == 120.0
    assert tokens.free_at(119.9) == 120.0
    assert tokens.free_at(120.0) == 0.0
    for _ in range(5):
        assert tokens.free_at(900.0) == 0.0
        tokens.spend(900.0)
    assert tokens.free_at(900.0) == 910.0


def test_an_answer_that_was_overtaken_gives_nothing_back() -> None:
    """Jira counted down in another order than its answers came."""
    tokens = Tokens()
    for remaining in (2, 4, 3):
        tokens.learn(Bucket(limit=5, remaining=remaining, fill=2, seconds=10.0), 0, 1.0)
    for _ in range(2):
        assert tokens.free_at(1.0) == 0.0
        tokens.spend(1.0)
    assert tokens.free_at(1.0) == 11.0


def test_another_bucket_begins_anew() -> None:
    """When the administrator allows more, the next answer's word holds."""
    tokens = Tokens()
    tokens.learn(Bucket(limit=5, remaining=0, fill=2, seconds=10.0), 0, 1.0)
    tokens.learn(Bucket(limit=50, remaining=40, fill=20, seconds=1.0), 0, 1.0)
    assert tokens.free_at(1.0) == 0.0


@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.3, 3.0]))
def test_no_bucket_is_ever_overdrawn_and_nearly_all_of_it_is_used(seed: int, latency: float) -> None:
    """However slow and disordered the answers, Jira's own bucket is never empty when a request comes."""
    chance, tokens, limit, fill, seconds = Random(seed), Tokens(), 20, 10, 2.0
    now, phase, left, filled, sent = 50.0, chance.random() * seconds, float(limit), 0, 0
    answers: list[tuple[float, int]] = []
    tokens.learn(Bucket(limit, limit, fill, seconds), 0, now)
    while now < 250.0:
        now += chance.uniform(0.0, 0.1)
        fills = int((now - phase) / seconds)
        left, filled = min(limit, left + (fills - filled) * fill), fills
        while tokens.free_at(now) <= now and len(answers) < 16:
            tokens.spend(now)
            left, sent = left - 1, sent + 1
            assert left >= 0
            answers.append((now + chance.uniform(0.0, latency), int(left)))
        for answer in sorted(each for each in answers if each[0] <= now):
            answers.remove(answer)
            tokens.learn(Bucket(limit, answer[1], fill, seconds), len(answers), now)
    assert sent >= 0.95 * 200.0 / seconds * fill or latency > seconds
