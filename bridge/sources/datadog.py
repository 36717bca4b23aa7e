"""Datadog: monitors by their groups, triggered, warning, without data or recovered.

## Set up

1. In Datadog: *Integrations > Webhooks > New Webhook*. *Name*: `jira`. *URL*:
   `https://BRIDGE/webhooks/datadog`.
2. *Payload*: the body is yours to write; this is read best. Leave *Encode as form* unticked.

       {
         "id": "$ID",
         "event_type": "$EVENT_TYPE",
         "date": "$DATE",
         "last_updated": "$LAST_UPDATED",
         "title": "$EVENT_TITLE",
         "body": "$TEXT_ONLY_MSG",
         "alert_id": "$ALERT_ID",
         "alert_cycle_key": "$ALERT_CYCLE_KEY",
         "alert_transition": "$ALERT_TRANSITION",
         "alert_type": "$ALERT_TYPE",
         "alert_scope": "$ALERT_SCOPE",
         "alert_priority": "$ALERT_PRIORITY",
         "tags": "$TAGS",
         "link": "$LINK",
         "org": {"id": "$ORG_ID", "name": "$ORG_NAME"}
       }

3. *Custom Headers*: `{"X-Webhook-Token": "$JIRA_BRIDGE_TOKEN"}`, where the custom variable of that name
   (*hide from view*) is a long random text, the same as in the configuration:

       ingress:
         endpoints:
           datadog:
             source: datadog
             secrets: [env:DATADOG_WEBHOOK_TOKEN]

   A user and a password in the URL do as well; the secret is then `user:password`.
4. `@webhook-jira` in the message of each monitor, not within a condition: it should be told of the
   recovery too. The same goes for the issue, where the message names it.
5. The issue as a tag of the monitor, `jira:ABC-12`, or in its name or message.

## Events

The type of an event is the transition: `Triggered`, `Re-Triggered`, `Warn`, `Re-Warn`, `No Data`,
`Re-No Data`, `Renotify` and `Recovered`. Where the body does not tell it, the title does, which begins with
it: Datadog's own payload, which is sent where none is written, has nothing else.

| event | link |
| --- | --- |
| any transition | the monitor's group, on all issues that its tags, name and message name |

Skipped with a reason: a `test` of the monitor's notifications, whose title has `[TEST]` before the name;
`no_transition`, a payload of your own in which neither it nor the type of the event is found. Events
without a transition (comments, incidents, security signals) are not of interest.

## Links

One link a monitor and group (`$ALERT_ID` and `$ALERT_SCOPE`), which each transition changes. Not one a
cycle (`$ALERT_CYCLE_KEY`), of which a monitor that flaps would leave dozens on the issue. Where no field
names the monitor, its address in the message does; without one the cycle counts, and in the end the
monitor's name.

The link leads to the monitor and is struck through when it recovers. Its address stays the same, so a
reminder (`Renotify`, `Re-Triggered`) changes nothing in the issue.

Keys are looked for in tags called `jira…`, `issue…` and `ticket…`, and in the monitor's name and message,
there in capitals. Datadog keeps tags in small letters: `jira:abc-12` is understood, `issue:abc-12` where
the site's projects are configured. Not in other tags: hosts are called `web-12`. A key that is gone takes
the link off. A monitor that is deleted tells nothing.

## Signature

None: the token is all that tells who posts. `id` names the event. Datadog waits 15 s, tries again five
times where it cannot connect, and after 5xx; not after 4xx. Of two events of one instant a recovery
is the later one.

## Facts

- https://docs.datadoghq.com/integrations/webhooks/
- https://docs.datadoghq.com/monitors/notify/variables/
- https://github.com/keephq/keep/blob/main/docs/images/datadog_raw_alerts.txt
- https://github.com/relay-integrations/datadog/blob/main/triggers/event-fired/README.md
- https://docs.datadoghq.com/integrations/taskcall/ and other templates of this kind, whose fields are read
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from bridge.model import Webhook
from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, first, site, text
from bridge.sources.signing import Token

_TRANSITIONS = {
    name.lower(): name
    for name in ("Triggered", "Re-Triggered", "Warn", "Re-Warn", "No Data", "Re-No Data", "Renotify")
}
# `[P2] [Triggered on {host:web-12}] The load is high`
_TITLE = re.compile(
    r"(?:\[(?:P[1-5]|TEST)\]\s*){0,9}"
    r"\[(?P<state>(?:Re-|Warn |Alert |No Data )?(?:Triggered|Warn|No Data|Recovered|Renotify))"
    r"(?: on \{(?P<scope>[^\]]*)\})?\]\s*(?:\[TEST\]\s*)?(?P<name>.*)",
    re.IGNORECASE,
)
_MONITOR = re.compile(
    r"https?://[^\s/)]+/monitors[/#](?P<id>[0-9]+)(?:\?(?:[^\s)]*&)?group=(?P<scope>[^\s)&]*))?"
)

# In the payload of the page, and in those of others: nested, or named after the variable.
_NAMES = ("title", "alert_title", "event_title", "alert.title", "metadata.ALERT_TITLE")
_MONITORS = ("alert_id", "alertId", "monitor_id", "alert.id", "metadata.ALERT_ID")
_SCOPES = ("alert_scope", "alertScope", "scopes", "alert.scope", "metadata.ALERT_SCOPE")
_CYCLES = (
    "alert_cycle_key",
    "alert.cycle_key",
    "metadata.ALERT_CYCLE_KEY",
    "aggreg_key",
    "metadata.AGGREG_KEY",
)
_ADDRESSES = ("link", "url", "event_url", "alert_url", "metadata.LINK")
_TEXTS = ("body", "text", "text_only_msg", "event_msg", "eventMsg", "event_message", "message", "msg")


class Datadog(JsonSource):
    """`bridge.ports.Source` for Datadog's Webhooks integration, with any of the usual payloads."""

    kind = "datadog"
    vendor = "Datadog"
    signature = Token()
    type_paths = (
        *("alert_transition", "alertTransition", "transition", "alert.transition"),
        *("metadata.ALERT_TRANSITION", "status"),
    )
    id_paths = ("id", "event_id")
    home = "https://app.datadoghq.com"
    times = ("date", "last_updated", "timestamp", "date_posix")

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:  # noqa: ARG002 - a payload tells it
        """The transition in Datadog's own spelling, else the type of the event, else `event`."""
        told = [first(data, (path,)) for path in self.type_paths]
        for each in (*told, _titled(data).get("state", "")):
            if "recovered" in each.lower():  # also `Warn Recovered`
                return "Recovered"
            if each.lower() in _TRANSITIONS:
                return _TRANSITIONS[each.lower()]
        return first(data, ("event_type", "eventType", *self.type_paths)) or "event"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - one place for all types
        """`<monitor>/<group>`, or what there is in its stead; the mapping's links are of it."""
        named, linked = _titled(data), _linked(data)
        monitor = first(data, _MONITORS) or linked.get("id")
        if monitor:
            scope = first(data, _SCOPES) or unquote(linked.get("scope", "")) or named.get("scope", "")
            return f"{monitor}/{scope or '*'}"
        cycle = first(data, _CYCLES)
        if cycle:
            return f"cycle:{cycle}"
        return f"name:{named['name']}/{named['scope'] or '*'}" if named else ""

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002
        """The address of the Datadog site: `https://app.datadoghq.eu`."""
        return site(first(data, _ADDRESSES)) or site(_linked(data).get("url", "")) or self.home


def _titled(data: dict[str, Any]) -> dict[str, str]:
    """The state, the group and the name in the title; nothing where it begins otherwise."""
    found = _TITLE.match(first(data, _NAMES))
    return found.groupdict("") if found else {}


def _linked(data: dict[str, Any]) -> dict[str, str]:
    """The monitor's address in the message or by itself, with the monitor and the group in it."""
    texts = (text(at(data, path)) for path in (*_TEXTS, *_ADDRESSES))
    found = next(filter(None, map(_MONITOR.search, texts)), None)
    return {"url": found[0], **found.groupdict("")} if found else {}


SOURCE = Datadog()
