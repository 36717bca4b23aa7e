"""Work and waits that end in time when a process is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

_CANCEL_SECONDS = 3.0


async def pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until the event."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def in_time(work: Coroutine[Any, Any, None], stop: asyncio.Event, seconds: float) -> bool:
    """Do the work, which ends by itself after `stop`; so many seconds later it is cancelled.

    Tells whether it ended by itself, and raises what it raised. What does not heed its
    cancellation either is left behind.
    """
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=seconds)
        was_in_time = working.done()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping}, timeout=_CANCEL_SECONDS)
    if working.done() and not working.cancelled():
        working.result()
    return was_in_time


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work unless the stop comes first, which cancels it; whether it was done."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping})
    if working.cancelled():
        return False
    working.result()
    return True
