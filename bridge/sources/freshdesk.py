"""Freshdesk: tickets, through the webhooks of automation rules.

## Set up

1. *Admin > Workflows > Automations > Ticket creation > New rule*, with conditions that all tickets meet
   (*Source is Email* or *Source is not Email*). The same once more under *Ticket updates*, for the
   events *Subject is changed*, *Status is changed*, *Tag is added* and *removed*, and *Ticket is deleted*.
2. *Perform these actions > Trigger webhook*; *Request type* POST; *URL* `https://BRIDGE/webhooks/freshdesk`.
3. *Requires authentication*: a user name and a password of your own making. Together, as
   `user:password`, they are the secret:

       ingress:
         endpoints:
           freshdesk:
             source: freshdesk
             secrets: [env:FRESHDESK_WEBHOOK_PASSWORD]

   A custom header `X-Webhook-Token` with the secret does as well.
4. *Encoding* JSON, *Content* advanced, and this:

       {
         "freshdesk_webhook": {
           "triggered_event": "{{triggered_event}}",
           "ticket_id": "{{ticket.id}}",
           "ticket_subject": "{{ticket.subject}}",
           "ticket_status": "{{ticket.status}}",
           "ticket_tags": "{{ticket.tags}}",
           "ticket_cf_jira_issue": "{{ticket.cf_jira_issue}}",
           "ticket_url": "{{ticket.url}}"
         }
       }

   The last but one is a custom field of yours; leave the line out where you have none. *Content* simple
   sends the same names: tick ticket id, subject, status, tags, URL and the triggered event. A body that
   has the fields without `freshdesk_webhook` around them, or within `ticket`, is read as well; without
   the ticket's address, that of its page in the portal will do (`portal_url`).

## Events

| event | link |
| --- | --- |
| `ticket` | the ticket, on all issues of its subject, its tags and the custom field |

There is one type: what has happened to the ticket does not matter, but that it was deleted or marked
as spam, which takes the link off. Skipped with a reason: `no_subject`, a template that leaves out where
keys mostly stand, and so would take links off; `no_url`, one without the ticket's address.

## Links

A ticket's title tells its number, subject and status; it is struck through when it is resolved or
closed, by the English names or the numbers of these. Keys in the subject are written in capitals; in
tags and the custom field any case will do for projects that are configured, and `jira:abc-12` for all.
Each body tells of the ticket wholly, so a key that is gone takes the link off.

No placeholder for the time of a change is known, so the order is that of the deliveries. Freshdesk puts
off webhooks beyond the hourly limit of the account: what comes late can then undo what is newer, until
the ticket's next change.

## Signature

None: the user's name and the password are all that tells who posts. Nothing names a delivery, so a
digest of its body does.

## Facts

- https://support.freshdesk.com/support/solutions/articles/132589-using-webhooks-in-automation-rules
- https://support.freshdesk.com/support/solutions/articles/225431-how-to-handle-and-prevent-webhook-drops-
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/freshdesk: bodies, and a template

How `triggered_event` names a deletion could not be confirmed: receivers know `{ticket_action:delete}`, and
the form of the others (`{ticket_action:created}`) would make it `deleted`. Both are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.model import Webhook
from bridge.sources.base import JsonSource
from bridge.sources.bodies import first, parse_object, site, snake
from bridge.sources.signing import Token

_AROUND = "freshdesk_webhook"
_ADDRESSES = ("ticket_url", "url", "ticket_portal_url", "portal_url")


class Freshdesk(JsonSource):
    """`bridge.ports.Source` for the webhooks of Freshdesk's automation rules."""

    kind = "freshdesk"
    vendor = "Freshdesk"
    signature = Token()
    home = "freshdesk"
    objects = ("ticket_display_id", "ticket_id", "id")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as the base
        """The fields as `freshdesk_webhook`, whatever is around them, and the tags apart. Raises BadBody."""
        fields = parse_object(body)
        for name in (_AROUND, "data", "ticket"):
            inner = fields.get(name)
            fields = inner if isinstance(inner, dict) else fields
        fields = {name: _stripped(each) for name, each in snake(fields).items()}
        told = {name: each.split(",") for name, each in fields.items() if _is_tags(name, each)}
        return {_AROUND: {**fields, **told}}

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:  # noqa: ARG002 - a template is any
        """`ticket`: a template is the same for all that may have happened."""
        return "ticket"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - there is one type
        """The ticket's number."""
        return first(data[_AROUND], self.objects)

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002 - no header tells it
        """The address of the account, as the ticket's tells it."""
        return site(first(data[_AROUND], _ADDRESSES)) or self.home


def _stripped(value: object) -> object:
    """A text without the spaces that a template has around it: `" {{ticket.id}} "`."""
    return value.strip() if isinstance(value, str) else value


def _is_tags(name: str, value: object) -> bool:
    return name in {"ticket_tags", "tags"} and isinstance(value, str)


SOURCE = Freshdesk()
