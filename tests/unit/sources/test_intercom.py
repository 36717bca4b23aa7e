"""What Intercom's deliveries become."""

from __future__ import annotations

import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.intercom import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# Intercom documents HMAC-SHA1 in hexadecimal but no answer; this is the second test case of RFC 2202.
# https://www.rfc-editor.org/rfc/rfc2202#section-3
SECRET, BODY = b"Jefe", b"what do ya want for nothing?"
SIGNATURE = "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"


def request(signature: str) -> Request:
    return Request(
        "POST", "https://bridge.example.com/webhooks/intercom", {"x-hub-signature": signature}, BODY
    )


def test_signs_with_hmac_sha1() -> None:
    """The known answer comes out of its secret and body."""
    assert SOURCE.signature.sign(request(""), SECRET, RECEIVED_AT) == {"x-hub-signature": SIGNATURE}
    SOURCE.signature.verify(request(SIGNATURE), [SECRET], RECEIVED_AT)


@pytest.mark.parametrize("signature", [SIGNATURE.upper(), SIGNATURE.removeprefix("sha1="), "sha256=effc"])
def test_refuses_another_form(signature: str) -> None:
    """Neither another algorithm nor none is taken."""
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request(signature), [SECRET], RECEIVED_AT)


def test_a_ticket_keeps_its_key_in_all_forms() -> None:
    """The ticket stands alone, beside its part, or within the form of contacts."""
    names = ("created", "closed", "attribute_updated", "note_created", "contact_attached")
    samples = [delivery("intercom", f"ticket.{name}") for name in names]
    keys = {SOURCE.record_key(each.headers, each.body) for each in samples}
    assert keys == {"intercom/215472629900001"}


def test_to_delete_a_conversation_is_kept_in_order() -> None:
    """It tells its number under another name."""
    noted, deleted = (delivery("intercom", f"conversation.{name}") for name in ("noted", "deleted"))
    assert SOURCE.record_key(noted.headers, noted.body) == SOURCE.record_key(deleted.headers, deleted.body)


def test_a_ping_has_no_id() -> None:
    """A digest of its body names it."""
    ping = delivery("intercom", "ping")
    assert SOURCE.delivery_id(ping.headers, ping.body)
    created = delivery("intercom", "ticket.created")
    assert SOURCE.delivery_id({}, created.body) == "notif_5f1c2b7e-0d8e-4a54-9d0b-6b8c1a2f0001"
