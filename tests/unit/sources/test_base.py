"""What sources share."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest

from bridge.errors import BadBody, ConfigError
from bridge.model import Webhook
from bridge.sources.base import short
from bridge.sources.bodies import site, snake
from bridge.sources.options import SitedJson
from tests.deliveries import RECEIVED_AT, SOURCES, deliveries


@pytest.mark.parametrize(
    "address",
    [
        "acme.zendesk.com",
        "acme.zendesk.com/agent/tickets/7",
        " https://ACME.zendesk.com/ ",
        "https://acme.zendesk.com?x=1",
    ],
)
def test_a_site_is_an_addresss_host(address: str) -> None:
    """Systems tell their addresses with or without a scheme; it is https then."""
    assert site(address) == "https://acme.zendesk.com"


@pytest.mark.parametrize(
    "address", [None, 7, "", "acme", "javascript:alert(1)", "https://a:b@acme.com", "//acme.com", "ftp://a.b"]
)
def test_what_has_no_hosts_name_is_no_site(address: object) -> None:
    """Neither a word nor another scheme nor a user's name is taken for a host."""
    assert site(address) == ""


def test_a_site_keeps_its_port() -> None:
    """A system behind another port is another."""
    assert site("https://desk.example:8443/x") == "https://desk.example:8443"


def test_a_site_keeps_its_scheme() -> None:
    """What runs within a company's walls may have no certificate, nor a name with a dot."""
    assert site("http://desk/x") == "http://desk"


class Sited(SitedJson):
    """A vendor whose bodies do not tell the account."""

    kind = "sited"
    vendor = "Sited"
    place = "x-sited-url"
    home = "sited"


@pytest.mark.parametrize(
    ("options", "headers", "told"),
    [
        ({}, {}, ""),
        ({}, {"x-sited-url": "acme.example"}, "https://acme.example"),
        ({"url": "https://acme.example/x"}, {}, "https://acme.example"),
        ({"url": "acme.example"}, {"x-sited-url": "evil.example"}, "https://acme.example"),
    ],
)
def test_an_endpoint_tells_the_site(options: dict[str, str], headers: dict[str, str], told: str) -> None:
    """The option travels with the body, and beats what a sender says."""
    kept = Sited().configured(options).keep(headers, b"{}")
    assert Sited().told_site(Webhook("main", "sited", "d-1", kept, b"{}", RECEIVED_AT)) == told


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"uri": "acme.example"}, "the source sited has no option uri; it has url"),
        ({"url": "acme"}, "option url: expected the address of your account at Sited"),
    ],
)
def test_a_site_must_be_one(options: dict[str, str], fault: str) -> None:
    """An endpoint says so when it is read, not when the first delivery comes."""
    with pytest.raises(ConfigError, match=fault):
        Sited().configured(options)


def test_names_are_written_in_one_way() -> None:
    """Templates have no rule for it."""
    told = {"ticketId": 1, "short_description": 2, "U_Jira": 3, "URL": 4}
    assert snake(told) == {"ticket_id": 1, "short_description": 2, "u_jira": 3, "url": 4}


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_a_body_makes_no_long_names(kind: str) -> None:
    """A key, a header or an id as long as a body would fit into no record, and stay in the ledger."""
    long = "a" * 100_000
    for each in deliveries(kind):
        source = SOURCES[kind]
        data = orjson.loads(each.body) if each.body.startswith(b"{") else {}
        body = orjson.dumps({**_lengthened(data, long), "type": long, "action": long})
        kept = source.keep(each.headers, body)
        names = [*kept.values(), source.delivery_id(kept, body), source.record_key(kept, body)]
        with suppress(BadBody):
            event = source.event(replace(each.webhook, headers=kept, body=body, delivery_id="1"))
            names += [event.source, event.type, event.subject or ""]
        assert max(map(len, names)) < 1_000


def _lengthened(value: Any, long: str) -> Any:
    if isinstance(value, dict):
        return {name: _lengthened(each, long) for name, each in value.items()}
    if isinstance(value, list):
        return [_lengthened(each, long) for each in value[:1]]
    return f"{value}{long}" if isinstance(value, str | int) else value


def test_long_names_stay_apart() -> None:
    """What is cut ends in a digest of the whole."""
    assert short("a" * 500) == "a" * 500
    assert len({short("a" * 501), short("a" * 502), short("a" * 500)}) == 3


@pytest.mark.parametrize("kind", ["hmac", "standard-webhooks", "token"])
def test_a_sender_cannot_say_what_an_option_would(kind: str) -> None:
    """A body that was recorded would be news again with `bridge-time` beside it, which nobody signs."""
    sent = {"bridge-time": "2099-01-01T00:00:00Z", "bridge-type": "x", "bridge-object": "y"}
    assert SOURCES[kind].keep(sent, b"{}") == {}
    chosen = SOURCES[kind].configured({"time": "at"})
    assert chosen.keep(sent, b'{"at": "2026-03-02"}') == {"bridge-time": "2026-03-02"}
