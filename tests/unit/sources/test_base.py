"""What sources share."""

from __future__ import annotations

import pytest

from bridge.errors import ConfigError
from bridge.model import Webhook
from bridge.sources.base import SitedJson, site, snake
from tests.deliveries import RECEIVED_AT


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
