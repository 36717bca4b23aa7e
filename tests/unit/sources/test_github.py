"""What GitHub's deliveries become."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadBody, BadRequest
from bridge.model import Request, Webhook
from bridge.sources.github import SOURCE
from tests.deliveries import RECEIVED_AT, delivery
from tests.documents import JSON

EVENTS = [
    "pull_request",
    "push",
    "workflow_run",
    "check_run",
    "deployment_status",
    "release",
    "status",
    "action",
]


def webhook(body: bytes, event: str = "pull_request", **headers: str) -> Webhook:
    """A delivery of that event."""
    kept = {"x-github-event": event, "x-github-delivery": "d-1", **headers}
    return Webhook("main", "github", "d-1", kept, body, RECEIVED_AT)


def test_an_event_in_the_words_of_cloudevents() -> None:
    """A delivery's id, repository, type and object make the event."""
    event = SOURCE.event(delivery("github", "pull_request.opened").webhook)
    assert (event.id, event.kind, event.endpoint) == ("pull_request.opened", "github", "main")
    assert event.source == "https://github.com/aurora-labs/harbor"
    assert (event.type, event.subject) == ("pull_request", "7301/pull_request/21")
    assert event.data["pull_request"]["title"] == "DOCK-12: Keep the session alive"


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("pull_request.opened", "2026-03-02T09:00:00+00:00"),
        ("push.commits", "2026-03-02T09:05:00+00:00"),
        ("push.tag", "2026-03-03T08:05:00+00:00"),
        ("workflow_run.success", "2026-03-02T10:19:00+00:00"),
        ("check_run.queued", "2026-03-02T10:06:00+00:00"),
        ("check_run.completed", "2026-03-02T10:07:10+00:00"),
        ("check_suite.completed", "2026-03-02T10:08:00+00:00"),
        ("deployment_status.success", "2026-03-02T11:03:00+00:00"),
        ("release.deleted", "2026-03-04T08:00:00+00:00"),
        ("status.success", "2026-03-02T10:10:00+00:00"),
        ("ping.repository", RECEIVED_AT.isoformat()),
    ],
)
def test_the_time_is_the_objects(name: str, time: str) -> None:
    """Each type tells its own time, in text or seconds; without one it is that of the receipt."""
    assert SOURCE.event(delivery("github", name).webhook).time.isoformat() == time


@pytest.mark.parametrize(
    "pushed_at",
    [None, "soon", "", True, -1, 1e300, 10**30, [], {}, "0001-01-01T00:00:00+14:00", "1969-12-31"],
)
def test_odd_times_are_not_believed(pushed_at: Any) -> None:
    """What is no time after the epoch gives the time of the receipt."""
    body = orjson.dumps({"repository": {"pushed_at": pushed_at if pushed_at != 10**30 else 1e30}})
    assert SOURCE.event(webhook(body, "push")).time == RECEIVED_AT


def test_a_time_without_a_zone_is_utc() -> None:
    """A naive time is compared like all others."""
    body = orjson.dumps({"pull_request": {"updated_at": "2026-03-02T09:00:00"}})
    assert SOURCE.event(webhook(body)).time == datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_a_form_is_read_like_json() -> None:
    """The content type application/x-www-form-urlencoded carries the same JSON in `payload`."""
    sample = delivery("github", "pull_request.opened")
    form = urlencode({"payload": sample.body}).encode()
    headers = {**sample.headers, "content-type": "application/x-www-form-urlencoded"}
    event = SOURCE.event(webhook(form, **{"content-type": headers["content-type"]}))
    assert event.data == orjson.loads(sample.body)
    assert SOURCE.record_key(headers, form) == SOURCE.record_key(sample.headers, sample.body)


@pytest.mark.parametrize("form", [b"", b"payload", b"x=1", b"payload=1&payload=2", b"\xff", b"payload=%ff"])
def test_a_form_without_a_payload_is_a_bad_body(form: bytes) -> None:
    """A form that is not GitHub's is rejected with its reason."""
    with pytest.raises(BadBody):
        SOURCE.event(webhook(form, **{"content-type": "application/x-www-form-urlencoded"}))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"null", b"\xff", b'{"a":NaN}', b"[" * 3000])
def test_what_is_no_json_object_is_a_bad_body(body: bytes) -> None:
    """A body that GitHub never sends is rejected, and still has a record key."""
    with pytest.raises(BadBody):
        SOURCE.event(webhook(body))
    assert SOURCE.record_key({"x-github-event": "push"}, body) == "github/"


def test_without_an_event_type_it_is_no_delivery() -> None:
    """Ingress refuses what does not say what it is."""
    with pytest.raises(BadRequest, match="x-github-event"):
        SOURCE.delivery_id({"x-github-delivery": "d"}, b"{}")
    with pytest.raises(BadRequest, match="x-github-delivery"):
        SOURCE.delivery_id({"x-github-event": "push"}, b"{}")
    with pytest.raises(BadBody, match="x-github-event"):
        SOURCE.event(Webhook("main", "github", "d", {}, b"{}", RECEIVED_AT))


def test_signs_as_github_documents() -> None:
    """GitHub's known answer comes out of its secret and body.

    https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    """
    request = Request("POST", "", {}, b"Hello, World!")
    signed = SOURCE.signature.sign(request, b"It's a Secret to Everybody", RECEIVED_AT)
    assert signed == {
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    }


def test_record_keys_hold_objects_together_and_apart() -> None:
    """All states of one object share a key; another object has another."""

    def key(name: str) -> str:
        return SOURCE.record_key(delivery("github", name).headers, delivery("github", name).body)

    assert key("pull_request.opened") == key("pull_request.merged") == "github/7301/pull_request/21"
    assert key("workflow_run.failure") == key("workflow_run.success")
    assert key("workflow_run.failure") != key("pull_request.opened")
    assert key("push.commits") == key("push.branch_deleted") == "github/7301/push"


@given(
    event=st.sampled_from(EVENTS) | st.text(), data=st.dictionaries(st.sampled_from(EVENTS) | st.text(), JSON)
)
def test_any_json_object_has_a_key_and_an_event(event: str, data: dict[str, Any]) -> None:
    """No shape of a body makes the source raise anything but its own errors."""
    body = orjson.dumps(data)
    assert SOURCE.record_key({"x-github-event": event}, body).startswith("github/")
    if event:
        assert SOURCE.event(webhook(body, event)).time.tzinfo is UTC
