"""What sources share."""

from __future__ import annotations

import pytest

from bridge.sources.base import site


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
