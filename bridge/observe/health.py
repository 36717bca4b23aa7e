"""Health: what must hold for a process to be ready, and the signs that it is alive. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether one thing holds, and why not."""

    ok: bool
    reason: str = ""


class Health:
    """Named conditions, and named beats with a deadline.

    Ready: every condition holds and no beat is overdue. Alive: no beat is overdue; a process
    that is not alive should be started anew, one that is only not ready should be left alone.
    `clock` counts seconds monotonically. Conditions named at the start do not hold until set.
    """

    def __init__(self, clock: Callable[[], float], *expected: str) -> None:
        self._clock = clock
        self._conditions = {name: Condition(ok=False, reason="not known yet") for name in expected}
        self._deadlines: dict[str, float] = {}

    def set(self, name: str, ok: bool, reason: str = "") -> None:
        """Say whether the condition `name` holds, with the reason when it does not."""
        self._conditions[name] = Condition(ok, reason)

    def beat(self, name: str, within: float) -> None:
        """Give a sign of life, and promise the next one within so many seconds."""
        self._deadlines[name] = self._clock() + within

    def rest(self, name: str) -> None:
        """Take back the promise of a next beat: what gave it has ended as it should."""
        self._deadlines.pop(name, None)

    def alive(self) -> dict[str, Condition]:
        """One condition for each name that beats."""
        now = self._clock()
        late = {name: now - deadline for name, deadline in self._deadlines.items()}
        return {
            name: Condition(ok=False, reason=f"no sign of life, {seconds:.0f} s overdue")
            if seconds > 0
            else Condition(ok=True)
            for name, seconds in late.items()
        }

    def ready(self) -> dict[str, Condition]:
        """All conditions, with the beats."""
        overdue = {name: beat for name, beat in self.alive().items() if not beat.ok}
        return {**self._conditions, **overdue}
