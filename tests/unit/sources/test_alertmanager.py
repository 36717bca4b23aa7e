"""What Alertmanager's deliveries become."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from bridge.errors import BadBody
from bridge.mapping.mapper import Wish
from bridge.model import Webhook
from bridge.sources.alertmanager import SOURCE
from tests.deliveries import MAPPER, RECEIVED_AT, delivery


def wish(webhook: Webhook) -> Wish:
    (only,) = MAPPER.map(SOURCE.event(webhook)).wishes
    return only


def test_what_came_last_holds() -> None:
    """A network that was down: resolved for want of news, then firing with its old `startsAt`."""
    firing, resolved = (delivery("alertmanager", name).webhook for name in ("firing.one", "resolved.one"))
    later = [replace(each, received_at=RECEIVED_AT + timedelta(hours=1)) for each in (resolved, firing)]
    later[1] = replace(firing, received_at=RECEIVED_AT + timedelta(hours=2))
    first, second, third = (wish(each) for each in (firing, *later))
    assert first.global_id == second.global_id == third.global_id
    assert first.time < second.time < third.time


def test_of_one_instant_resolved_holds() -> None:
    """Two bodies within a clock's tick are told apart by the state."""
    firing, resolved = (
        wish(delivery("alertmanager", name).webhook) for name in ("firing.one", "resolved.one")
    )
    assert (firing.time, firing.rank) < (resolved.time, resolved.rank)


def test_an_alert_in_another_group_is_the_same() -> None:
    """Other routes make other groups; the link and the record key stay."""
    sample = delivery("alertmanager", "firing.one")
    other = orjson.dumps({**orjson.loads(sample.body), "groupKey": "{}:{}", "receiver": "other"})
    assert wish(sample.webhook).global_id == wish(replace(sample.webhook, body=other)).global_id
    assert SOURCE.record_key({}, sample.body) == SOURCE.record_key({}, other)


@pytest.mark.parametrize("header", ["Bearer token", "Basic dXNlcjpwYXNzd29yZA=="])
def test_the_token_comes_as_http_config_says(header: str) -> None:
    """`authorization` and `basic_auth` are what Alertmanager has."""
    request = replace(delivery("alertmanager", "firing.one").request, headers={"authorization": header})
    SOURCE.signature.verify(request, [b"token", b"user:password"], RECEIVED_AT)


def test_a_body_of_ones_own_making_is_refused() -> None:
    """What has no state at all is told as such."""
    with pytest.raises(BadBody, match="status"):
        SOURCE.event(delivery("alertmanager", "payload.own").webhook)
