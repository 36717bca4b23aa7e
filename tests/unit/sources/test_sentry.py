"""What Sentry's deliveries become."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import orjson
import pytest

from bridge.errors import BadBody, BadSignature
from bridge.model import Request, Webhook
from bridge.sources.sentry import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

SECRET = b"0c5ec5be6b154b7f93bc4e5a3d3b9f7f"
URL = "https://bridge.example.com/webhooks/sentry"


def webhook(body: dict[str, Any], **headers: str) -> Webhook:
    """A delivery with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Webhook("main", "sentry", "d-1", named, orjson.dumps(body), RECEIVED_AT)


def test_signs_as_sentry_documents() -> None:
    """The HMAC-SHA256 of the raw body, in hexadecimal; Sentry publishes no known answer.

    https://docs.sentry.io/organization/integrations/integration-platform/webhooks/#sentry-hook-signature
    """
    body = b'{"action":"created","data":{}}'
    made = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    request = Request("POST", URL, {}, body)
    assert SOURCE.signature.sign(request, SECRET, RECEIVED_AT) == {"sentry-hook-signature": made}
    SOURCE.signature.verify(
        Request("POST", URL, {"sentry-hook-signature": made}, body), [SECRET], RECEIVED_AT
    )


def test_the_older_plugin_sends_a_token() -> None:
    """It signs nothing; but what is signed must be signed well."""
    url = f"{URL}?token={SECRET.decode()}"
    SOURCE.signature.verify(Request("POST", url, {}, b"{}"), [SECRET], RECEIVED_AT)
    forged = Request("POST", url, {"sentry-hook-signature": "00"}, b"{}")
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(forged, [SECRET], RECEIVED_AT)


@pytest.mark.parametrize(
    ("body", "headers", "type_"),
    [
        ({"action": "created", "data": {"issue": {}}}, {"sentry_hook_resource": "issue"}, "issue.created"),
        ({"action": "created", "data": {"issue": {}}}, {}, "issue.created"),
        ({"action": "triggered", "data": {"event": {}, "triggered_rule": "x"}}, {}, "event_alert.triggered"),
        ({"action": "critical", "data": {"metric_alert": {}}}, {}, "metric_alert.critical"),
        (
            {"action": "created", "data": {"comment": "", "comment_id": 1, "issue_id": 2}},
            {},
            "comment.created",
        ),
        ({"action": "deleted", "data": {"installation": {}}}, {}, "installation.deleted"),
        (
            {"action": "root_cause_started", "data": {}},
            {"sentry_hook_resource": "seer"},
            "seer.root_cause_started",
        ),
        ({"project_name": "Harbor", "url": "https://sentry.io/1"}, {}, "plugin"),
    ],
)
def test_the_type_is_the_resource_and_the_action(
    body: dict[str, Any], headers: dict[str, str], type_: str
) -> None:
    """Where no header tells the resource, the body does."""
    assert SOURCE.event(webhook(body, **headers)).type == type_


def test_without_an_action_it_is_no_event() -> None:
    """What neither an integration nor the plugin sends is rejected."""
    with pytest.raises(BadBody, match="action"):
        SOURCE.event(webhook({"data": {"issue": {}}}))


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://aurora.sentry.io/issues/1/", "https://sentry.io"),
        ("https://us.sentry.io/api/0/issues/1/", "https://sentry.io"),
        ("https://sentry.aurora.example:9000/issues/1/", "https://sentry.aurora.example:9000"),
        ("https://notsentry.io/issues/1/", "https://notsentry.io"),
        ("https://[", "https://sentry.io"),
        (None, "https://sentry.io"),
    ],
)
def test_the_source_is_the_host_of_sentry(url: str | None, source: str) -> None:
    """An organisation's own name, and where the API is, make no other source."""
    body = {"action": "created", "data": {"issue": {"web_url": url}}}
    assert SOURCE.event(webhook(body)).source == source


def test_an_issue_and_the_alerts_of_its_events_share_a_record_key() -> None:
    """They change one link."""
    names = ["issue.created", "event_alert.triggered", "event_alert.no_headers"]
    samples = [delivery("sentry", name) for name in names]
    assert {SOURCE.record_key(each.headers, each.body) for each in samples} == {"sentry/4170820242"}


def test_the_time_is_that_of_sending() -> None:
    """An issue tells when it was last seen, not when it was resolved."""
    event = SOURCE.event(delivery("sentry", "issue.resolved").webhook)
    assert event.time.isoformat() == "2026-03-02T09:50:00+00:00"
    assert event.id == delivery("sentry", "issue.resolved").headers["request-id"]
