"""What PagerDuty's deliveries become."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.pagerduty import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# https://github.com/PagerDuty/go-pagerduty/blob/main/webhookv3/webhookv3_test.go
SECRET = b"lDQHScfUeXUKaQRNF+8XIiDKZ7XX3itBAYzwU0TARw8lJqRnkKl2iB1anSb0Z+IK"
BODY = (
    b'{"event":{"id":"01BWDWL3NYY7LUFPZCC28QUCMK","event_type":"incident.priority_updated","resource_typ'
    b'e":"incident","occurred_at":"2021-04-26T17:36:27.458Z","agent":{"html_url":"https://acme.pagerduty'
    b'.com/users/PLH1HKV","id":"PLH1HKV","self":"https://api.pagerduty.com/users/PLH1HKV","summary":"Ten'
    b'ex Engineer","type":"user_reference"},"client":null,"data":{"id":"PGR0VU2","type":"incident","self'
    b'":"https://api.pagerduty.com/incidents/PGR0VU2","html_url":"https://acme.pagerduty.com/incidents/P'
    b'GR0VU2","number":2,"status":"triggered","title":"A little bump in the road","service":{"html_url":'
    b'"https://acme.pagerduty.com/services/PF9KMXH","id":"PF9KMXH","self":"https://api.pagerduty.com/ser'
    b'vices/PF9KMXH","summary":"API Service","type":"service_reference"},"assignees":[{"html_url":"https'
    b'://acme.pagerduty.com/users/PTUXL6G","id":"PTUXL6G","self":"https://api.pagerduty.com/users/PTUXL6'
    b'G","summary":"User 123","type":"user_reference"}],"escalation_policy":{"html_url":"https://acme.pa'
    b'gerduty.com/escalation_policies/PUS0KTE","id":"PUS0KTE","self":"https://api.pagerduty.com/escalati'
    b'on_policies/PUS0KTE","summary":"Default","type":"escalation_policy_reference"},"teams":[{"html_url'
    b'":"https://acme.pagerduty.com/teams/PFCVPS0","id":"PFCVPS0","self":"https://api.pagerduty.com/team'
    b's/PFCVPS0","summary":"Engineering","type":"team_reference"}],"priority":{"html_url":"https://acme.'
    b'pagerduty.com/account/incident_priorities","id":"PSO75BM","self":"https://api.pagerduty.com/priori'
    b'ties/PSO75BM","summary":"P1","type":"priority_reference"},"urgency":"high","conference_bridge":{"c'
    b'onference_number":1000,"conference_url":"https://example.com"},"resolve_reason":null}}}'
)
SIGNED = "v1=0c0b9495b893a39e70d1fea2fe11fbe0a825f88b9f67846f6cc07dd2bc5476cd"


def request(**headers: str) -> Request:
    return Request("POST", "", {name.replace("_", "-"): value for name, value in headers.items()}, BODY)


def test_signs_as_pagerdutys_own_client_expects() -> None:
    """The client library's known answer comes out of its secret and body."""
    assert SOURCE.signature.sign(request(), SECRET, RECEIVED_AT) == {"x-pagerduty-signature": SIGNED}


def test_one_of_several_signatures_is_enough() -> None:
    """While a secret is rotated there are two signatures, in any order and with spaces or without."""
    other = "v1=7020c8a7ec668a9b7012bc3dd82e483394b038f4230acc6785efbf2a7d8bcaf5"
    for given in (f"{other},{SIGNED}", f"{SIGNED}, {other}", f"v2=new,{SIGNED}"):
        SOURCE.signature.verify(request(x_pagerduty_signature=given), [SECRET], RECEIVED_AT)
    for given in (other, "v1=", SIGNED.removeprefix("v1="), SIGNED.replace("v1", "v2")):
        with pytest.raises(BadSignature):
            SOURCE.signature.verify(request(x_pagerduty_signature=given), [SECRET], RECEIVED_AT)


def test_an_extension_of_v2_sends_a_token() -> None:
    """V2 signs nothing: a user and password in the URL, or a header of one's own, stand in."""
    SOURCE.signature.verify(request(authorization="Basic dTpw"), [b"u:p"], RECEIVED_AT)
    SOURCE.signature.verify(request(x_webhook_token="u:p"), [b"u:p"], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(
            request(x_webhook_token="u:p", x_pagerduty_signature=SIGNED), [b"u:p"], RECEIVED_AT
        )


def test_the_event_names_the_delivery() -> None:
    """Two webhooks that send one event have ids of their own; the event's is the same."""
    sample = delivery("pagerduty", "incident.triggered")
    other = {**sample.headers, "x-webhook-id": "another"}
    assert SOURCE.delivery_id(SOURCE.keep(other, sample.body), sample.body) == "01AURORA0001"


@pytest.mark.parametrize(
    "name", ["incident.triggered", "note.added", "fields.updated", "role.assigned", "v2.resolved"]
)
def test_all_of_an_incident_share_a_record_key(name: str) -> None:
    """An incident and its parts stand in different places of the body."""
    sample = delivery("pagerduty", name)
    assert SOURCE.record_key(sample.headers, sample.body) == "pagerduty/Q2AURORA77"
    assert SOURCE.event(sample.webhook).source == "https://aurora.pagerduty.com"


@pytest.mark.parametrize("url", ["", "https://[", "javascript:alert(1)", None, 7])
def test_an_odd_address_is_not_the_account(url: object) -> None:
    """What is no URL gives PagerDuty itself as the source."""
    sample = delivery("pagerduty", "incident.triggered")
    body = orjson.loads(sample.body)
    body["event"]["data"]["html_url"] = url
    event = SOURCE.event(replace(sample.webhook, body=orjson.dumps(body)))
    assert event.source == "https://www.pagerduty.com"
