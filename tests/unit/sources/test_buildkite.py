"""What Buildkite's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.buildkite import SOURCE
from tests.deliveries import delivery

# The known answer of the vendor's own client: `TestValidatePayload`,
# https://github.com/buildkite/go-buildkite/blob/main/webhook_test.go
TOKEN = b"29b1ff5779c76bd48ba6705eb99ff970"
SIGNATURE = "timestamp=1642080837,signature=582d496ac2d869dd97a3101c4cda346288c49a742592daf582ec64c86449f79c"
BODY = (
    b'{"event":"ping","service":{"id":"c9f8372d-c0cd-43dc-9274-768a875cf6ca","provider":"webhook",'
    b'"settings":{"url":"https://server.com/webhooks"}},"organization":{"id":'
    b'"49801950-1df0-474f-bb56-ad6a930c5cb9","graphql_id":'
    b'"T3JnYW5pemF0aW9uLS0tZTBmMzk3MgsTksGkxOWYtZTZjNzczZTJiYjEy","url":'
    b'"https://api.buildkite.com/v2/organizations/acme-inc","web_url":"https://buildkite.com/acme-inc",'
    b'"name":"ACME Inc","slug":"acme-inc","agents_url":'
    b'"https://api.buildkite.com/v2/organizations/acme-inc/agents","emojis_url":'
    b'"https://api.buildkite.com/v2/organizations/acme-inc/emojis","created_at":"2021-02-03T20:34:10.486Z",'
    b'"pipelines_url":"https://api.buildkite.com/v2/organizations/acme-inc/pipelines"},"sender":{"id":'
    b'"c9f8372d-c0cd-43dc-9269-bcbb7f308e3f","name":"ACME Man"}}'
)
SENT_AT = datetime.fromtimestamp(1642080837, UTC)


def request(**headers: str) -> Request:
    """The delivery that the client's test has, with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", "https://bridge.example.com/webhooks/buildkite", named, BODY)


def test_signs_as_buildkites_client_expects() -> None:
    """The client's known answer comes out of its token, time and body."""
    assert SOURCE.signature.sign(request(), TOKEN, SENT_AT) == {"x-buildkite-signature": SIGNATURE}
    SOURCE.signature.verify(request(x_buildkite_signature=SIGNATURE), [TOKEN], SENT_AT)


def test_a_token_is_taken_where_no_signature_is_sent() -> None:
    """The webhook's settings choose one of the two."""
    SOURCE.signature.verify(request(x_buildkite_token=TOKEN.decode()), [TOKEN], SENT_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request(x_buildkite_token="another"), [TOKEN], SENT_AT)


@pytest.mark.parametrize("signature", ["invalid", "timestamp=1642080837,signature=yo", "signature=582d"])
def test_a_token_beside_a_bad_signature_does_not_help(signature: str) -> None:
    """What is signed must be signed well."""
    sent = request(x_buildkite_signature=signature, x_buildkite_token=TOKEN.decode())
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(sent, [TOKEN], SENT_AT)


def test_the_steps_of_a_build_are_in_order() -> None:
    """Each is newer than the one before; one that is unblocked goes on after it was finished."""
    names = ["build.scheduled", "build.running", "build.failing", "build.finished.blocked", "job.activated"]
    times = [SOURCE.event(delivery("buildkite", name).webhook).time for name in names]
    assert times == sorted(set(times))
