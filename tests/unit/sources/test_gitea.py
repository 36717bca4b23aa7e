"""What Gitea's and Forgejo's deliveries become."""

from __future__ import annotations

import pytest

from bridge.errors import BadRequest, BadSignature
from bridge.model import Request
from bridge.sources.gitea import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# Gitea signs as GitHub does, without the prefix; the known answer is GitHub's:
# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
SECRET, BODY = b"It's a Secret to Everybody", b"Hello, World!"
KNOWN = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_signs_without_a_prefix() -> None:
    """The header is the HMAC alone."""
    request = Request("POST", "", {}, BODY)
    assert SOURCE.signature.sign(request, SECRET, RECEIVED_AT) == {"x-gitea-signature": KNOWN}


def test_a_delivery_without_a_secret_is_not_signed() -> None:
    """Gitea sends an empty header then."""
    with pytest.raises(BadSignature, match="x-gitea-signature"):
        SOURCE.signature.verify(Request("POST", "", {"x-gitea-signature": ""}, BODY), [SECRET], RECEIVED_AT)


def test_forgejos_headers_are_gitea_s() -> None:
    """Forgejo sends both; its own are enough."""
    sample = delivery("gitea", "pull_request.forgejo_headers")
    assert "x-gitea-event" not in sample.headers
    assert SOURCE.event(sample.webhook).type == "pull_request"


def test_the_finer_type_stands_in_for_an_empty_event() -> None:
    """Versions that have no name for an event leave it empty."""
    assert SOURCE.event(delivery("gitea", "status.without_an_event").webhook).type == "status"
    assert SOURCE.event(delivery("gitea", "pull_request.approved").webhook).type == "pull_request_approved"
    with pytest.raises(BadRequest, match="x-gitea-event"):
        SOURCE.delivery_id(SOURCE.keep({"x-gitea-delivery": "d", "x-gitea-event": ""}, b"{}"), b"{}")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("pull_request.merged", "2026-03-02T12:00:00+00:00"),
        ("workflow_run.queued", "1970-01-01T00:00:00+00:00"),
        ("workflow_run.in_progress", "2026-03-02T10:05:10+00:00"),
        ("action_run.recover", "2026-03-02T10:08:00+00:00"),
        ("status.pending", "2026-03-02T10:04:00+00:00"),
        ("push.commits", RECEIVED_AT.isoformat()),
        ("release.published", RECEIVED_AT.isoformat()),
    ],
)
def test_the_time_is_the_objects(name: str, time: str) -> None:
    """A run that has not started is as old as can be; a push and a release tell no time that moves."""
    assert SOURCE.event(delivery("gitea", name).webhook).time.isoformat() == time


def test_a_pull_request_has_a_record_key_of_its_own() -> None:
    """Runs have not, not even those of a pull request: other runs of the branch are of the same link."""

    def key(name: str) -> str:
        sample = delivery("gitea", name)
        return SOURCE.record_key(SOURCE.keep(sample.headers, sample.body), sample.body)

    assert key("pull_request.opened") == key("pull_request.approved") == "gitea/73/21"
    assert key("workflow_run.failure") == key("workflow_run.success") == key("push.commits") == "gitea/73"
