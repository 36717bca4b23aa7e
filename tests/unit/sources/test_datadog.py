"""What Datadog's deliveries become."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from bridge.model import Event, Webhook
from bridge.sources.base import page
from bridge.sources.datadog import SOURCE
from tests.deliveries import RECEIVED_AT, delivery


def event(**data: Any) -> Event:
    return SOURCE.event(Webhook("main", "datadog", "d-1", {}, orjson.dumps(data), RECEIVED_AT))


@pytest.mark.parametrize(
    ("told", "type_"),
    [
        ("Triggered", "Triggered"),
        ("Re-Triggered", "Re-Triggered"),
        ("re-no data", "Re-No Data"),
        ("Renotify", "Renotify"),
        ("Recovered", "Recovered"),
        ("Warn Recovered", "Recovered"),
        ("Null", "query_alert_monitor"),
    ],
)
def test_the_type_is_the_transition(told: str, type_: str) -> None:
    """It is spelt in one way; what is no transition leaves the type of the event."""
    assert event(alert_transition=told, event_type="query_alert_monitor").type == type_
    assert event(alert={"transition": told}, event_type="query_alert_monitor").type == type_


@pytest.mark.parametrize(
    ("title", "type_", "subject"),
    [
        ("[Triggered on {host:web-12}] Load", "Triggered", "name:Load/host:web-12"),
        ("[P1] [Re-Warn] Load", "Re-Warn", "name:Load/*"),
        ("[No data] Load", "No Data", "name:Load/*"),
        ("[Recovered on {a:b,c:d}] [ABC-12] Load", "Recovered", "name:[ABC-12] Load/a:b,c:d"),
        ("[P3] [TEST] [Triggered] Load", "Triggered", "name:Load/*"),
        ("[Triggered] [TEST] Load", "Triggered", "name:Load/*"),
        ("Load [Triggered]", "user", ""),
    ],
)
def test_the_title_tells_what_no_field_does(title: str, type_: str, subject: str) -> None:
    """Datadog's own payload has no transition, no monitor and no group."""
    found = event(title=title, event_type="user")
    assert (found.type, found.subject) == (type_, subject)


@pytest.mark.parametrize(
    ("data", "subject"),
    [
        ({"alert_id": "7", "alert_scope": "host:a", "alert_cycle_key": "9"}, "7/host:a"),
        ({"alert_id": 7, "alert_scope": ""}, "7/*"),
        ({"monitor_id": "7", "scopes": "host:a"}, "7/host:a"),
        ({"alert": {"id": "7", "scope": "host:a"}}, "7/host:a"),
        ({"alert_cycle_key": "9"}, "cycle:9"),
        ({"body": "[x](https://app.datadoghq.com/monitors/7?from_ts=1&group=host%3Aa&to_ts=2)"}, "7/host:a"),
        ({"body": "[x](https://app.datadoghq.com/monitors/7/edit)"}, "7/*"),
        ({"body": "[x](https://app.datadoghq.com/monitors#7?)"}, "7/*"),
        ({}, ""),
    ],
)
def test_the_subject_is_the_monitors_group(data: dict[str, Any], subject: str) -> None:
    """As far as it is told; the cycle counts where no monitor is."""
    assert event(alert_transition="Triggered", **data).subject == subject


def test_a_monitor_is_the_same_in_every_payload() -> None:
    """Who changes the payload keeps the links: they go by the monitor and the group."""
    names = ("default.triggered", "default.recovered", "keep.recovered")
    keys = {SOURCE.record_key({}, delivery("datadog", name).body) for name in names}
    assert keys == {"datadog/160078/service:harbor"}


@pytest.mark.parametrize("name", ["triggered", "default.triggered", "keep.recovered", "variables.triggered"])
def test_the_site_is_that_of_the_links(name: str) -> None:
    """An organisation is on one of Datadog's sites; without a link it is taken for the first."""
    webhook = delivery("datadog", name).webhook
    assert SOURCE.event(webhook).source == "https://app.datadoghq.eu"
    assert (
        SOURCE.event(replace(webhook, body=b'{"event_type": "user"}')).source == "https://app.datadoghq.com"
    )


def test_the_page_gives_a_payload_that_is_read() -> None:
    """The template on the page, filled in, comes to an event with everything that can be told."""
    lines = page(SOURCE).partition("       {\n")[2].partition("       }\n")[0]
    template = orjson.loads("{" + lines + "}")
    filled = {name: f"${name}" for name in template if isinstance(template[name], str)}
    assert filled.keys() == template.keys() - {"org"}
    found = event(**{**template, "alert_transition": "Triggered", "date": "1772442000000"})
    assert (found.type, found.subject) == ("Triggered", "$ALERT_ID/$ALERT_SCOPE")
    assert found.time.isoformat() == "2026-03-02T09:00:00+00:00"


def test_a_title_of_marks_alone_has_a_key() -> None:
    """Ingress reads it while others wait: of many marks the first few are looked at."""
    body = orjson.dumps({"title": "[P1]" * 220_000})
    assert SOURCE.record_key({}, body).startswith("datadog/")
