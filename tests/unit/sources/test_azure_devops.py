"""What Azure DevOps' deliveries become."""

from __future__ import annotations

from base64 import b64encode

import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.azure_devops import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

URL = "https://bridge.example.com/webhooks/azure-devops"


def test_takes_basic_authentication() -> None:
    """User and password are the secret, with a colon between."""
    sent = Request("POST", URL, {"authorization": f"Basic {b64encode(b'bridge:tide').decode()}"}, b"{}")
    SOURCE.signature.verify(sent, [b"old", b"bridge:tide"], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [b"tide"], RECEIVED_AT)


def test_takes_a_header_of_the_subscription() -> None:
    """*HTTP headers* of a subscription holds one token as well."""
    sent = Request("POST", URL, {"x-webhook-token": "tide"}, b"{}")
    SOURCE.signature.verify(sent, [b"tide"], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [b"bridge:tide"], RECEIVED_AT)


def test_the_body_names_the_delivery() -> None:
    """There is no header that does."""
    sample = delivery("azure-devops", "pullrequest.created")
    assert SOURCE.keep(sample.headers, sample.body) == {}
    assert SOURCE.event(sample.webhook).id == "pullrequest.created"


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("pullrequest.created", "2026-03-02T09:00:01.238222+00:00"),
        ("push.commits", "2026-03-02T09:05:01.153836+00:00"),
        ("build.hostile", RECEIVED_AT.isoformat()),
    ],
)
def test_the_time_is_the_events(name: str, time: str) -> None:
    """Seven digits of a second are read as six."""
    assert SOURCE.event(delivery("azure-devops", name).webhook).time.isoformat() == time


def test_the_documents_name_is_the_events() -> None:
    """The vendor's documents have come to call events by the name of the product."""
    assert SOURCE.event(delivery("azure-devops", "run.without_a_branch").webhook).type == (
        "ms.vss-pipelines.run-state-changed-event"
    )


def test_a_run_and_its_build_share_a_record_key() -> None:
    """Both events tell of one link."""

    def key(name: str) -> str:
        sample = delivery("azure-devops", name)
        return SOURCE.record_key(sample.headers, sample.body)

    assert (
        key("build.failed") == key("run.in_progress") == "azure-devops/6ce9b0c2-0000-4000-8000-000000000001"
    )
    assert key("pullrequest.created") == key("pullrequest.completed") != key("push.commits")
