"""Schemes of authentication as flows that a test drives by hand, and that they keep their secrets."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigError
from bridge.jira.auth import Anonymous, Auth, Basic, Bearer
from bridge.jira.wire import HttpAnswer, HttpRequest

ASKED = HttpRequest("GET", "https://gateway.example/ex/jira/1/rest", headers={"X-Other": "1"})
NOW = 1_785_585_600.0


@pytest.mark.parametrize(
    ("scheme", "credentials"),
    [
        (Basic("Aladdin", "open sesame"), {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}),
        (Basic("ann@exämple.com", "t"), {"Authorization": "Basic YW5uQGV4w6RtcGxlLmNvbTp0"}),
        (Bearer("abc"), {"Authorization": "Bearer abc"}),
        (Anonymous(), {}),
    ],
)
def test_one_request(scheme: Auth, credentials: dict[str, str]) -> None:
    """Basic is base64 of both parts in UTF-8 (RFC 7617), Bearer the token, anonymous nothing."""
    flow = scheme.flow(ASKED, NOW)
    outgoing = next(flow)
    assert (outgoing.method, outgoing.url) == (ASKED.method, ASKED.url)
    assert outgoing.headers == {"X-Other": "1", **credentials}
    refused = HttpAnswer(401, {}, b"")
    with pytest.raises(StopIteration) as ended:
        flow.send(refused)
    assert ended.value.value is refused


@pytest.mark.parametrize("token", ["", "s3cret\nX-Other: 1", "s3cret\r", "s3crét"])
def test_tokens_that_cannot_be_sent(token: str) -> None:
    """What cannot stand in a header is refused at once, in words without the secret."""
    with pytest.raises(ConfigError) as basic:
        Basic("ann@example.com", token)
    with pytest.raises(ConfigError) as bearer:
        Bearer(token)
    assert "s3cr" not in f"{basic.value} {bearer.value}"


@pytest.mark.parametrize("email", ["", "ann:s3cret", "ann@example.com\n", "ann\udcfc@example.com"])
def test_addresses_that_cannot_be_sent(email: str) -> None:
    """An address that is empty, ends early or has no bytes in UTF-8 is refused at once."""
    with pytest.raises(ConfigError, match="e-mail address"):
        Basic(email, "token")


@pytest.mark.parametrize("scheme", [Basic("ann@example.com", "s3cret"), Bearer("s3cret")])
def test_repr_hides(scheme: Auth) -> None:
    """Neither a scheme nor a request of its flow shows a secret in a log."""
    assert "s3cret" not in f"{scheme!r} {scheme} {next(scheme.flow(ASKED, NOW))!r}"
