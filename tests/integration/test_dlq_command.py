"""`jira-bridge dlq` as its users run it, over the embedded broker."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
import typer

from bridge.cli.dlq import _tell_settled
from bridge.errors import BadBody, BadLink, TopicUnfit
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.kafka.dead_letters import Fate, Place, dead_letter
from bridge.kafka.reader import read_topic
from bridge.kafka.survey import Letter, Status
from bridge.model import Record
from bridge.observe.health import Health
from bridge.ports import Publish
from tests.brokers import free_port

COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()", "dlq")
TOPIC = "bridge.dead-letters"
DAY = 86_400_000


def run(kafka: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", "BRIDGE_KAFKA__TOPICS": '["events"]'}
    return subprocess.run(
        [*COMMAND, *arguments, "--kafka", kafka], capture_output=True, text=True, env=env, check=False
    )


@dataclass
class Desk:
    """A broker with letters, and the command before it."""

    cluster: Cluster
    publish: Publish

    async def bury(
        self,
        value: bytes,
        *,
        code: str = "bad_body",
        age: int = 0,
        most: int = 1_000_000,
        home: str = "events",
    ) -> str:
        """Put a letter on the topic; its place. `age` is in days."""
        headers = (("http-authorization", b"Bearer hush"), ("http-x-github-event", b"push"))
        at = int(time.time() * 1000) - age * DAY
        error = BadBody("no JSON") if code == "bad_body" else BadLink("[red]no title[/red]")
        letter = dead_letter(Record(home, 0, 7, at, b"key", value, headers), error, most)
        before = await self.places()
        await self.publish(TOPIC, *letter)
        (place,) = await self.places() - before
        return place

    async def places(self) -> set[str]:
        """Where all that stands on the topic stands."""
        return {f"{record.partition}/{record.offset}" for record in await self.on(TOPIC)}

    async def on(self, topic: str) -> list[Record]:
        """All that stands on a topic."""
        found: list[Record] = []

        async def take(records: list[Record]) -> None:
            found.extend(records)

        await read_topic(self.cluster, topic, take)
        return found

    async def values(self) -> list[bytes]:
        """What has been replayed."""
        return sorted(record.value or b"" for record in await self.on("events"))[1:]

    async def dlq(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return await asyncio.to_thread(run, self.cluster.bootstrap, *arguments)

    async def listed(self, *arguments: str) -> list[dict[str, Any]]:
        """What `list --json` says."""
        done = await self.dlq("list", "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [orjson.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
async def desk(embedded_broker: Cluster) -> AsyncIterator[Desk]:
    producer = Producer(embedded_broker, observe=lambda *_, **__: None, health=Health(time.monotonic))
    async with producer as publish:
        await publish(TOPIC, b"key", b"somebody else's", [])
        await publish("events", b"key", b"", [])  # so that the topic is there
        yield Desk(embedded_broker, publish)


async def test_a_list_says_what_was_rejected_and_why(desk: Desk) -> None:
    """One object a line for a script, a table for a person, markup in an error as it is."""
    place = await desk.bury(b"{}", code="bad_link")
    foreign, told = sorted(await desk.listed(), key=lambda letter: letter["status"])
    assert foreign["status"] == "foreign"
    assert (told["place"], told["status"], told["reason"]) == (place, "open", "bad_link")
    assert (told["topic"], told["partition"], told["offset"]) == ("events", 0, 7)
    assert (told["error_class"], told["attempts"]) == ("BadLink", 1)
    table = (await desk.dlq("list", "--reason", "bad_link")).stdout
    assert place in table
    assert "[red]no title[/red]" in table
    assert "foreign" not in table


async def test_filters_are_the_same_everywhere(desk: Desk) -> None:
    """What a list finds is what a replay would take."""
    one, two = await desk.bury(b"PROJ-1"), await desk.bury(b"OTHER-1", code="bad_link")
    for filters, place in (
        (("--project", "PROJ"), one),
        (("--reason", "bad_link", "--newer", "1h"), two),
    ):
        assert [letter["place"] for letter in await desk.listed(*filters)] == [place]
        done = await desk.dlq("replay", *filters)
        assert place in done.stdout
        assert "events" in done.stdout
        assert "1 letter would be replayed; --yes does it." in done.stdout
    assert await desk.listed("--older", "1h") == []


async def test_a_letter_is_shown_without_its_secrets(desk: Desk) -> None:
    """Headers and body are there, pretty for a person and whole for a script; secrets are not."""
    body = {"text": "hello", "list": [{"api_token": "hush"}], "secret": "hush"}
    place = await desk.bury(orjson.dumps(body))
    shown = await desk.dlq("show", place)
    assert shown.returncode == 0, shown.stderr
    assert '  "text": "hello"' in shown.stdout
    assert "http-x-github-event" in shown.stdout
    found = orjson.loads((await desk.dlq("show", place, "--json")).stdout)
    assert found["headers"]["http-x-github-event"] == "push"
    assert found["body"]["text"] == "hello"
    assert "hush" not in shown.stdout + str(found)


@pytest.mark.parametrize(
    "body",
    [
        b"token=hush&a=\xff \x1b[31m",
        b'"token=hush"',
        b'{"secret": "hush", ',
        b"[" * 300 + b'"hush"' + b"]" * 300,
        b"[" * 1_000 + b'"hush"' + b"]" * 1_000,
    ],
)
async def test_a_body_whose_secrets_have_no_names_is_not_shown(desk: Desk, body: bytes) -> None:
    """A form, a text, a body that was cut or is too deep is told by its size and its digest."""
    shown = await desk.dlq("show", await desk.bury(body))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"{len(body)} bytes" in shown.stdout
    assert hashlib.sha256(body).hexdigest() in shown.stdout
    assert "hush" not in shown.stdout


async def test_a_letter_for_a_topic_that_is_not_read_goes_nowhere(desk: Desk) -> None:
    """It stands aside as foreign, and its reason and its topic are listed."""
    place = await desk.bury(b"{}", home="payments")
    await desk.bury(b"one")
    done = await desk.dlq("replay", "--yes")
    assert (done.returncode, done.stdout) == (0, "1 letter replayed.\n")
    (told,) = [letter for letter in await desk.listed() if letter["place"] == place]
    assert (told["status"], told["reason"], told["topic"]) == ("foreign", "bad_body", "payments")


def test_what_was_settled_is_told_and_not_what_was_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    """A letter that failed and one that is gone are named, and end the command with an error."""
    letters = [Letter(Place(0, offset), Status.OPEN, 0, 1) for offset in range(3)]
    came_to = {Place(0, 0): None, Place(0, 1): TopicUnfit("too long")}
    with pytest.raises(typer.Exit) as left:
        _tell_settled(letters, came_to, Fate.REPLAYED)
    said = capsys.readouterr()
    assert left.value.exit_code == 1
    assert said.out == "1 letter replayed.\n"
    assert said.err == "0/1: too long\n0/2: no longer on the topic\n2 letters not replayed.\n"


async def test_nothing_is_done_without_yes(desk: Desk) -> None:
    """A dry run leaves both topics as they were."""
    await desk.bury(b"one")
    before = await desk.places()
    for command in ("replay", "discard"):
        assert "--yes does it" in (await desk.dlq(command)).stdout
    assert await desk.places() == before
    assert await desk.values() == []


async def test_a_letter_is_replayed_once(desk: Desk) -> None:
    """It goes back, is listed no more, and a second replay finds nothing; a pipe gets no progress bar."""
    place = await desk.bury(b"one")
    done = await desk.dlq("replay", "--yes")
    assert done.stdout == "1 letter replayed.\n"
    assert done.stderr == "1 left aside, foreign: no dead letter of a record on kafka.topics.\n"
    assert "No dead letters to be replayed." in (await desk.dlq("replay", "--yes")).stdout
    assert await desk.values() == [b"one"]
    assert place not in {letter["place"] for letter in await desk.listed()}
    (marked,) = [letter for letter in await desk.listed("--all") if letter["place"] == place]
    assert marked["status"] == "replayed"
    again = await desk.dlq("replay", place, "--yes")
    assert (again.returncode, await desk.values()) == (1, [b"one"])
    assert f"{place}: replayed already." in again.stderr


async def test_what_cannot_go_back_stands_aside(desk: Desk) -> None:
    """A letter that was cut and one that is too old are told, and can be discarded."""
    cut = await desk.bury(b"x" * 5_000, most=2_000)
    old = await desk.bury(b"old", age=15)
    done = await desk.dlq("replay", "--yes")
    assert done.returncode == 0
    assert "1 left aside, cut" in done.stderr
    assert "1 left aside, expired: older than kafka.retention_days" in done.stderr
    assert await desk.values() == []
    assert (await desk.dlq("discard", cut, old, "--yes")).stdout == "2 letters discarded.\n"
    assert [letter["status"] for letter in await desk.listed()] == ["foreign"]


async def test_letters_named_by_their_places_go_together_or_not_at_all(desk: Desk) -> None:
    """With one place that is wrong, nothing is done, and it is named."""
    place = await desk.bury(b"one")
    done = await desk.dlq("replay", place, "0/99999", "--yes")
    assert done.returncode == 1
    assert f"0/99999: no such letter on {TOPIC}." in done.stderr
    assert "Nothing was done." in done.stderr
    assert await desk.values() == []


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "0/99999"), 1, "There is no letter at 0/99999"),
        (("show", "nowhere"), 2, "PARTITION/OFFSET"),
        (("list", "--older", "yesterday"), 2, "--older: yesterday is no age"),
        (("replay", "--newer", "2 h"), 2, "--newer: 2 h is no age"),
        (("discard", "1-2"), 2, "PARTITION/OFFSET"),
    ],
)
async def test_a_users_mistake_is_a_sentence(
    desk: Desk, arguments: tuple[str, ...], code: int, told: str
) -> None:
    """An exit code, what is wrong, and no traceback."""
    done = await desk.dlq(*arguments)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broker_that_is_away_is_an_error() -> None:
    """Exit code 3, and what to check."""
    done = run(f"127.0.0.1:{free_port()}", "list")
    assert done.returncode == 3
    assert "kafka_unavailable" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_topic_that_is_missing_is_an_error(embedded_broker: Cluster) -> None:
    """Exit code 3, and its name."""
    done = run(embedded_broker.bootstrap, "list")
    assert done.returncode == 3
    assert f"{TOPIC} is missing" in done.stderr


@pytest.mark.parametrize("command", ["list", "show", "replay", "discard"])
def test_help_has_an_example(command: str) -> None:
    """Every command shows how it is used."""
    done = run("localhost:1", command, "--help")
    assert done.returncode == 0
    assert f"Example: jira-bridge dlq {command}" in " ".join(done.stdout.split())
