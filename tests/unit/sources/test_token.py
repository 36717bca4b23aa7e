"""The source of whoever sends the secret itself."""

from __future__ import annotations

import pytest

from bridge.errors import BadSignature, ConfigError
from bridge.model import Request, Webhook
from bridge.sources.token import SOURCE
from tests.deliveries import RECEIVED_AT

SECRET = b"wren:tide and anchor"


def sent(url: str = "https://bridge.example.com/webhooks/forms", **headers: str) -> Request:
    """A delivery; headers are given with underscores."""
    return Request("POST", url, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


def test_basic_authentication_is_user_and_password_as_a_whole() -> None:
    """RFC 7617's own example: Aladdin, open sesame.

    https://www.rfc-editor.org/rfc/rfc7617#section-2
    """
    request = sent(authorization="Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    SOURCE.signature.verify(request, [b"Aladdin:open sesame"], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request, [b"open sesame"], RECEIVED_AT)


def test_a_header_that_is_chosen_is_the_only_place() -> None:
    """Harbor sends the text as it is in Authorization."""
    chosen = SOURCE.configured({"header": "Authorization"})
    chosen.signature.verify(sent(authorization=SECRET.decode()), [SECRET], RECEIVED_AT)
    for request in (
        sent(authorization=f"Bearer {SECRET.decode()}"),
        sent(x_webhook_token=SECRET.decode()),
        sent("https://bridge.example.com/webhooks/forms?token=wren:tide+and+anchor"),
    ):
        SOURCE.signature.verify(request, [SECRET], RECEIVED_AT)
        with pytest.raises(BadSignature):
            chosen.signature.verify(request, [SECRET], RECEIVED_AT)


def test_the_token_does_not_travel() -> None:
    """Nothing that holds the secret is kept with the body."""
    chosen = SOURCE.configured({"header": "X-Secret", "type": "header:X-Kind"})
    kept = chosen.keep({"x-secret": "s", "authorization": "s", "x-kind": "k"}, b"{}")
    assert kept == {"bridge-type": "k"}


def test_the_header_of_the_token_tells_nothing_else() -> None:
    """A header that is kept is no place for a secret."""
    for option in ("type", "delivery"):
        for name in ("X-Secret", "authorization", "X-Webhook-Token"):
            with pytest.raises(ConfigError, match=f"option {option}"):
                SOURCE.configured({"header": "X-Secret", option: f"header:{name}"})


def test_an_event_is_its_endpoints() -> None:
    """What a body says of its source is anyone's to write: the endpoint's name is the source."""
    webhook = Webhook("forms", "token", "d", {}, b'{"source": "https://github.com", "id": 1}', RECEIVED_AT)
    assert SOURCE.event(webhook).source == "forms"
