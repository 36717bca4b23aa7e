"""The source of whoever signs with an HMAC: its options, against answers that senders document."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

import pytest

from bridge.errors import BadRequest, BadSignature, ConfigError
from bridge.model import Request, Webhook
from bridge.sources.hmac import ALGORITHMS, SOURCE
from tests.deliveries import RECEIVED_AT

SECRET = b"tide and anchor"
BODY = b'{"id":7}'


@pytest.mark.parametrize(
    ("options", "secret", "body", "header", "signature"),
    [
        (  # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
            {"header": "X-Hub-Signature-256", "prefix": "sha256="},
            b"It's a Secret to Everybody",
            b"Hello, World!",
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ),
        (  # https://www.rfc-editor.org/rfc/rfc4231#section-4.3
            {"header": "X-TFE-Notification-Signature", "algorithm": "sha512"},
            b"Jefe",
            b"what do ya want for nothing?",
            "x-tfe-notification-signature",
            (
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
            ),
        ),
        (  # https://www.rfc-editor.org/rfc/rfc2202#section-3
            {"header": "X-Nexus-Webhook-Signature", "algorithm": "sha1"},
            b"Jefe",
            b"what do ya want for nothing?",
            "x-nexus-webhook-signature",
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
    ],
)
def test_makes_the_known_answers(
    options: dict[str, str], secret: bytes, body: bytes, header: str, signature: str
) -> None:
    """Header, algorithm and prefix are those that the endpoint names."""
    chosen = SOURCE.configured(options)
    assert chosen.signature.sign(Request("POST", "", {}, body), secret, RECEIVED_AT) == {header: signature}
    chosen.signature.verify(Request("POST", "", {header: signature}, body), [b"new", secret], RECEIVED_AT)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_reads_every_algorithm_in_both_encodings(algorithm: str, encoding: str) -> None:
    """And no other: what one endpoint names is not another's."""
    chosen = SOURCE.configured({"algorithm": algorithm, "encoding": encoding})
    made = hmac.new(SECRET, BODY, getattr(hashlib, algorithm)).digest()
    text = made.hex() if encoding == "hex" else b64encode(made).decode()
    sent = Request("POST", "", {"x-webhook-signature": text}, BODY)
    chosen.signature.verify(sent, [SECRET], RECEIVED_AT)
    assert algorithm.upper() in chosen.signature.described
    if (algorithm, encoding) != ("sha256", "hex"):
        with pytest.raises(BadSignature):
            SOURCE.signature.verify(sent, [SECRET], RECEIVED_AT)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"algorithm": "md5"}, "expected one of sha1"),
        ({"encoding": "Base64"}, "expected hex or base64"),
        ({"header": " "}, "header: is empty"),
        ({"headers": "X"}, "no option headers; it has type, object, time, delivery, header"),
        ({"type": "a,,b"}, "type: expected dotted paths"),
        ({"type": "a,header:b"}, "type: expected dotted paths"),
        ({"type": "header:"}, "type: expected the name of a header"),
    ],
)
def test_an_option_that_is_none_is_said(options: dict[str, str], told: str) -> None:
    """When the configuration is read, not when a delivery comes."""
    with pytest.raises(ConfigError, match=told):
        SOURCE.configured(options)


def test_a_delivery_is_named_as_the_endpoint_says() -> None:
    """By a header, which must then be there, by a part of the body, or else by its digest."""
    by_header = SOURCE.configured({"delivery": "header:X-Delivery"})
    kept = by_header.keep({"x-delivery": "d-1", "x-webhook-signature": "s"}, BODY)
    assert (kept, by_header.delivery_id(kept, BODY)) == ({"x-delivery": "d-1"}, "d-1")
    with pytest.raises(BadRequest, match="x-delivery"):
        by_header.delivery_id({}, BODY)
    by_body = SOURCE.configured({"delivery": "event.id, id"})
    assert by_body.delivery_id({}, BODY) == "7"
    assert by_body.delivery_id({}, b"no JSON") == SOURCE.delivery_id({}, b"no JSON")
    assert SOURCE.delivery_id({}, BODY) == SOURCE.delivery_id({}, BODY) != SOURCE.delivery_id({}, b"{}")


def test_one_endpoints_choice_is_not_anothers() -> None:
    """The source itself stays as it was."""
    chosen = SOURCE.configured({"type": "event", "object": "run.id", "time": "run.at"})
    body = b'{"event": "run.done", "type": "x", "id": 1, "run": {"id": "r", "at": 1772442000}}'
    kept = chosen.keep({}, body)
    event = SOURCE.event(Webhook("runs", "hmac", "d", kept, body, RECEIVED_AT))
    assert (event.type, event.subject) == ("run.done", "r")
    assert event.time.isoformat() == "2026-03-02T09:00:00+00:00"
    sent = Webhook("runs", "hmac", "d", SOURCE.keep({}, body), body, RECEIVED_AT)
    assert (SOURCE.event(sent).type, SOURCE.event(sent).subject) == ("x", "1")
    assert SOURCE.event(sent).time == RECEIVED_AT
    assert chosen.record_key(kept, body) == "hmac/r"
