"""Signatures, against the answers that vendors document."""

from __future__ import annotations

import pytest

from bridge.errors import BadSignature
from bridge.sources import signing

# https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_signs_as_github_documents() -> None:
    """GitHub's known answer comes out of its secret and body."""
    assert signing.sign(BODY, SECRET, prefix="sha256=") == SIGNATURE


@pytest.mark.parametrize("secrets", [[SECRET], [b"new", SECRET], [SECRET, b"old"]])
def test_accepts_any_of_the_secrets(secrets: list[bytes]) -> None:
    """During a rotation the old and the new secret both hold."""
    signing.verify(SIGNATURE, BODY, secrets, prefix="sha256=")
    with pytest.raises(BadSignature, match="No secret"):
        signing.verify(SIGNATURE, BODY + b"!", secrets, prefix="sha256=")


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha256=",
        SIGNATURE.removeprefix("sha256="),
        SIGNATURE.upper(),
        SIGNATURE[:-1],
        SIGNATURE + "0",
        "sha256=" + "ü" * 64,
        "sha256=\udcff",
        "\ud800",
    ],
)
def test_refuses_everything_else(given: str | None) -> None:
    """What is no signature is refused as such, non-ASCII text and half characters too."""
    with pytest.raises(BadSignature):
        signing.verify(given, BODY, [SECRET], prefix="sha256=")


def test_refuses_all_without_a_secret() -> None:
    """No secret signs nothing."""
    with pytest.raises(BadSignature):
        signing.verify(SIGNATURE, BODY, [], prefix="sha256=")


def test_other_algorithms_and_prefixes() -> None:
    """A vendor with another algorithm or prefix needs one line."""
    given = signing.sign(BODY, SECRET, prefix="v1=", algorithm="sha1")
    assert given == "v1=" + "01dc10d0c83e72ed246219cdd91669667fe2ca59"
    signing.verify(given, BODY, [SECRET], prefix="v1=", algorithm="sha1")


def test_never_tells_the_secret() -> None:
    """The refusal names neither the secret nor the signature that was expected."""
    with pytest.raises(BadSignature) as refused:
        signing.verify("sha256=0", BODY, [SECRET], prefix="sha256=")
    assert "Everybody" not in str(refused.value)
    assert SIGNATURE[7:] not in str(refused.value)
