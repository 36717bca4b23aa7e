"""The signature of Standard Webhooks against known answers, and the plain document's source."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import BadRequest, BadSignature, ConfigError
from bridge.model import Request, Webhook
from bridge.sources.signing import StandardWebhooks, digest
from bridge.sources.standard_webhooks import SOURCE
from tests.deliveries import RECEIVED_AT

# https://github.com/standard-webhooks/standard-webhooks, libraries/python/tests/test_webhooks.py
SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

# https://github.com/svix/svix-webhooks, the test of asymmetric keys in server/svix-server/src/worker.rs
PRIVATE = b"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = b"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
SIGNED_PRIVATELY = (
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

ANOTHER = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="
STANDARD = StandardWebhooks()


def sent(signature: str, prefix: str = "webhook", body: bytes = BODY, id_: str = ID) -> Request:
    """A delivery with the known answers' id and timestamp."""
    told = {"id": id_, "timestamp": "1614265330", "signature": signature}
    return Request("POST", "", {f"{prefix}-{name}": value for name, value in told.items()}, body)


@pytest.mark.parametrize(("secret", "signed"), [(SECRET, SIGNED), (PRIVATE, SIGNED_PRIVATELY)])
def test_makes_the_known_answers(secret: bytes, signed: str) -> None:
    """Both schemes sign as the reference implementations do."""
    made = STANDARD.sign(Request("POST", "", {"webhook-id": ID}, BODY), secret, AT)
    assert made == {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": signed}


def test_makes_what_svix_documents() -> None:
    """https://docs.svix.com/receiving/verifying-payloads/how-manual."""
    body = b'{"event_type":"ping","data":{"success":true}}'
    at = datetime.fromtimestamp(1731705121, UTC)
    request = Request("POST", "", {"webhook-id": "msg_loFOjxBNrRLzqYUf"}, body)
    made = STANDARD.sign(request, b"whsec_plJ3nmyCDGBKInavdOK15jsl", at)
    assert made["webhook-signature"] == "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="


@pytest.mark.parametrize("prefix", ["webhook", "svix"])
@pytest.mark.parametrize(
    ("signature", "secrets"),
    [
        (SIGNED, [SECRET]),
        (SIGNED, [SECRET.removeprefix(b"whsec_")]),
        (SIGNED, [b"v1," + SECRET]),
        (SIGNED, [PUBLIC, b"another", SECRET]),
        (f"{ANOTHER} v2,x {SIGNED}", [SECRET]),
        (SIGNED_PRIVATELY, [PUBLIC]),
        (SIGNED_PRIVATELY, [PUBLIC.rstrip(b"=")]),
        (f"{ANOTHER} v1a,AAAA {SIGNED_PRIVATELY}", [SECRET, PUBLIC]),
    ],
)
def test_accepts_the_known_answers(signature: str, secrets: list[bytes], prefix: str) -> None:
    """One signature of several, by one key of several, under the standard's names and Svix's."""
    STANDARD.verify(sent(signature, prefix), secrets, AT + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("request_", "secrets"),
    [
        (sent(SIGNED, body=BODY + b" "), [SECRET]),
        (sent(SIGNED, id_="msg_2"), [SECRET]),
        (sent(SIGNED.replace("v1,", "v1a,")), [SECRET, PUBLIC]),
        (sent(SIGNED_PRIVATELY.replace("v1a,", "v1,")), [SECRET, PUBLIC]),
        (sent(SIGNED_PRIVATELY, body=BODY + b" "), [PUBLIC]),
        (sent(SIGNED_PRIVATELY), [SECRET]),
        (sent(SIGNED), [PUBLIC]),
        (sent(ANOTHER), [SECRET]),
        (sent(SIGNED[3:]), [SECRET]),
        # The public key is known to all: it must not do as a shared secret.
        (sent(f"v1,{digest(f'{ID}.1614265330.'.encode() + BODY, PUBLIC, encoding='base64')}"), [PUBLIC]),
    ],
)
def test_refuses_what_no_key_signs(request_: Request, secrets: list[bytes]) -> None:
    """Another body, id, scheme or key."""
    with pytest.raises(BadSignature):
        STANDARD.verify(request_, secrets, AT)


def test_a_text_may_be_the_key_itself() -> None:
    """A secret that looks like Base64 may be meant as it stands: both readings hold."""
    message = f"{ID}.1614265330.".encode() + BODY
    for key in (b"c2VjcmV0", b64decode("c2VjcmV0")):
        STANDARD.verify(sent(f"v1,{digest(message, key, encoding='base64')}"), [b"c2VjcmV0"], AT)


@pytest.mark.parametrize(
    ("secret", "told"),
    [
        (PRIVATE, "private key"),
        (b"whsec_", "Base64"),
        (b"whpk_" + b64decode(PUBLIC[5:])[:5].hex().encode(), "Base64"),
    ],
)
def test_says_at_the_start_what_is_no_key(secret: bytes, told: str) -> None:
    """A private key is the sender's to keep; an empty key or a short one is none."""
    with pytest.raises(ConfigError, match=told):
        STANDARD.check(secret)
    for good in (SECRET, PUBLIC, b"any text"):
        STANDARD.check(good)


def test_the_message_id_names_the_delivery() -> None:
    """It is the same when it is sent again, under whichever name."""
    for prefix in ("webhook", "svix"):
        kept = SOURCE.keep(sent(SIGNED, prefix).headers, BODY)
        assert SOURCE.delivery_id(kept, BODY) == ID
    with pytest.raises(BadRequest, match="webhook-id"):
        SOURCE.delivery_id({}, BODY)


def test_an_endpoint_says_where_its_sender_tells_things() -> None:
    """Type, object and time are looked for where the options say; a header may tell the type."""
    chosen = SOURCE.configured({"type": "header:X-Kind", "object": "run.id, run.0.id", "time": "run.at"})
    body = b'{"type": "x", "run": {"id": 7, "at": "2026-03-02T09:00:00Z"}}'
    kept = chosen.keep({"x-kind": "run.done", "webhook-id": "m", "authorization": "s"}, body)
    assert kept["webhook-id"] == "m"
    assert "s" not in kept.values()
    # Who reads the record need not know the options.
    event = SOURCE.event(Webhook("runs", "standard-webhooks", "m", kept, body, RECEIVED_AT))
    assert (event.type, event.subject, event.source) == ("run.done", "7", "runs")
    assert event.time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert chosen.headers("run.done", "m") == {"x-kind": "run.done", "webhook-id": "m"}
    assert SOURCE.event(Webhook("runs", "standard-webhooks", "m", {}, body, RECEIVED_AT)).type == "x"


@pytest.mark.parametrize(
    "options", [{"header": "x"}, {"delivery": "id"}, {"object": ""}, {"time": "a,,b"}, {"object": "header:x"}]
)
def test_an_option_that_is_none_is_said(options: dict[str, str]) -> None:
    """What a Standard Webhook fixes is no choice, and a path has a name."""
    with pytest.raises(ConfigError, match=next(iter(options))):
        SOURCE.configured(options)


def test_an_event_without_a_type_is_a_webhook() -> None:
    """The specification recommends a type and requires none."""
    event = SOURCE.event(Webhook("runs", "standard-webhooks", "m", {}, b'{"data": []}', RECEIVED_AT))
    assert (event.type, event.subject, event.time) == ("webhook", "", RECEIVED_AT)
