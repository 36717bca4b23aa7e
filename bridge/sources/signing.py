"""Signatures with a shared secret: an HMAC over the raw body, written in hexadecimal.

Compared in constant time and as bytes: `hmac.compare_digest` raises TypeError for non-ASCII
text, and a header may hold anything.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from bridge.errors import BadSignature


def sign(message: bytes, secret: bytes, *, prefix: str = "", algorithm: str = "sha256") -> str:
    """The signature as the vendor writes it: `prefix` and the digest in lower-case hexadecimal."""
    return prefix + hmac.digest(secret, message, algorithm).hex()


def verify(
    given: str | None,
    message: bytes,
    secrets: Sequence[bytes],
    *,
    prefix: str = "",
    algorithm: str = "sha256",
) -> None:
    """Raise BadSignature unless `given` is what one of `secrets` makes of `message`.

    All secrets are tried, also after one has matched, so that time tells nothing of which.
    """
    if not given:
        raise BadSignature(f"The delivery is not signed. {BadSignature.advice}")
    claim = given.encode("utf-8", "replace")
    expected = (sign(message, secret, prefix=prefix, algorithm=algorithm) for secret in secrets)
    matches = [hmac.compare_digest(text.encode(), claim) for text in expected]
    if not any(matches):
        raise BadSignature(f"No secret of the endpoint signs this body. {BadSignature.advice}")
