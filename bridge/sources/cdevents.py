"""CDEvents: runs, builds, tests, services, changes, artifacts, tickets and incidents of any tool.

## Set up

1. In the *settings of the tool*, or of the broker that its events go through, have them posted to
   `https://BRIDGE/webhooks/cdevents`: as CloudEvents in the binary mode (`ce-` headers) or the structured
   one (`application/cloudevents+json`), one event a delivery, or as plain CDEvents in JSON.
2. The secret goes where the tool can put it: `Authorization: Bearer SECRET`, Basic, the header
   `X-Webhook-Token`, or `?token=SECRET` in the URL:

       ingress:
         endpoints:
           cdevents:
             source: cdevents
             secrets: [env:CDEVENTS_WEBHOOK_TOKEN]

Events that come on Kafka as CloudEvents of the types `dev.cdevents.…` are read alike, without this.

## Events

| event | link |
| --- | --- |
| `pipelinerun.*`, `taskrun.*` | one a pipeline, or a task that belongs to none, which each run changes |
| `testsuiterun.*`, `testcaserun.*` | one a suite, or a case that belongs to none, and environment |
| `build.*` | one a build |
| `service.*` | one a service and environment |
| `change.*` | one a change |
| `artifact.*` | one an artifact that is packaged, published or signed; taken off when it is deleted |
| `ticket.*` | one a ticket |
| `incident.*` | one an incident |

Skipped with a reason: `no_address`, where no web address is told in `url` or `uri` of the content or of
`customData`, nor as the subject's id or source, nor as the event's or the repository's source; a `part`,
which its pipeline's or suite's run tells of. Branches, repositories, environments and approvals are not of
interest.

## Links

Struck through: a run that succeeded, a build that finished, a service that is deployed or removed, a change
that is merged or abandoned, a ticket that is closed, an incident that is resolved.

Keys are looked for in the description or summary, the subject's id, the labels, `customData` (its `branch`
and `ref` in any case, as a change's id), and the tags of the context's links. Few of these stand in all
events of a subject, and an event changes the links of those issues only that it names itself: let the
tool put the key into `customData` of each.

## Signature

CDEvents have none; the transport's token is all there is. The event's id names the delivery.
A sender that asks for leave first (OPTIONS with `WebHook-Request-Origin`, as Azure Event Grid does) is
not answered: nobody has proved then who asks.

## Facts

- https://cdevents.dev/docs/ and https://github.com/cdevents/spec, the branches of 0.3, 0.4 and 0.5
- https://github.com/cdevents/spec/blob/main/cloudevents-binding.md
- https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
- https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md, for the OPTIONS request
- https://docs.testkube.io/articles/cd-events, for what one tool sends
- Runs have no number: of two runs of one pipeline at the same time the link shows what was told last.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from bridge.errors import BadBody
from bridge.sources.base import JsonSource, Paths
from bridge.sources.bodies import first, parse_object
from bridge.sources.signing import Token

_NAMED: dict[str, Paths] = {
    "pipelinerun": ("subject.content.pipelineName",),
    "taskrun": ("subject.content.taskName",),
    "testsuiterun": ("subject.content.testSuite.id", "subject.content.testSuite.name"),
    "testcaserun": ("subject.content.testCase.id", "subject.content.testCase.name"),
}
"""What runs of one thing share; the subject is the single run."""


class CDEvents(JsonSource):
    """`bridge.ports.Source` for CDEvents over HTTP."""

    kind = "cdevents"
    vendor = "CDEvents"
    signature = Token()
    type_header = "ce-type"
    type_paths = ("context.type",)
    id_header = "ce-id"
    id_paths = ("context.id",)
    kept = ("ce-source", "ce-subject", "ce-time")
    origin = ("context.source",)
    home = "https://cdevents.dev"
    times = ("context.timestamp",)

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The CDEvent: the body, or the data of the CloudEvent in it. Raises BadBody.

        What a CDEvent lacks, and a CloudEvent of another kind has not, is taken from the envelope.
        """
        sent = parse_object(body)
        told = {name: headers.get(f"ce-{name}") for name in ("id", "source", "type", "time", "subject")}
        event = sent
        if isinstance(sent.get("specversion"), str) and "context" not in sent:
            told = {name: sent.get(name) for name in told}
            event = _data(sent)
        context = {name: told[name] for name in ("id", "source", "type")}
        envelope = {"context": {**context, "timestamp": told["time"]}, "subject": {"id": told["subject"]}}
        return {**envelope, **event}

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """What is run, else the subject's id."""
        kind = type_.removeprefix("dev.cdevents.").partition(".")[0]
        return first(data, (*_NAMED.get(kind, ()), "subject.id"))


def _data(event: dict[str, Any]) -> dict[str, Any]:
    """The data of a CloudEvent in the structured mode; some tools send it as text."""
    data, packed = event.get("data"), event.get("data_base64")
    if isinstance(packed, str):
        try:
            return parse_object(b64decode(packed, validate=True))
        except ValueError:
            raise BadBody("The field data_base64 is not Base64.") from None
    if isinstance(data, str):
        return parse_object(data)
    return data if isinstance(data, dict) else {}


SOURCE = CDEvents()
