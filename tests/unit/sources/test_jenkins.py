"""What the deliveries of Jenkins' Notification plugin become."""

from __future__ import annotations

from base64 import b64encode

import orjson
import pytest

from bridge.errors import BadBody, BadSignature
from bridge.model import Request, Webhook
from bridge.sources.jenkins import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

URL = "https://bridge.example.com/webhooks/jenkins"


def webhook(body: bytes) -> Webhook:
    """A delivery."""
    return Webhook("main", "jenkins", "d-1", {}, body, RECEIVED_AT)


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        (f"{URL}?token=hudson%3Abay", {}),
        # The plugin makes this of https://hudson:bay@…
        (URL, {"authorization": f"Basic {b64encode(b'hudson:bay').decode()}"}),
    ],
)
def test_a_token_comes_as_the_plugin_can_send_it(url: str, headers: dict[str, str]) -> None:
    """In the URL's query, or as the user and password of the URL."""
    SOURCE.signature.verify(Request("POST", url, headers, b"{}"), [b"hudson:bay"], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(Request("POST", url, headers, b"{}"), [b"hudson:by"], RECEIVED_AT)


def test_the_phases_of_a_build_are_in_order() -> None:
    """One that was never queued says so with the time 0, and is older than its start."""
    names = ["queued.no_queue_time", "started.multibranch", "completed.multibranch", "finalized.multibranch"]
    times = [SOURCE.event(delivery("jenkins", name).webhook).time for name in names]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("address", "path", "source"),
    [
        ("https://ci.example.com/job/a/1/", "job/a/1/", "https://ci.example.com/"),
        ("https://ci.example.com/ctl/job/a/1/", "job/a/1/", "https://ci.example.com/ctl/"),
        ("https://ci.example.com/job/a/1/", None, "https://ci.example.com"),
        ("https://ci.example.com/a/1/", "https://ci.example.com/a/1/", "https://ci.example.com"),
        (None, "job/a/1/", "https://www.jenkins.io"),
        ("job/a/1/", "job/a/1/", "https://www.jenkins.io"),
    ],
)
def test_the_source_is_jenkins_own_address(address: str | None, path: str | None, source: str) -> None:
    """The build's address without its path, as far as both are told."""
    body = orjson.dumps({"build": {"phase": "STARTED", "full_url": address, "url": path}})
    assert SOURCE.event(webhook(body)).source == source


@pytest.mark.parametrize("path", ["job/a_1/", "job/a_1/844/"])
def test_the_builds_of_a_job_share_a_record_key(path: str) -> None:
    """The oldest plugin tells the build's path also where the job's should be."""
    body = orjson.dumps({"url": path, "build": {"phase": "FINISHED", "url": "job/a_1/844/"}})
    assert SOURCE.record_key({}, body) == "jenkins/job/a_1/"


def test_without_a_phase_it_is_no_event() -> None:
    """Other plugins send other bodies."""
    with pytest.raises(BadBody, match=r"build\.phase"):
        SOURCE.event(webhook(b'{"jobName": "a", "eventType": "completed"}'))
