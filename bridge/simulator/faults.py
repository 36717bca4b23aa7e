"""What may be turned while the simulator runs, and what can become of a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from math import ceil
from typing import Annotated, Any, Self

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from bridge.simulator import rate_limit
from bridge.simulator.reply import Reply, page, refusal

Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""How the simulator reads what it is told: unknown keys and other types are refused."""

SERVER_ERRORS = (500, 502, 503, 504)


class Fate(StrEnum):
    """What becomes of one request. A write is done but where it is said that it is not.

    `answered`: all is well. `unavailable`: 503 with Retry-After, not done. `limited`: 429, not
    done. `failed`: a 5xx of Jira's, not done. `proxied`: a proxy's 502 page, not done.
    `redirected`: 302 to a login page, not done. `dropped` and `reset_before`: the connection is
    closed or reset, not done. `lost` and `reset_after`: done, then closed or reset.
    `slow_before` and `slow_after`: a pause, before it is done or after. `raced`: a link is made,
    and the answer is the blank 400 of the side that lost a race.
    """

    ANSWERED = "answered"
    UNAVAILABLE = "unavailable"
    LIMITED = "limited"
    FAILED = "failed"
    PROXIED = "proxied"
    REDIRECTED = "redirected"
    DROPPED = "dropped"
    RESET_BEFORE = "reset_before"
    LOST = "lost"
    RESET_AFTER = "reset_after"
    SLOW_BEFORE = "slow_before"
    SLOW_AFTER = "slow_after"
    RACED = "raced"


_RATES = {
    Fate.LIMITED: "rate_429",
    Fate.FAILED: "rate_5xx",
    Fate.PROXIED: "rate_502",
    Fate.REDIRECTED: "rate_302",
    Fate.LOST: "rate_lost",
    Fate.DROPPED: "rate_dropped",
    Fate.RESET_BEFORE: "rate_reset_before",
    Fate.RESET_AFTER: "rate_reset_after",
    Fate.SLOW_BEFORE: "rate_slow_before",
    Fate.SLOW_AFTER: "rate_slow_after",
    Fate.RACED: "rate_raced",
}


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


class Deployment(StrEnum):
    """Which Jira it is, in the words of serverInfo; `Server` is Data Center too."""

    CLOUD = "Cloud"
    SERVER = "Server"


class Limits(StrEnum):
    """Whose rate limits hold."""

    NONE = "none"
    CLOUD = "cloud"
    DATACENTER = "datacenter"


@dataclass(config=STRICT)
class Knobs:
    """What may be turned while the simulator runs. Rates are shares of all requests, 0 to 1.

    Args:
        latency: seconds that each request takes before it is looked at.
        rate_429: answered with 429, not done.
        rate_5xx: answered with a 5xx in JSON, not done.
        rate_502: answered with a proxy's page, not done.
        rate_302: sent to a login page, not done.
        rate_lost: done, and the connection closes unanswered.
        rate_dropped: the connection closes before it is done.
        rate_reset_before: the connection is reset (RST) before it is done.
        rate_reset_after: done, and the connection is reset (RST) unanswered.
        rate_slow_before: done and answered after a pause.
        rate_slow_after: done, and answered after a pause.
        rate_raced: a link that is made is answered with a blank 400.
        slow: seconds of such a pause.
        is_down: every request is answered with 503.
        retry_after: seconds that a 503, and a 429 by chance, asks for.
        login: how credentials are taken.
        is_delete_typed: a DELETE without a JSON content type gets 415, as on Cloud, not done.
        is_linking_enabled: whether issue linking is active.
        lag: seconds for which a new link is not found by its id, as on Cloud.
        max_links: how many remote links an issue takes.
        deployment: which Jira it says that it is.
        limits: whose rate limits hold.
        points_per_hour: Cloud's hourly quota of an OAuth app, null for none.
        bucket_size: Data Center's "max requests" of a user.
        bucket_fill: Data Center's "requests allowed" in each interval.
        bucket_interval: seconds of that interval.
        token_seconds: how long an access token of OAuth lives.
    """

    latency: Seconds = 0.0
    rate_429: Rate = 0.0
    rate_5xx: Rate = 0.0
    rate_502: Rate = 0.0
    rate_302: Rate = 0.0
    rate_lost: Rate = 0.0
    rate_dropped: Rate = 0.0
    rate_reset_before: Rate = 0.0
    rate_reset_after: Rate = 0.0
    rate_slow_before: Rate = 0.0
    rate_slow_after: Rate = 0.0
    rate_raced: Rate = 0.0
    slow: Seconds = 5.0
    is_down: bool = False
    retry_after: Seconds = 1.0
    login: Login = Login.CHECKED
    is_delete_typed: bool = False
    is_linking_enabled: bool = True
    lag: Seconds = 0.0
    max_links: Count = 2000
    deployment: Deployment = Deployment.CLOUD
    limits: Limits = Limits.NONE
    points_per_hour: Count | None = None
    bucket_size: Count = 20
    bucket_fill: Count = 10
    bucket_interval: Annotated[float, Field(gt=0, le=86_400)] = 1.0
    token_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3600

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if sum(getattr(self, name) for name in _RATES.values()) > 1:
            raise ValueError("the rates add up to more than 1")
        return self

    def fate(self, dice: float) -> Fate:
        """The fate of one request; `dice` is from 0 up to 1, each value as likely as the others."""
        if self.is_down:
            return Fate.UNAVAILABLE
        for fate, name in _RATES.items():
            rate = getattr(self, name)
            if dice < rate:
                return fate
            dice -= rate
        return Fate.ANSWERED

    def turned(self, changes: Mapping[str, Any]) -> Knobs:
        """These knobs with some at other values, given as in JSON. Raises pydantic's ValidationError."""
        return KNOBS.validate_json(orjson.dumps({**KNOBS.dump_python(self, mode="json"), **changes}))


KNOBS = TypeAdapter(Knobs)
"""Knobs from and to JSON."""


def instead(fate: Fate, knobs: Knobs, dice: float, now: float) -> Reply | None:
    """What is answered in Jira's place; None where Jira does the request.

    Args:
        fate: of the request.
        knobs: as they stand.
        dice: from 0 up to 1; chooses among the 5xx.
        now: seconds since the epoch.
    """
    match fate:
        case Fate.UNAVAILABLE:
            return refusal(503, "Jira is down.", headers={"Retry-After": f"{knobs.retry_after:g}"})
        case Fate.LIMITED:
            wait = max(1, ceil(knobs.retry_after))
            return refusal(
                429, "Rate limit exceeded.", headers=rate_limit.announced(rate_limit.BURST, 100, wait, now)
            )
        case Fate.FAILED:
            return refusal(SERVER_ERRORS[int(dice * len(SERVER_ERRORS))], "Internal server error.")
        case Fate.PROXIED:
            return page(502, "502 Bad Gateway")
        case Fate.REDIRECTED:
            return page(302, "Log in", {"Location": "/login.jsp?permissionViolation=true"})
    return None
