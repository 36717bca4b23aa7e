"""Statuspage: incidents, scheduled maintenances and components of a status page.

## Set up

1. *Subscribers > Options > Settings*: tick *Webhook* among the delivery types, and save.
2. On the public page: *Subscribe to updates > Webhook*. The URL holds the secret, for Statuspage sends no
   header of one's own: `https://BRIDGE/webhooks/statuspage?token=SECRET`. Proxies on the way write it into
   their logs; give this endpoint a secret of its own.

       ingress:
         endpoints:
           statuspage:
             source: statuspage
             secrets: [env:STATUSPAGE_WEBHOOK_TOKEN]

A page of another company's can be subscribed to as well; its incidents name no issues of yours.

## Events

| event | link |
| --- | --- |
| `incident` | the incident or maintenance, on all issues of its name, its updates and its metadata |
| `component_update` | the component, on all issues of its name and description |

No event tells that an incident or a component was deleted. Skipped with a reason: `no_page`, where nothing
tells the page or an address. A body of neither event is refused.

## Links

An incident's title tells its name and status; it is struck through when it is resolved or completed, or
has a post-mortem. A component's link tells its status and is struck through while it is operational. Keys
in names and texts are written in capitals; in the metadata (`metadata.jira.issue_id`) any case will do
for projects that are configured. Each body tells of all updates, so a key that is gone takes the link
off.

The link leads to the incident's short address; without one, to its place on the page, whose address is
that of the link to unsubscribe, or `PAGE.statuspage.io`.

## Signature

None: the token in the URL is all that tells who posts. Nothing names a delivery, so a digest of its body
does. An answer must come within 30 seconds.

## Facts

- https://support.atlassian.com/statuspage/docs/enable-webhook-notifications
- https://developer.statuspage.io/#tag/incidents: the statuses, and the metadata
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/statuspage: bodies

Whether the metadata is a part of the bodies, and how often a failed delivery is repeated, could not be
confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, first
from bridge.sources.signing import Token

TYPES = ("incident", "component_update")


class Statuspage(JsonSource):
    """`bridge.ports.Source` for webhook subscribers of Atlassian Statuspage."""

    kind = "statuspage"
    vendor = "Statuspage"
    signature = Token()
    type_paths = TYPES
    origin = ("page.id", "incident.page_id", "component.page_id")
    home = "https://www.statuspage.io"
    times = (
        "incident.updated_at",
        "incident.incident_updates.0.updated_at",
        "component_update.created_at",
        "component.updated_at",
    )

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:  # noqa: ARG002 - the body tells
        """The name of the object that is there."""
        return next((name for name in TYPES if isinstance(data.get(name), dict)), "")

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """The object's id."""
        places = (
            ("incident.id",) if type_ == "incident" else ("component.id", "component_update.component_id")
        )
        return first(data, places)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:
        """Those of the object; when the body was made only where the object has none."""
        told = [each for each in super().times_of(type_, data) if each is not None]
        return told or [at(data, "meta.generated_at")]


SOURCE = Statuspage()
