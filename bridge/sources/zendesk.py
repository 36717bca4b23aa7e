"""Zendesk: tickets, through webhooks that subscribe to events and through triggers and automations.

## Set up

A webhook of Zendesk's is connected in one of two ways, for good. Events need no template, but their
bodies hold no custom fields; a trigger sends what its template names. Choose a trigger where the issue's
key stands in a custom field.

For both: *Admin Center > Apps and integrations > Actions and webhooks > Webhooks > Create webhook*.

### With events

1. *Zendesk events*: all of *Ticket*: at least created, subject changed, status changed, tags changed,
   external ID changed, soft deleted, undeleted, permanently deleted, merged.
2. *Endpoint URL*: `https://BRIDGE/webhooks/zendesk`. *Request method* POST, *Request format* JSON,
   *Authentication* none.
3. Create the webhook, then *Reveal secret* on its page: that is the secret of the configuration. `url` is
   the address of your account, which no event tells; without it no link can be made.

       ingress:
         endpoints:
           zendesk:
             source: zendesk
             secrets: [env:ZENDESK_WEBHOOK_SECRET]
             options: {url: "https://acme.zendesk.com"}

   Where one endpoint serves several accounts, give each webhook the custom header `X-Zendesk-URL` instead.

*Test webhook*, before the webhook exists, signs with a secret that is the same for everyone. Test it
afterwards; never list that secret.

### With a trigger or an automation

1. *Trigger or automation*; the URL, the method, the format and the secret as above. `url` is not needed.
2. *Objects and rules > Business rules > Triggers > Create trigger*. Conditions: *Ticket > is > Created* or
   *Ticket > is > Updated* (under *any*). Action: *Notify by > Active webhook*, and this JSON:

       {
         "ticket": {
           "id": "{{ticket.id}}",
           "title": "{{ticket.title}}",
           "status": "{{ticket.status}}",
           "tags": "{{ticket.tags}}",
           "external_id": "{{ticket.external_id}}",
           "jira_issue": "{{ticket.ticket_field_360001234567}}",
           "link": "{{ticket.link}}",
           "updated_at": "{{ticket.updated_at_with_timestamp}}"
         }
       }

   The number in `jira_issue` is the id of your field; leave the line out where you have none. Templates
   of your own are read as well, nested or flat, where they say `id` or `ticket_id`, `title` or
   `subject`, `status`, `tags` and `link` or `url`; `ticketId` is `ticket_id`.
3. No trigger tells that a ticket is deleted: its link stays.

## Events

| event | link |
| --- | --- |
| `zen:event-type:ticket.*` | the ticket, on all issues of its subject, tags and external id |
| `zen:event-type:ticket.custom_field_changed` | a link of its own, one a field, on the issues of its value |
| `….soft_deleted`, `….permanently_deleted`, `….marked_as_spam` | the ticket's link is taken off |
| `trigger` (a template's body) | the ticket, on all issues that the template names |

Skipped with a reason: `no_site`, where neither the option nor a template tells the account's address;
`no_subject`, a template that leaves out where keys mostly stand, and so would take links off. Users,
organisations, articles and all else are not of interest.

## Links

A ticket's title tells its number, subject and status; it is struck through when it is solved or closed.
Keys in the subject are written in capitals; in tags, the external id and custom fields any case will
do for projects that are configured, and `jira_abc-12` for all. Each event tells of the ticket wholly,
so a key that is gone takes the link off.

The link of a custom field does not tell the status, since other events do not tell the field. It stays
when the ticket is deleted.

## Signature

`X-Zendesk-Webhook-Signature`: the HMAC-SHA256 of the timestamp and the raw body, nothing between, in
Base64, with `X-Zendesk-Webhook-Signature-Timestamp` in ISO 8601, which may be 5 minutes off.
`X-Zendesk-Webhook-Invocation-Id` names the delivery. Failed deliveries are repeated up to three times,
in no promised order.

## Facts

- https://developer.zendesk.com/api-reference/webhooks/event-types/ticket-events
- https://developer.zendesk.com/documentation/webhooks/verifying/
- https://developer.zendesk.com/documentation/webhooks/anatomy-of-a-webhook-request
- https://developer.zendesk.com/api-reference/webhooks/webhooks-api/webhooks/
- https://support.zendesk.com/hc/en-us/articles/4408839108378

An older page of Zendesk's had the body before the timestamp; no sender was seen that does so. The field
in the body of `custom_field_changed`, and whether attempts share an invocation's id, could not be
confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.model import Webhook
from bridge.sources.bodies import first, parse_object, site, snake, text
from bridge.sources.options import SitedJson
from bridge.sources.signing import TimedHmac

_EVENT = "zen:event-type:"
_ADDRESSES = ("ticket.link", "ticket.url", "ticket.ticket_link", "ticket.ticket_url")


class Zendesk(SitedJson):
    """`bridge.ports.Source` for webhooks of Zendesk Support, by events or by triggers."""

    kind = "zendesk"
    vendor = "Zendesk"
    signature = TimedHmac(
        "x-zendesk-webhook-signature",
        "x-zendesk-webhook-signature-timestamp",
        message=lambda request, sent: sent + request.body,
        signed="timestamp+body",
        encoding="base64",
        unit="iso",
    )
    type_paths = ("type",)
    id_header = "x-zendesk-webhook-invocation-id"
    id_paths = ("id",)
    place = "x-zendesk-url"
    home = "zendesk"
    objects = ("detail.id", "ticket.id", "ticket.ticket_id")
    times = ("time", "detail.updated_at", "ticket.updated_at", "ticket.updated_at_with_timestamp")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as the base
        """An event as it is; of a template its fields as `ticket`, whether they are nested or flat.

        A template's own `type` and `id` are the ticket's, not the event's. Raises BadBody.
        """
        data = parse_object(body)
        if text(data.get("type")).startswith(_EVENT):
            return data
        nested = data.get("ticket")
        ticket = snake({**data, **nested} if isinstance(nested, dict) else data)
        tags = ticket.get("tags")
        if isinstance(tags, str):
            ticket = {**ticket, "tags": tags.replace(",", " ").split()}
        return {"type": "trigger", "ticket": ticket}

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - all types tell of tickets
        """The ticket's number."""
        return first(data, self.objects)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:
        """Those with a time of day: `{{ticket.updated_at}}` is a date, and older than all of its day."""
        return (each for each in super().times_of(type_, data) if ":" in text(each))

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:
        """The account's address, as it is told or the ticket's has it; else the number of the account."""
        known = self.told_site(webhook) or site(first(data, _ADDRESSES))
        return known or first(data, ("account_id",)) or self.home


SOURCE = Zendesk()
