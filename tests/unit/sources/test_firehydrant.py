"""What FireHydrant's deliveries become."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.errors import BadBody, BadSignature
from bridge.model import Request, Webhook
from bridge.sources.firehydrant import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

SECRET = b"tide and anchor"
BODY = b'{"event":{"operation":"CREATED"}}'

# printf '{"event":{"operation":"CREATED"}}' | openssl dgst -sha256 -hmac 'tide and anchor'
KNOWN = "1fe8d6c3e218f437098cf7c9f982d435e08f8cc06b49783236b41cde5f955863"


def test_signs_the_body() -> None:
    """FireHydrant documents the algorithm without an answer: this one was made by OpenSSL.

    https://docs.firehydrant.com/docs/webhooks#verifying-requests
    """
    assert SOURCE.signature.sign(Request("POST", "", {}, BODY), SECRET, RECEIVED_AT) == {
        "fh-signature": KNOWN
    }
    SOURCE.signature.verify(Request("POST", "", {"fh-signature": KNOWN}, BODY), [SECRET], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(
            Request("POST", "", {"fh-signature": KNOWN}, BODY + b"\n"), [SECRET], RECEIVED_AT
        )


def webhook(event: Any) -> Webhook:
    """A delivery of that event."""
    return Webhook("main", "firehydrant", "d", {}, orjson.dumps({"event": event, "data": {}}), RECEIVED_AT)


def test_the_type_is_the_resource_and_the_operation() -> None:
    """In small letters, as FireHydrant writes some."""
    for operation in ("CREATED", "created"):
        event = SOURCE.event(webhook({"operation": operation, "resource_type": "change_event"}))
        assert event.type == "change_event.created"


@pytest.mark.parametrize(
    "event", [None, [], {}, {"operation": "CREATED"}, {"resource_type": "incident"}, {"operation": {}}]
)
def test_half_a_type_is_none(event: Any) -> None:
    """A body that does not say both is rejected, and names where they should stand."""
    with pytest.raises(BadBody, match=r"event.resource_type or event.operation"):
        SOURCE.event(webhook(event))


def test_each_kind_of_object_has_a_record_key() -> None:
    """An incident's and an alert's id stand within them, a change's beside its other parts."""

    def key(name: str) -> str:
        return SOURCE.record_key({}, delivery("firehydrant", name).body)

    assert key("incident.created") == key("incident.resolved") == key("incident.deleted")
    assert key("change_event.created") == key("change_event.updated") != key("incident.created")
    assert key("signals_alerts.created") == "firehydrant/6f767579-1"
