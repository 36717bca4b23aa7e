"""Cancels a coroutine after any number of its suspensions, as asyncio itself would."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


@types.coroutine
def cancelled_after(work: Coroutine[Any, Any, Any], count: int) -> Generator[Any, Any, bool]:
    """Run `work`, and cancel its task when it suspends for the `count`-th time; whether it came to that.

    What it awaits is cancelled with it: the task meets the request at the very next suspension.
    """
    suspensions = 0
    value: Any = None
    error: BaseException | None = None
    while True:
        try:
            awaited = work.throw(error) if error else work.send(value)
        except StopIteration:
            return suspensions >= count
        except asyncio.CancelledError:
            return True
        suspensions += 1
        if suspensions == count and (task := asyncio.current_task()):
            task.cancel()
        value = error = None
        try:
            value = yield awaited
        except BaseException as raised:  # noqa: BLE001 - handed to the work, whatever it is
            error = raised
