"""What Opsgenie's deliveries become."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import BadSignature
from bridge.sources.opsgenie import SOURCE
from tests.deliveries import RECEIVED_AT, delivery


def test_a_custom_header_says_where_the_alerts_are() -> None:
    """No body tells the account's address; without the header it is the address of all."""
    sample = delivery("opsgenie", "create")
    assert SOURCE.event(sample.webhook).source == "https://aurora.app.opsgenie.com"
    assert SOURCE.event(replace(sample.webhook, headers={})).source == "https://app.opsgenie.com"
    assert (
        SOURCE.event(delivery("opsgenie", "close.jsm").webhook).source == "https://aurora.app.eu.opsgenie.com"
    )


def test_the_time_is_the_last_change() -> None:
    """It is told in nanoseconds; that of the alert's creation would be the same in all events."""
    assert (
        SOURCE.event(delivery("opsgenie", "close").webhook).time.isoformat()
        == "2026-03-02T10:40:00.000001+00:00"
    )
    assert SOURCE.event(delivery("opsgenie", "escalate").webhook).time == RECEIVED_AT


def test_the_token_stands_in_a_custom_header() -> None:
    """Nothing is signed: the header is all that tells who posts."""
    request = delivery("opsgenie", "create").request
    for headers in ({"x-webhook-token": "t"}, {"authorization": "Bearer t"}):
        SOURCE.signature.verify(replace(request, headers=headers), [b"t"], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(replace(request, headers={"x-webhook-token": "u"}), [b"t"], RECEIVED_AT)


@pytest.mark.parametrize("name", ["create", "acknowledge", "add_note", "escalate", "delete"])
def test_all_of_an_alert_share_a_record_key(name: str) -> None:
    """All actions name the alert in one place."""
    sample = delivery("opsgenie", name)
    key = "opsgenie/9f1c2f0e-5a1f-4c0b-8d0e-2b1d7a64c101-1772442000000"
    assert SOURCE.record_key(sample.headers, sample.body) == key


def test_a_delivery_is_named_by_its_body() -> None:
    """The same body again is the same delivery, another one is not."""
    first, second = delivery("opsgenie", "create"), delivery("opsgenie", "acknowledge")
    assert SOURCE.delivery_id({}, first.body) == SOURCE.delivery_id({}, first.body)
    assert SOURCE.delivery_id({}, first.body) != SOURCE.delivery_id({}, second.body)
