"""Opsgenie: alerts through their life, and the issues that notes and details name.

Jira Service Management, which takes Opsgenie's place, posts the same.

## Set up

1. In Opsgenie: *Settings > Integrations > Add integration > Webhook*; in Jira Service Management:
   *Operations > Integrations > Add integration > Webhook*.
2. *Webhook URL*: `https://BRIDGE/webhooks/opsgenie`. Tick *Add alert description* and *Add alert details*
   where a key may stand there.
3. *Add custom header*: `X-Webhook-Token` with a long random text, the same as in the configuration:

       ingress:
         endpoints:
           opsgenie:
             source: opsgenie
             secrets: [env:OPSGENIE_WEBHOOK_TOKEN]

4. Another custom header, `X-Opsgenie-URL`, says where your alerts are: `https://acme.app.opsgenie.com`, in
   Europe `https://app.eu.opsgenie.com`; with Jira Service Management the site, `https://acme.atlassian.net`.
   Without it links lead to `https://app.opsgenie.com`.
5. Assign the integration to no team: a team's is told `Create` when an alert reaches the team, whatever
   state it is in.
6. *Alert actions*: created, acknowledged, unacknowledged, closed, deleted, a tag or a note is added, a tag
   is removed. Others are taken and skipped.

## Events

| action | link |
| --- | --- |
| `Create`, `Acknowledge`, `UnAcknowledge`, `Close` | the alert, on all issues of its message and tags |
| `Delete` | the alert's links are taken off |
| `AddTags` | the alert, on the issues of the new tags too |
| `RemoveTags` | is taken off the issues of the tags that went |
| any with a note, a description or details | the alert's notes, on the issues that they name |

Skipped with a reason: `test`. All other actions (`Escalate`, `TakeOwnership`, actions of your own) are
not of interest unless they bring a note, a description or details.

## Links

An alert is struck through when it is closed. Its title tells the state. A key that is gone from the
message or the tags takes the link off the issue.

No body tells an alert's state: its action does, so a link of a new tag has no state until the next
one. Opsgenie sends details and the description with `Create` and with actions of your own only. So what
they or a note name is a link of its own, one an alert, which is never struck through. It is taken off
when the alert is deleted.

## Signature

None: the custom header is all that tells who posts. Nothing names a delivery, so a digest of its body
does.

## Facts

- https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/
- https://support.atlassian.com/opsgenie/docs/outgoing-integration-triggers-for-team-routings/
- https://support.atlassian.com/opsgenie/docs/opsgenie-edge-connector-alert-action-data/
- https://support.atlassian.com/jira-service-management-cloud/docs/alert-action-data-for-jira-edge-connector
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/opsgenie/fixtures

The address of an alert in Jira Service Management, `SITE/jira/ops/alerts/ID`, is the one that public tools
make; it is not documented. What a test of the integration posts, and whether a post that failed comes
again, could not be confirmed.
"""

from __future__ import annotations

from typing import Any

from bridge.model import Webhook
from bridge.sources.base import JsonSource
from bridge.sources.signing import Token

_PLACE = "x-opsgenie-url"


class Opsgenie(JsonSource):
    """`bridge.ports.Source` for Opsgenie's and Jira Service Management's webhook integration."""

    kind = "opsgenie"
    vendor = "Opsgenie"
    signature = Token()
    type_paths = ("action",)
    kept = (_PLACE,)
    home = "https://app.opsgenie.com"
    objects = ("alert.alertId",)
    # Not `createdAt`, which is the same in all of an alert's events.
    times = ("alert.updatedAt",)

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002 - no body tells it
        """Where the alerts are, as the custom header says."""
        return webhook.headers.get(_PLACE, "").strip().rstrip("/") or self.home


SOURCE = Opsgenie()
