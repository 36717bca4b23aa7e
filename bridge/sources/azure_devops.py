"""Azure DevOps (Services and Server): pull requests, pushes, pipelines and classic releases.

## Set up

1. In the project: *Project settings > Service hooks > Create subscription > Web Hooks*, once for each event:
   Code pushed; Pull request created, updated, merge attempted; Run state changed, or Build completed; Release
   deployment started, completed.
2. *URL*: `https://BRIDGE/webhooks/azure-devops`, by https. Azure DevOps signs nothing, so the secret is sent
   itself, in one of two ways: *Basic authentication username* and *password*, which the configuration has as
   `username:password`; or *HTTP headers*: `X-Webhook-Token: ` and the secret.

       ingress:
         endpoints:
           azure-devops:
             source: azure-devops
             secrets: [env:AZURE_DEVOPS_WEBHOOK_SECRET]

3. *Resource details to send*: All. *Messages to send*: All. *Resource version*: the newest.
4. *Test* sends the vendor's own sample, which is taken and names no issue.

A delivery that failed is tried again for a while; then the subscription is put on probation, and at last
disabled. *History* shows each.

## Events

| event | link |
| --- | --- |
| `git.pullrequest.*` | the pull request, on all issues of its title and source branch |
| `git.push` | each commit whose message names an issue, and the branches whose names do |
| `ms.vss-pipelines.run-state-changed-event` | one a pipeline and branch, which each run changes |
| `build.complete` | the same, for those who have no YAML pipelines: one of the two is enough |
| `ms.vss-release.deployment-*` | one a classic release pipeline's stage |
| `ms.vss-release.release-*` | the classic release, on all issues of its name, description and branches |

Skipped with a reason: a `comment`, which changes nothing of its pull request; a `tag`, a push of tags alone;
a `stage` or a job, which its run tells of; an `approval`. All other events are not of interest: work items,
TFVC.

## Links

A pull request is struck through when it is completed or abandoned, a run when it succeeded, a branch when it
is deleted. A key that leaves a pull request's title takes the link off the issue; pushes and runs add to what
others said. A pull request cannot be deleted.

A run's keys are looked for in its branch, in the message of its commit, and in its build's tags; for a pull
request, Build completed tells the branch, Run state changed only its merge. A deployment's are looked for in
the names of its release and branches. A run's id keeps old news from new. A deployment goes by time alone,
since going back to an older release is news too.

`draft` holds for draft pull requests, `bot` for what a build service made.

## Signature

None: a token, see above. The body's `id` names the delivery.

## Facts

- https://learn.microsoft.com/en-us/azure/devops/service-hooks/events
- https://learn.microsoft.com/en-us/azure/devops/service-hooks/services/webhooks
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/azuredevops/fixtures (bodies as they were sent)
- https://github.com/go-playground/webhooks/tree/master/testdata/azuredevops
- https://github.com/jenkins-x/go-scm/tree/main/scm/driver/azure/testdata/webhooks
- https://github.com/open-telemetry/opentelemetry-collector-contrib (`azuredevopsreceiver`: what a run's event
  holds beside what the documents say: its branch, in `run.resources.repositories.self.refName`)

The documents' own run tells no branch; such a run has one link for its pipeline. Where the event of a
deployment has the branches of its release could not be confirmed: they are looked for in
`deployment.release` and in `release`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.signing import Token


class AzureDevOps(JsonSource):
    """`bridge.ports.Source` for Azure DevOps Services and Azure DevOps Server."""

    kind = "azure-devops"
    vendor = "Azure DevOps"
    signature = Token()
    type_paths = ("eventType",)
    id_paths = ("id",)
    # Bodies in the vendor's documents have no `baseUrl`.
    origin = (
        "resourceContainers.collection.baseUrl",
        "resourceContainers.account.baseUrl",
        "resource.repository.url",
        "resource.url",
        "resource.run.url",
    )
    home = "https://dev.azure.com"
    # All pushes of a repository share a key, since one commit comes in many branches; so do the runs of
    # a project, of which two events tell in different places, and an organization's releases, of which
    # not every event tells the project in the same place.
    objects = {  # noqa: RUF012 - told once, never changed
        "build.complete": ("resourceContainers.project.id",),
        "git.pullrequest.created": ("resource.repository.id", "resource.pullRequestId"),
        "git.pullrequest.merged": ("resource.repository.id", "resource.pullRequestId"),
        "git.pullrequest.updated": ("resource.repository.id", "resource.pullRequestId"),
        "git.push": ("resource.repository.id",),
        "ms.vss-pipelines.run-state-changed-event": ("resourceContainers.project.id",),
        "ms.vss-release.deployment-completed-event": ("resourceContainers.collection.id",),
        "ms.vss-release.deployment-started-event": ("resourceContainers.collection.id",),
        "ms.vss-release.release-abandoned-event": ("resourceContainers.collection.id",),
        "ms.vss-release.release-created-event": ("resourceContainers.collection.id",),
    }
    times = ("createdDate",)

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        """`eventType`; newer samples of the vendor's documents say `azure-devops` in it for `vss`."""
        return super().type_of(headers, data).replace("ms.azure-devops-", "ms.vss-", 1)


SOURCE = AzureDevOps()
