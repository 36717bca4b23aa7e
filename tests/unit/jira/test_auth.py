"""Schemes of authentication, and that they keep their secrets."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigError
from bridge.jira.auth import Anonymous, Auth, Basic, Bearer, parse_auth


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("basic:ann@example.com:s3cret", Basic("ann@example.com", "s3cret")),
        ("basic:ann:with:colons", Basic("ann", "with:colons")),
        ("bearer:s3cret", Bearer("s3cret")),
        ("bearer:with:colons:in", Bearer("with:colons:in")),
        ("anonymous", Anonymous()),
    ],
)
def test_parse(text: str, scheme: Auth) -> None:
    """Each form is read as its scheme, a token with colons too."""
    assert parse_auth(text) == scheme


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3cret",
        "basic:s3cret",
        "basic::s3cret",
        "basic:s3cret:",
        "bearer:",
        "digest:s3cret",
        "anonymous:s3cret",
        "bearer:s3cret\nX-Other: 1",
        "basic:ann:s3crét",
    ],
)
def test_refuses_without_showing(text: str) -> None:
    """What is no scheme, or cannot stand in a header, is refused in words without the secret."""
    with pytest.raises(ConfigError) as caught:
        parse_auth(text)
    assert "s3cr" not in str(caught.value)


def test_headers() -> None:
    """Basic is base64 of both parts in UTF-8 (RFC 7617), Bearer the token, anonymous nothing."""
    assert Basic("Aladdin", "open sesame")() == {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
    assert Basic("test", "123£")() == {"Authorization": "Basic dGVzdDoxMjPCow=="}
    assert Bearer("abc")() == {"Authorization": "Bearer abc"}
    assert Anonymous()() == {}


@pytest.mark.parametrize("scheme", [Basic("ann@example.com", "s3cret"), Bearer("s3cret")])
def test_repr_hides(scheme: Auth) -> None:
    """A scheme that lands in a log does not show its token."""
    assert "s3cret" not in f"{scheme!r} {scheme}"
