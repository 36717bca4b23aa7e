"""What incident.io's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from bridge.model import Request, Webhook
from bridge.sources.incident_io import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

NAME = "public_incident.incident_created_v2"


def test_signs_as_incident_io_documents() -> None:
    """Its documentation shows the answer of Svix's libraries, whose test tells the rest.

    https://docs.incident.io/integrations/webhooks
    """
    request = Request("POST", "", {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek"}, b'{"test": 2432232314}')
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = SOURCE.signature.sign(request, b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", at)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "body",
    [
        {"event_type": NAME, NAME: {"id": "i"}},
        {"event_type": NAME, NAME: {"incident": {"id": "i"}, "message": "m"}},
        {"type": NAME, "data": {"event_type": NAME, NAME: {"id": "i"}}},
        {"event_type": NAME, "incident": {"id": "i"}},
    ],
)
def test_the_object_stands_under_one_name(body: dict[str, Any]) -> None:
    """Under the event's own name, in an event of its status, in an envelope, or under a plain name."""
    webhook = Webhook("main", "incident-io", "m", {}, orjson.dumps(body), RECEIVED_AT)
    event = SOURCE.event(webhook)
    assert (event.type, event.subject, event.data["resource"]) == (NAME, "i", {"id": "i"})


@pytest.mark.parametrize("told", [None, "x", 1, [], {}, {"incident": "x"}])
def test_an_object_that_is_none_is_empty(told: Any) -> None:
    """Its mapping says what is missing."""
    webhook = Webhook(
        "main", "incident-io", "m", {}, orjson.dumps({"event_type": NAME, NAME: told}), RECEIVED_AT
    )
    assert SOURCE.event(webhook).data["resource"] == {}


def test_all_events_of_an_incident_share_a_record_key() -> None:
    """Whatever part of the body it stands in."""

    def key(name: str) -> str:
        return SOURCE.record_key({}, delivery("incident-io", name).body)

    assert key("incident_created.live") == key("incident_status_updated.closed")
    assert key("incident_created.live") == key("incident_created.envelope")
    assert key("incident_created.live") != key("alert_created.firing")
