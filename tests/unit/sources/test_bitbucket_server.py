"""What Bitbucket Data Center's deliveries become."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import BadBody, ConfigError
from bridge.model import Request
from bridge.sources.bitbucket_server import SOURCE
from tests.deliveries import RECEIVED_AT, delivery


def test_signs_as_atlassian_documents() -> None:
    """Atlassian signs all its webhooks in one way; the known answer is from Bitbucket Cloud's page.

    https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
    """
    signed = SOURCE.signature.sign(
        Request("POST", "", {}, b"Hello World!"), b"It's a Secret to Everybody", RECEIVED_AT
    )
    assert signed == {
        "x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    }


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("pr.opened", "2026-03-02T09:00:00.845000+00:00"),
        ("pr.draft", "2026-03-02T09:10:00+00:00"),
        ("pr.deleted", "2026-03-02T13:00:00+00:00"),
        ("refs_changed.commits", "2026-03-02T09:05:00+00:00"),
        ("ping.test", RECEIVED_AT.isoformat()),
    ],
)
def test_the_time_is_the_events(name: str, time: str) -> None:
    """`date` has no colon in its zone and no fraction: a pull request tells its own more exactly."""
    assert SOURCE.event(delivery("bitbucket-server", name).webhook).time.isoformat() == time


def test_an_empty_body_is_an_empty_object() -> None:
    """Some versions test a connection with nothing; what else is no JSON is refused."""
    assert SOURCE.parse({}, b"") == {}
    with pytest.raises(BadBody):
        SOURCE.parse({}, b" ")


def test_the_address_is_told_by_a_page_or_by_the_option() -> None:
    """The page of a project or a user is under it; the option counts first, for its path too."""
    told = delivery("bitbucket-server", "pr.without_addresses").webhook
    assert SOURCE.event(told).source == "https://git.example.com"

    none = delivery("bitbucket-server", "refs_changed.without_addresses").webhook
    assert SOURCE.event(none).source == "bitbucket-server"

    for url in ("https://Git.example.com/bitbucket/", "git.example.com/bitbucket"):
        source = SOURCE.configured({"url": url})
        for webhook in (told, none):
            kept = source.keep(webhook.headers, webhook.body)
            assert SOURCE.event(replace(webhook, headers=kept)).source == "https://git.example.com/bitbucket"
    assert SOURCE.configured({"url": "https://git.example.com"}).url == "https://git.example.com"
    with pytest.raises(ConfigError, match="expected the address of your account at Bitbucket Data Center"):
        SOURCE.configured({"url": "here"})
