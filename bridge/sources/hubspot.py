"""HubSpot: tickets, through workflows that send them wholly, or an app's notifications of properties.

## Set up

A workflow sends all of a ticket: its link tells the subject and whether it is closed, and one property
may hold the key. An app's notification tells one property each, and no more than the number of the
ticket: its links tell less, but need no workflow. Choose one of the two, not both for the same tickets.

### With a workflow

Sending webhooks needs *Data Hub* (once *Operations Hub*) *Professional*.

1. *Automation > Workflows > Create workflow > From scratch > Ticket-based*. Trigger: *Ticket is created*,
   and *Property value changed* for *Ticket name*, *Ticket status* and the property that holds keys;
   let tickets enrol again for each.
2. Action *Send a webhook*: *POST*, `https://BRIDGE/webhooks/hubspot`, *Include all ticket properties*.
3. *Authentication type* API key: a key whose value is a long random text, sent in the request header
   `X-Webhook-Token`. *Include request signature in header* does as well; the secret is then the client
   secret of the app whose id you enter.

       ingress:
         endpoints:
           hubspot:
             source: hubspot
             secrets: [env:HUBSPOT_WEBHOOK_TOKEN]

### With an app

1. *Development > Legacy apps* (or *Settings > Integrations > Private apps*) *> your app > Webhooks*. *Target
   URL*: the same. Apps of the developer platform say so in `webhooks-hsmeta.json`.
2. Subscriptions to *Ticket*: *Deleted*, *Merged*, and *Property changed* for *Ticket name* (`subject`) and
   for a property of yours whose name has `jira` in it. Both names of a subscription are read,
   `ticket.propertyChange` and `object.propertyChange`.
3. The secret is the app's *Client secret*. Where the bridge is behind a proxy, `ingress.public_url` must be
   what stands in *Target URL*, for the address is signed too.

## Events

| event | link |
| --- | --- |
| `workflow` | the ticket, on all issues of its subject and of properties with `jira` in their name |
| `notifications`: the property `subject` | the ticket, on all issues of its subject |
| `notifications`: a property with `jira` in its name | a link of its own, on the issues that it names |
| `notifications`: deletion, merge | the links of the tickets that are gone are taken off |

Skipped with a reason: `no_property`, notifications none of which tells a ticket's property or end;
`no_subject`, a workflow's body that leaves out where keys mostly stand, and so would take links off;
`no_ticket`, a workflow's body that tells of an object of another type. Other properties, as
`hs_pipeline_stage`, are not of interest: a notification of one names no issue.

## Links

A ticket's title is its subject. From a workflow it is struck through when the ticket has a date of its
closing, or is in the stage *Closed* of the pipeline that HubSpot begins with; a notification's link never
is. Keys in the subject are written in capitals; in properties any case will do for projects that are
configured, and `jira:abc-12` for all. A key that is gone takes the link off. Restored tickets are
linked again when the next property changes.

Notifications come in lists of up to 100, in any order, and are ordered by the time of each.

## Signature

`X-HubSpot-Signature-v3`: the HMAC-SHA256, in Base64, of the method, the URL, the raw body and
`X-HubSpot-Request-Timestamp` (milliseconds, 5 minutes); some characters of the URL are decoded first.
Without it `X-HubSpot-Signature` of version 2, which HubSpot documents for workflows: the SHA-256, in
hexadecimal, of the secret, the method, the URL and the body. Version 1, which comes beside version 3
only, is not read. Without any of them: the token. Nothing names a delivery that is unique; a digest of
its body does. Failed notifications are repeated up to ten times within 24 hours.

## Facts

- https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
- https://developers.hubspot.com/docs/faq/v2-request-validation
- https://developers.hubspot.com/docs/guides/crm/private-apps/webhooks
- https://developers.hubspot.com/changelog/public-beta-generic-webhook-subscriptions
- https://developers.hubspot.com/docs/methods/workflows/webhook_information
- https://developers.hubspot.com/docs/methods/tickets/tickets-overview: a ticket, as workflows send it
- https://github.com/HubSpot/hubspot-api-python: `tests/spec/utils/test_signature.py`, known answers

Whether the date of closing goes when a ticket is opened again could not be confirmed, nor whether a list
may tell of several accounts; it is taken for one account's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from bridge.model import Request
from bridge.sources.base import JsonSource
from bridge.sources.bodies import first, parse_batch, parse_object, text
from bridge.sources.signing import Either, TimedHmac, Token, accept, header

TICKETS = "0-5"
"""The type of tickets in notifications whose name is the same for all types."""

# https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/request-validation
_DECODED = re.compile("%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


def _method_and_url(request: Request) -> bytes:
    url = _DECODED.sub(lambda found: unquote(found[0]), request.url)
    return f"{request.method}{url}".encode("utf-8", "replace")


@dataclass(frozen=True)
class _Version2:
    """A plain hash with the secret before the message.

    Whoever has seen one can append to its body, but only after bytes that are no UTF-8, and so no JSON.
    """

    described = "x-hubspot-signature: SHA-256 of secret+method+URL+body, hex"
    headers = ("x-hubspot-signature",)

    def check(self, secret: bytes) -> None:
        """Any secret will do."""

    def verify(self, request: Request, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - no time
        """Raise BadSignature unless one of `secrets` makes the hash."""
        accept([header(request, self.headers[0]).strip()], (self._hash(request, each) for each in secrets))

    def sign(self, request: Request, secret: bytes, now: datetime) -> dict[str, str]:  # noqa: ARG002 - no time
        """The header."""
        return {self.headers[0]: self._hash(request, secret)}

    def _hash(self, request: Request, secret: bytes) -> str:
        message = secret + request.method.encode() + request.url.encode("utf-8", "replace") + request.body
        return hashlib.sha256(message).hexdigest()


class HubSpot(JsonSource):
    """`bridge.ports.Source` for workflows' webhooks and apps' notifications."""

    kind = "hubspot"
    vendor = "HubSpot"
    signature = Either(
        TimedHmac(
            "x-hubspot-signature-v3",
            "x-hubspot-request-timestamp",
            message=lambda request, sent: _method_and_url(request) + request.body + sent,
            signed="method+URL+body+timestamp",
            encoding="base64",
            unit="ms",
        ),
        _Version2(),
        Token(),
    )
    home = "hubspot"
    origin = ("ticket.portalId", "events.0.portalId")
    # A list tells of many tickets: they share their account's key.
    objects = origin

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as the base
        """Notifications as `events`, or a workflow's `ticket`. Raises BadBody.

        Beside `events` stand those which tell a ticket's property (`changed`) and the tickets that are
        no more (`gone`). A ticket's properties are its values by name, and those with `jira` in their
        name stand in `jira` too.
        """
        if body.lstrip()[:1] == b"[":
            return _sorted_out(parse_batch(body)["events"])
        data = parse_object(body)
        return _sorted_out([data]) if _type_of(data) else {"ticket": _plain(data)}

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:  # noqa: ARG002 - the form tells
        """`workflow` or `notifications`."""
        return "workflow" if "ticket" in data else "notifications"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - both tell their account
        """The account's number."""
        return first(data, self.origin)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:
        """When the latest notification's event was, or when the latest property changed."""
        if type_ == "workflow":
            yield from data["ticket"]["times"]
        else:
            yield from (each.get("occurredAt") for each in data["events"])


def _type_of(event: dict[str, Any]) -> str:
    return text(event.get("subscriptionType")) or text(event.get("eventType"))


def _sorted_out(events: list[dict[str, Any]]) -> dict[str, Any]:
    told = [(_what(each), each) for each in events]
    changed = [each for what, each in told if what == "propertyChange" and text(each.get("propertyName"))]
    return {"events": events, "changed": changed, "gone": [gone for each in told for gone in _gone(*each)]}


def _what(event: dict[str, Any]) -> str:
    """What has happened to a ticket, empty for all else."""
    kind, _, what = _type_of(event).partition(".")
    is_ticket = kind == "ticket" or (kind == "object" and event.get("objectTypeId") == TICKETS)
    return what if is_ticket else ""


def _gone(what: str, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The tickets that an event has ended: deleted ones, and those that are a part of another now."""
    ids: list[object] = []
    if what == "deletion":
        ids = [event.get("objectId")]
    if what == "merge":
        merged = event.get("mergedObjectIds")
        parts = [*(merged if isinstance(merged, list) else ()), event.get("primaryObjectId")]
        # A merge may make a third ticket of the two.
        ids = [each for each in parts if text(each) != (text(event.get("newObjectId")) or text(parts[-1]))]
    yield from ({**event, "objectId": each} for each in ids if text(each))


def _plain(ticket: dict[str, Any]) -> dict[str, Any]:
    """A workflow's ticket: `{"value": …}` is its value; a template of one's own has them flat."""
    told = ticket.get("properties")
    if not isinstance(told, dict):
        told = ticket
    values = {name: each.get("value") if isinstance(each, dict) else each for name, each in told.items()}
    times = [each.get("timestamp") for each in told.values() if isinstance(each, dict)]
    jira = [each for name, each in values.items() if "jira" in name.lower()]
    changed = values.get("hs_lastmodifieddate")
    return {**ticket, "properties": values, "jira": jira, "times": [changed, *times]}


SOURCE = HubSpot()
