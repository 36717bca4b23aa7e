"""What CDEvents become, in whatever form they come."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from bridge.errors import BadBody
from bridge.kafka.envelope import decode
from bridge.model import Event, Record, Webhook
from bridge.sources.cdevents import SOURCE
from tests.deliveries import MAPPER, RECEIVED_AT, delivery

BINARY = delivery("cdevents", "pipelinerun.failed")
CDEVENT: dict[str, Any] = BINARY.sample["request"]["body"]
STRUCTURED = {
    "specversion": "1.0",
    "id": CDEVENT["context"]["id"],
    "source": CDEVENT["context"]["source"],
    "type": CDEVENT["context"]["type"],
    "time": CDEVENT["context"]["timestamp"],
    "subject": CDEVENT["subject"]["id"],
}


def event(body: Any, **headers: str) -> Event:
    """What comes of a delivery."""
    raw = orjson.dumps(body)
    kept = SOURCE.keep(headers, raw)
    return SOURCE.event(Webhook("main", "cdevents", SOURCE.delivery_id(kept, raw), kept, raw, RECEIVED_AT))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (CDEVENT, BINARY.headers),
        (CDEVENT, {}),
        ({**STRUCTURED, "data": CDEVENT}, {}),
        ({**STRUCTURED, "data": orjson.dumps(CDEVENT).decode()}, {}),
        ({**STRUCTURED, "data_base64": b64encode(orjson.dumps(CDEVENT)).decode()}, {}),
    ],
    ids=["binary", "plain", "structured", "as text", "in base64"],
)
def test_the_form_makes_no_difference(body: Any, headers: dict[str, str]) -> None:
    """In each, the same event about the same thing, under the same id."""
    found = event(body, **headers)
    assert (found.id, found.source, found.type) == tuple(
        CDEVENT["context"][name] for name in ("id", "source", "type")
    )
    assert (found.time, found.subject) == (datetime(2026, 3, 2, 9, 8, tzinfo=UTC), "build-and-test")
    assert found.data["subject"] == CDEVENT["subject"]


def test_on_kafka_it_means_the_same() -> None:
    """A CloudEvent that comes without ingress changes the same link in the same way."""
    headers = (("content-type", b"application/cloudevents+json"),)
    value = orjson.dumps({**STRUCTURED, "data": CDEVENT})
    direct = decode(Record("events", 0, 0, int(RECEIVED_AT.timestamp() * 1000), None, value, headers))
    assert isinstance(direct, Event)
    assert MAPPER.map(direct) == MAPPER.map(event(CDEVENT))


def test_the_envelope_tells_what_the_data_lacks() -> None:
    """Other CloudEvents have no context: they are told by their envelope, and are not of interest."""
    told = {name: value for name, value in BINARY.headers.items() if name.startswith("ce-")}
    found = event({"taskRun": {}}, **told)
    assert (found.type, found.time) == (CDEVENT["context"]["type"], datetime(2026, 3, 2, 9, 8, tzinfo=UTC))
    assert event({**STRUCTURED, "type": "dev.other", "data": None}).type == "dev.other"


@pytest.mark.parametrize("data", ["", "{", "[]", 7])
def test_data_that_is_no_object_is_rejected_or_not_of_interest(data: Any) -> None:
    """What the data should be is said."""
    with pytest.raises(BadBody):
        event({**STRUCTURED, "data": None, "data_base64": str(data)})


def test_runs_of_a_pipeline_share_a_record_key() -> None:
    """They change one link; a subject is a single run."""
    names = ["pipelinerun.queued", "pipelinerun.started", "pipelinerun.failed", "pipelinerun.success_plain"]
    samples = [delivery("cdevents", name) for name in names]
    assert {SOURCE.record_key(each.headers, each.body) for each in samples} == {"cdevents/build-and-test"}
