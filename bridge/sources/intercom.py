"""Intercom: tickets and conversations, and the issues that teammates note there.

## Set up

1. *Developer Hub > your app* (or *New app* in your own workspace, which needs no review) *> Configure >
   Webhooks*. *Endpoint URL*: `https://BRIDGE/webhooks/intercom`, which Intercom tries at
   once: the bridge must run, with the endpoint configured, and answers its HEAD request.
2. *Topics*: all of *Ticket* and *Conversation* but those of contacts; at least `ticket.created`,
   `ticket.state.updated`, `ticket.attribute.updated`, `ticket.closed`, `ticket.note.created`,
   `conversation.admin.closed`, `conversation.admin.opened`, `conversation.admin.noted` and
   `conversation.deleted`. The app needs the permissions to read tickets and conversations.
3. The secret is the app's *Client secret*, under *Configure > Basic information*:

       ingress:
         endpoints:
           intercom:
             source: intercom
             secrets: [env:INTERCOM_CLIENT_SECRET]

4. A workspace in Europe or Australia has another address than `https://app.intercom.com`, which no body
   tells: say it there as `options: {url: "https://app.eu.intercom.com"}`.
5. *Send a test request* comes to `ping`.

## Events

| topic | link |
| --- | --- |
| `ticket.*` | the ticket, on all issues of its title and its attributes |
| `conversation.*`, `conversation_part.tag.created` | the conversation, on those of title, tags, attributes |
| `ticket.note.created`, `conversation.admin.noted` | a link of its own, on the issues that the note names |
| `conversation.deleted` | all of these are taken off |

Skipped with a reason: `ping`; `contact`, for people who join or leave, which tells another form of the
object and nothing new. All other topics are not of interest.

## Links

A ticket's title tells its number, its title and its state, as the workspace calls it; it is struck
through when the state is of the category resolved, a conversation when it is closed. Keys in titles and
notes are written in capitals; in tags and attributes any case will do for projects that are
configured, and `jira:abc-12` for all. A ticket's description is not looked at.

A key that leaves the title, the tags or the attributes takes the link off. What a note has named stays
until the conversation is deleted, and tells no state.

## Signature

`X-Hub-Signature`: `sha1=` and the HMAC-SHA1 of the raw body in hexadecimal. There is no timestamp. `id`
names the notification, the same when it comes again. Intercom pauses for 15 minutes after 1,000 errors
in a row, and suspends a private app's subscription after a week of errors.

## Facts

- https://developers.intercom.com/docs/webhooks
- https://developers.intercom.com/docs/webhooks/webhook-notifications
- https://developers.intercom.com/docs/references/2.16/webhooks/webhook-models
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/intercom: bodies of nearly all topics

How a ticket that is deleted by itself is told could not be confirmed; deleting its conversation takes the
link off.
"""

from __future__ import annotations

from typing import Any

from bridge.model import Webhook
from bridge.sources.bodies import at, first
from bridge.sources.options import SitedJson
from bridge.sources.signing import Hmac


class Intercom(SitedJson):
    """`bridge.ports.Source` for the webhooks of an app in Intercom's Developer Hub."""

    kind = "intercom"
    vendor = "Intercom"
    signature = Hmac("x-hub-signature", prefix="sha1=", algorithm="sha1")
    type_paths = ("topic",)
    id_paths = ("id",)
    place = "x-intercom-url"
    home = "https://app.intercom.com"
    # The notification's own time counts where it tells another form of the object.
    times = ("data.item.updated_at", "data.item.ticket.updated_at", "created_at")

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """The number of the conversation, which is its ticket's too: to delete it tells of both."""
        place = "data.item.ticket" if type_.startswith("ticket.") else "data.item"
        found = first(at(data, place), ("id", "conversation_id"))
        return found or first(data, ("data.item.id",))

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002 - no body tells it
        """Where the workspace is; links are of the workspace's own id."""
        return self.told_site(webhook) or self.home


SOURCE = Intercom()
