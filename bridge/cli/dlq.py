"""The commands `dlq …`: dead letters are looked at, replayed and discarded."""

from __future__ import annotations

import asyncio
import hashlib
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from bridge.cli import options
from bridge.cli.app import FAILED, app, err, out
from bridge.errors import BridgeError, UsageError
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.kafka.dead_letter_topic import fetch, find, settle
from bridge.kafka.dead_letters import Fate, Place
from bridge.kafka.survey import Letter, Query, Status
from bridge.mapping.identity import clip, printable
from bridge.model import EPOCH, Record
from bridge.observe.health import Health
from bridge.observe.logs import Logs, redacted, set_up
from bridge.parts import cluster as cluster_of

dlq_app = typer.Typer(help="Look at dead letters, replay them, or discard them.", no_args_is_help=True)
app.add_typer(dlq_app, name="dlq")

PlaceArgument = Annotated[str, typer.Argument(metavar="PARTITION/OFFSET", help="The letter's place.")]
Places = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PARTITION/OFFSET", help="Letters by their places; else all that the options ask for."
    ),
]
Reason = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="The code, as `bad_body`.")]
Project = Annotated[
    str | None, typer.Option("--project", metavar="KEY", help="Its body names an issue of the project.")
]
Source = Annotated[
    str | None, typer.Option("--source", metavar="TEXT", help="The name of its source has this in it.")
]
Site = Annotated[str | None, typer.Option("--site", metavar="NAME", help="The site that it names.")]
Older = Annotated[
    str | None, typer.Option("--older", metavar="AGE", help="Rejected longer ago: 90s, 30m, 2h, 3d, 1w.")
]
Newer = Annotated[
    str | None, typer.Option("--newer", metavar="AGE", help="Rejected within the last: 90s, 30m, 2h, 3d, 1w.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only show what would be done.")]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FATED = {Status.REPLAYED, Status.DISCARDED}
_WHY = {
    Status.CUT: "cut: too long for the topic, so the body is not whole",
    Status.EXPIRED: "expired: older than kafka.retention_days, so it could bring a deleted link back",
    Status.FOREIGN: "foreign: no dead letter of a record on kafka.topics",
    Status.REPLAYED: "replayed already",
    Status.DISCARDED: "discarded already",
}


@dataclass(frozen=True, slots=True)
class _Topic:
    """The dead-letter topic of a configuration; `oldest` is what a replay may be, in milliseconds.

    `homes` are the topics that letters may go back to.
    """

    cluster: Cluster
    name: str
    oldest: int
    homes: frozenset[str]

    def find(self, query: Query) -> list[Letter]:
        return asyncio.run(find(self.cluster, self.name, query, self.oldest, self.homes))

    def records(self, place: Place) -> list[Record]:
        found: list[Record] = []

        async def keep(record: Record) -> None:
            found.append(record)

        asyncio.run(fetch(self.cluster, self.name, {place}, keep))
        return found

    def settle(self, letters: Sequence[Letter], fate: Fate) -> dict[Place, BridgeError | None]:
        """Settle the letters; why each failed, None where it did not. One that is gone is not among them."""
        came_to: dict[Place, BridgeError | None] = {}
        bar = Progress(console=err, transient=True, disable=not err.is_terminal)
        task = bar.add_task(fate.value, total=len(letters))
        producer = Producer(self.cluster, observe=Logs(), health=Health(time.monotonic))

        def told(place: Place, error: BridgeError | None) -> None:
            came_to[place] = error
            bar.advance(task)

        async def run() -> None:
            async with producer as publish:
                await settle(self.cluster, self.name, letters, fate, publish=publish, told=told)

        with bar:
            asyncio.run(run())
        return came_to


@dlq_app.command("list", epilog="Example: `jira-bridge dlq list --reason bad_link --newer 2h`")
def list_(
    config: options.Config = None,
    kafka: options.Kafka = None,
    reason: Reason = None,
    project: Project = None,
    source: Source = None,
    site: Site = None,
    older: Older = None,
    newer: Newer = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Those too that were replayed or discarded.")
    ] = False,
    json: options.Json = False,
) -> None:
    """List dead letters, oldest first; with --json as one object a line."""
    query = _query(None, reason, project, source, site, older, newer)
    letters = [
        letter for letter in _topic(config, kafka).find(query) if show_all or letter.status not in _FATED
    ]
    if json:
        for letter in letters:
            print(orjson.dumps(_plain(letter)).decode())  # noqa: T201 - for a script
    else:
        out.print(_table(letters) if letters else "No dead letters.")


@dlq_app.command(epilog="Example: `jira-bridge dlq show 3/41`")
def show(
    place: PlaceArgument,
    config: options.Config = None,
    kafka: options.Kafka = None,
    json: options.Json = False,
) -> None:
    """Show one dead letter with its headers and its body, the values of secrets left out."""
    topic, at = _topic(config, kafka), _place(place)
    letters, records = topic.find(Query(places=frozenset([at]))), topic.records(at)
    if not (letters and records):
        err.print(f"There is no letter at {place} of {topic.name}.", markup=False)
        raise typer.Exit(FAILED)
    told, headers, body = _plain(letters[0]), _headers(records[0]), _body(records[0])
    if json:
        print(orjson.dumps({**told, "headers": headers, "body": body}).decode())  # noqa: T201 - for a script
        return
    for name, value in told.items():
        if value is not None:
            out.print(f"{name:<12} {printable(str(value))}", markup=False)
    for part in (headers, body):
        text = part if isinstance(part, str) else orjson.dumps(part, option=orjson.OPT_INDENT_2).decode()
        out.print(f"\n{printable(text)}", markup=False)


@dlq_app.command(epilog="Example: `jira-bridge dlq replay --reason bad_link --project PROJ --yes`")
def replay(
    places: Places = None,
    config: options.Config = None,
    kafka: options.Kafka = None,
    reason: Reason = None,
    project: Project = None,
    source: Source = None,
    site: Site = None,
    older: Older = None,
    newer: Newer = None,
    yes: Yes = False,
) -> None:
    """Put letters back on the topics that they came from, as they were, and mark them as replayed.

    An event that is replayed is as new as it was: what has happened since stands. Mend the cause
    first, or the letter comes back as another one.
    """
    query = _query(places, reason, project, source, site, older, newer)
    _settle(_topic(config, kafka), query, Fate.REPLAYED, {Status.OPEN}, yes=yes)


@dlq_app.command(epilog="Example: `jira-bridge dlq discard 3/41 3/57 --yes`")
def discard(
    places: Places = None,
    config: options.Config = None,
    kafka: options.Kafka = None,
    reason: Reason = None,
    project: Project = None,
    source: Source = None,
    site: Site = None,
    older: Older = None,
    newer: Newer = None,
    yes: Yes = False,
) -> None:
    """Mark letters as discarded: they are listed and replayed no more.

    They stay on the topic as long as it keeps its records; `list --all` shows them.
    """
    query = _query(places, reason, project, source, site, older, newer)
    _settle(_topic(config, kafka), query, Fate.DISCARDED, set(Status) - _FATED, yes=yes)


def _settle(topic: _Topic, query: Query, fate: Fate, can_be: set[Status], *, yes: bool) -> None:
    found = topic.find(query)
    chosen = [letter for letter in found if letter.status in can_be]
    if query.places:
        _all_or_none(topic, query, found, chosen)
    else:
        _tell_aside(found, can_be | _FATED)
    if not chosen:
        out.print(f"No dead letters to be {fate}.")
    elif yes:
        _tell_settled(chosen, topic.settle(chosen, fate), fate)
    else:
        out.print(_table(chosen))
        out.print(f"\n{_count(len(chosen))} would be {fate}; --yes does it.", markup=False)


def _tell_settled(chosen: Sequence[Letter], came_to: Mapping[Place, BridgeError | None], fate: Fate) -> None:
    """Name the letters that were not settled, and leave with an exit code when there are any."""
    failed = {letter.place: came_to.get(letter.place, "no longer on the topic") for letter in chosen}
    failed = {place: why for place, why in failed.items() if why is not None}
    for place, why in failed.items():
        err.print(f"{place}: {why}", markup=False)
    out.print(f"{_count(len(chosen) - len(failed))} {fate}.")
    if failed:
        err.print(f"{_count(len(failed))} not {fate}.")
        raise typer.Exit(FAILED)


def _all_or_none(topic: _Topic, query: Query, found: Sequence[Letter], chosen: Sequence[Letter]) -> None:
    """Leave with an exit code when a letter that is named by its place is not among the chosen."""
    statuses = {letter.place: letter.status for letter in found}
    wrong = sorted(query.places - {letter.place for letter in chosen})
    for place in wrong:
        why = _WHY[statuses[place]] if place in statuses else f"no such letter on {topic.name}"
        err.print(f"{place}: {why}.", markup=False)
    if wrong:
        err.print("Nothing was done.")
        raise typer.Exit(FAILED)


def _tell_aside(found: Sequence[Letter], untold: set[Status]) -> None:
    """Say how many of the letters that were asked for stand aside, and why."""
    for status, count in Counter(letter.status for letter in found).items():
        if status not in untold:
            err.print(f"{count} left aside, {_WHY[status]}.", markup=False)


# --- what is asked for ---------------------------------------------------------------------


def _topic(config: Path | None, kafka: str | None) -> _Topic:
    set_up(sys.stderr, json=False, level="warning")
    settings = options.settings(config, kafka__bootstrap_servers=kafka)
    keeps = timedelta(days=settings.kafka.retention_days)
    return _Topic(
        cluster_of(settings),
        settings.kafka.dead_letter_topic,
        _before(keeps),
        frozenset(settings.kafka.topics),
    )


def _query(
    places: Sequence[str] | None,
    reason: str | None,
    project: str | None,
    source: str | None,
    site: str | None,
    older: str | None,
    newer: str | None,
) -> Query:
    return Query(
        places=frozenset(map(_place, places or ())),
        reason=reason,
        project=project,
        source=source,
        site=site,
        older_than=None if older is None else _before(age("--older", older)),
        newer_than=None if newer is None else _before(age("--newer", newer)),
    )


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError:
        raise UsageError(f"{text}: expected a letter's place, PARTITION/OFFSET, as 3/41") from None


def age(flag: str, text: str) -> timedelta:
    """The age that a flag gives, as 90s, 30m, 2h, 3d or 1w. Raises UsageError."""
    found = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if found is None:
        raise UsageError(f"{flag}: {text} is no age; expected one as 90s, 30m, 2h, 3d or 1w")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _before(age: timedelta) -> int:
    """That long ago, in milliseconds since the epoch."""
    return int((time.time() - age.total_seconds()) * 1000)


# --- what is told --------------------------------------------------------------------------


def _count(letters: int) -> str:
    return f"{letters} letter{'' if letters == 1 else 's'}"


def _table(letters: Sequence[Letter]) -> Table:
    when, event = Column("rejected at (UTC)", no_wrap=True), Column("event", overflow="fold")
    shown = Table(
        "place", when, "status", "topic", "reason", "issue", event, "error", box=None, pad_edge=False
    )
    for letter in letters:
        at = (_time(letter.buried_at) or "")[:19].replace("T", " ")
        texts = (letter.status, letter.topic, letter.reason, letter.issue, letter.event, letter.error)
        shown.add_row(str(letter.place), at, *(Text(clip(text or "")) for text in texts))
    return shown


def _plain(letter: Letter) -> dict[str, Any]:
    told = {field.name: getattr(letter, field.name) for field in fields(letter)}
    times = {name: _time(told[name]) for name in ("buried_at", "timestamp")}
    return {**told, **times, "place": str(letter.place)}


def _headers(record: Record) -> dict[str, object]:
    return redacted({name: value.decode("utf-8", "backslashreplace") for name, value in record.headers})


def _body(record: Record) -> object:
    """The body as JSON without the values of secrets, which have their names there.

    Of any other (cut, a form, too deep) only its size and digest: nothing tells what in it is secret.
    """
    body = record.value or b""
    try:
        found = redacted({"": orjson.loads(body)})[""]
        orjson.dumps(found)  # refuses what is nested deeper than 254 levels
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        found = None
    if isinstance(found, dict | list):
        return found
    digest = hashlib.sha256(body).hexdigest()
    return f"{len(body)} bytes that are no JSON object, not shown: they may hold secrets. SHA-256 {digest}"


def _time(milliseconds: int | None) -> str | None:
    """ISO 8601 in UTC; None for no moment of the calendar."""
    if milliseconds is None:
        return None
    try:
        return (EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")
    except OverflowError:
        return None
