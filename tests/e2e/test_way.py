"""The whole way: signed webhooks and canonical events in, the right links in Jira out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer

from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.ledger import open_reader
from bridge.model import Outcome, Request
from bridge.observe.health import Health
from bridge.ports import Publish
from bridge.service import Role, Service
from bridge.settings import Settings
from bridge.settings.sections import Reconcile
from bridge.simulator.faults import Knobs
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from bridge.sources.base import load_sources
from tests.brokers import eventually
from tests.deliveries import deliveries, delivery
from tests.e2e.bridge_process import COMMAND

SECRET = b"It's a Secret to Everybody"
OPENED = delivery("github", "pull_request.opened").body
GITHUB = load_sources()["github"]


@dataclass
class Way:
    """A bridge with all roles, a Jira, and what a sender needs."""

    service: Service
    jira: JiraServer
    publish: Publish
    session: aiohttp.ClientSession
    topic: str
    dead_letters: str
    cluster: Cluster

    async def send(self, event: str, body: bytes, *, secret: bytes = SECRET, delivery: str = "") -> int:
        """Deliver a webhook as GitHub does; the HTTP status."""
        headers = {
            "content-type": "application/json",
            **GITHUB.headers(event, delivery or str(uuid.uuid4())),
            **GITHUB.signature.sign(Request("POST", "", {}, body), secret, datetime.now(UTC)),
        }
        url = f"{self.service.addresses['webhooks']}/webhooks/github"
        async with self.session.post(url, data=body, headers=headers) as response:
            return response.status

    async def put(self, event: dict[str, Any]) -> None:
        """Put a canonical event on the topic."""
        headers = [("content-type", b"application/cloudevents+json")]
        await self.publish(self.topic, event["subject"].encode(), orjson.dumps(event), headers)

    def titles(self) -> dict[tuple[str, str], str]:
        """All links in Jira: (issue, globalId) to title."""
        return {
            (link["issue"], link["globalId"]): link["body"]["object"]["title"]
            for link in self.jira.model.links()
        }

    def writes(self) -> int:
        """How many requests could have changed Jira."""
        return sum(n for name, n in self.jira.counts.items() if not name.startswith("GET"))

    async def dlq(self, *arguments: str) -> str:
        """Run `jira-bridge dlq …`; what it prints."""
        topics = {
            "BRIDGE_KAFKA__TOPICS": orjson.dumps([self.topic]).decode(),
            "BRIDGE_KAFKA__DEAD_LETTER_TOPIC": self.dead_letters,
        }
        env = {**os.environ, **topics}
        command = [*COMMAND, "dlq", *arguments, "--kafka", self.cluster.bootstrap]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, env=env, check=True)
        return str(done.stdout.decode())

    async def dead(self, count: int) -> list[dict[str, bytes]]:
        """The headers of the first dead letters."""
        consumer = AIOKafkaConsumer(
            self.dead_letters, bootstrap_servers=self.cluster.bootstrap, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return [dict((await consumer.getone()).headers) for _ in range(count)]
        finally:
            await consumer.stop()


def settings(
    cluster: Cluster, jira: str, folder: Path, topic: str, group: str = "e2e", mappings: Sequence[Path] = ()
) -> Settings:
    local = {"host": "127.0.0.1", "port": 0}
    return Settings.model_validate(
        {
            "kafka": {
                "bootstrap_servers": cluster.bootstrap,
                "topics": [topic],
                "dead_letter_topic": f"{topic}.dead",
                "group": group,
                "partitions": 3,
            },
            "ingress": {
                **local,
                "topic": topic,
                "endpoints": {
                    "github": {"source": "github", "secrets": ["an older secret", SECRET.decode()]}
                },
            },
            "sites": {"main": {"url": jira, "auth": "basic:demo@example.com:demo", "limit": "none"}},
            "ledger": {"url": f"sqlite:///{folder / 'ledger.sqlite'}"},
            "worker": local,
            "mappings": mappings,
        }
    )


def _quiet(_state: str, /, **_fields: object) -> None:
    """An Observe that says nothing; the metrics still count."""


@asynccontextmanager
async def bridge(
    cluster: Cluster,
    folder: Path,
    jira: JiraServer,
    topic: str,
    *,
    group: str = "e2e",
    mappings: Sequence[Path] = (),
    reconcile: Mapping[str, object] | None = None,
) -> AsyncIterator[Way]:
    """A running bridge that is drained at the end."""
    stop = asyncio.Event()
    configuration = settings(cluster, jira.url, folder, topic, group, mappings)
    if reconcile:
        configuration = configuration.model_copy(update={"reconcile": Reconcile.model_validate(reconcile)})
    service = Service(configuration, Role.ALL, observe=_quiet)
    running = asyncio.create_task(service.run(stop))
    publish = Producer(cluster, observe=_quiet, health=Health(lambda: 0.0))
    try:
        started = asyncio.create_task(service.started.wait())
        await asyncio.wait({started, running}, return_when=asyncio.FIRST_COMPLETED)
        assert not running.done(), running.result()
        async with publish, aiohttp.ClientSession() as session:
            await eventually(lambda: all(each.ok for each in service.health.ready().values()))
            yield Way(service, jira, publish, session, topic, f"{topic}.dead", cluster)
    finally:
        stop.set()
        await running


@pytest.fixture(params=["embedded_broker", "real_kafka"])
def broker(request: pytest.FixtureRequest) -> Cluster:
    """Each broker."""
    found: Cluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def way(broker: Cluster, tmp_path: Path) -> AsyncIterator[Way]:
    async with JiraServer(JiraModel(projects=["ABC", "DOCK", "PROJ"])) as jira:
        topic = f"events-{uuid.uuid4().hex[:8]}"
        async with bridge(broker, tmp_path, jira, topic) as found:
            yield found


def canonical(
    number: int, time: str, title: str | None, *, issue: str = "PROJ-1", link: int = 1
) -> dict[str, Any]:
    global_id = f"system=ci&id={link}"
    data: dict[str, Any] = {"issue": issue, "globalId": global_id}
    if title:
        data["object"] = {"url": f"https://ci.example.com/{link}", "title": title}
    return {
        "specversion": "1.0",
        "id": f"{link}-{number}",
        "source": "//ci.example.com",
        "type": "remotelink.upsert" if title else "remotelink.delete",
        "time": f"2026-01-01T{time}Z",
        "subject": global_id,
        "data": data,
    }


async def test_every_sample_arrives(way: Way) -> None:
    """Real signed deliveries of each kind become links that name the issue, or are skipped."""
    for sample in deliveries("github"):
        assert await way.send(sample.headers["x-github-event"], sample.body) == 202
    kinds = ("pull_request", "workflow", "commit", "status", "deployment")
    await eventually(
        lambda: all(any(f"type={kind}&" in global_id for _, global_id in way.titles()) for kind in kinds)
    )
    assert not [entry for entry in way.jira.model.history if entry.needless]


async def test_a_key_taken_out_of_a_title_takes_its_link_off(way: Way) -> None:
    """A pull request that no longer names an issue is gone from it, and stays on the other."""
    body = orjson.loads(OPENED)
    request = body["pull_request"]
    request |= {"title": "ABC-1 ABC-2: Both", "head": {**request["head"], "ref": "topic"}}
    request["updated_at"] = "2026-03-02T10:00:00Z"
    assert await way.send("pull_request", orjson.dumps(body)) == 202
    await eventually(lambda: {issue for issue, _ in way.titles()} == {"ABC-1", "ABC-2"})
    body["action"], request["title"], request["updated_at"] = "edited", "ABC-2: One", "2026-03-02T10:01:00Z"
    assert await way.send("pull_request", orjson.dumps(body)) == 202
    await eventually(lambda: {issue for issue, _ in way.titles()} == {"ABC-2"})


async def test_the_newest_decides_and_nothing_is_written_twice(way: Way) -> None:
    """Disorder, duplicates and deletes of canonical events end as the newest says."""
    events = [
        canonical(1, "10:00:00", "queued"),
        canonical(3, "10:02:00", "passed"),
        canonical(2, "10:01:00", "running"),
        canonical(3, "10:02:00", "passed"),
        canonical(1, "10:00:00", "one", link=2),
        canonical(3, "10:02:00", None, link=2),
        canonical(2, "10:01:00", "late", link=2),
        canonical(9, "10:00:00", "the end", link=9),
    ]
    for event in events:
        await way.put(event)
    await eventually(lambda: ("PROJ-1", "system=ci&id=9") in way.titles())
    await eventually(lambda: ("PROJ-1", "system=ci&id=2") not in way.titles())
    await eventually(lambda: way.titles().get(("PROJ-1", "system=ci&id=1")) == "passed")
    assert not [entry for entry in way.jira.model.history if entry.needless]


async def test_what_cannot_be_mapped_is_a_dead_letter(way: Way) -> None:
    """A broken body, an unknown envelope and a refused link are told, and what follows goes on."""
    assert await way.send("pull_request", b"no json") == 202
    await way.publish(way.topic, b"key", b"nothing known", [])
    await way.put(canonical(1, "10:00:00", "nobody's", issue="NONE-1", link=3))
    await way.put(canonical(1, "10:00:00", "fine"))
    await eventually(lambda: list(way.titles().values()) == ["fine"])
    found = {letter["bridge-dead-reason"]: letter for letter in await way.dead(3)}
    assert set(found) == {b"bad_body", b"bad_envelope", b"jira_not_found"}
    assert found[b"bad_body"]["bridge-dead-topic"] == way.topic.encode()
    assert all(letter["bridge-dead-error"] for letter in found.values())


async def test_a_site_that_is_away_is_named_by_readiness_until_it_is_back(way: Way) -> None:
    """Its circuit opens, nothing is lost or rejected, and all goes on by itself."""

    async def condition() -> dict[str, Any]:
        async with way.session.get(f"{way.service.addresses['worker']}/readyz") as answer:
            found: dict[str, Any] = (await answer.json())["conditions"]["jira main"]
            assert answer.status == 503 or found["ok"]
            return found

    async def is_away() -> bool:
        return not (await condition())["ok"]

    async def is_back() -> bool:
        return bool((await condition())["ok"])

    way.jira.knobs = Knobs(is_down=True, retry_after=0.1)
    for number in range(8):
        await way.put(canonical(1, "10:00:00", "built", link=number))
    await eventually(is_away)
    assert (await condition())["reason"].startswith("circuit_open: createOrUpdateRemoteIssueLink PROJ-1")
    way.jira.knobs = Knobs()
    await eventually(lambda: len(way.titles()) == 8)
    await eventually(is_back)


async def is_stale(folder: Path, event: str) -> bool:
    """Whether the journal says that something newer was known before the event."""
    async with open_reader(f"sqlite:///{folder}/ledger.sqlite") as reader:
        return Outcome.STALE in {entry.outcome for entry in await reader.explain(event)}


def mapping(folder: Path, url: str) -> Path:
    """A mapping of pull requests, in a file, whose links have that URL."""
    path = folder / "mapping.yaml"
    path.write_text(
        f"""
source: github
application: {{type: com.github, name: GitHub}}
rules:
  pull_request:
    match: {{type: pull_request}}
    action: set
    subject: {{type: pull_request, id: "{{body.repository.id}}/{{body.pull_request.number}}"}}
    issues: {{texts: [body.pull_request.title]}}
    link: {{url: "{url}", title: "{{body.pull_request.title}}"}}
tests:
  - {{name: others, type: push, payload: {{}}, skipped: not_of_interest}}
"""
    )
    return path


async def test_a_webhook_that_a_mapping_at_fault_rejected_is_replayed(
    real_kafka: Cluster, tmp_path: Path
) -> None:
    """Once the mapping is mended, `dlq replay` brings the link about; a second replay does nothing."""
    topic = f"events-{uuid.uuid4().hex[:8]}"
    async with JiraServer(JiraModel(projects=["DOCK"])) as jira:
        at_fault = [mapping(tmp_path, "{body.pull_request.htlm_url}")]
        async with bridge(real_kafka, tmp_path, jira, topic, mappings=at_fault) as way:
            assert await way.send("pull_request", OPENED) == 202
            assert (await way.dead(1))[0]["bridge-dead-reason"] == b"bad_link"
        mended = [mapping(tmp_path, "{body.pull_request.html_url}")]
        async with bridge(real_kafka, tmp_path, jira, topic, mappings=mended) as way:
            assert "1 letter would be replayed" in await way.dlq("replay", "--project", "DOCK")
            assert await way.dlq("replay", "--project", "DOCK", "--yes") == "1 letter replayed.\n"
            await eventually(lambda: [issue for issue, _ in way.titles()] == ["DOCK-12"])
            assert await way.dlq("replay", "--yes") == "No dead letters to be replayed.\n"
            assert "replayed" in await way.dlq("list", "--all")
            assert way.writes() == 1


async def test_a_refused_link_is_replayed_and_does_not_overtake_news(
    real_kafka: Cluster, tmp_path: Path
) -> None:
    """With the cause mended it is written; where something newer came meanwhile, that stands."""
    topic = f"events-{uuid.uuid4().hex[:8]}"
    async with (
        JiraServer(JiraModel(issues=["PROJ-1"])) as jira,
        bridge(real_kafka, tmp_path, jira, topic) as way,
    ):
        await way.put(canonical(1, "10:00:00", "missed", issue="PROJ-2", link=1))
        await way.put(canonical(1, "10:00:00", "overtaken", issue="PROJ-2", link=2))
        assert {letter["bridge-dead-reason"] for letter in await way.dead(2)} == {b"jira_not_found"}
        jira.model.add("PROJ-2")
        await way.put(canonical(2, "11:00:00", "newest", issue="PROJ-2", link=2))
        await eventually(lambda: list(way.titles().values()) == ["newest"])
        assert await way.dlq("replay", "--site", "main", "--yes") == "2 letters replayed.\n"
        await eventually(lambda: sorted(way.titles().values()) == ["missed", "newest"])
        await eventually(partial(is_stale, tmp_path, "2-1"))
        assert sorted(way.titles().values()) == ["missed", "newest"]


async def test_forged_and_unknown_deliveries_are_refused(way: Way) -> None:
    """A wrong secret is 401, and an endpoint that is not there is 404."""
    assert await way.send("pull_request", OPENED, secret=b"guessed") == 401
    url = f"{way.service.addresses['webhooks']}/webhooks/nowhere"
    async with way.session.post(url, json={}) as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


async def test_a_group_of_a_new_name_makes_no_call(real_kafka: Cluster, tmp_path: Path) -> None:
    """What stands in the ledger and in Jira is not written again, whoever reads the topic anew."""
    async with JiraServer(JiraModel(projects=["PROJ"])) as jira:
        topic = f"events-{uuid.uuid4().hex[:8]}"
        async with bridge(real_kafka, tmp_path, jira, topic) as way:
            for link in range(20):
                for number, title in enumerate(("A", "B", "A", None, "C") if link % 2 else ("A", None)):
                    await way.put(canonical(number, f"10:00:0{number}", title, link=link))
            await eventually(lambda: set(way.titles().values()) == {"C"} and len(way.titles()) == 10)
        before = len(jira.calls)
        async with bridge(real_kafka, tmp_path, jira, topic, group="another") as way:
            await way.put(canonical(9, "11:00:00", "last", link=99))
            await eventually(lambda: "last" in way.titles().values())
        assert len(jira.calls) == before + 1


async def test_a_link_that_was_removed_by_hand_comes_back_with_a_round(
    embedded_broker: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so often the worker compares what it writes with what Jira holds, and mends it."""
    monkeypatch.setattr("bridge.service._HOUR", 1.0)
    async with JiraServer(JiraModel(projects=["PROJ"])) as jira:
        rounds = {"every_hours": 1, "per_second": 1_000}
        async with bridge(embedded_broker, tmp_path, jira, "events", reconcile=rounds) as way:
            await way.put(canonical(1, "10:00:00", "fine"))
            await eventually(lambda: list(way.titles().values()) == ["fine"])
            (issue,) = [each for each in jira.model.issues if each.links]
            issue.links.clear()
            await eventually(lambda: list(way.titles().values()) == ["fine"])
            found = 'jira_bridge_reconcile_findings_total{finding="removed",site="main"} 1.0'
            assert found in way.service.metrics.exposition().decode()
