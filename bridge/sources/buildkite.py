"""Buildkite: builds, by pipeline and branch.

## Set up

1. *Organization Settings > Notification Services > Webhook > Add*.
2. *Webhook URL*: `https://BRIDGE/webhooks/buildkite`. Under *Token* choose *Send an HMAC signature in the
   X-Buildkite-Signature header*; the plain token in `X-Buildkite-Token` is taken too.
3. *Events*: all of *build*. Where pipelines have block steps, `job.activated` beside them: it alone
   tells when a blocked build goes on.
4. Choose the pipelines and save. The token, which Buildkite makes or you choose, is the secret:

       ingress:
         endpoints:
           buildkite:
             source: buildkite
             secrets: [env:BUILDKITE_WEBHOOK_TOKEN]

## Events

| event | link |
| --- | --- |
| `build.*` | one a pipeline and branch, which each build changes |
| `job.activated` | the same link: the build goes on |

Skipped with a reason: `ping`, which is sent when the settings change; a `job`, which its build tells of.
Agents and their tokens are not of interest. No event tells of a build that was deleted.

## Links

A link's title is the pipeline, the branch and the state of the latest build; it is struck through when
that has passed. A build that waits at a block step is shown as blocked. Keys are looked for in the
message, the branch (in any case) and the meta-data that the build was made with.

Builds are ordered by their number. A build whose job is tried again keeps its number, and the result
that finished last is shown.

## Signature

`X-Buildkite-Signature`: `timestamp=…,signature=…`, the HMAC-SHA256 of `timestamp.body` in hexadecimal, or
`X-Buildkite-Token`: the token itself. Nothing names a delivery: a digest of its body does.

## Facts

- https://buildkite.com/docs/apis/webhooks/pipelines, and its pages on events of builds, jobs and pings
- https://buildkite.com/docs/apis/rest-api/builds
- https://github.com/buildkite/go-buildkite: `ValidatePayload`, with a known answer
- Whether a failed delivery is sent again is not documented; the page of the service lists the last 20.
"""

from __future__ import annotations

from bridge.sources.base import JsonSource
from bridge.sources.signing import Either, TimedHmac, Token


class Buildkite(JsonSource):
    """`bridge.ports.Source` for the webhooks of Buildkite Pipelines."""

    kind = "buildkite"
    vendor = "Buildkite"
    signature = Either(
        TimedHmac(
            "x-buildkite-signature",
            timestamp="timestamp",
            field="signature",
            message=lambda request, sent: sent + b"." + request.body,
            signed="timestamp.body",
        ),
        Token("x-buildkite-token"),
    )
    type_header = "x-buildkite-event"
    type_paths = ("event",)
    home = "https://buildkite.com"
    objects = ("pipeline.id", "build.branch")
    times = (
        "build.finished_at",
        "build.failing_at",
        "build.started_at",
        "build.scheduled_at",
        "build.created_at",
        "job.unblocked_at",
    )


SOURCE = Buildkite()
