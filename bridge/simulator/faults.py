"""What goes wrong on the way to the simulated Jira, by chance or on demand. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]


class Fate(StrEnum):
    """What becomes of one request."""

    ANSWERED = "answered"
    LIMITED = "limited"
    FAILED = "failed"
    LOST = "lost"
    DROPPED = "dropped"


class Login(StrEnum):
    """How Jira takes credentials: it checks them, or refuses even the right ones in one of its ways.

    `hidden`: an issue is answered as to anybody, 404, and only a header tells of the dead token.
    `denied`: a CAPTCHA is wanted. `unscoped`: the gateway misses a scope of the token.
    """

    CHECKED = "checked"
    FAILED = "failed"
    HIDDEN = "hidden"
    DENIED = "denied"
    UNSCOPED = "unscoped"


@dataclass(config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Knobs:
    """What may be turned while the simulator runs.

    Args:
        latency: seconds that each request takes before it is looked at.
        rate_429: share of requests that are answered with 429, unapplied.
        rate_5xx: share of requests that are answered with a 5xx page, unapplied.
        rate_lost: share of requests that are applied, and whose connection closes unanswered.
        rate_dropped: share of requests whose connection closes before they are applied.
        is_down: every request is answered with 503.
        retry_after: seconds that a 503, and a 429 by chance, asks for.
        login: how credentials are taken.
        is_delete_typed: a DELETE without a JSON content type gets 415, as on Cloud, not done.
    """

    latency: Seconds = 0.0
    rate_429: Rate = 0.0
    rate_5xx: Rate = 0.0
    rate_lost: Rate = 0.0
    rate_dropped: Rate = 0.0
    is_down: bool = False
    retry_after: Seconds = 1.0
    login: Login = Login.CHECKED
    is_delete_typed: bool = False

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if sum(self._rates.values()) > 1:
            raise ValueError("the rates add up to more than 1")
        return self

    @property
    def _rates(self) -> dict[Fate, float]:
        return {
            Fate.LIMITED: self.rate_429,
            Fate.FAILED: self.rate_5xx,
            Fate.LOST: self.rate_lost,
            Fate.DROPPED: self.rate_dropped,
        }

    def fate(self, dice: float) -> Fate:
        """The fate of one request; `dice` is from 0 up to 1, each value as likely as the others."""
        for fate, rate in self._rates.items():
            if dice < rate:
                return fate
            dice -= rate
        return Fate.ANSWERED


KNOBS = TypeAdapter(Knobs)
"""Knobs from and to JSON."""
