"""PagerDuty: incidents through their life, and the issues that notes and custom fields name.

## Set up

1. In PagerDuty: *Integrations > Generic Webhooks (v3) > New Webhook*.
2. *Webhook URL*: `https://BRIDGE/webhooks/pagerduty`. *Scope*: the account, a team or a service.
3. *Event Subscription*: the `incident.*` events of the table below; others are taken and skipped.
4. *Add Webhook* shows the signing secret once. It goes into the configuration:

       ingress:
         endpoints:
           pagerduty:
             source: pagerduty
             secrets: [env:PAGERDUTY_WEBHOOK_SECRET]

   A second webhook has a secret of its own: add it to the list.
5. *Send Test Event* on the webhook's page sends a `pagey.ping`.

An extension of the old kinds (V2, V1) signs nothing. Give it a custom header `X-Webhook-Token`, or a user and
a password in its URL, and put `user:password` or the token among the secrets.

## Events

| event | link |
| --- | --- |
| `incident.triggered`, `.acknowledged`, `.resolved`, … | the incident, on all issues of its title |
| `incident.custom_field_values.updated` | its fields, on all issues that one names |
| `incident.annotated` (`annotate`), `.status_update_published` | its notes, on all issues that one names |
| `incident.trigger`, `acknowledge`, `resolve` and the others of V2 and V1 | the incident, as above |

The first row is all events that carry the incident: also `unacknowledged`, `reassigned`, `delegated`,
`priority_updated`, `service_updated`, `incident_type.changed` and `reopened`.

Skipped with a reason: `ping`, a test; `incident_part`, an event of responders, roles, tasks, workflows,
automation or the conference bridge, which does not tell how the incident stands; `service`, since a
service is no incident.

## Links

An incident is struck through when it is resolved, and no longer when it is reopened. Its title tells the
state. A key that leaves the title takes the link off the issue.

PagerDuty's events of notes and fields tell neither the incident's title for sure nor its state, and its
events of the state tell neither notes nor fields. So what a note or a field names is a link of its own,
which is never struck through: one an incident for all its fields, one for all its notes. PagerDuty
deletes no incident; one that is merged into another is resolved.

## Signature

`X-PagerDuty-Signature`: `v1=` and the HMAC-SHA256 of the raw body in hexadecimal, several with commas
while a secret is rotated. There is no timestamp. `event.id` names the event, also where two webhooks
send it. PagerDuty waits 5 s, tries again for 48 hours after a timeout, 429 or 5xx, and drops what is
answered with another 4xx; after three in a row it is silent for 24 hours. It keeps the order of an
incident's events.

## Facts

- https://developer.pagerduty.com/docs/webhooks-overview
- https://developer.pagerduty.com/docs/webhooks-behavior
- https://developer.pagerduty.com/docs/verifying-webhook-signatures
- https://developer.pagerduty.com/docs/v2-webhooks-overview
- https://github.com/PagerDuty/developer-docs/blob/main/docs/webhooks/10-V1-Overview.md
- https://github.com/PagerDuty/go-pagerduty/blob/main/webhookv3/webhookv3_test.go

The body of `pagey.ping` is not documented; it was seen in public receivers.
"""

from __future__ import annotations

from typing import Any

from bridge.model import Webhook
from bridge.sources.base import JsonSource
from bridge.sources.bodies import first, site
from bridge.sources.signing import Either, Hmac, Token

_INCIDENTS = (
    "event.data.incident",
    "event.data.incident_role_assignments.0.incident",
    "event.data",
    "messages.0.incident",
    "messages.0.data.incident",
)
"""Where the incident stands: in a part of one, itself, or in a message of V2 or V1."""


class PagerDuty(JsonSource):
    """`bridge.ports.Source` for PagerDuty's webhooks: V3, and V2 and V1 before it."""

    kind = "pagerduty"
    vendor = "PagerDuty"
    signature = Either(Hmac("x-pagerduty-signature", prefix="v1=", several=True), Token())
    type_paths = ("event.event_type", "messages.0.event", "messages.0.type")
    id_paths = ("event.id", "messages.0.id")
    home = "https://www.pagerduty.com"
    times = ("event.occurred_at", "messages.0.created_on")

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - one place for all types
        """The incident's id, or that of what else the event is about."""
        return first(data, (f"{path}.id" for path in _INCIDENTS))

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002
        """The account's address: `https://acme.pagerduty.com`."""
        return site(first(data, (f"{path}.html_url" for path in _INCIDENTS))) or self.home


SOURCE = PagerDuty()
