"""What Grafana's deliveries become."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridge.errors import BadBody, BadSignature, ConfigError
from bridge.model import EPOCH, Request
from bridge.sources.grafana import SOURCE
from tests.deliveries import RECEIVED_AT, delivery

# https://github.com/grafana/alerting/blob/main/http/hmac_test.go: its secret, body and clock, which
# stands at the epoch.
SECRET, BODY = b"secret", b"test message"
BARE = "3bcebf43c85d20bba6e3b6ba278af1d2ba3ab0d57de271b0ad30b833e851c5a6"
TIMED = "ac18a483a582b60a883e974541afe25aa1026136163e94665649743324183ef1"


def request(**headers: str) -> Request:
    return Request("POST", "", {name.replace("_", "-"): value for name, value in headers.items()}, BODY)


def test_signs_as_grafana_does() -> None:
    """With the timestamp's header the seconds and a colon stand before the body, else the body is alone."""
    timed = SOURCE.configured({"timestamp_header": "X-Timestamp"})
    assert timed.signature.sign(request(), SECRET, EPOCH) == {
        "x-grafana-alerting-signature": TIMED,
        "x-timestamp": "0",
    }
    bare = SOURCE.configured({"header": "X-Signature"})
    assert bare.signature.sign(request(), SECRET, EPOCH) == {"x-signature": BARE}


@pytest.mark.parametrize("name", ["x-grafana-alerting-signature-timestamp", "x-grafana-alerting-timestamp"])
def test_a_timestamp_is_found_by_the_usual_names(name: str) -> None:
    """Without an option a signature with a timestamp is as good as one without, or a token."""
    signed = SOURCE.configured({"timestamp_header": name}).signature.sign(request(), SECRET, RECEIVED_AT)
    SOURCE.signature.verify(replace(request(), headers=signed), [SECRET], RECEIVED_AT)
    SOURCE.signature.verify(request(x_grafana_alerting_signature=BARE), [SECRET], RECEIVED_AT)
    SOURCE.signature.verify(request(authorization="Bearer secret"), [SECRET], RECEIVED_AT)
    with pytest.raises(BadSignature):
        SOURCE.signature.verify(request(x_grafana_alerting_signature=TIMED), [SECRET], RECEIVED_AT)


def test_what_an_option_asks_for_is_needed() -> None:
    """With an option nothing less is taken: no token, and no signature without its timestamp."""
    chosen = SOURCE.configured({"timestamp_header": "X-Timestamp"})
    for weaker in (request(authorization="Bearer secret"), request(x_grafana_alerting_signature=BARE)):
        with pytest.raises(BadSignature):
            chosen.signature.verify(weaker, [SECRET], RECEIVED_AT)
    old = chosen.signature.sign(request(), SECRET, EPOCH.replace(year=2020))
    with pytest.raises(BadSignature, match="old"):
        chosen.signature.verify(replace(request(), headers=old), [SECRET], RECEIVED_AT)


def test_options_of_other_names_are_refused() -> None:
    """A mistake in the configuration is told with what there is; without options nothing changes."""
    with pytest.raises(ConfigError, match="has no option algorithm; it has header, timestamp_header"):
        SOURCE.configured({"algorithm": "sha1"})
    assert SOURCE.configured({}) is SOURCE


@pytest.mark.parametrize(
    ("name", "type_", "source"),
    [
        ("firing.one", "firing", "https://grafana.aurora.example/"),
        ("mixed", "firing", "https://grafana.aurora.example/"),
        ("rule.no_data", "no_data", "https://grafana.aurora.example/d/harbor?tab=alert&viewPanel=4&orgId=2"),
    ],
)
def test_both_kinds_of_alerting_tell_a_state(name: str, type_: str, source: str) -> None:
    """The alerting of today has a `state` too, in other words: its `status` counts."""
    event = SOURCE.event(delivery("grafana", name).webhook)
    assert (event.type, event.source, event.time) == (type_, source, RECEIVED_AT)


def test_a_body_of_ones_own_making_is_refused() -> None:
    """What has no state at all is told as such."""
    with pytest.raises(BadBody, match="status"):
        SOURCE.event(delivery("grafana", "payload.own").webhook)
