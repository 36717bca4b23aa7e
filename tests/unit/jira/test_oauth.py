"""OAuth 2.0 as flows that a test drives by hand, at any time that it likes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.errors import ConfigError, JiraError, JiraUnauthorized, JiraUnreachable
from bridge.jira.auth import Flow, TokenRequest
from bridge.jira.oauth import TOKEN_URL, OAuth, TokenGranted
from bridge.jira.wire import HttpAnswer, HttpRequest

ASKED = HttpRequest("GET", "https://gateway.example/ex/jira/1/rest", headers={"X-Other": "1"})
NOW = 1_785_585_600.0


class Kept:
    """Refresh tokens in a list, the last of which is good."""

    def __init__(self) -> None:
        """There is one."""
        self.tokens = ["refresh-1"]

    def read(self) -> str:
        """The last one."""
        return self.tokens[-1]

    def keep(self, token: str) -> None:
        """Add one."""
        self.tokens.append(token)


def answer(status: int, body: dict[str, Any] | bytes = b"", **headers: str) -> HttpAnswer:
    """An answer of Jira's or of a token endpoint."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def granted(token: str, seconds: int = 3600, refresh: str | None = None) -> HttpAnswer:
    """A token endpoint's good answer."""
    return answer(200, {"access_token": token, "expires_in": seconds, "refresh_token": refresh})


def end(flow: Flow, last: HttpAnswer) -> None:
    """Send the last answer, which is the flow's value: nothing more is sent."""
    with pytest.raises(StopIteration) as ended:
        flow.send(last)
    assert ended.value.value is last


def served(oauth: OAuth, now: float, token: HttpAnswer | None = None) -> str:
    """The credentials of one request that Jira takes; `token` answers the token request before it."""
    flow = oauth.flow(ASKED, now)
    outgoing = next(flow)
    if token:
        assert isinstance(outgoing, TokenRequest)
        outgoing = flow.send(token)
    assert not isinstance(outgoing, TokenRequest)
    end(flow, answer(200))
    return outgoing.headers["Authorization"]


def test_repr_hides() -> None:
    """Neither the scheme, nor a request of its flow, nor what was granted shows a secret in a log."""
    scheme = OAuth("app", "s3cret")
    flow = scheme.flow(ASKED, NOW)
    assert "s3cret" not in f"{scheme!r} {scheme} {next(flow)!r}"
    assert "t0ken" not in f"{flow.send(granted('t0ken'))!r} {scheme!r}"
    assert "t0ken" not in repr(TokenGranted(access_token="t0ken"))


@pytest.mark.parametrize(("client_id", "secret"), [("", "s"), ("app", ""), ("app", "s3cret\r"), ("a\n", "s")])
def test_apps_that_cannot_be_sent(client_id: str, secret: str) -> None:
    """A line break that came along in copying is told at once, and not as a refusal of the app."""
    with pytest.raises(ConfigError) as caught:
        OAuth(client_id, secret)
    assert "s3cret" not in str(caught.value)


def test_client_credentials() -> None:
    """An app's own credentials go to the token endpoint as JSON, and the token to Jira."""
    flow = OAuth("app", "s3cret").flow(ASKED, NOW)
    first = next(flow)
    assert isinstance(first, TokenRequest)
    assert (first.method, first.url) == ("POST", TOKEN_URL)
    assert orjson.loads(first.body or b"") == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    second = flow.send(granted("one"))
    assert second.headers == {"X-Other": "1", "Authorization": "Bearer one"}
    end(flow, answer(200))


def test_refresh_token_rotates() -> None:
    """Each use of a refresh token gives the next, which is kept before the access token is used."""
    kept = Kept()
    oauth = OAuth("app", "s3cret", kept, "https://token.example/")
    flow = oauth.flow(ASKED, NOW)
    first = next(flow)
    assert orjson.loads(first.body or b"") == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": "app",
        "client_secret": "s3cret",
    }
    flow.send(granted("one", refresh="refresh-2"))
    assert kept.tokens == ["refresh-1", "refresh-2"]
    end(flow, answer(200))
    again = next(oauth.flow(ASKED, NOW + 3600))
    assert orjson.loads(again.body or b"")["refresh_token"] == "refresh-2"


def test_refresh_token_that_stays() -> None:
    """An answer without a refresh token leaves the one there is."""
    kept = Kept()
    served(OAuth("app", "s3cret", kept), NOW, granted("one"))
    assert kept.tokens == ["refresh-1"]


@pytest.mark.parametrize(
    "other",
    [
        b'"expires_in": null',
        b'"expires_in": 0',
        b'"expires_in": "soon"',
        b'"expires_in": 1e400',
        b'"access_token": ""',
        b'"access_token": null',
    ],
)
def test_refresh_token_beside_what_makes_no_sense(other: bytes) -> None:
    """The next refresh token is kept whatever stands beside it, since the one before it is used up."""
    kept = Kept()
    flow = OAuth("app", "s3cret", kept).flow(ASKED, NOW)
    next(flow)
    body = b'{"access_token": "one", "refresh_token": "refresh-2", ' + other + b"}"
    try:
        assert flow.send(answer(200, body)).headers["Authorization"] == "Bearer one"
    except JiraUnreachable:
        assert b"access_token" in other
    assert kept.tokens == ["refresh-1", "refresh-2"]


def test_a_refresh_token_that_another_process_has_used() -> None:
    """After a refusal the next token may have been put in its place: then it is asked with, once."""
    kept = Kept()
    flow = OAuth("app", "s3cret", kept).flow(ASKED, NOW)
    next(flow)
    kept.tokens.append("refresh-2")
    again = flow.send(answer(403, {"error": "unauthorized_client"}))
    assert isinstance(again, TokenRequest)
    assert orjson.loads(again.body or b"")["refresh_token"] == "refresh-2"
    kept.tokens.append("refresh-3")
    with pytest.raises(JiraUnauthorized):
        flow.send(answer(403, {"error": "invalid_grant"}))


def test_no_refresh_token_is_used_up_that_cannot_be_followed() -> None:
    """Where there is no room for the next token, the one there is is not sent."""

    class Full(Kept):
        def read(self) -> str:
            raise JiraUnauthorized("no room")

    with pytest.raises(JiraUnauthorized, match="no room"):
        next(OAuth("app", "s3cret", Full()).flow(ASKED, NOW))


@pytest.mark.parametrize(("life", "good_for"), [(3600, 3540), (121, 61), (100, 50), (2, 1)])
def test_a_token_is_renewed_before_it_ends(life: int, good_for: int) -> None:
    """A minute before its end a token is exchanged for the next, a short one at half its life."""
    oauth = OAuth("app", "s3cret")
    assert served(oauth, NOW, granted("one", life)) == "Bearer one"
    assert served(oauth, NOW + good_for - 0.5) == "Bearer one"
    assert served(oauth, NOW + good_for, granted("two", life)) == "Bearer two"


@pytest.mark.parametrize("told", [{}, {"expires_in": None}, {"expires_in": -1}, {"expires_in": []}])
def test_a_token_of_unknown_life_is_good_for_an_hour(told: dict[str, Any]) -> None:
    """Where the token endpoint does not say how long, or makes no sense, it is as long as Atlassian's are."""
    oauth = OAuth("app", "s3cret")
    served(oauth, NOW, answer(200, {"access_token": "one", **told}))
    assert served(oauth, NOW + 3539) == "Bearer one"
    assert isinstance(next(oauth.flow(ASKED, NOW + 3540)), TokenRequest)


def test_a_refused_token_is_renewed_once() -> None:
    """A 401 to a token that was good until then brings one new token, and the request once more."""
    oauth = OAuth("app", "s3cret")
    served(oauth, NOW, granted("one"))
    flow = oauth.flow(ASKED, NOW + 60)
    assert next(flow).headers["Authorization"] == "Bearer one"
    assert isinstance(flow.send(answer(401)), TokenRequest)
    assert flow.send(granted("two")).headers["Authorization"] == "Bearer two"
    end(flow, answer(401))


def test_a_new_token_that_is_refused_is_not_renewed() -> None:
    """A 401 to a token that was just granted is about a scope, and more tokens would not help."""
    flow = OAuth("app", "s3cret").flow(ASKED, NOW)
    next(flow)
    flow.send(granted("one"))
    end(flow, answer(401))


def test_a_young_token_that_is_refused_is_not_renewed() -> None:
    """A 401 within a minute of the grant is about a scope too: each request would ask for a token."""
    oauth = OAuth("app", "s3cret")
    served(oauth, NOW, granted("one"))
    flow = oauth.flow(ASKED, NOW + 59)
    next(flow)
    end(flow, answer(401))


def test_those_who_were_refused_share_the_next_token() -> None:
    """Of two requests that were refused with one token, the second finds the new one."""
    oauth = OAuth("app", "s3cret")
    served(oauth, NOW, granted("one"))
    flows = [oauth.flow(ASKED, NOW + 60) for _ in range(2)]
    for flow in flows:
        next(flow)
    flows[0].send(answer(401))
    assert flows[0].send(granted("two")).headers["Authorization"] == "Bearer two"
    assert flows[1].send(answer(401)).headers["Authorization"] == "Bearer two"


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (answer(403, {"error": "invalid_grant", "error_description": "Unknown"}), JiraUnauthorized),
        (answer(400, {"error": "invalid_grant"}), JiraUnauthorized),
        (answer(401, {"error": "access_denied"}), JiraUnauthorized),
        (answer(400, b"<html>"), JiraUnreachable),
        (answer(403, b"<html>Not here</html>"), JiraUnreachable),
        (answer(404, b""), JiraUnreachable),
        (answer(429, b"", retry_after="9"), JiraUnreachable),
        (answer(503, b"{}"), JiraUnreachable),
        (answer(302, b""), JiraUnreachable),
        (answer(200, b"<html>Log in</html>"), JiraUnreachable),
        (answer(200, {"access_token": "a\nb"}), JiraUnreachable),
        (answer(200, b'{"access_token": "a", "refresh_token": '), JiraUnreachable),
        (answer(200, {"access_token": 5, "refresh_token": " "}), JiraUnreachable),
        (answer(200, {"access_token": "", "refresh_token": ["refresh-2"]}), JiraUnreachable),
        (answer(200, {"token": "a"}), JiraUnreachable),
    ],
)
def test_no_token(told: HttpAnswer, kind: type[JiraError]) -> None:
    """A refusal of the app halts the site; anything else leaves Jira unreachable for now."""
    kept = Kept()
    flow = OAuth("app", "s3cret", kept).flow(ASKED, NOW)
    next(flow)
    with pytest.raises(JiraError) as caught:
        flow.send(told)
    assert type(caught.value) is kind
    assert str(told.status) in str(caught.value)
    assert caught.value.retry_after == (9.0 if told.status == 429 else None)
    assert kept.tokens == ["refresh-1"]
    assert not {"s3cret", "refresh-1"} & set(str(caught.value).split())


def test_a_refusal_of_another_form_is_not_repeated() -> None:
    """Only RFC 6749's codes are told: another text may repeat what was sent."""
    flow = OAuth("app", "s3cret").flow(ASKED, NOW)
    next(flow)
    with pytest.raises(JiraUnauthorized) as caught:
        flow.send(answer(400, {"error": "bad secret s3cret"}))
    assert "s3cret" not in f"{caught.value} {caught.value.messages}"
