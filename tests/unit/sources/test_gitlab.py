"""What GitLab's deliveries become."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.gitlab import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# The known answer of Standard Webhooks, which GitLab's signing token follows:
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
TOKEN = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SENT = datetime(2021, 2, 25, 15, 2, 10, tzinfo=UTC)
SIGNED = Request(
    "POST",
    "",
    {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    },
    b'{"test": 2432232314}',
)


def test_a_signing_token_is_standard_webhooks() -> None:
    """GitLab signs with the key that stands behind `whsec_` in Base64."""
    SOURCE.signature.verify(SIGNED, [TOKEN], SENT)


def test_a_signed_delivery_is_not_taken_for_its_token() -> None:
    """Where a signature is sent, the secret token beside it does not count."""
    both = replace(SIGNED, headers={**SIGNED.headers, "x-gitlab-token": "plain"})
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(both, [b"plain"], SENT)


def test_older_versions_send_the_secret_itself() -> None:
    """`X-Gitlab-Token` is the secret token of the webhook."""
    plain = Request("POST", "", {"x-gitlab-token": "tide and anchor"}, b"{}")
    SOURCE.signature.verify(plain, [b"tide and anchor"], RECEIVED_AT)
    with pytest.raises(BadSignature, match="none of the endpoint's secrets"):
        SOURCE.signature.verify(plain, [b"another"], RECEIVED_AT)
    with pytest.raises(BadSignature, match="x-gitlab-token"):
        SOURCE.signature.verify(replace(plain, headers={}), [b"another"], RECEIVED_AT)


def test_a_delivery_is_named_by_its_idempotency_key() -> None:
    """Older versions send none: the body names the delivery."""
    assert SOURCE.delivery_id({"idempotency-key": "f5e5f430"}, b"{}") == "f5e5f430"
    assert SOURCE.delivery_id({}, b"{}") == SOURCE.delivery_id({}, b"{}") != SOURCE.delivery_id({}, b"{ }")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("merge_request.merged", "2026-03-02T12:00:00+00:00"),
        ("merge_request.system_hook", "2026-03-02T09:00:00.942000+00:00"),
        ("pipeline.pending", "2026-03-02T10:05:00+00:00"),
        ("pipeline.failed", "2026-03-02T10:08:00+00:00"),
        ("pipeline.retried", "2026-03-02T10:15:00+00:00"),
        ("build.running", "2026-03-02T10:05:10+00:00"),
        ("deployment.success", "2026-03-02T11:03:00+00:00"),
        ("release.created", RECEIVED_AT.isoformat()),
        ("push.commits", RECEIVED_AT.isoformat()),
    ],
)
def test_the_time_is_the_objects(name: str, time: str) -> None:
    """A pipeline's is the latest of its jobs; a push and a release tell none that moves."""
    assert SOURCE.event(delivery("gitlab", name).webhook).time.isoformat() == time


def test_a_system_hook_tells_the_same_as_a_projects() -> None:
    """The type of a system hook's push stands in `event_name`, and all hooks share a record key."""
    of_system, of_project = delivery("gitlab", "push.system_hook"), delivery("gitlab", "push.commits")
    assert SOURCE.event(of_system.webhook).type == SOURCE.event(of_project.webhook).type == "push"
    keys = {SOURCE.record_key(each.headers, each.body) for each in (of_system, of_project)}
    assert keys == {"gitlab/73"}
