"""What Freshdesk's deliveries become."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.errors import BadSignature
from bridge.model import Request, Webhook
from bridge.sources.freshdesk import SOURCE
from tests.deliveries import RECEIVED_AT, delivery, outcome

# The example of RFC 7617, of a user name and a password in a header.
# https://www.rfc-editor.org/rfc/rfc7617#section-2
SECRET = b"Aladdin:open sesame"
BASIC = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def webhook(body: dict[str, Any]) -> Webhook:
    return Webhook("main", "freshdesk", "d-1", {}, orjson.dumps(body), RECEIVED_AT)


def test_the_users_name_and_the_password_are_the_secret() -> None:
    """They come in one header, as all HTTP clients write them."""
    sent = Request("POST", "https://bridge.example.com/webhooks/freshdesk", {"authorization": BASIC}, b"{}")
    SOURCE.signature.verify(sent, [SECRET], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [b"Aladdin:open"], RECEIVED_AT)


@pytest.mark.parametrize("around", ["freshdesk_webhook", "ticket", None])
def test_what_stands_around_the_fields_does_not_matter(around: str | None) -> None:
    """Templates of others have the fields flat, or within `ticket`."""
    fields = delivery("freshdesk", "ticket.created").sample["request"]["body"]["freshdesk_webhook"]
    found = outcome(webhook({around: fields} if around else fields))
    assert found["changes"] == delivery("freshdesk", "ticket.created").expected["changes"]


@pytest.mark.parametrize("around", [("data", "ticket"), ("freshdesk_webhook", "ticket")])
def test_the_fields_may_stand_deeper(around: tuple[str, str]) -> None:
    """As in the templates of some receivers."""
    fields = delivery("freshdesk", "ticket.created").sample["request"]["body"]["freshdesk_webhook"]
    found = outcome(webhook({around[0]: {around[1]: fields}}))
    assert found["changes"] == delivery("freshdesk", "ticket.created").expected["changes"]


@pytest.mark.parametrize("told", ["{ticket_action:deleted}", "{ticket_action:delete}"])
def test_a_deletion_has_two_names(told: str) -> None:
    """Both were seen; either takes the links off."""
    fields = delivery("freshdesk", "ticket.created").sample["request"]["body"]["freshdesk_webhook"]
    found = outcome(webhook({"freshdesk_webhook": {**fields, "triggered_event": told}}))
    assert [each["issues"] for each in found["changes"]] == [[]]


def test_tags_come_in_one_text() -> None:
    """Each is looked at by itself, so that `jira:` begins it."""
    event = SOURCE.event(webhook({"ticket_id": 7, "ticket_tags": "vip, jira:dock-12"}))
    assert event.data["freshdesk_webhook"]["ticket_tags"] == ["vip", " jira:dock-12"]
    assert (event.type, event.subject, event.time) == ("ticket", "7", RECEIVED_AT)
