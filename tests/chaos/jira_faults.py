"""What befalls Jira and the way to it: it is down, slow, limiting, forbidding; answers are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial

from tests.brokers import eventually
from tests.chaos import reading
from tests.chaos.checker import Evidence
from tests.chaos.faults import Fault
from tests.chaos.jira_process import PROJECTS, USERS
from tests.chaos.stage import Inject, Setting, Stage

Ints = Mapping[str, int]
LOST = ("jira_answer_lost",)
NOT_SENT = ("jira_unreachable", "jira_answer_lost")
QUICK = Setting(rate=100, events=400)


async def knobs(stage: Stage, turned: Mapping[str, object], statuses: str, least: int) -> None:
    """Turn knobs until so many requests met it, then turn them back."""
    names = statuses.split()

    async def met() -> int:
        found = await stage.jira.statuses()
        return sum(found[name] for name in names)

    before = {name: (await stage.jira.ask("GET", "/knobs"))[name] for name in turned}
    await stage.asked(20)
    await stage.jira.turn(**turned)
    await stage.struck(met, least)
    await stage.jira.turn(**before)


async def slow(stage: Stage, knob: str, least: int) -> None:
    """Some requests take longer than the bridge waits, before they are done or after."""

    async def given_up() -> int:
        return stage.reasons(*LOST)

    await stage.jira.turn(**{knob: 0.03, "slow": 31})
    await stage.struck(given_up, least)
    await stage.jira.turn(**{knob: 0})


async def down(stage: Stage, seconds: float) -> None:
    """Every request gets 503 for so long."""

    async def refused() -> int:
        return (await stage.jira.statuses())["503"]

    await stage.asked(20)
    await stage.jira.turn(is_down=True)
    await asyncio.sleep(seconds)  # this is what the fault is
    await stage.struck(refused, 0)
    stage.hits = await refused()
    await stage.jira.turn(is_down=False)


async def spoil(stage: Stage, kind: str, stream: str, names: tuple[str, ...], attributes: Ints) -> None:
    """Spoil all connections for a moment, five times, until requests were hit each time."""

    async def lost() -> int:
        return stage.reasons(*names)

    for _ in range(5):
        await stage.asked(20)
        async with stage.proxy.spoilt(kind, stream, attributes):
            await stage.struck(lost, 2)


async def drip(stage: Stage, kind: str, attributes: Ints) -> None:
    """Answers come in drops: each request takes its time, and is answered whole."""
    await stage.asked(20)
    async with stage.proxy.spoilt(kind, "downstream", attributes):
        before = await stage.jira.calls()
        await stage.asked(100)
        stage.hits += await stage.jira.calls() - before


async def refuse(stage: Stage) -> None:
    """Nobody listens for ten seconds."""

    async def unreachable() -> int:
        return stage.reasons(*NOT_SENT)

    await stage.asked(20)
    async with stage.proxy.refusing():
        await stage.struck(unreachable, 6)


async def limit(stage: Stage, least: int) -> None:
    """429 with each reason, and with Retry-After in each form that there is, and in none."""
    reasons = ("jira-burst-based", "jira-per-issue-on-write", "jira-quota-global-based", "unheard-of", "")
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=15), usegmt=True)
    afters = ("1", soon, "", "soon", "-1", "1.5")
    stage.front.answers = [
        (429, {name: text for name, text in (("RateLimit-Reason", reason), ("Retry-After", after)) if text})
        for reason in reasons
        for after in afters
    ]

    async def given() -> int:
        return stage.front.given.total()

    await stage.struck(given, least)
    stage.notes["forms"] = len(stage.front.given)
    stage.front.answers = ()


async def revoke(stage: Stage) -> None:
    """One site's token is refused; the other site is written on; the token is good again."""
    await stage.asked(40)
    user = USERS["second"]

    async def refused() -> int:
        return (await stage.jira.statuses())["401"]

    await stage.jira.ask("PUT", f"/users/{user}", {"token": "demo", "login": "failed"})
    await stage.struck(refused, 1)
    await eventually(lambda: "site_halted" in stage.workers[0].said)
    before = await _writes(stage)
    await stage.flowed(300)
    after = await _writes(stage)
    second, first = PROJECTS["second"], PROJECTS["first"]
    assert after.get(second, 0) == before.get(second, 0), "a halted site was written"
    assert after[first] > before[first], "the other site stood still"
    stage.notes["written meanwhile"] = after[first] - before[first]
    await stage.jira.ask("PUT", f"/users/{user}", {"token": "demo"})


async def _writes(stage: Stage) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in (await stage.jira.ask("GET", "/history"))["history"]:
        project = entry["issue"].partition("-")[0]
        found[project] = found.get(project, 0) + 1
    return found


async def forbid(stage: Stage) -> None:
    """A project may not be linked; then it may, and the letters are replayed."""
    await stage.asked(40)
    await stage.jira.ask("PUT", "/denied", {PROJECTS["second"]: ["link"]})
    await _refused(stage, "jira_forbidden", 10)
    await stage.jira.ask("PUT", "/denied", {})
    await _replay(stage)


async def fill(stage: Stage) -> None:
    """Issues take three links and no more; then they take them, and the letters are replayed."""
    await stage.asked(40)
    await stage.jira.turn(max_links=3)
    await _refused(stage, "jira_too_many_links", 10)
    await stage.jira.turn(max_links=2_000)
    await _replay(stage)


async def _refused(stage: Stage, reason: str, least: int) -> None:
    async def refused() -> int:
        return stage.reasons(reason)

    await stage.struck(refused, least)


async def _replay(stage: Stage) -> None:
    """What is still under way is refused or done, then all letters are replayed: each link is to stand."""
    stage.injected.set()
    await stage.quiet()
    await stage.command("dlq", "replay", "--yes")
    stage.excuses_refused = False


async def delete(stage: Stage) -> None:
    """Two issues are deleted while links are written to them."""
    for issue in ("DEMO-3", "DEMO-8"):
        await stage.asked(60)
        await stage.jira.ask("DELETE", f"/issues/{issue}")
        stage.gone.add(issue)
    await _refused(stage, "jira_not_found", 2)


async def move(stage: Stage) -> None:
    """Three issues get other keys, while events go on to name the former ones."""
    for issue, key in (("DEMO-4", "DEMO-204"), ("DEMO-9", "DEMO-209"), ("DEMO-14", "DEMO-214")):
        await stage.asked(60)
        await stage.jira.ask("PATCH", f"/issues/{issue}", {"key": key})
        stage.moved[issue] = key
        await stage.flowed(200)
        stage.hits += 1


def stand_all(stage: Stage, evidence: Evidence) -> None:
    """Every letter was replayed."""
    open_ = [letter for letter in evidence.letters if "bridge-dead-reason" in letter.headers]
    marks = [letter for letter in evidence.letters if "bridge-dead-fate" in letter.headers]
    assert len(marks) == len(open_), f"{len(open_)} letters, {len(marks)} replayed"
    stage.notes["replayed"] = len(marks)
    assert reading.pending(stage.tables) == 0


def _chance(name: str, how: str, turned: Mapping[str, object], statuses: str, least: int = 15) -> Fault:
    inject = partial(knobs, turned=turned, statuses=statuses, least=least)
    return Fault(name, "Jira", how, inject, QUICK, least=least)


def _fault(name: str, how: str, inject: Inject, setting: Setting, least: int, checks: str = "") -> Fault:
    return Fault(name, "Jira", how, inject, setting, least, checks)


def _replayed(name: str, how: str, inject: Inject, setting: Setting) -> Fault:
    checks = "after the replay every link stands"
    return Fault(
        name, "Jira", f"{how}, and `dlq replay`", inject, setting, 10, checks, stand_all, letters=True
    )


def _toxic(name: str, how: str, kind: str, stream: str, names: tuple[str, ...], attributes: Ints) -> Fault:
    inject = partial(spoil, kind=kind, stream=stream, names=names, attributes=attributes)
    return _fault(name, f"Toxiproxy, five times: {how}", inject, PROXIED, 10)


PROXIED = Setting(way="toxiproxy", rate=60, events=400)
SERVER_ERRORS = "500 502 503 504"
SLICES = {"average_size": 20, "size_variation": 5, "delay": 20_000}
SITES = Setting(sites=2, rate=60)
SLOW_BEFORE = partial(slow, knob="rate_slow_before", least=2)
SLOW_AFTER = partial(slow, knob="rate_slow_after", least=2)
FAULTS = [
    _fault("Jira down for a minute", "503 to every request", partial(down, seconds=60), QUICK, 6),
    _chance("5xx at 10 %", "500, 502, 503 or 504, not done", {"rate_5xx": 0.1}, SERVER_ERRORS),
    _chance("a proxy's 502 at 10 %", "a page, not done", {"rate_502": 0.1}, "502"),
    _chance("a way to log in at 10 %", "302 to a login page, not done", {"rate_302": 0.1}, "302"),
    _chance("reset before at 10 %", "RST, not done", {"rate_reset_before": 0.1}, "None"),
    _chance("reset after at 10 %", "done, then RST", {"rate_reset_after": 0.1}, "None"),
    _chance("closed before at 10 %", "the connection ends, not done", {"rate_dropped": 0.1}, "None"),
    _chance("answers lost at 20 %", "done, then the connection ends", {"rate_lost": 0.2}, "None", 30),
    _chance("429 at 20 %", "Retry-After 1", {"rate_429": 0.2, "retry_after": 1}, "429"),
    _chance("Cloud's limits, unpaced", "the worker is told of no limits", {"limits": "cloud"}, "429", 5),
    _chance("races at 50 %", "a link is made, and answered with a blank 400", {"rate_raced": 0.5}, "400", 5),
    _fault("slow before", "3 % take 31 s, then are done", SLOW_BEFORE, QUICK, 2),
    _fault("slow after", "3 % are done, and answered 31 s later", SLOW_AFTER, QUICK, 2),
    _toxic(
        "answers cut off", "limit_data downstream, 0 bytes", "limit_data", "downstream", LOST, {"bytes": 0}
    ),
    _toxic("answers cut short", "the same, 100 bytes", "limit_data", "downstream", LOST, {"bytes": 100}),
    _toxic("answers reset", "reset_peer downstream", "reset_peer", "downstream", LOST, {"timeout": 0}),
    _toxic("answers withheld", "timeout downstream, 300 ms", "timeout", "downstream", LOST, {"timeout": 300}),
    _toxic("requests reset", "reset_peer upstream", "reset_peer", "upstream", NOT_SENT, {"timeout": 0}),
    _toxic(
        "requests withheld", "timeout upstream, 300 ms", "timeout", "upstream", NOT_SENT, {"timeout": 300}
    ),
    _fault(
        "slices",
        "Toxiproxy: slicer, 20 bytes every 20 ms",
        partial(drip, kind="slicer", attributes=SLICES),
        PROXIED,
        100,
    ),
    _fault(
        "slow drip",
        "Toxiproxy: bandwidth 1 kB/s",
        partial(drip, kind="bandwidth", attributes={"rate": 1}),
        PROXIED,
        100,
    ),
    _fault("connections refused", "Toxiproxy listens no more", refuse, PROXIED, 6),
    _fault(
        "429 in all forms",
        "a front answers each fifth request: 5 reasons, Retry-After in 6 forms",
        partial(limit, least=30),
        Setting(way="front", rate=60, events=400),
        30,
    ),
    _fault(
        "a token revoked",
        "401 to one of two sites, then its token is good again",
        revoke,
        SITES,
        1,
        "the halted site is not written, the other one is",
    ),
    _replayed("a project forbidden", "403 to all writes of one project; then allowed", forbid, SITES),
    _replayed("issues full", "413 from the fourth link on; then room", fill, QUICK),
    Fault(
        "issues deleted",
        "Jira",
        "two issues are deleted while they are written",
        delete,
        QUICK,
        2,
        letters=True,
    ),
    _fault("issues moved", "three issues get other keys, events name the former ones", move, QUICK, 3),
]
