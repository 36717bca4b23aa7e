"""incident.io: incidents, and the alerts that lead to them.

## Set up

1. In incident.io: *Settings > Webhooks > Add endpoint*.
2. *Endpoint URL*: `https://BRIDGE/webhooks/incident-io`.
3. *Subscribe to events*: `public_incident.incident_created_v2`, `public_incident.incident_updated_v2`,
   `public_incident.incident_status_updated_v2`; for alerts also `public_alert.alert_created_v1` and
   `public_alert.alert_resolved_v1`. Others are taken and skipped.
4. The *Signing secret* of the new endpoint (`whsec_…`) goes into the configuration:

       ingress:
         endpoints:
           incident-io:
             source: incident-io
             secrets: [env:INCIDENT_IO_WEBHOOK_SECRET]

incident.io repeats a delivery that failed for 24 hours; *Settings > Webhooks* lists them and sends one
again.

## Events

| event | link |
| --- | --- |
| `public_incident.incident_…_v2` (created, updated, status updated) | the incident |
| `public_alert.alert_created_v1`, `public_alert.alert_resolved_v1` | the alert |

Skipped with a reason: a `private_incident`, of whose events only an id is sent; a `test_incident`
(test and tutorial mode); an alert whose sender gave no URL is an `alert_without_address`; a
`follow_up` and an `action`, which have no address of their own. All other events (escalations,
schedules, post-mortems, status pages) are not of interest.

## Links

An incident's title is its reference, name and status: *INC-123 Checkout is slow: Investigating*. It is
struck through when its status is of the category post-incident, closed, declined, merged or cancelled,
and open again when it is reopened. Keys are looked for in the name, in the custom fields, and in the
Jira issue that incident.io itself has exported the incident to; not in the reference, which looks like a
key and is none. A key that leaves the name takes the link off the issue. incident.io tells of no
deletion; an incident that was declared in error is declined, and its link is struck through.

An alert's link leads to where the alert came from, on all issues of its title and attributes; it is
struck through when it is resolved.

What a mapping finds under `body.resource` is the incident, alert, action or follow-up that stands in
the body under the event's own name.

## Signature

As Standard Webhooks, which Svix sends for incident.io: `webhook-signature` holds `v1,` and the
HMAC-SHA256 of `webhook-id.webhook-timestamp.body` in Base64; the timestamp may be 5 minutes off.
`webhook-id` names the delivery, the same when it is sent again.

## Facts

- https://docs.incident.io/integrations/webhooks
- https://docs.incident.io/api-reference/incidents-v2
- https://docs.incident.io/api-reference/alert-v1/created-public
- The address of an incident without a `permalink` is made of its reference's number, as permalinks are;
  that no body lacks one could not be confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, first, parse_object
from bridge.sources.signing import StandardWebhooks


class IncidentIo(JsonSource):
    """`bridge.ports.Source` for incident.io's webhooks."""

    kind = "incident-io"
    vendor = "incident.io"
    signature = StandardWebhooks()
    type_paths = ("event_type",)
    id_header = "webhook-id"
    aliases = {"svix-id": "webhook-id"}  # noqa: RUF012 - a ClassVar of the base
    home = "https://app.incident.io"
    objects = ("resource.id",)
    times = ("resource.updated_at", "resource.resolved_at", "resource.created_at")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as all
        """The body, with the object that stands under the event's name as `resource`. Raises BadBody.

        Receivers have also seen an envelope around it, whose `data` is then what was meant, and the
        plain name `incident`.
        """
        data = parse_object(body)
        inner = data.get("data")
        if isinstance(inner, dict) and first(inner, self.type_paths):
            data = inner
        told = data.get(first(data, self.type_paths))
        resource = at(told, "incident") or told or data.get("incident")
        return {**data, "resource": resource if isinstance(resource, dict) else {}}


SOURCE = IncidentIo()
