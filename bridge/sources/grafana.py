"""Grafana: each alert of its alerting, firing or resolved, and the rules of the alerting before.

## Set up

1. In Grafana: *Alerts & IRM > Alerting > Contact points > Add contact point*, integration *Webhook*.
2. *URL*: `https://BRIDGE/webhooks/grafana`; *HTTP Method*: POST. Leave *Custom Payload* and *Max Alerts* out.
3. From Grafana 12 on, *HMAC Signature*: a long random *Secret*, and as *Timestamp Header*
   `X-Grafana-Alerting-Signature-Timestamp`. Before, *Authorization Header*: scheme `Bearer` and the same
   text as *Credentials*; or *HTTP Basic Authentication*, where the secret is `user:password`.
4. The same secret in the configuration:

       ingress:
         endpoints:
           grafana:
             source: grafana
             secrets: [env:GRAFANA_WEBHOOK_SECRET]

   Only where the contact point gives the headers names of your own, the endpoint says them too:
   `options: {header: X-Our-Signature, timestamp_header: X-Our-Timestamp}`.
5. *Notification policies*: lead the alerts there.
6. The issue in the alert rule, as a label or an annotation: `jira: ABC-12`.

## Events

`firing` and `resolved`, the state of a whole group; each alert in the body has a state of its own. From
the alerting before Grafana 9: `alerting`, `ok`, `no_data`, `paused`, `pending` and `unknown`, of one rule.

| event | link |
| --- | --- |
| each alert in the body | the alert, on all issues that its labels and annotations name |
| a rule of the alerting before | the rule, on all issues that its name, message and tags name |

Skipped with a reason: a `test` of the contact point; `no_address`, where neither Grafana nor one of the
alerts tells any, as with a `root_url` that has no host.

## Links

One link an alert, by its organisation and fingerprint, for the reasons that Alertmanager has: the alerts
of a group name different issues and are resolved one by one.

Keys are looked for in the labels and annotations `jira`, `jira_key`, `jira_issue`, `jira_issue_key`,
`jira_ticket`, `issue`, `issue_key` and `ticket`, and in the name, `summary`, `description`, `message` and
`title`, there in capitals. Not in other labels: hosts and pods are called `web-12`.
`routing.endpoints.NAME.issues` of the configuration names more places.

The link leads to the alert rule, else to its dashboard. It is struck through when the alert is resolved,
and no longer when it fires again. Values are not shown: each would be a change in the issue's history.
A key that leaves an annotation takes the link off; a label that changes makes another alert. A rule
that is deleted resolves its alerts.

What came last holds: an alert that was taken for resolved for want of news comes again with the
`startsAt` of before.

## Signature

`X-Grafana-Alerting-Signature` (or the option `header`): the HMAC-SHA256 in hexadecimal of the raw body, or,
where a timestamp header is set, of its seconds, a colon and the body. Any name can be given to that one;
without the option, the names that Grafana's documentation and tests use are looked for:
`X-Grafana-Alerting-Signature-Timestamp` and `X-Grafana-Alerting-Timestamp`. A timestamp may be 5 minutes
off. With an option only that signature is taken; without, a token in its stead too.

Nothing names a delivery, so a digest of its body does. Grafana tries again like Alertmanager.

## Facts

- https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
- https://github.com/grafana/alerting/blob/main/http/hmac.go
- https://github.com/grafana/alerting/blob/main/receivers/webhook/v1/webhook.go
- https://github.com/grafana/alerting/blob/main/templates/template_data.go
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/grafana/fixtures

Grafana OnCall posts something else, which is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.model import Request
from bridge.ports import Signature
from bridge.sources.base import JsonSource
from bridge.sources.bodies import first, site
from bridge.sources.signing import Either, Hmac, TimedHmac, Token

SIGNATURE = "x-grafana-alerting-signature"
TIMESTAMPS = ("x-grafana-alerting-signature-timestamp", "x-grafana-alerting-timestamp")


def _message(request: Request, timestamp: bytes) -> bytes:
    return timestamp + b":" + request.body


def _timed(header: str, timestamp: str) -> TimedHmac:
    return TimedHmac(header, timestamp=timestamp, message=_message, signed="timestamp:body")


class Grafana(JsonSource):
    """`bridge.ports.Source` for Grafana's webhook contact point, and its notification channel before.

    All deliveries of one share a record key, since an alert may come in several groups.
    """

    kind = "grafana"
    vendor = "Grafana"
    signature: Signature = Either(*(_timed(SIGNATURE, name) for name in TIMESTAMPS), Hmac(SIGNATURE), Token())
    CHOICES = ("header", "timestamp_header")
    type_paths = ("status", "state", "alerts.0.status")
    origin = ("externalURL", "ruleUrl")
    home = "https://grafana.com"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - the same of all types
        """Where it comes from."""
        return site(first(data, self.origin))

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over the headers that the contact point names; only their signature is taken then."""
        header, timestamp = (options.get(name, "").strip().lower() for name in self.CHOICES)
        header = header or SIGNATURE
        self.signature = _timed(header, timestamp) if timestamp else Hmac(header)


SOURCE = Grafana()
