"""What Zendesk's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from bridge.errors import BadSignature
from bridge.model import Request, Webhook
from bridge.sources.zendesk import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# Zendesk documents the construction and this secret, with which it signs tests of a webhook that does
# not exist yet, but no signature; this one stands in the tests of another receiver.
# https://developer.zendesk.com/documentation/webhooks/verifying/#signing-secrets-on-new-webhooks
SECRET = b"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
TIMESTAMP = "2021-03-25T05:09:27Z"
BODY = b'{"event":"ticket.updated","id":123}'
SIGNATURE = "S/RDdU2ERmj7LHDDoWJ2onPYH+t7/f2+LTM4dL7UiLM="
SENT_AT = datetime(2021, 3, 25, 5, 9, 27, tzinfo=UTC)

# What an older page of Zendesk's had, with the timestamp behind the body.
# https://developer.zendesk.com/documentation/event-connectors/webhooks/verifying/
OLD_SECRET = b"HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA="
OLD_SIGNATURE = "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw="


def signed(signature: str, timestamp: str, body: bytes = BODY) -> Request:
    headers = {
        "x-zendesk-webhook-signature": signature,
        "x-zendesk-webhook-signature-timestamp": timestamp,
    }
    return Request("POST", "https://bridge.example.com/webhooks/zendesk", headers, body)


def event(body: dict[str, Any], **headers: str) -> Any:
    kept = {name.replace("_", "-"): value for name, value in headers.items()}
    return SOURCE.event(Webhook("main", "zendesk", "d-1", kept, orjson.dumps(body), RECEIVED_AT))


def test_signs_the_timestamp_and_the_body() -> None:
    """The documented construction, in that order and with nothing between."""
    SOURCE.signature.verify(signed(SIGNATURE, TIMESTAMP), [SECRET], SENT_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(signed(SIGNATURE, "2021-03-25T05:09:28Z"), [SECRET], SENT_AT)


def test_the_other_order_is_refused() -> None:
    """A signature of the body and then the timestamp is of no sender that there is."""
    sent = signed(OLD_SIGNATURE, "2021-07-25T10:00:00Z", b'{"say": "hello"}')
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [OLD_SECRET], datetime(2021, 7, 25, 10, tzinfo=UTC))


def test_an_event_is_named_by_its_invocation_or_else_its_id() -> None:
    """A template's `id` is its ticket's, and names no delivery: the digest of the body does."""
    sample = delivery("zendesk", "ticket.created")
    assert SOURCE.delivery_id(sample.headers, sample.body) == "01JNB0A1"
    assert SOURCE.delivery_id({}, sample.body) == "0d6e7f02-6cc2-4c1c-9d11-5a2b1f7e0a01"
    one, other = b'{"id": "7", "status": "Open"}', b'{"id": "7", "status": "Solved"}'
    assert SOURCE.delivery_id({}, one) != SOURCE.delivery_id({}, other)


def test_a_template_is_read_nested_and_flat() -> None:
    """Both come to the same ticket, with its tags apart and its own type aside."""
    nested = event({"ticket": {"id": "7", "tags": "a jira_dock-12"}, "type": "Incident"})
    flat = event({"id": "7", "tags": "a, jira_dock-12", "type": "Incident"})
    assert nested.type == flat.type == "trigger"
    assert nested.subject == flat.subject == "7"
    assert nested.data["ticket"]["tags"] == flat.data["ticket"]["tags"] == ["a", "jira_dock-12"]


@pytest.mark.parametrize(
    ("told", "source"),
    [
        ({"x_zendesk_url": "https://aurora.zendesk.com/agent"}, "https://aurora.zendesk.com"),
        ({"x_zendesk_url": "aurora.zendesk.com"}, "https://aurora.zendesk.com"),
        ({"x_zendesk_url": "aurora"}, "30417752"),
        ({}, "30417752"),
    ],
)
def test_the_header_tells_the_accounts_address(told: dict[str, str], source: str) -> None:
    """An event's body has the account's number only."""
    body = {"type": "zen:event-type:ticket.created", "account_id": 30417752, "detail": {"id": "7"}}
    assert event(body, **told).source == source


def test_a_date_is_no_time() -> None:
    """`{{ticket.updated_at}}` would make all of a day's news older than what came in the night."""
    assert event({"ticket": {"id": "7", "updated_at": "2026-03-01"}}).time == RECEIVED_AT
    told = event({"ticket": {"id": "7", "updated_at": "2026-03-01T10:00:00Z"}})
    assert told.time == datetime(2026, 3, 1, 10, tzinfo=UTC)
