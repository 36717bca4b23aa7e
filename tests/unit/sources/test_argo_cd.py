"""What the notifications of Argo CD become, whoever wrote their template."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson
import pytest

from bridge.errors import BadBody
from bridge.model import Webhook
from bridge.sources.argo_cd import SOURCE
from bridge.sources.base import page
from bridge.sources.bodies import at
from tests.deliveries import RECEIVED_AT, delivery

PAGE = "https://argo.example/applications/harbor"


def application(body: dict[str, Any]) -> Any:
    """What the source takes for the application."""
    webhook = Webhook("main", "argo-cd", "d-1", {}, orjson.dumps(body), RECEIVED_AT)
    return SOURCE.event(webhook).data["app"]


@pytest.mark.parametrize(
    "body",
    [
        {"app": {"metadata": {"name": "harbor"}}},
        {"application": {"metadata": {"name": "harbor"}}},
        {"kind": "Application", "metadata": {"name": "harbor"}},
        {"app": "harbor"},
        {"application": {"name": "harbor"}},
        {"app_name": "harbor"},
        {"applicationName": "harbor"},
        {"name": "harbor"},
    ],
)
def test_the_name_stands_where_templates_put_it(body: dict[str, Any]) -> None:
    """The whole application, a part of it, or a single field."""
    assert at(application(body), "metadata.name") == "harbor"


@pytest.mark.parametrize(
    ("told", "path", "state"),
    [
        ({"status": "Synced"}, "status.sync.status", "Synced"),
        ({"sync_status": "OutOfSync"}, "status.sync.status", "OutOfSync"),
        ({"status": "Succeeded"}, "status.operationState.phase", "Succeeded"),
        ({"state": "success"}, "status.operationState.phase", "Succeeded"),
        ({"phase": "Running"}, "status.operationState.phase", "Running"),
        ({"status": {"health": {"status": "Degraded"}}}, "status.health.status", "Degraded"),
        ({"health": "Progressing"}, "status.health.status", "Progressing"),
        ({"healthStatus": "Healthy"}, "status.health.status", "Healthy"),
        ({"healthStatus": "Unknown"}, "status.health.status", "Unknown"),
        ({"syncStatus": "Unknown"}, "status.sync.status", "Unknown"),
    ],
)
def test_a_state_is_known_by_its_word(told: dict[str, Any], path: str, state: str) -> None:
    """`status` may be that of the operation, the synchronisation or the health."""
    assert at(application({"app": "harbor", **told}), path) == state


def test_the_template_on_the_page_makes_the_samples() -> None:
    """What the page gives to paste has the members of the sample, when its placeholders are filled."""
    text = page(SOURCE).partition("body: |")[2].partition("trigger.jira-bridge")[0]
    filled = re.sub(r"{{(?!-)[^}]*}}", "null", re.sub(r"{{-[^}]*}}", "", text))
    told = json.loads(filled)
    sample = delivery("argo-cd", "application.deployed").sample["request"]["body"]
    assert told.keys() == sample.keys()
    assert {name: told["app"][name].keys() for name in ("spec", "status")} == {
        name: sample["app"][name].keys() for name in ("spec", "status")
    }


@pytest.mark.parametrize(
    ("told", "url", "home"),
    [
        ({"argocdUrl": "https://argo.example/"}, "", "https://argo.example"),
        ({"context": {"argocdUrl": "https://argo.example"}}, "", "https://argo.example"),
        ({"appUrl": PAGE}, PAGE, ""),
        ({"TargetUrl": PAGE}, PAGE, ""),
        ({"annotations": {"url": PAGE}}, PAGE, ""),
        ({"argocd_url": PAGE}, PAGE, PAGE),
    ],
)
def test_the_page_stands_where_templates_put_it(told: dict[str, Any], url: str, home: str) -> None:
    """The page of the application, or the address of Argo CD, under whose name some have the page."""
    data = SOURCE.parse({}, orjson.dumps({"app": "harbor", **told}))
    assert (data["url"], data["argocdUrl"]) == (url, home)


def test_without_a_name_it_is_no_application() -> None:
    """A body that is made for others is rejected with its reason."""
    with pytest.raises(BadBody, match=r"app\.metadata\.name"):
        application({"state": "success", "context": "continuous-delivery/harbor"})
