"""Alertmanager: each alert of Prometheus, firing or resolved.

## Set up

1. *alertmanager.yml > receivers > webhook_configs*, and a route that leads to the receiver:

       receivers:
         - name: jira
           webhook_configs:
             - url: https://BRIDGE/webhooks/alertmanager
               send_resolved: true   # the default
               max_alerts: 0         # the default: all of a group
               http_config:
                 authorization: {credentials_file: /etc/alertmanager/bridge-token}

   Leave `payload` out: a body of one's own making is not read.
2. The same token in the configuration:

       ingress:
         endpoints:
           alertmanager:
             source: alertmanager
             secrets: [env:ALERTMANAGER_WEBHOOK_TOKEN]

   With `basic_auth` in place of `authorization` the secret is `user:password`.
3. Replicas of one Alertmanager need one `--web.external-url`: by default each has its own host's name, and
   one of them may tell that an alert fires and another that it is resolved.
4. The issue in the alerting rule, as a label or an annotation: `jira: ABC-12`. As a label it can group and
   route too.

## Events

`firing` and `resolved`, the state of a whole group; each alert in the body has a state of its own.

| alert | link |
| --- | --- |
| each in the body | the alert, on all issues that its labels and annotations name |

Skipped with a reason: `no_address`, where neither Alertmanager nor one of the alerts tells any.

## Links

One link an alert, by its fingerprint, and not one a group: the alerts of a group name different issues,
a group is not resolved before its last alert is, and a change of the routes makes other groups of the
same alerts. Where many alerts name one issue, it has as many links; an alerting rule that aggregates makes
one of them.

Keys are looked for in the labels and annotations `jira`, `jira_key`, `jira_issue`, `jira_issue_key`,
`jira_ticket`, `issue`, `issue_key` and `ticket`, and in the name, `summary`, `description`, `message` and
`title`, there in capitals. Not in other labels: hosts and pods are called `web-12`.
`routing.endpoints.NAME.issues` of the configuration names more places.

The link is struck through when the alert is resolved, and no longer when it fires again. It leads to the
expression in Prometheus. A key that leaves an annotation takes the link off; a label that changes makes
another alert. Alertmanager deletes no alert: one that nobody sends any more is resolved.

What came last holds. `startsAt` does not tell: an alert that Alertmanager took for resolved since it did
not hear of it, and that fires still, comes again with the `startsAt` of before.

## Signature

None: the token is all that tells who posts. Nothing names a delivery, so a digest of its body does.
Alertmanager tries again after 5xx until the group's next turn (`group_interval`), and not after 4xx. It
sends a group's notifications one after the other, and again every `repeat_interval`.

## Facts

- https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
- https://github.com/prometheus/alertmanager/blob/main/notify/webhook/webhook.go
- https://github.com/prometheus/alertmanager/blob/main/template/template.go
- https://github.com/prometheus/alertmanager/blob/main/provider/mem/mem.go
"""

from __future__ import annotations

from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.bodies import first, site
from bridge.sources.signing import Token


class Alertmanager(JsonSource):
    """`bridge.ports.Source` for Alertmanager's webhook receiver, version 4.

    All deliveries of one share a record key, since an alert may come in several groups.
    """

    kind = "alertmanager"
    vendor = "Alertmanager"
    signature = Token()
    type_paths = ("status", "alerts.0.status")
    origin = ("externalURL",)
    home = "https://prometheus.io"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - the same of all types
        """Where it comes from."""
        return site(first(data, self.origin))


SOURCE = Alertmanager()
