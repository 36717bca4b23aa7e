"""Standard Webhooks: any system that signs as the specification says, with a plain document about links.

Svix, and with it Clerk, Resend and hundreds more, send such deliveries; so does whoever takes one of
the specification's libraries.

## Set up

1. In the sender's *settings of its webhooks*: post JSON to `https://BRIDGE/webhooks/NAME`.
2. Take over the sender's signing secret (`whsec_…`), or its public key (`whpk_…`) where it signs
   with Ed25519. Several may be listed while one is replaced by another.
3. The endpoint in the configuration:

       ingress:
         endpoints:
           deploys:
             source: standard-webhooks
             secrets: [env:DEPLOYS_WEBHOOK_SECRET]

4. Send the document below. For JSON of any other shape write a mapping of your own (`docs/mappings/`
   has examples), and say with the endpoint's `options` where things stand:

| option | what it is | without it |
| --- | --- | --- |
| `type` | where the event's type is told: paths into the body, or `header:NAME` | `type` |
| `object` | where the object's own id is told: paths into the body | `data.id, id` |
| `time` | where the event's time is told: paths into the body | `time`, `timestamp`, also in `data` |

Paths are dotted (`run.id`, a list's items by number: `runs.0.id`); of several, with commas between,
the first that leads to something counts. Events of one `object` keep their order: let it be what your
mapping's `subject` is made of, or coarser.

## Document

The words on the right are no part of it.

    {
      "type": "deployment.finished",             what happened
      "timestamp": "2026-03-02T09:00:00Z",       when; without it, when it was received
      "data": {
        "id": "shop/production",                 what the link is of, in the sender's words; needed
        "issue": "SHOP-12",                      the issue, by key, or in a text that names it
        "issues": ["SHOP-12", "SHOP-14"],        or several
        "url": "https://deploy.example/runs/7",  where the link leads; needed
        "title": "shop 4.2 in production",       what it says; needed
        "summary": "by Wren, in 3 minutes",      a line below
        "state": "deployed",                     a word about its state
        "resolved": true,                        whether it is struck through
        "deleted": false                         true takes the link off all issues
      }
    }

What stands in `data` may as well stand beside `type`; `time` is another name of `timestamp`.

## Events

Each event describes its object wholly: the issues that it names are all, and a link on an issue that
is no longer named goes away. All types are read. A body that has neither `id` nor `issue` nor
`issues` is no such document and is skipped as `no_document`.

## Links

The title and the URL are the document's; `state` is shown as the link's status, and a link that is
`resolved` is struck through. Keys in `issue` and `issues` are written in capitals, or in any case for
projects that the site is configured with. There is one link for each `id` of an endpoint, whose name
is a part of the link's identity.

## Signature

`webhook-signature`: `v1,` and the HMAC-SHA256, or `v1a,` and the Ed25519 signature, of
`webhook-id.webhook-timestamp.body` in Base64; several stand apart by spaces. The timestamp may be 5
minutes off. `webhook-id` names the delivery, the same when it is sent again. Svix's own names of the
headers, `svix-…`, are read too.

## Facts

- https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
- https://docs.svix.com/receiving/verifying-payloads/how-manual
"""

from __future__ import annotations

from bridge.sources.options import AnyJson
from bridge.sources.signing import StandardWebhooks


class StandardWebhooksSource(AnyJson):
    """`bridge.ports.Source` for whoever signs as Standard Webhooks says."""

    CHOICES = ("type", "object", "time")

    kind = "standard-webhooks"
    vendor = "Standard Webhooks"
    signature = StandardWebhooks()
    id_header = "webhook-id"
    aliases = {"svix-id": "webhook-id"}  # noqa: RUF012 - a ClassVar of the base


SOURCE = StandardWebhooksSource()
