"""Where the simulated Jira's paths lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.paths import HttpRequest, Place, locate

LINKS = "/rest/api/3/issue/DEMO-1/remotelink"


@pytest.mark.parametrize(
    ("target", "place"),
    [
        (LINKS, Place("/rest/api/3", ("remotelink",), "DEMO-1")),
        (f"{LINKS}/", Place("/rest/api/3", ("remotelink",), "DEMO-1")),
        (f"{LINKS}?globalId=a/b", Place("/rest/api/3", ("remotelink",), "DEMO-1")),
        (f"{LINKS}/7", Place("/rest/api/3", ("remotelink",), "DEMO-1", "7")),
        (f"{LINKS}/7/", Place("/rest/api/3", ("remotelink",), "DEMO-1", "7")),
        ("/rest/api/latest/issue/1/remotelink", Place("/rest/api/latest", ("remotelink",), "1")),
        ("/rest/api/2/issue/DEMO%2D1/%72emotelink", Place("/rest/api/2", ("remotelink",), "DEMO-1")),
        ("/rest/api/2/issue/A%2F..%2FB/remotelink", Place("/rest/api/2", ("remotelink",), "A/../B")),
        (f"{LINKS}/7/8", Place("/rest/api/3", ("api", "issue", "DEMO-1", "remotelink", "7", "8"))),
        ("/rest/api/3/myself", Place("/rest/api/3", ("api", "myself"))),
        ("/rest/api/4/myself", Place("/rest/api/latest", ("rest", "api", "4", "myself"))),
        ("/rest/auth/1/session", Place("/rest/api/latest", ("rest", "auth", "1", "session"))),
        ("/oauth/token", Place("/rest/api/latest", ("oauth", "token"))),
        ("/browse/DEMO-1", Place("", ("", "browse", "DEMO-1"))),
        ("/", Place("", ("",))),
        (
            "/ex/jira/abc/rest/api/2/issue/DEMO-1/remotelink/7",
            Place("/ex/jira/abc/rest/api/2", ("remotelink",), "DEMO-1", "7", "abc"),
        ),
    ],
)
def test_paths(target: str, place: Place) -> None:
    """A path is split before it is unescaped, and a slash at its end says nothing."""
    assert locate(target) == place


@given(st.text(max_size=40))
def test_every_path_leads_somewhere(text: str) -> None:
    """No path is an error, and none but remote links' own names an issue."""
    place = locate(f"/{text}")
    assert isinstance(place.endpoint, str)
    assert (place.issue is None) == (place.parts != ("remotelink",) or "issue" not in text)


def test_what_a_request_says() -> None:
    """HEAD is a GET, a media type has no parameters, and of two globalIds the first counts."""
    asked = HttpRequest(
        "HEAD", "/x?a=1&globalId=a%2Bb+c&globalId=d", content_type="Application/JSON ; charset=utf-8"
    )
    assert (asked.operation, asked.media_type, asked.global_id) == ("GET", "application/json", "a+b c")
    assert HttpRequest("PUT", "/x?globalId=").global_id == ""
    assert HttpRequest("PUT", "/x").global_id is None
