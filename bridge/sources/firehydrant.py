"""FireHydrant: incidents and change events.

## Set up

1. In FireHydrant, as an owner: *Settings > Webhooks > + Add webhook*.
2. *URL*: `https://BRIDGE/webhooks/firehydrant`. *Status*: active.
3. *Secret*: a long random text, the same as in the configuration:

       ingress:
         endpoints:
           firehydrant:
             source: firehydrant
             secrets: [env:FIREHYDRANT_WEBHOOK_SECRET]

4. *Event Subscriptions*: Incidents, and Change Events where they are wanted. *Incidents (Private)* too
   only where all readers of the issues may know of them.

## Events

| event | link |
| --- | --- |
| `incident.created`, `incident.updated` | the incident |
| `change_event.created`, `change_event.updated` | the change |

FireHydrant tells an event's resource and operation apart; here they are one type, in small letters.
Skipped with a reason: a change without an attached link is a `change_without_address`; a `signal`, since
an alert of Signals is sent without an address. All other events are not of interest.

## Links

An incident's title is its number, name and milestone: *Incident 602 Checkout is slow: mitigated*. It
is struck through when its milestone is resolved, of the retrospective, or closed, and open again when it
is reopened. Keys are looked for in the name, the labels, the tags and the custom fields. A key that
leaves them takes the link off the issue.

A change's link leads to its first attachment, which is where the system that made the change puts its
own page, on all issues of its summary, labels and identities.

## Signature

`fh-signature`: the HMAC-SHA256 of the raw body in hexadecimal. There is no timestamp and no id of the
delivery: a digest of the body is its name.

## Facts

- https://docs.firehydrant.com/docs/webhooks
- https://docs.firehydrant.com/docs/the-command-center, for the address by an incident's number
- https://github.com/superplanehq/superplane, a receiver of these webhooks
- That an operation `DELETED` is sent, and for what, could not be confirmed; it would take the links off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.bodies import first
from bridge.sources.signing import Hmac


class FireHydrant(JsonSource):
    """`bridge.ports.Source` for FireHydrant's webhooks."""

    kind = "firehydrant"
    vendor = "FireHydrant"
    signature = Hmac("fh-signature")
    type_paths = ("event.resource_type", "event.operation")
    home = "https://app.firehydrant.io"
    times = ("data.incident.updated_at", "data.incident.created_at", "data.updated_at", "data.created_at")

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:  # noqa: ARG002 - as all
        """The resource and what was done to it: `incident.updated`; empty where one is not told."""
        told = [first(data, (path,)) for path in self.type_paths]
        return ".".join(told).lower() if all(told) else ""

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - ids are UUIDs
        """The id of the incident, the alert or the change."""
        return first(data, ("data.incident.id", "data.alert.id", "data.id"))


SOURCE = FireHydrant()
