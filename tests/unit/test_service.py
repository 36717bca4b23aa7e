"""The composition root: what a site allows, and what makes a process unready."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.kafka.cluster import Cluster
from bridge.parts import allowance, cluster
from bridge.service import Role, Service
from bridge.settings import Settings, Site
from bridge.state.pace import Allowance, Window, per_second

CLOUD = Allowance(
    issue=(Window(20, 2.0), Window(100, 30.0)),
    method={
        name: per_second(rate) for name, rate in {"GET": 100, "POST": 100, "PUT": 50, "DELETE": 50}.items()
    },
)
"""https://developer.atlassian.com/cloud/jira/platform/rate-limiting/"""


@pytest.mark.parametrize(
    ("limit", "allowed"),
    [
        ("cloud", CLOUD),
        ({}, CLOUD),
        ("none", Allowance()),
        ("7", Allowance(issue=CLOUD.issue, site=per_second(7.0))),
        (
            {
                "issue": [[1, 3]],
                "per_second": {"get": None, "put": None, "delete": 5},
                "points_per_hour": 65_000,
            },
            Allowance(
                (Window(1, 3.0),), {"POST": per_second(100.0), "DELETE": per_second(5.0)}, points=65_000
            ),
        ),
    ],
)
def test_a_sites_limit(limit: Any, allowed: Allowance) -> None:
    """Jira Cloud's documented limits, none, one rate, or each as it is set."""
    site = Site.model_validate({"url": "https://jira.example", "auth": "anonymous", "limit": limit})
    assert allowance(site) == allowed


@pytest.mark.parametrize("state", ["circuit_open", "site_halted"])
def test_a_circuit_that_is_not_closed_makes_the_process_unready(state: str) -> None:
    """Readiness names the site and says why, until the site answers again."""
    service = Service(Settings(), Role.WORKER, observe=lambda *_, **__: None)
    service._tell(state, site="main", code="jira_unavailable", error="503", seconds=1.0)
    condition = service.health.ready()["jira main"]
    assert (condition.ok, condition.reason) == (False, f"{state}: 503")
    service._tell("circuit_half_open", site="main")
    assert not service.health.ready()["jira main"].ok
    service._tell("circuit_closed", site="main")
    assert service.health.ready()["jira main"].ok


def test_kafka_is_reached_as_the_configuration_says() -> None:
    """Addresses and login are the settings', for the worker and for the commands alike."""
    login = {
        "protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "username": "bridge",
        "password": "hush",
    }
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": "a:1,b:2", "security": login}})
    assert cluster(settings) == Cluster("a:1,b:2", "SASL_SSL", "SCRAM-SHA-512", "bridge", "hush")
    assert cluster(Settings()) == Cluster("localhost:9092")
