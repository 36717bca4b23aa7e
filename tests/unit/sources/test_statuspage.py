"""What Statuspage's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from bridge.errors import BadBody, BadSignature
from bridge.model import Request, Webhook
from bridge.sources.statuspage import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

SECRET = b"tide and anchor"


def event(body: dict[str, Any]) -> Any:
    return SOURCE.event(Webhook("main", "statuspage", "d-1", {}, orjson.dumps(body), RECEIVED_AT))


@pytest.mark.parametrize("query", ["token=tide%20and%20anchor", "x=1&token=tide+and+anchor"])
def test_the_token_stands_in_the_address(query: str) -> None:
    """A subscriber can say nothing but the address."""
    sent = Request("POST", f"https://bridge.example.com/webhooks/statuspage?{query}", {}, b"{}")
    SOURCE.signature.verify(sent, [SECRET], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [b"another"], RECEIVED_AT)


def test_the_objects_time_counts() -> None:
    """The body is made anew when it is sent; what it tells of may be older."""
    told = SOURCE.event(delivery("statuspage", "incident.created").webhook)
    assert told.time == datetime(2026, 3, 2, 9, 0, 0, 603000, UTC)
    bare = event({"incident": {"id": "7"}, "meta": {"generated_at": "2026-03-02T12:30:00Z"}})
    assert bare.time == datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize("body", [{}, {"page": {"id": "7"}}, {"incident": []}])
def test_what_tells_of_nothing_is_a_bad_body(body: dict[str, Any]) -> None:
    """There must be an incident or a component."""
    with pytest.raises(BadBody, match="incident or component_update"):
        event(body)


def test_a_component_keeps_its_key() -> None:
    """Also where it is told by its update only."""
    sample = delivery("statuspage", "component.outage")
    update = {"component_update": {"component_id": "m1n2b3v4c501"}}
    key = SOURCE.record_key(sample.headers, sample.body)
    assert key == SOURCE.record_key({}, orjson.dumps(update)) == "statuspage/m1n2b3v4c501"
