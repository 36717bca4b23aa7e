"""HMAC: any system that signs the raw body with a shared secret, in a header of its own.

For senders that have no source of their own. They send the document below, or JSON of their own with a
mapping of yours (`docs/mappings/` has examples).

## Set up

1. In the sender's *settings of its webhooks*: post JSON to `https://BRIDGE/webhooks/NAME`, signed with
   a secret.
2. The endpoint in the configuration, with what its signature looks like:

       ingress:
         endpoints:
           quality:
             source: hmac
             secrets: [env:QUALITY_WEBHOOK_SECRET]
             options:
               header: X-Sonar-Webhook-HMAC-SHA256

| option | what it is | without it |
| --- | --- | --- |
| `header` | the header that holds the signature | `X-Webhook-Signature` |
| `algorithm` | `sha1`, `sha256`, `sha384` or `sha512` | `sha256` |
| `encoding` | `hex` or `base64` | `hex` |
| `prefix` | what stands before the signature, `sha256=` with many | nothing |
| `type` | where the event's type is told: paths into the body, or `header:NAME` | `type` |
| `object` | where the object's own id is told: paths into the body | `data.id, id` |
| `time` | where the event's time is told: paths into the body | `time`, `timestamp`, also in `data` |
| `delivery` | what names the delivery: paths into the body, or `header:NAME` | a digest of the body |

Paths are dotted (`run.id`, a list's items by number: `runs.0.id`); of several, with commas between,
the first that leads to something counts. Events of one `object` keep their order: let it be what your
mapping's `subject` is made of, or coarser.

Some senders, as their documentation has it:

| sender | options |
| --- | --- |
| SonarQube | `header: X-Sonar-Webhook-HMAC-SHA256` |
| Terraform Cloud | `header: X-TFE-Notification-Signature`, `algorithm: sha512` |
| LaunchDarkly | `header: X-LD-Signature` |
| Linear | `header: Linear-Signature` |
| Snyk | `header: X-Hub-Signature`, `prefix: sha256=` |
| JFrog Artifactory | `header: X-JFrog-Event-Auth` |
| Sonatype Nexus | `header: X-Nexus-Webhook-Signature`, `algorithm: sha1` |

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

The header holds the prefix and the HMAC of the raw body. The time is not signed beside it: who has
recorded a delivery can send it again. Where the body tells its `time`, that is old news and changes
nothing. Nor is a header signed that an option names: prefer paths into the body.

## Facts

- https://www.rfc-editor.org/rfc/rfc2104
- https://docs.sonarsource.com/sonarqube-server/discovering/integrations/webhooks
- https://developer.hashicorp.com/terraform/cloud-docs/workspaces/settings/notifications
- https://launchdarkly.com/docs/home/infrastructure/webhooks
- https://linear.app/developers/webhooks
- https://docs.snyk.io/snyk-api/using-specific-snyk-apis/webhooks-apis/webhooks
- https://docs.jfrog.com/integrations/docs/predefined-webhooks
- https://github.com/fluxcd/flux-recv, a receiver of Sonatype Nexus's
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge.errors import ConfigError
from bridge.sources import signing
from bridge.sources.options import AnyJson

ALGORITHMS = ("sha1", "sha256", "sha384", "sha512")
ENCODINGS: dict[str, signing.Encoding] = {"hex": "hex", "base64": "base64"}


class HmacSource(AnyJson):
    """`bridge.ports.Source` for whoever signs the body with an HMAC."""

    CHOICES = (*AnyJson.CHOICES, "header", "algorithm", "encoding", "prefix")

    kind = "hmac"
    vendor = "HMAC"
    signature = signing.Hmac("x-webhook-signature")

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over also what the signature looks like. Raises ConfigError."""
        super().choose(options)
        header = options.get("header", "x-webhook-signature").strip().lower()
        algorithm, encoding = options.get("algorithm", "sha256"), options.get("encoding", "hex")
        if not header:
            raise ConfigError("option header: is empty")
        if algorithm not in ALGORITHMS:
            raise ConfigError(f"option algorithm: expected one of {', '.join(ALGORITHMS)}")
        if encoding not in ENCODINGS:
            raise ConfigError(f"option encoding: expected {' or '.join(ENCODINGS)}")
        self.signature = signing.Hmac(header, options.get("prefix", ""), algorithm, ENCODINGS[encoding])


SOURCE = HmacSource()
