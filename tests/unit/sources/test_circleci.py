"""What CircleCI's deliveries become."""

from __future__ import annotations

import pytest

from bridge.errors import BadSignature
from bridge.model import Request
from bridge.sources.circleci import SOURCE
from tests.deliveries import RECEIVED_AT, delivery


# https://circleci.com/docs/guides/integration/outbound-webhooks/#validate-webhooks
@pytest.mark.parametrize(
    ("body", "secret", "digest"),
    [
        (b"hello world", b"secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"),
        (b"lalala", b"another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
        (
            b"an-important-request-payload",
            b"hunter123",
            "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
        ),
        (b"foo", b"secret", "773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4"),
    ],
)
def test_signs_as_circleci_documents(body: bytes, secret: bytes, digest: str) -> None:
    """CircleCI's known answers come out of their secrets and bodies."""
    request = Request("POST", "", {}, body)
    assert SOURCE.signature.sign(request, secret, RECEIVED_AT) == {"circleci-signature": f"v1={digest}"}
    later = Request("POST", "", {"circleci-signature": f"v1={digest},v2=9f,v3=00"}, body)
    SOURCE.signature.verify(later, [secret], RECEIVED_AT)


@pytest.mark.parametrize("given", ["v1=not-a-valid-signature", "v2=00", "", "v1="])
def test_another_signature_is_refused(given: str) -> None:
    """A version that is not known is no signature."""
    request = Request("POST", "", {"circleci-signature": given}, b"foo")
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request, [b"secret"], RECEIVED_AT)


def test_the_body_names_the_delivery() -> None:
    """Its id is the same when CircleCI sends it again."""
    sample = delivery("circleci", "workflow-completed.success")
    assert SOURCE.event(sample.webhook).id == "5f0c8a11-0000-3e38-8f3d-75a63bba0001"
