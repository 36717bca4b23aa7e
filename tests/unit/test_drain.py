"""Work that ends in time when a process is told to stop."""

from __future__ import annotations

import asyncio

import pytest

from bridge.drain import in_time, unless
from bridge.service import Role, Service
from bridge.settings import Settings

FOREVER = 3_600.0


async def never(told: list[str] | None = None) -> None:
    """Work that does not end; it notes that it was cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        if told is not None:
            told.append("cancelled")


async def fail(_stop: asyncio.Event | None = None) -> None:
    """Work that fails."""
    raise LookupError


@pytest.fixture
def stop() -> asyncio.Event:
    """A stop that nobody has given yet."""
    return asyncio.Event()


async def test_work_that_heeds_the_stop_is_not_cut(stop: asyncio.Event) -> None:
    """What ends by itself after the stop has all the time that it needs."""
    asyncio.get_running_loop().call_soon(stop.set)
    assert await in_time(unless_stopped(stop), stop, FOREVER)


async def unless_stopped(stop: asyncio.Event) -> None:
    """Work that goes on until the stop."""
    await stop.wait()


async def test_work_that_does_not_end_is_cancelled_after_its_time(stop: asyncio.Event) -> None:
    """Its time begins with the stop; that it was cut is told."""
    told: list[str] = []
    stop.set()
    assert not await in_time(never(told), stop, 0.01)
    assert told == ["cancelled"]


async def test_an_error_is_the_works_own(stop: asyncio.Event) -> None:
    """What the work raises is raised, whether it was told to stop or not."""
    with pytest.raises(LookupError):
        await in_time(fail(), stop, FOREVER)
    with pytest.raises(LookupError):
        await unless(stop, fail())


async def test_work_is_left_at_the_stop(stop: asyncio.Event) -> None:
    """What need not be finished is cancelled at once, and that it was not done is told."""
    told: list[str] = []
    asyncio.get_running_loop().call_soon(stop.set)
    assert not await unless(stop, never(told))
    assert told == ["cancelled"]


async def test_work_that_is_done_before_the_stop_is_done(stop: asyncio.Event) -> None:
    """Without a stop the work is done."""
    assert await unless(stop, asyncio.sleep(0))


async def test_a_fault_is_told_although_another_job_had_to_be_cancelled(stop: asyncio.Event) -> None:
    """A job that fails stops the others; one that does not heed it does not hide the error."""
    service = Service(Settings(), Role.WORKER, observe=lambda *_, **__: None)
    with pytest.raises(LookupError):
        await in_time(service._until(stop, [fail, lambda _stop: never()]), stop, 0.01)
