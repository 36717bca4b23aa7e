"""Ingress over real HTTP in front of a real broker: what is taken is on Kafka, what is not is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord

from bridge.errors import ConfigError
from bridge.ingress import Endpoint, make_app
from bridge.kafka.client import Producer
from bridge.kafka.cluster import Cluster
from bridge.kafka.embedded import EmbeddedBroker
from bridge.kafka.envelope import decode
from bridge.model import Record, Request, Webhook
from bridge.observe.health import Health
from bridge.observe.metrics import Metrics
from bridge.observe.server import probes
from bridge.observe.states import tee
from bridge.ports import Publish
from bridge.sources.github import GitHub
from tests.brokers import eventually, free_port

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BODY = b'{"zen": "Keep it logically awesome.", "repository": {"id": 1}}'
SECRETS = (b"new secret", b"old secret")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LIMIT = 10_000


@dataclass
class Ingress:
    """A running ingress, and what it told."""

    url: str
    session: aiohttp.ClientSession
    told: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    async def post(
        self, body: Any = BODY, *, to: str = "github", secret: bytes = SECRETS[0], **headers: str | None
    ) -> tuple[int, dict[str, Any], aiohttp.ClientResponse]:
        """Post a delivery as GitHub does; headers are given with underscores, None leaves one out."""
        request = Request("POST", "", {}, body if isinstance(body, bytes) else BODY)
        signed = GitHub().signature.sign(request, secret, NOW)
        usual = {"content-type": "application/json", "x-github-event": "ping", "x-github-delivery": "d-1"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in {**usual, **signed, **given}.items() if value is not None}
        skip = [] if "content-type" in sent else ["content-type"]
        async with self.session.post(
            f"{self.url}/webhooks/{to}", data=body, headers=sent, skip_auto_headers=skip
        ) as answer:
            return answer.status, await answer.json(content_type=None), answer


@asynccontextmanager
async def ingress_before(publish: Publish, health: Health, metrics: Metrics) -> AsyncIterator[Ingress]:
    """An ingress that publishes so, listening on a free port."""
    running = Ingress("", aiohttp.ClientSession())

    def note(state: str, /, **fields: object) -> None:
        running.told.append((state, fields))

    app = make_app(
        [
            Endpoint("github", GitHub(), "events", SECRETS),
            Endpoint("anyone", GitHub(), "events", open=True),
        ],
        publish,
        observe=tee(note, metrics),
        now=lambda: NOW,
        max_body_bytes=LIMIT,
        max_bytes_in_flight=3 * LIMIT,
        probes=probes(health, metrics),
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    running.url = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield running
    finally:
        await running.session.close()
        await runner.cleanup()


@asynccontextmanager
async def ingress_on(cluster: Cluster, timeout: float = 10.0) -> AsyncIterator[Ingress]:  # noqa: ASYNC109
    """An ingress in front of that cluster."""
    metrics, clock = Metrics(), asyncio.get_running_loop().time
    health = Health(clock)
    async with (
        Producer(cluster, observe=metrics, health=health, timeout=timeout) as publish,
        ingress_before(publish, health, metrics) as running,
    ):
        yield running


@pytest.fixture
async def ingress(embedded_broker: Cluster) -> AsyncIterator[Ingress]:
    """An ingress in front of the embedded broker."""
    async with ingress_on(embedded_broker) as running:
        yield running


async def read(cluster: Cluster, count: int) -> list[ConsumerRecord[bytes, bytes]]:
    """That many records of the topic, from its beginning."""
    consumer = AIOKafkaConsumer("events", **cluster.arguments(), auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_delivery_is_on_kafka_when_it_is_answered(embedded_broker: Cluster, ingress: Ingress) -> None:
    """202 names the delivery; the record is a webhook with the raw body, keyed by its object."""
    status, answer, _ = await ingress.post(traceparent=TRACE, x_other="left out")
    (record,) = await read(embedded_broker, 1)
    assert (status, answer) == (202, {"deliveryId": "d-1"})
    assert record.key == b"github/1/ping"
    headers = tuple((name, value or b"") for name, value in record.headers)
    assert decode(Record("events", 0, 0, 0, record.key, record.value, headers)) == Webhook(
        endpoint="github",
        source="github",
        delivery_id="d-1",
        headers={"x-github-event": "ping", "x-github-delivery": "d-1", "content-type": "application/json"},
        body=BODY,
        received_at=NOW,
        traceparent=TRACE,
    )
    assert [state for state, _ in ingress.told] == ["delivery_taken"]


async def test_a_trace_begins_where_the_sender_has_none(embedded_broker: Cluster, ingress: Ingress) -> None:
    """Without a traceparent, or with one that is no such thing, the delivery gets a new one."""
    await ingress.post()
    await ingress.post(traceparent="00-" + "0" * 32 + "-b7ad6b7169203331-01")
    records = await read(embedded_broker, 2)
    traces = [dict(record.headers)["traceparent"].decode() for record in records]
    assert len({trace[3:35] for trace in traces}) == 2
    assert all(len(trace) == 55 and trace[3:35] != "0" * 32 for trace in traces)


async def test_either_secret_of_a_rotation_is_accepted(ingress: Ingress) -> None:
    """Old and new secret both sign; a third one does not."""
    statuses = [(await ingress.post(secret=secret))[0] for secret in (*SECRETS, b"another")]
    assert statuses == [202, 202, 401]


async def test_an_open_endpoint_takes_what_nobody_signed(ingress: Ingress) -> None:
    """An endpoint that was declared open asks for no signature."""
    status, _, _ = await ingress.post(to="anyone", x_hub_signature_256=None)
    assert status == 202


async def test_what_cannot_be_parsed_is_published_all_the_same(
    embedded_broker: Cluster, ingress: Ingress
) -> None:
    """A signed body that is no JSON is Kafka's to keep and the consumer's to reject."""
    status, _, _ = await ingress.post(b"{not json")
    (record,) = await read(embedded_broker, 1)
    assert (status, record.value) == (202, b"{not json")


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body of that many bytes whose length nobody announces."""
    for _ in range(size // 1_000):
        yield b"x" * 1_000


REFUSALS: list[tuple[str, dict[str, Any], int, str]] = [
    ("forged", {"secret": b"forged"}, 401, "bad_signature"),
    ("unsigned", {"x_hub_signature_256": None}, 401, "bad_signature"),
    ("not ascii", {"x_hub_signature_256": "sha256=\u00fc"}, 401, "bad_signature"),
    ("empty", {"body": b""}, 400, "bad_request"),
    ("no event", {"x_github_event": None}, 400, "bad_request"),
    ("no endpoint", {"to": "nobody"}, 404, "not_found"),
    ("text", {"content_type": "text/plain"}, 415, "wrong_content_type"),
    ("untyped", {"content_type": None}, 415, "wrong_content_type"),
    ("compressed", {"content_encoding": "gzip"}, 415, "wrong_content_type"),
    ("long", {"body": b"x" * (LIMIT + 1)}, 413, "body_too_long"),
]


@pytest.mark.parametrize(("post", "status", "code"), [r[1:] for r in REFUSALS], ids=[r[0] for r in REFUSALS])
async def test_a_refusal_says_what_is_wrong(
    ingress: Ingress, post: dict[str, Any], status: int, code: str
) -> None:
    """Whatever is not taken is answered by a problem document with its code and advice, and is told."""
    found, problem, answer = await ingress.post(**post)
    assert (found, problem["status"], problem["code"]) == (status, status, code)
    assert answer.content_type == "application/problem+json"
    assert problem["title"]
    assert problem["detail"]
    endpoint = "" if post.get("to") else "github"
    assert ingress.told[-1][0] == "delivery_refused"
    assert ingress.told[-1][1] | {"endpoint": endpoint, "code": code} == ingress.told[-1][1]


async def test_a_long_body_is_refused_whatever_its_length_was_said_to_be(ingress: Ingress) -> None:
    """A chunked body is cut off at the limit while it comes in."""
    status, problem, _ = await ingress.post(chunks(LIMIT * 5))
    assert (status, problem["code"]) == (413, "body_too_long")


async def test_a_body_at_the_limit_is_taken(ingress: Ingress) -> None:
    """The limit is the longest body that is taken."""
    status, _, _ = await ingress.post(b"x" * LIMIT)
    assert status == 202


@pytest.mark.parametrize(
    "sent", ["Content-Length: 100\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"]
)
async def test_a_body_that_breaks_off_is_no_fault_of_the_bridge(ingress: Ingress, sent: str) -> None:
    """Anyone can hang up; it is told as a refusal."""
    host, port = ingress.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /webhooks/github HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    writer.write((head + sent).encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await eventually(lambda: "delivery_refused" in dict(ingress.told))
    assert dict(ingress.told)["delivery_refused"]["code"] == "body_lost"
    assert "unexpected_error" not in dict(ingress.told)


async def test_an_address_can_be_tried_without_a_delivery(ingress: Ingress) -> None:
    """Intercom takes an address only when it answers HEAD."""
    for name, status in (("github", 200), ("stranger", 404)):
        async with ingress.session.head(f"{ingress.url}/webhooks/{name}") as answer:
            assert answer.status == status
    assert "delivery_taken" not in dict(ingress.told)


@pytest.mark.parametrize("method", ["GET", "OPTIONS", "PUT", "DELETE"])
async def test_an_endpoint_only_takes_posts(ingress: Ingress, method: str) -> None:
    """Other methods are answered 405 with what is allowed."""
    async with ingress.session.request(method, f"{ingress.url}/webhooks/github") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "HEAD,POST")
        assert (await answer.json(content_type=None))["code"] == "method_not_allowed"


async def test_the_names_of_unknown_endpoints_make_no_metrics(ingress: Ingress) -> None:
    """A stranger who tries addresses does not add a label's value for each."""
    await ingress.post(to="stranger")
    async with ingress.session.get(f"{ingress.url}/metrics") as answer:
        text = await answer.text()
    assert 'jira_bridge_deliveries_refused_total{code="not_found",endpoint=""} 1.0' in text
    assert "stranger" not in text


async def test_without_a_broker_nothing_is_taken() -> None:
    """Ingress starts with the broker away, answers 503 with Retry-After, and is not ready but alive."""
    async with ingress_on(Cluster(f"127.0.0.1:{free_port()}"), timeout=2.0) as ingress:
        status, problem, answer = await ingress.post()
        assert (status, problem["code"]) == (503, "kafka_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        async with ingress.session.get(f"{ingress.url}/readyz") as ready:
            assert ready.status == 503
            assert not (await ready.json())["conditions"]["kafka"]["ok"]
        async with ingress.session.get(f"{ingress.url}/livez") as alive:
            assert alive.status == 200


async def test_a_broker_that_goes_away_takes_nothing_more() -> None:
    """A delivery that no broker acknowledges is answered 503, also by an ingress that was ready."""
    broker = EmbeddedBroker()
    cluster = broker.__enter__()
    try:
        async with ingress_on(cluster, timeout=2.0) as ingress:
            before, _, _ = await ingress.post()
            broker.__exit__(None, None, None)
            after, problem, _ = await ingress.post()
    finally:
        broker.__exit__(None, None, None)
    assert (before, after, problem["code"]) == (202, 503, "kafka_unavailable")


class Gate:
    """A publisher that acknowledges when the test says so."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.count = 0
        self.acknowledge = asyncio.Event()

    async def __call__(self, *_: object, **__: object) -> None:
        """Wait for the test's word."""
        self.asked.set()
        self.count += 1
        await self.acknowledge.wait()


@asynccontextmanager
async def gated() -> AsyncIterator[tuple[Gate, Ingress, Callable[[], asyncio.Task[int]]]]:
    """An ingress whose broker acknowledges when told, and a way to post to it in the background."""
    gate = Gate()
    async with ingress_before(gate, Health(lambda: 0.0), Metrics()) as ingress:

        async def post() -> int:
            status, _, _ = await ingress.post()
            return status

        yield gate, ingress, lambda: asyncio.create_task(post())


async def test_no_answer_comes_before_the_acknowledgement() -> None:
    """While the broker has not acknowledged, the sender has no answer."""
    async with gated() as (gate, _, post):
        answer = post()
        await gate.asked.wait()
        done, _ = await asyncio.wait({answer}, timeout=0.2)
        assert not done
        gate.acknowledge.set()
        assert await answer == 202


async def test_no_more_bodies_are_held_than_fit() -> None:
    """While the broker is slow, what does not fit is answered 503; what was refused takes no room."""
    body = b"x" * LIMIT
    async with gated() as (gate, ingress, _):

        async def post() -> int:
            status, _, _ = await ingress.post(body)
            return status

        held = [asyncio.create_task(post()) for _ in range(3)]
        await eventually(lambda: gate.count == 3)
        for _ in range(5):
            status, problem, answer = await ingress.post(b"y")
            assert (status, problem["code"]) == (503, "ingress_busy")
            assert int(answer.headers["Retry-After"]) > 0
        gate.acknowledge.set()
        assert await asyncio.gather(*held) == [202] * 3
        for _ in range(4):
            assert await post() == 202
            assert (await ingress.post(b"x" * (LIMIT + 1)))[0] == 413
    refused = [fields["code"] for state, fields in ingress.told if state == "delivery_refused"]
    assert refused == ["ingress_busy"] * 5 + ["body_too_long"] * 4


async def test_a_fault_of_the_bridge_is_told_and_not_shown() -> None:
    """An error that nobody foresaw is a 500 without its text, and is told with it."""

    async def fail(*_: object, **__: object) -> None:
        raise LookupError("inner workings")

    async with ingress_before(fail, Health(lambda: 0.0), Metrics()) as ingress:
        status, problem, _ = await ingress.post()
    assert (status, problem["code"]) == (500, "error")
    assert "inner" not in str(problem)
    assert [state for state, _ in ingress.told] == ["unexpected_error", "delivery_refused"]


@pytest.mark.parametrize("secrets", [(), (b"",), (b"good", b"")])
def test_an_endpoint_that_anyone_could_post_to_is_refused(secrets: tuple[bytes, ...]) -> None:
    """No secret, or an empty one that everyone knows, is an error unless the endpoint is open."""
    with pytest.raises(ConfigError, match="endpoint github"):
        Endpoint("github", GitHub(), "events", secrets)


def test_an_endpoint_does_not_show_its_secrets() -> None:
    """The text of an endpoint, which may come into a log, has no secret in it."""
    assert "secret" not in repr(Endpoint("github", GitHub(), "events", SECRETS))
