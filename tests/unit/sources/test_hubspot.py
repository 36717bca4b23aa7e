"""What HubSpot's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from bridge.errors import BadSignature
from bridge.model import Request, Webhook
from bridge.sources.hubspot import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# The known answers of the vendor's own client, versions 3 and 2:
# https://github.com/HubSpot/hubspot-api-python/blob/master/tests/spec/utils/test_signature.py
# https://github.com/HubSpot/hubspot-api-nodejs/blob/master/test/unit/signature.spec.ts
SECRET = b"yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
URL = "https://www.example.com/webhook_uri"
BODY = b"{'example_field':'example_value'}"
TIMESTAMP = "1693657560000"
SIGNATURE = "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y="
SENT_AT = datetime.fromtimestamp(1693657560, UTC)
BODY_2 = b'{"example_field":"example_value"}'
SIGNATURE_2 = "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"


def request(body: bytes = BODY, url: str = URL, **headers: str) -> Request:
    return Request("POST", url, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def signed(signature: str = SIGNATURE, url: str = URL) -> Request:
    return request(url=url, x_hubspot_signature_v3=signature, x_hubspot_request_timestamp=TIMESTAMP)


def event(body: Any) -> Any:
    return SOURCE.event(Webhook("main", "hubspot", "d-1", {}, orjson.dumps(body), RECEIVED_AT))


def test_signs_as_hubspots_client_expects() -> None:
    """The client's known answer comes out of its secret, method, address, body and time."""
    headers = SOURCE.signature.sign(request(), SECRET, SENT_AT)
    assert headers == {"x-hubspot-signature-v3": SIGNATURE, "x-hubspot-request-timestamp": TIMESTAMP}
    SOURCE.signature.verify(signed(), [SECRET], SENT_AT)


def test_the_time_is_looked_at() -> None:
    """HubSpot asks to reject what is older than 5 minutes."""
    with pytest.raises(BadSignature, match="301 s old"):
        SOURCE.signature.verify(signed(), [SECRET], SENT_AT + timedelta(seconds=301))


def test_the_address_is_signed_in_its_decoded_form() -> None:
    """Twelve characters are decoded before, as HubSpot's table has them; others are not."""
    plain = SOURCE.signature.sign(request(url=f"{URL}?from=hs:app/v3&x=(a)%20b"), SECRET, SENT_AT)
    sent = Request("POST", f"{URL}?from=hs%3Aapp%2Fv3&x=%28a%29%20b", plain, BODY)
    SOURCE.signature.verify(sent, [SECRET], SENT_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(signed(url=URL.replace("https", "http")), [SECRET], SENT_AT)


def test_a_workflow_may_sign_in_the_older_way() -> None:
    """HubSpot documents version 2 for the webhooks of workflows."""
    SOURCE.signature.verify(request(BODY_2, x_hubspot_signature=SIGNATURE_2), [SECRET], SENT_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request(BODY, x_hubspot_signature=SIGNATURE_2), [SECRET], SENT_AT)


def test_an_older_signature_does_not_help_a_bad_one() -> None:
    """Where version 3 is told, it counts."""
    bad = {"x_hubspot_signature_v3": "bad", "x_hubspot_request_timestamp": TIMESTAMP}
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request(BODY_2, x_hubspot_signature=SIGNATURE_2, **bad), [SECRET], SENT_AT)


def test_a_workflow_may_send_a_token() -> None:
    """An API key of a workflow is a header of any name."""
    SOURCE.signature.verify(request(x_webhook_token=SECRET.decode()), [SECRET], SENT_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request(), [SECRET], SENT_AT)


def test_a_notification_may_come_alone() -> None:
    """Outside a list it is the same."""
    (one,) = delivery("hubspot", "notifications.deleted").sample["request"]["body"]
    assert event(one).data == event([one]).data


@pytest.mark.parametrize(
    ("told", "gone"),
    [
        ({"primaryObjectId": 1, "mergedObjectIds": [2, 3]}, [2, 3]),
        ({"primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 1}, [2]),
        ({"primaryObjectId": 1, "mergedObjectIds": [2], "newObjectId": 4}, [2, 1]),
        ({"primaryObjectId": 1, "mergedObjectIds": "2"}, []),
        ({}, []),
    ],
)
def test_a_merge_ends_all_but_the_result(told: dict[str, Any], gone: list[int]) -> None:
    """The result is the first of them, or a new one."""
    found = event([{"subscriptionType": "ticket.merge", "portalId": 5, **told}])
    assert [each["objectId"] for each in found.data["gone"]] == gone


def test_properties_are_read_in_both_forms() -> None:
    """A workflow's are objects with their history, a body of one's own has them flat."""
    whole = event(delivery("hubspot", "workflow.closed").sample["request"]["body"])
    assert whole.data["ticket"]["properties"]["hs_pipeline_stage"] == "4"
    assert whole.data["ticket"]["jira"] == ["DOCK-13"]
    assert whole.time == datetime(2026, 3, 2, 11, tzinfo=UTC)
    own = event({"portalId": 5, "subject": "DOCK-12", "Jira Key": "DOCK-13"}).data["ticket"]
    assert (own["properties"]["subject"], own["jira"]) == ("DOCK-12", ["DOCK-13"])
