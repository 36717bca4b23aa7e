"""ServiceNow: incidents, problems, changes and other tasks, through a business rule.

## Set up

ServiceNow has no webhooks; a business rule sends them.

1. Type *sys_properties.list* into the filter of the navigator, and choose *New*: `jira_link_bridge.token`,
   *Private*, read by admins only, with a long random text, the same as in the configuration:

       ingress:
         endpoints:
           servicenow:
             source: servicenow
             secrets: [env:SERVICENOW_WEBHOOK_TOKEN]

2. *System Definition > Business Rules > New*. *Table* Incident (one rule a table, or *Task* for all that
   extend it), *Advanced*, *When* after, *Insert*, *Update* and *Delete*; no condition.
3. *Advanced > Script*:

       (function executeRule(current, previous) {
           var record = {
               instance: gs.getProperty('glide.servlet.uri'),
               table: current.getRecordClassName(),
               operation: current.operation() + '',
               state_name: current.getDisplayValue('state')
           };
           ['sys_id', 'number', 'short_description', 'state', 'active', 'sys_mod_count', 'sys_updated_on',
               'correlation_id', 'u_jira_issue'].forEach(function (name) {
               if (current.isValidField(name)) {
                   record[name] = current.getValue(name);
               }
           });
           try {
               var request = new sn_ws.RESTMessageV2();
               request.setEndpoint('https://BRIDGE/webhooks/servicenow');
               request.setHttpMethod('POST');
               request.setRequestHeader('Content-Type', 'application/json');
               request.setRequestHeader('X-Webhook-Token', gs.getProperty('jira_link_bridge.token'));
               request.setRequestBody(JSON.stringify(record));
               request.executeAsync();
           } catch (error) {
               gs.error('jira-link-bridge: ' + error);
           }
       })(current, previous);

   `u_jira_issue` is a field of yours that holds keys; leave it out where you have none.

A rule of your own is read as well: fields that are named as in the table (`shortDescription` too), flat
or within `record`, `current`, `result`, `data` or `incident`, as texts or as `{"value": …,
"display_value": …}`. It must tell the instance's name or address, as `instance`, `instance_url` or in the
address of the record (`url`, `link`); else say it as the endpoint's
`options: {url: "https://acme.service-now.com"}`.

## Events

| event | link |
| --- | --- |
| `record` | the record, on all issues of its short description, correlation id and `jira` fields |

`jira` fields are those with `jira` in their name. There is one type: what has happened does not matter,
but that the record was deleted, which takes the link off. Skipped with a reason: `no_site`, where nothing
tells the instance; `no_subject`, a body without a short description, which would take off what others
have found there.

## Links

A record's title tells its number, short description and state; it is struck through when it is resolved,
closed, cancelled or not active. States that are numbers are read for incidents, problems and changes as
ServiceNow has them. Keys in the short description are written in capitals; in other fields any case will
do for projects that are configured, and `jira:abc-12` for all. Each body tells of the record wholly, so
a key that is gone takes the link off.

The order is that of `sys_mod_count`, which counts a record's changes, then that of `sys_updated_on`.

## Signature

None: the header is all that tells who posts. Nothing names a delivery, so a digest of its body does. A
business rule does not repeat what failed.

## Facts

- https://docs.servicenow.com/bundle/washingtondc-api-reference/page/app-store/dev_portal/API_reference/RESTMessageV2/concept/c_RESTMessageV2API.html
- https://github.com/magzbaxter/incident-servicenow-sync/blob/main/docs/servicenow-business-rules.md
- https://github.com/Ndafara/Get-Incidents-with-ServiceNow-API/blob/main/send_incident_business_rule.js

The script has not been run on an instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.model import Webhook
from bridge.sources.bodies import first, parse_object, site, snake, text
from bridge.sources.options import SitedJson
from bridge.sources.signing import Token

_ADDRESSES = ("instance", "instance_url", "url", "link")
_AROUND = ("record", "current", "result", "data", "incident")
_STATES = {
    "incident": {
        "1": "New",
        "2": "In Progress",
        "3": "On Hold",
        "6": "Resolved",
        "7": "Closed",
        "8": "Canceled",
    },
    "problem": {
        "101": "New",
        "102": "Assess",
        "103": "Root Cause Analysis",
        "104": "Fix in Progress",
        "106": "Resolved",
        "107": "Closed",
    },
    "change_request": {
        "-5": "New",
        "-4": "Assess",
        "-3": "Authorize",
        "-2": "Scheduled",
        "-1": "Implement",
        "0": "Review",
        "3": "Closed",
        "4": "Canceled",
    },
}
_NAMES = {
    "table": ("table", "table_name", "sys_class_name"),
    "operation": ("operation", "event_type", "action"),
    "sys_updated_on": ("sys_updated_on", "updated_on"),
}
"""What rules call otherwise, the set-up page's own name first."""

_TABLES = {"INC": "incident", "PRB": "problem", "CHG": "change_request"}
"""Tables by the beginnings of numbers, as ServiceNow has them."""


class ServiceNow(SitedJson):
    """`bridge.ports.Source` for business rules that post a record's fields."""

    kind = "servicenow"
    vendor = "ServiceNow"
    signature = Token()
    place = "x-servicenow-url"
    home = "servicenow"
    objects = ("record.sys_id", "record.number")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as the base
        """The fields as `record`, with the names of the table and the state, and all `jira` fields.

        Raises BadBody.
        """
        data = parse_object(body)
        around = (name for name in _AROUND if isinstance(data.get(name), dict))
        told = snake({**data, **data.get(next(around, ""), {})})
        record = {name: _value(each) for name, each in told.items()}
        number, state = text(record.get("number")), text(record.get("state"))
        table = first(record, _NAMES["table"]) or _TABLES.get(number[:3].upper(), "task")
        shown = told.get("state")
        known = shown.get("display_value") if isinstance(shown, dict) else _STATES.get(table, {}).get(state)
        return {
            "record": {
                **record,
                **{name: first(record, names) for name, names in _NAMES.items()},
                "table": table,
                "state_name": text(record.get("state_name")) or text(known) or state,
                "jira": [each for name, each in record.items() if "jira" in name],
            }
        }

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:  # noqa: ARG002 - a rule is any
        """`record`: a rule sends the same for all that may have happened."""
        return "record"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - there is one type
        """The record's own id."""
        return first(data, self.objects)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:  # noqa: ARG002 - there is one type
        """When the record was changed; to delete it is no change, and is as new as its delivery."""
        record = data["record"]
        return [] if record["operation"].lower().startswith("delete") else [record["sys_updated_on"]]

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:
        """The instance's address, as it is told or the body has it."""
        told = [self.told_site(webhook), *(data["record"].get(name) for name in _ADDRESSES)]
        known = next((found for found in map(site, told) if found), "")
        name = text(data["record"].get("instance"))
        return known or site(f"{name}.service-now.com" if name.isalnum() else "") or self.home


def _value(field: object) -> object:
    """The field itself, also of one that comes with the text that is shown for it."""
    return field.get("value") if isinstance(field, dict) and "value" in field else field


SOURCE = ServiceNow()
