"""Health: conditions make ready, beats make alive; both over HTTP."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.observe.health import Health
from bridge.observe.metrics import Metrics
from bridge.observe.server import probes
from bridge.observe.states import STATES


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The seconds that it stands at."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


def bad(health: Health) -> set[str]:
    """The names that keep it from being ready."""
    return {name for name, condition in health.ready().items() if not condition.ok}


def test_an_expected_condition_does_not_hold_until_it_is_set(clock: Clock) -> None:
    """What was announced and not yet heard of keeps a process from being ready."""
    health = Health(clock, "kafka")
    assert bad(health) == {"kafka"}
    health.set("kafka", ok=True)
    assert bad(health) == set()


def test_a_condition_tells_its_reason(clock: Clock) -> None:
    """The reason is that of the last time it was set."""
    health = Health(clock)
    health.set("kafka", ok=False, reason="away")
    assert health.ready()["kafka"].reason == "away"
    assert health.alive() == {}


def test_a_beat_that_is_overdue_is_neither_alive_nor_ready(clock: Clock) -> None:
    """A sign of life is good for as long as it promised, and a new one makes it good again."""
    health = Health(clock)
    health.beat("consumer", within=30)
    clock.now += 30
    assert health.alive()["consumer"].ok
    clock.now += 5
    assert health.alive()["consumer"].reason == "no sign of life, 5 s overdue"
    assert bad(health) == {"consumer"}
    health.beat("consumer", within=30)
    assert bad(health) == set()


def test_a_condition_of_the_same_name_does_not_hide_an_overdue_beat(clock: Clock) -> None:
    """What last said that all is well, and then fell silent, is not ready."""
    health = Health(clock)
    health.set("consumer", ok=True)
    health.beat("consumer", within=30)
    clock.now += 31
    assert bad(health) == {"consumer"}


def test_what_rests_is_not_waited_for(clock: Clock) -> None:
    """A loop that ended as it should owes no further sign of life."""
    health = Health(clock)
    health.beat("consumer", within=30)
    health.rest("consumer")
    clock.now += 1_000
    assert bad(health) == set()


async def test_the_probes_answer_over_http(clock: Clock) -> None:
    """/readyz is 503 with reasons and advice until all holds, which moves no /livez; /metrics counts."""
    health, metrics = Health(clock, "kafka"), Metrics()
    metrics("position_moved")
    app = web.Application()
    app.add_routes(probes(health, metrics))
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:

            async def get(path: str) -> tuple[int, Any]:
                async with session.get(path) as answer:
                    return answer.status, await answer.json()

            unknown = {"ok": False, "reason": "not known yet"}
            assert await get("/readyz") == (503, {"ok": False, "conditions": {"kafka": unknown}})
            assert await get("/livez") == (200, {"ok": True, "conditions": {}})
            health.set("kafka", ok=False, reason="kafka_unavailable: refused")
            named = (await get("/readyz"))[1]["conditions"]["kafka"]
            assert named["advice"] == STATES["kafka_unavailable"].advice
            health.set("kafka", ok=True)
            assert (await get("/readyz"))[0] == 200
            async with session.get("/metrics") as answer:
                assert answer.content_type == "text/plain"
                assert "jira_bridge_positions_moved_total 1.0" in await answer.text()
    finally:
        await runner.cleanup()
