"""What Bitbucket Data Center's deliveries become."""

from __future__ import annotations

import pytest

from bridge.errors import BadBody
from bridge.mapping.builtin import parse_own
from bridge.mapping.mapper import Mapper, Site
from bridge.model import Request
from bridge.sources.base import page
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


def test_the_page_helps_versions_that_tell_no_addresses() -> None:
    """The mapping on the page makes the links that the built-in one cannot."""
    _, _, below = page(SOURCE).partition("    extends: bitbucket-server\n")
    text = "    extends: bitbucket-server\n" + below.partition("\n\n")[0]
    text = text.replace("\n    ", "\n").removeprefix("    ").replace("HOST", "git.example.com")
    mapper = Mapper([parse_own(text, "own.yaml")], [Site("main", None)])
    event = SOURCE.event(delivery("bitbucket-server", "pr.without_addresses").webhook)
    (wish,) = mapper.map(event).wishes
    assert wish.link is not None
    assert wish.link.object.url == "https://git.example.com/projects/HAR/repos/harbor/pull-requests/21"
    assert wish.global_id == "system=bitbucket-server:git.example.com&type=pull_request&id=73/21"
