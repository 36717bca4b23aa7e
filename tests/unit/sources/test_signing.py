"""Signatures, against the answers that vendors document."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from bridge.errors import BadSignature, ConfigError
from bridge.model import Request
from bridge.ports import Signature
from bridge.sources.signing import Either, Hmac, StandardWebhooks, TimedHmac, Token

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
KNOWN = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

PLAIN = Hmac("x-signature", prefix="sha256=")
SEVERAL = Hmac("x-signature", prefix="v1=", several=True)
TIMED = TimedHmac("x-signature", "x-timestamp", lambda sent, at: at + b"." + sent.body, "ts.body")
FIELDS = TimedHmac("x-signature", "t", lambda sent, at: at + sent.body, "ts+body", field="v1")
ALL = [PLAIN, SEVERAL, TIMED, FIELDS, StandardWebhooks(), Token("x-token"), Token(), Either(TIMED, Token())]


def request(url: str = "https://bridge.example.com/webhooks/x", **headers: str) -> Request:
    """A delivery; headers are given with underscores."""
    return Request("POST", url, {name.replace("_", "-"): value for name, value in headers.items()}, BODY)


def test_makes_the_known_answer() -> None:
    """GitHub's known answer comes out of its secret and body."""
    assert PLAIN.sign(request(), SECRET, NOW) == {"x-signature": f"sha256={KNOWN}"}


@pytest.mark.parametrize("signature", ALL)
@pytest.mark.parametrize("secrets", [[SECRET], [b"new", SECRET], [SECRET, b"old"]])
def test_accepts_any_of_the_secrets(signature: Signature, secrets: list[bytes]) -> None:
    """During a rotation the old and the new secret both hold."""
    signed = Request("POST", "", signature.sign(request(), SECRET, NOW), BODY)
    signature.verify(signed, secrets, NOW)
    with pytest.raises(BadSignature):
        signature.verify(signed, [b"another"], NOW)
    with pytest.raises(BadSignature):
        signature.verify(signed, [], NOW)


@pytest.mark.parametrize("signature", ALL)
@pytest.mark.parametrize(
    "odd", ["", " ", ",", "=", "v1,", "v1=", "sha256=", "ü" * 64, "\udcff", "\x00", "t=1,v1=ü"]
)
def test_refuses_everything_else(signature: Signature, odd: str) -> None:
    """What is no signature is refused as such, non-ASCII text and half characters too."""
    names = ("x-signature", "x-timestamp", "x-token", "authorization", "webhook-id", "webhook-timestamp")
    given = dict.fromkeys((*names, "webhook-signature"), odd)
    for headers in (given, {**given, "x-timestamp": "1772712000", "webhook-timestamp": "1772712000"}):
        with pytest.raises(BadSignature) as refused:
            signature.verify(Request("POST", "", headers, BODY), [SECRET], NOW)
        assert "Everybody" not in str(refused.value)
        assert KNOWN not in str(refused.value)


@pytest.mark.parametrize(
    "given", [KNOWN, f"sha256={KNOWN[:-1]}", f"sha256={KNOWN}0", f"SHA256={KNOWN}", f"sha256={KNOWN.upper()}"]
)
def test_a_digest_is_taken_to_the_letter(given: str) -> None:
    """Neither a part of the digest nor another case will do."""
    with pytest.raises(BadSignature):
        PLAIN.verify(request(x_signature=given), [SECRET], NOW)


def test_one_of_several_signatures_is_enough() -> None:
    """While the sender rotates its secret it signs with both."""
    made = SEVERAL.sign(request(), SECRET, NOW)["x-signature"]
    SEVERAL.verify(request(x_signature=f"v0=1,v1={'0' * 64}, {made}"), [SECRET], NOW)
    with pytest.raises(BadSignature, match="does not begin with v1="):
        SEVERAL.verify(request(x_signature="v0=1,v2=2"), [SECRET], NOW)


@pytest.mark.parametrize("signature", [TIMED, FIELDS, StandardWebhooks()])
@pytest.mark.parametrize(("seconds", "told"), [(301, "301 s old"), (-301, "301 s ahead")])
def test_a_signature_holds_for_a_while(signature: Signature, seconds: int, told: str) -> None:
    """What was signed long ago, or will be, is refused with how far off it is."""
    signed = Request("POST", "", signature.sign(request(), SECRET, NOW), BODY)
    signature.verify(signed, [SECRET], NOW + timedelta(seconds=300))
    signature.verify(signed, [SECRET], NOW - timedelta(seconds=300))
    with pytest.raises(BadSignature, match=told):
        signature.verify(signed, [SECRET], NOW + timedelta(seconds=seconds))


def test_a_timestamp_cannot_be_renewed() -> None:
    """The timestamp is signed too."""
    signed = TIMED.sign(request(), SECRET, NOW - timedelta(days=1))
    renewed = {**signed, "x-timestamp": str(int(NOW.timestamp()))}
    with pytest.raises(BadSignature, match="No secret"):
        TIMED.verify(Request("POST", "", renewed, BODY), [SECRET], NOW)


@pytest.mark.parametrize(
    "sent",
    [
        request(authorization="Bearer s3:cret"),
        request(authorization="bearer  s3:cret"),
        request(authorization=f"Basic {b64encode(b's3:cret').decode()}"),
        request(x_webhook_token="s3:cret"),
        request(url="https://bridge.example.com/webhooks/x?a=1&token=s3%3Acret"),
    ],
)
def test_a_token_is_found_where_a_sender_can_put_it(sent: Request) -> None:
    """In the headers that the vendors let users set, or in the address."""
    Token().verify(sent, [b"s3:cret"], NOW)
    with pytest.raises(BadSignature, match="none of the endpoint's secrets"):
        Token().verify(sent, [b"s3:cre"], NOW)


@pytest.mark.parametrize(
    "url",
    [
        "https://bridge.example.com/webhooks/x?" + "a=1&" * 200,
        "https://[/webhooks/x?token=other",
        "https://a\N{ACCOUNT OF}b/webhooks/x?token=other",
    ],
)
def test_an_odd_address_has_no_token(url: str) -> None:
    """The host is whatever the sender writes into its request."""
    with pytest.raises(BadSignature):
        Token().verify(request(url=url), [SECRET], NOW)


@pytest.mark.parametrize("query", ["token=a+b/c==", "token=a%2Bb%2Fc%3D%3D"])
def test_a_secret_in_base64_may_stand_in_an_address(query: str) -> None:
    """Its plus would be a space there, and who pastes it does not know."""
    sent = request(url=f"https://bridge.example.com/webhooks/x?{query}")
    Token().verify(sent, [b"a+b/c=="], NOW)
    with pytest.raises(BadSignature):
        Token().verify(sent, [b"a-b/c=="], NOW)


def test_a_missing_token_says_where_it_may_stand() -> None:
    """The refusal lists the places."""
    with pytest.raises(BadSignature, match="Bearer, Basic, X-Webhook-Token or"):
        Token().verify(request(authorization="Digest x"), [b"s"], NOW)


def test_the_weaker_of_two_is_no_way_around_the_stronger() -> None:
    """Where the headers of a signature are there, it must hold."""
    both = {**TIMED.sign(request(), b"wrong", NOW), **Token().sign(request(), SECRET, NOW)}
    with pytest.raises(BadSignature):
        Either(TIMED, Token()).verify(Request("POST", "", both, BODY), [SECRET], NOW)


@pytest.mark.parametrize("signature", [StandardWebhooks(), Either(StandardWebhooks(), Token("x-token"))])
def test_a_standard_secret_that_is_no_key_is_said_at_the_start(signature: Signature) -> None:
    """A prefix says that Base64 follows, also where a token would do."""
    for secret in (b"whsec_!", b"whpk_AAAA"):
        with pytest.raises(ConfigError, match="goes on in Base64"):
            signature.check(secret)


def test_the_id_that_is_kept_is_the_one_that_is_signed() -> None:
    """A delivery under Svix's names with another `webhook-id` beside them would be taken for a new one."""
    signed = StandardWebhooks(("svix",)).sign(request(), SECRET, NOW)
    StandardWebhooks().verify(Request("POST", "", signed, BODY), [SECRET], NOW)
    with pytest.raises(BadSignature):
        StandardWebhooks().verify(Request("POST", "", {**signed, "webhook-id": "2"}, BODY), [SECRET], NOW)
