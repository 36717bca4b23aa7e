"""What ServiceNow's deliveries become."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.errors import BadSignature
from bridge.model import Request, Webhook
from bridge.sources.servicenow import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# The example of RFC 6750, of a token in a header.
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
TOKEN = b"mF_9.B5f-4.1JqM"


def event(body: dict[str, Any], **headers: str) -> Any:
    kept = {name.replace("_", "-"): value for name, value in headers.items()}
    return SOURCE.event(Webhook("main", "servicenow", "d-1", kept, orjson.dumps(body), RECEIVED_AT))


@pytest.mark.parametrize(
    "headers", [{"authorization": f"Bearer {TOKEN.decode()}"}, {"x-webhook-token": TOKEN.decode()}]
)
def test_a_rule_sends_the_secret_itself(headers: dict[str, str]) -> None:
    """ServiceNow signs nothing; a script sets any header."""
    sent = Request("POST", "https://bridge.example.com/webhooks/servicenow", headers, b"{}")
    SOURCE.signature.verify(sent, [TOKEN], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [b"another"], RECEIVED_AT)


@pytest.mark.parametrize(
    ("told", "headers", "source"),
    [
        ({"instance": "https://aurora.service-now.com/"}, {}, "https://aurora.service-now.com"),
        ({"instance": "aurora"}, {}, "https://aurora.service-now.com"),
        ({"url": "https://aurora.example/nav_to.do?uri=incident.do"}, {}, "https://aurora.example"),
        ({}, {"x_servicenow_url": "https://aurora.example"}, "https://aurora.example"),
        ({"instance": "not a name"}, {}, "servicenow"),
        ({}, {}, "servicenow"),
    ],
)
def test_the_instance_is_told_in_several_ways(
    told: dict[str, str], headers: dict[str, str], source: str
) -> None:
    """By its address or its name, in the body or a header."""
    assert event({"sys_id": "7", **told}, **headers).source == source


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"number": "INC0010203", "state": "6"}, "Resolved"),
        ({"number": "CHG0030001", "state": -1}, "Implement"),
        ({"table": "problem", "state": "104"}, "Fix in Progress"),
        ({"table": "incident", "state": "9"}, "9"),
        ({"table": "incident", "state": "6", "state_name": "Gelöst"}, "Gelöst"),
        ({"state": {"value": "6", "display_value": "Resolved"}}, "Resolved"),
        ({"table": "u_order", "state": "6"}, "6"),
        ({}, ""),
    ],
)
def test_a_state_is_called_by_its_name(fields: dict[str, Any], name: str) -> None:
    """The same number means one thing in an incident and another in a change."""
    assert event(fields).data["record"]["state_name"] == name


def test_a_deletion_is_as_new_as_its_delivery() -> None:
    """It leaves the record's count and time as the last change has made them."""
    changed, deleted = (delivery("servicenow", f"record.{name}") for name in ("without_key", "deleted"))
    assert SOURCE.event(changed.webhook).time < SOURCE.event(deleted.webhook).time == RECEIVED_AT
    assert SOURCE.record_key({}, changed.body) == SOURCE.record_key({}, deleted.body)
