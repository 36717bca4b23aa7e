"""Rootly: incidents, scheduled maintenance, and alerts.

## Set up

1. In Rootly: *Settings > Webhooks > New Webhook*.
2. *URL*: `https://BRIDGE/webhooks/rootly`.
3. *Event types*: all that begin with `incident.`, and with `alert.` where alerts are wanted. Others are
   taken and skipped.
4. The *Secret* that the webhook's page shows goes into the configuration:

       ingress:
         endpoints:
           rootly:
             source: rootly
             secrets: [env:ROOTLY_WEBHOOK_SECRET]

## Events

| event | link |
| --- | --- |
| `incident.…` (created, updated, in triage, mitigated, resolved, cancelled, deleted) | the incident |
| `incident.scheduled.…` (created, updated, in progress, completed, deleted) | the maintenance |
| `alert.created` and the other `alert.` events | the alert |

Skipped with a reason: a `test_incident` (Rootly's kinds test and example); an `action` of an edge
connector, which tells an id alone; an alert without a URL and a short id is an `alert_without_address`.
All other events (timeline, retrospectives, workflows, pulses, status pages) are not of interest.

## Links

An incident's title is its number, title and status: *Incident 19 Checkout is slow: mitigated*. It is
struck through when it is resolved, closed, cancelled or completed. Keys are looked for in the title, in
the labels, and in the Jira issue that Rootly itself has made for the incident. A key that leaves the
title takes the link off the issue, and so does a deletion. A private incident has no links, since an
issue has more readers; to link it all the same, lay a mapping of your own over this one:

    extends: rootly
    rules:
      incident:
        delete_when: event.type == 'incident.deleted' || event.type == 'incident.scheduled.deleted'
    tests:
      - name: a private incident is linked
        type: incident.created
        payload: {data: {id: 7, title: ABC-1 is slow, private: true, url: "https://rootly.com/account/incidents/7"}}
        changes: [{action: set, issues: [ABC-1]}]

An alert's link leads to where the alert came from, or to its page at Rootly, on all issues of its summary
and labels; it is struck through when it has ended.

## Signature

`X-Rootly-Signature`: `t=` and a timestamp, `v1=` and the HMAC-SHA256 of the timestamp and the raw body,
with nothing between them, in hexadecimal; the timestamp may be 5 minutes off. `event.id` in the body
names the delivery.

## Facts

- https://docs.rootly.com/configuration/webhooks
- https://docs.rootly.com/configuration/event-payloads
- https://github.com/rootlyhq/rootly-mcp-server, for an alert's address by its short id
- That Rootly gives no window for the timestamp, what it sends of a private incident, and which of its
  `alert.` events beside `alert.created` webhooks can have could not be confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.model import Request
from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, parse_object
from bridge.sources.signing import TimedHmac


def _message(request: Request, sent: bytes) -> bytes:
    return sent + request.body


class Rootly(JsonSource):
    """`bridge.ports.Source` for Rootly's outgoing webhooks."""

    kind = "rootly"
    vendor = "Rootly"
    signature = TimedHmac("x-rootly-signature", "t", _message, "timestamp and body", field="v1")
    # Rootly's edge connectors hand on the same objects with the event's parts beside them.
    type_paths = ("event.type", "event_type", "type")
    id_paths = ("event.id", "event_id")
    home = "https://rootly.com"
    objects = ("data.id",)
    times = ("event.issued_at", "timestamp", "data.updated_at", "data.created_at")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as all
        """The body; an object in the form of Rootly's API (JSON:API) is made flat. Raises BadBody."""
        data = parse_object(body)
        attributes = at(data, "data.attributes")
        if isinstance(attributes, dict):
            data["data"] = {**attributes, "id": at(data, "data.id")}
        return data


SOURCE = Rootly()
