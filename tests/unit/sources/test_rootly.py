"""What Rootly's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.rootly import SOURCE
from tests.deliveries import delivery

SECRET = b"tide and anchor"
BODY = b'{"event":{"type":"incident.created"}}'
AT = datetime.fromtimestamp(1492774588, UTC)

# printf '1492774588{"event":{"type":"incident.created"}}' | openssl dgst -sha256 -hmac 'tide and anchor'
KNOWN = "722133d7098e579725ee390049f3a667cead86e5dd37e1da8fee6e1a7c15c81a"


def sent(signature: str, body: bytes = BODY) -> Request:
    """A delivery with that signature."""
    return Request("POST", "", {"x-rootly-signature": signature}, body)


def test_signs_the_timestamp_and_the_body_with_nothing_between() -> None:
    """Rootly documents the message without an answer: this one was made by OpenSSL.

    https://docs.rootly.com/configuration/webhooks
    """
    signed = SOURCE.signature.sign(sent(""), SECRET, AT)
    assert signed == {"x-rootly-signature": f"t=1492774588,v1={KNOWN}"}
    SOURCE.signature.verify(sent(f"t=1492774588, v1={KNOWN}"), [SECRET], AT + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("request_", "seconds"),
    [
        (sent(f"t=1492774588,v1={KNOWN}"), 301),
        (sent(f"t=1492774589,v1={KNOWN}"), 0),
        (sent(f"t=1492774588,v1={KNOWN}", BODY + b" "), 0),
        (sent(f"v1={KNOWN}"), 0),
        (sent(KNOWN), 0),
    ],
)
def test_refuses_another_time_or_body(request_: Request, seconds: int) -> None:
    """An old delivery, one with a new timestamp, and one that was changed."""
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request_, [SECRET], AT + timedelta(seconds=seconds))


def test_the_event_names_the_delivery() -> None:
    """A delivery that is sent again has the same event."""
    sample = delivery("rootly", "incident.created")
    assert SOURCE.delivery_id({}, sample.body) == sample.sample["request"]["body"]["event"]["id"]


def test_all_events_of_an_incident_share_a_record_key() -> None:
    """Whatever they say of it."""
    samples = (delivery("rootly", f"incident.{what}") for what in ("created", "resolved", "deleted"))
    assert len({SOURCE.record_key({}, sample.body) for sample in samples}) == 1
