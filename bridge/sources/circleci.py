"""CircleCI: workflows, by project, name and branch.

## Set up

1. *Project Settings > Webhooks > Add Webhook*, in each project (a project has at most five).
2. *Webhook URL*: `https://BRIDGE/webhooks/circleci`. *Secret token*: a long random text, the same as in
   the configuration. *Certificate verification* stays on.
3. *Events*: *Workflow Completed*. *Job Completed* is taken and skipped.
4. The endpoint:

       ingress:
         endpoints:
           circleci:
             source: circleci
             secrets: [env:CIRCLECI_WEBHOOK_SECRET]

*Test Ping Event* sends a first delivery, which is taken and skipped.

## Events

| event | link |
| --- | --- |
| `workflow-completed` | one a project, workflow and branch (or tag), which each run changes |

Skipped with a reason: `job-completed` as `job`, which its workflow tells of; the test as `ping`. CircleCI
tells of nothing that has not ended: there is no link for a first run until it has, and after that the
link shows the last that has. A workflow that waits for an approval has not ended.

## Links

A link's title is the workflow, the branch and how it ended; it is struck through when that was a success.
Keys are looked for in the commit's message and the branch (in any case).

Runs are ordered by the number of their pipeline, and within one by their time: a workflow that is run
again keeps the number.

## Signature

`circleci-signature`: `v1=` and the HMAC-SHA256 of the raw body in hexadecimal, in a list with commas. There
is no timestamp. The body's `id` names a delivery, the same when it is sent again, as happens when no
answer of 2xx comes within 10 s.

## Facts

- https://circleci.com/docs/guides/integration/outbound-webhooks/, with known answers
- https://circleci.com/docs/reference/outbound-webhooks-reference/
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/circleci/fixtures
- Bodies of projects of GitHub OAuth and Bitbucket tell of the commit in `vcs`, others (the GitHub App,
  GitLab, Bitbucket Data Center) in `trigger_parameters`. What a test ping holds is documented as
  "abbreviated" only: whatever has no workflow is taken for one. Where a workflow has no `url`, the link
  leads to `app.circleci.com/pipelines/workflows/ID`, as other vendors' tools do; that is not documented.
"""

from __future__ import annotations

from bridge.sources.base import JsonSource
from bridge.sources.signing import Hmac


class CircleCI(JsonSource):
    """`bridge.ports.Source` for the outbound webhooks of CircleCI, cloud and server."""

    kind = "circleci"
    vendor = "CircleCI"
    signature = Hmac("circleci-signature", prefix="v1=", several=True)
    type_header = "circleci-event-type"
    type_paths = ("type",)
    id_paths = ("id",)
    origin = ("organization.id", "organization.name")
    home = "https://circleci.com"
    # Not the branch, which stands in one of several places.
    objects = ("project.id", "workflow.name")
    times = ("happened_at",)


SOURCE = CircleCI()
