"""What Bitbucket Cloud's deliveries become."""

from __future__ import annotations

import pytest

from bridge.errors import BadRequest
from bridge.model import Request
from bridge.sources.bitbucket import SOURCE
from tests.deliveries import RECEIVED_AT, delivery


def test_signs_as_atlassian_documents() -> None:
    """Atlassian's known answer comes out of its secret and body.

    https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
    """
    signed = SOURCE.signature.sign(
        Request("POST", "", {}, b"Hello World!"), b"It's a Secret to Everybody", RECEIVED_AT
    )
    assert signed == {
        "x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    }


def test_without_its_headers_it_is_no_delivery() -> None:
    """Ingress refuses what does not say what it is."""
    with pytest.raises(BadRequest, match="x-event-key"):
        SOURCE.delivery_id({"x-request-uuid": "d"}, b"{}")
    with pytest.raises(BadRequest, match="x-request-uuid"):
        SOURCE.delivery_id({"x-event-key": "repo:push"}, b"{}")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("pullrequest.merged", "2026-03-02T12:00:00.500000+00:00"),
        ("commit_status.successful", "2026-03-02T10:08:00.700000+00:00"),
        ("repo_push.commits", RECEIVED_AT.isoformat()),
    ],
)
def test_the_time_is_the_objects(name: str, time: str) -> None:
    """A pull request and a status were updated then; a push tells none but its commits'."""
    assert SOURCE.event(delivery("bitbucket", name).webhook).time.isoformat() == time
