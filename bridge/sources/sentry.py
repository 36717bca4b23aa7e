"""Sentry: issues and alerts, as an internal integration tells of them.

## Set up

1. *Settings > Developer Settings > Create New Integration > Internal Integration*; newer versions call
   the settings *Custom Integrations*.
2. *Webhook URL*: `https://BRIDGE/webhooks/sentry`. *Permissions*: *Issue & Event*: Read. *Webhooks*: `issue`.
   For alerts, turn on *Alert Rule Action*, and choose the integration as an action of the alerts.
3. The integration's *Client Secret* is the endpoint's secret:

       ingress:
         endpoints:
           sentry:
             source: sentry
             secrets: [env:SENTRY_CLIENT_SECRET]

The older *WebHooks* plugin of a project works too. It signs nothing: add `?token=SECRET` to its URL.

## Events

| event | link |
| --- | --- |
| `issue.created`, `.resolved`, `.assigned`, `.archived` (once `.ignored`), `.unresolved` | the issue |
| `activity_alert.triggered` | the issue that something was done about |
| `event_alert.triggered`, and `plugin` (the older plugin's) | the issue that the event belongs to |
| `metric_alert.critical`, `.warning`, `.resolved` | one an alert, which each of its incidents changes |

Skipped with a reason: `error`, one event of many; `comment`, which has no address; `installation`; and
`no_address`, where the body tells none, as older versions do for issues. That an issue is
deleted is told by no event.

## Links

An issue's link is struck through when it is resolved; an archived one says so. Keys are looked for in the
title, and in the links that Sentry shows beside an issue: those that its own integration for Jira makes.
An alert names further issues in its name and settings, and in the event's message and tags; these follow
the state of the Sentry issue only as far as its title or links name them too. Sentry's short ids, as
`PORTAL-9`, are no keys.

Sentry tells the time of what happened for some events only, so the newest is the one that was sent last.

## Signature

`Sentry-Hook-Signature`: the HMAC-SHA256 of the raw body in hexadecimal. The time of sending in
`Sentry-Hook-Timestamp` is not signed. `Request-ID` names a delivery; a delivery that is sent again has
another.

## Facts

- https://docs.sentry.io/organization/integrations/integration-platform/webhooks/ and the pages below it
- https://github.com/getsentry/sentry: `app_platform_event.py`, for the headers and the envelope
- https://github.com/getsentry/integration-platform-example, which verifies and reads them
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/sentry/fixtures, for what was sent in 2020
- Sentry publishes no known answer of its signature. An address of the API is turned into that of the
  page by its documented form where no `web_url` is told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.model import Webhook
from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, first, site, text
from bridge.sources.signing import Either, Hmac, Token
from bridge.times import parse_time

_RESOURCES = (
    ("activity", "activity_alert"),
    ("metric_alert", "metric_alert"),
    ("issue_alert", "event_alert"),
    ("event", "event_alert"),
    ("error", "error"),
    ("comment_id", "comment"),
    ("issue", "issue"),
    ("installation", "installation"),
)
"""What the resource is by a member of `data`, where no header tells it."""

_ISSUE = re.compile(r"/issues/([0-9]+)/", re.ASCII)


class Sentry(JsonSource):
    """`bridge.ports.Source` for the webhooks of Sentry's integrations, and of its older plugin."""

    kind = "sentry"
    vendor = "Sentry"
    signature = Either(Hmac("sentry-hook-signature"), Token())
    type_paths = ("action",)
    kept = ("request-id", "sentry-hook-resource", "sentry-hook-timestamp")
    origin = (
        *("data.issue.web_url", "data.issue.permalink", "data.issue.url", "data.issue.project_url"),
        *("data.event.web_url", "data.event.url", "data.error.web_url", "data.web_url", "url"),
    )
    home = "https://sentry.io"

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The request's id; the older plugin has none."""
        return headers.get("request-id") or super().delivery_id(headers, body)

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        """`<resource>.<action>`, or `plugin`."""
        action, told = text(data.get("action")), data.get("data")
        if not action:
            return "plugin" if "project_name" in data or "project_slug" in data else ""
        members = told if isinstance(told, dict) else {}
        found = next((resource for member, resource in _RESOURCES if member in members), "")
        return f"{headers.get('sentry-hook-resource') or found}.{action}"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - the base's
        """The issue, be it told by itself or by an event of it; or the alert."""
        named = _ISSUE.search(text(at(data, "data.event.issue_url")))
        return (
            first(data, ("data.issue.id", "data.event.issue_id"))
            or (named[1] if named else "")
            or first(data, ("data.metric_alert.alert_rule.id", "data.metric_alert.id", "id"))
        )

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:
        """The host of Sentry; an organisation may be seen under a name of its own, and the API elsewhere."""
        told = site(super().origin_of(webhook, data))
        return told if told and not told.endswith(("//sentry.io", ".sentry.io")) else self.home

    def default_time(self, webhook: Webhook) -> datetime:
        """When it was sent."""
        return parse_time(webhook.headers.get("sentry-hook-timestamp")) or webhook.received_at


SOURCE = Sentry()
