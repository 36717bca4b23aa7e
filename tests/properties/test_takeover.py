"""Late requests: what a worker that is gone, asleep or waits no longer still does to Jira is undone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import bridge.ledger.sqlite_tables
import bridge.state.settle
from bridge.ledger.sqlite_tables import SqliteTables
from tests.properties.world import Happened, World

FIRST, SECOND = 0, 1


def happen(world: World, content: str) -> None:
    """One more event asks for that content of the one link."""
    number = len(world.log)
    world.log.append(Happened(f"e{number}", "system=test&id=1", number, ("PROJ-1",), content, False))


def write(world: World, by: int) -> None:
    """The worker merges what there is and writes until nothing is under way."""
    world.consume(9, by=by)
    for _ in range(4):
        world.turn(by=by)
        while world.workers[by].in_flight:
            world.apply(0, by=by)
            world.deliver(0, by=by)


def second_takes_over_and_writes(world: World, content: str) -> None:
    """The first one sleeps past its lease."""
    world.wait(40.0, asleep=[FIRST])
    happen(world, content)
    write(world, SECOND)
    world.wait(10.0, asleep=[FIRST])
    write(world, SECOND)
    assert world.standing() == {("PROJ-1", "system=test&id=1"): content}


def a_sleeper_sends_what_it_was_about_to(world: World) -> None:
    """Its request leaves when another has long written something newer."""
    happen(world, "A")
    write_half(world, FIRST)
    second_takes_over_and_writes(world, "B")
    world.awake(FIRST)


def a_request_outlives_its_sender(world: World) -> None:
    """The worker dies, and its request is done some seconds later."""
    happen(world, "A")
    write_half(world, FIRST)
    world.crash([True], by=FIRST)
    happen(world, "B")


def a_sleeper_stores_what_it_heard(world: World) -> None:
    """It wakes with an answer of long ago, stores it, and dies."""
    happen(world, "A")
    write_half(world, FIRST)
    world.apply(0, by=FIRST)
    world.deliver(0, by=FIRST)
    second_takes_over_and_writes(world, "B")
    world.turn(by=FIRST, sleeps=True, dies=True)
    happen(world, "A")


def a_request_outlives_its_answer(world: World) -> None:
    """Its worker has given it up, and Jira does it some seconds later."""
    happen(world, "A")
    write_half(world, FIRST)
    world.give_up(0, by=FIRST)
    world.deliver(0, by=FIRST)
    happen(world, "B")


def write_half(world: World, by: int) -> None:
    """The worker sends its first request, and no answer comes."""
    world.consume(9, by=by)
    world.turn(by=by)
    world.turn(by=by)
    assert world.workers[by].in_flight


def _without_doubt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SqliteTables, "doubt", lambda *_: None)


def _without_waiting(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bridge.ledger.sqlite_tables, "ARRIVAL", 0.0)


def _without_patience(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(bridge.state.settle, "ARRIVAL", 0.0)


def _without_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SqliteTables, "_compare", lambda *_: None)


CASES = [
    (a_sleeper_sends_what_it_was_about_to, 2, _without_doubt),
    (a_request_outlives_its_sender, 1, _without_waiting),
    (a_request_outlives_its_answer, 1, _without_patience),
    (a_sleeper_stores_what_it_heard, 2, _without_fence),
]


@pytest.mark.parametrize(("happens", "workers", "take_out"), CASES)
def test_the_newest_wish_stands_in_the_end(
    happens: Callable[[World], None], workers: int, take_out: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Whatever the former worker still does, and only thanks to its safeguard."""
    world = World(count=workers)
    happens(world)
    world.settle()
    assert world.standing() == world.expected()
    with pytest.MonkeyPatch.context() as patch:
        take_out(patch)
        world = World(count=workers)
        happens(world)
        world.settle()
        assert world.standing() != world.expected()
