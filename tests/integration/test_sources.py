"""Every source behind a real ingress: what its vendor posts, signed, is taken and comes to its events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

from bridge.ingress import Endpoint, make_app
from bridge.kafka.envelope import decode
from bridge.model import Record, Webhook
from tests.deliveries import RECEIVED_AT, SOURCES, Delivery, deliveries, outcome

SECRET = b"tide and anchor"


@dataclass
class Ingress:
    """A running ingress with an endpoint for each source, and the records that it published."""

    url: str
    session: aiohttp.ClientSession
    records: list[Record] = field(default_factory=list)

    async def post(self, sample: Delivery, *, secret: bytes = SECRET) -> int:
        """Post a sample as its vendor does; the status of the answer."""
        url = f"{self.url}/webhooks/{sample.kind}"
        request = replace(sample.request, url=url)
        signed = SOURCES[sample.kind].signature.sign(request, secret, datetime.now(UTC))
        headers = {"content-type": "application/json", **request.headers, **signed}
        async with self.session.post(url, data=request.body, headers=headers) as answer:
            return answer.status


@pytest.fixture
async def ingress() -> AsyncIterator[Ingress]:
    """The ingress; Kafka is left out, which other tests have."""
    records: list[Record] = []

    async def publish(
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
        timestamp: int | None = None,
    ) -> None:
        records.append(Record(topic, 0, len(records), timestamp or 0, key, value, tuple(headers)))

    app = make_app(
        [Endpoint(kind, source, "events", (SECRET,)) for kind, source in SOURCES.items()],
        publish,
        observe=lambda _state, /, **_fields: None,
        now=lambda: datetime.now(UTC),
        max_body_bytes=900_000,
        max_bytes_in_flight=9_000_000,
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Ingress("http://{}:{}".format(*runner.addresses[0]), session, records)
    await runner.cleanup()


@pytest.mark.parametrize("kind", SOURCES)
async def test_a_signed_delivery_of_each_source_is_taken(kind: str, ingress: Ingress) -> None:
    """Over HTTP, from the signature to the event: the record is what the sample says."""
    for sample in deliveries(kind):
        assert await ingress.post(sample) == 202
        found = decode(ingress.records[-1])
        assert isinstance(found, Webhook)
        told = outcome(replace(found, endpoint="main", received_at=RECEIVED_AT))
        ids = [{**event, "id": None} for event in sample.expected["events"]]
        assert [{**event, "id": None} for event in told["events"]] == ids
        assert SECRET not in b"".join(value for _, value in ingress.records[-1].headers)


@pytest.mark.parametrize("kind", SOURCES)
async def test_anothers_delivery_is_refused(kind: str, ingress: Ingress) -> None:
    """Who does not know the secret gets 401, and nothing is published."""
    assert await ingress.post(deliveries(kind)[0], secret=b"another") == 401
    assert ingress.records == []
