"""Token: any system that can post JSON and send a secret with it, but signs nothing.

For home-made scripts, forms, and senders that have no source of their own. They send the document
below, or JSON of their own with a mapping of yours (`docs/mappings/` has examples).

## Set up

1. Make a long random secret.
2. In the sender's *settings of its webhooks*: post JSON to `https://BRIDGE/webhooks/NAME`, with the
   secret in whichever of these it can set:
   - the header `Authorization: Bearer SECRET`;
   - Basic authentication, where the secret is `user:password` as a whole;
   - the header `X-Webhook-Token: SECRET`, or another that the option `header` names;
   - the URL: `https://BRIDGE/webhooks/NAME?token=SECRET`, which proxies write into their logs.
3. The endpoint in the configuration:

       ingress:
         endpoints:
           forms:
             source: token
             secrets: [env:FORMS_WEBHOOK_TOKEN]

| option | what it is | without it |
| --- | --- | --- |
| `header` | the one header that holds the secret | any of the places above |
| `type` | where the event's type is told: paths into the body, or `header:NAME` | `type` |
| `object` | where the object's own id is told: paths into the body | `data.id, id` |
| `time` | where the event's time is told: paths into the body | `time`, `timestamp`, also in `data` |
| `delivery` | what names the delivery: paths into the body, or `header:NAME` | a digest of the body |

Paths are dotted (`run.id`, a list's items by number: `runs.0.id`); of several, with commas between,
the first that leads to something counts. Events of one `object` keep their order: let it be what your
mapping's `subject` is made of, or coarser.

From a script:

    curl https://BRIDGE/webhooks/NAME -H "Authorization: Bearer $SECRET" --json '{
      "id": "r-7", "issue": "SHOP-12", "title": "Load test", "url": "https://reports.example/r-7",
      "state": "passed", "resolved": true}'

## Document

The words on the right are no part of it.

    {
      "type": "deployment.finished",           what happened
      "time": "2026-03-02T09:00:00Z",          when; without it, when it was received
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

All but `type` and `time` may as well stand in an object `data`, which then counts first.

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

None: the secret itself is sent, so that it must travel over TLS only, and a body that was changed on
the way is not noticed. A sender that can sign is better served by the source `hmac` or
`standard-webhooks`.

## Facts

- https://www.rfc-editor.org/rfc/rfc6750
- https://www.rfc-editor.org/rfc/rfc7617
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import ConfigError
from bridge.sources import signing
from bridge.sources.options import AnyJson


class TokenSource(AnyJson):
    """`bridge.ports.Source` for whoever sends the secret itself."""

    CHOICES = (*AnyJson.CHOICES, "header")

    kind = "token"
    vendor = "Token"
    signature = signing.Token()

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over also in which header the token stands. Raises ConfigError."""
        super().choose(options)
        header = options.get("header", "").strip().lower()
        for option in ("type", "delivery"):
            if header and self.header(option) == header:  # what is kept must hold no secret
                raise ConfigError(f"option {option}: expected another header than that of the token")
        self.signature = signing.Token(header)


SOURCE = TokenSource()
