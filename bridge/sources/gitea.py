"""Gitea and Forgejo: pull requests, pushes, workflow runs, commit statuses and releases.

## Set up

1. In the repository, the organisation or the user: *Settings > Webhooks > Add webhook > Gitea* (or
   *Forgejo*). For a whole instance: *Site administration > Integrations > System webhooks*.
2. *Target URL*: `https://BRIDGE/webhooks/gitea`. *HTTP method*: POST. *POST content type*:
   `application/json`; a form is not taken, since its signature is not of what is sent.
3. *Secret*: a long random text, the same as in the configuration:

       ingress:
         endpoints:
           gitea:
             source: gitea
             secrets: [env:GITEA_WEBHOOK_SECRET]

4. *Trigger on > Custom events*: Create, Delete, Push, Pull request (Modified, Synchronized), Release, Status;
   in Gitea 1.24 and later Workflow run, in Forgejo the Action run events. Others are taken and skipped.

Where the bridge is at a private address, Gitea's `ALLOWED_HOST_LIST` must have its host. *Test delivery*
sends a push of the newest commit. A delivery that failed is not sent again by itself; the webhook's *Recent
deliveries* has a button for it.

## Events

| event | link |
| --- | --- |
| `pull_request*` | the pull request, on all issues of its title and head branch |
| `push` | each commit whose message names an issue, and the branch whose name does |
| `create`, `delete` | the branch |
| `workflow_run` | Gitea: one a workflow and branch, which each run changes |
| `action_run_*` | Forgejo: the same; there are only events for runs that have ended |
| `status` | one a context: Gitea tells no branch of a status |
| `release` | the release, on all issues of its name, tag and notes |

Skipped with a reason: a `tag`, which belongs to no issue; a `job`, which its run tells of; an
`actions_status`, the status of a commit that a workflow set itself. All other events are not of interest.

## Links

A pull request is struck through when it is merged or closed, a build when it passed, a branch when it is
deleted. A key that leaves a pull request's title takes the link off the issue, and so does deleting the pull
request or the release; pushes and builds add to what others said. A head branch is read where its name stays
when it is deleted.

A push holds the newest commits only, five unless `FEED_MAX_COMMIT_NUM` says otherwise. `draft` holds for
draft pull requests and those whose titles begin with `WIP:`, `[WIP]` or `Draft:`, `bot` for what workflows
do.

## Signature

`X-Gitea-Signature`: the HMAC-SHA256 of the raw body in hexadecimal; Forgejo sends it too, beside its own
`X-Forgejo-Signature`. `X-Gitea-Delivery` names the delivery. There is no timestamp.

## Facts

- https://docs.gitea.com/usage/webhooks
- https://forgejo.org/docs/latest/user/webhooks/
- https://github.com/go-gitea/gitea/blob/main/modules/structs/hook.go (what bodies hold)
- https://github.com/go-gitea/gitea/blob/main/services/webhook/deliver.go (headers and signature)
- https://codeberg.org/forgejo/forgejo/src/branch/forgejo/modules/structs/action.go (runs)
- https://github.com/go-playground/webhooks/tree/master/testdata/gitea
- https://github.com/jenkins-x/go-scm/tree/main/scm/driver/gitea/testdata/webhooks

Neither documents known answers of its signature. That a run which is run again counts its attempts in all
versions of Gitea could not be confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.bodies import first
from bridge.sources.signing import Hmac


class Gitea(JsonSource):
    """`bridge.ports.Source` for Gitea and its relative Forgejo."""

    kind = "gitea"
    vendor = "Gitea"
    signature = Hmac("x-gitea-signature")
    type_header = "x-gitea-event"
    id_header = "x-gitea-delivery"
    aliases = {"x-forgejo-event": "x-gitea-event", "x-forgejo-delivery": "x-gitea-delivery"}  # noqa: RUF012
    origin = ("repository.html_url", "run.repository.html_url")
    home = "https://gitea.com"
    # A push tells no time, and a release none of its change: theirs is that of the receipt.
    times = (
        "pull_request.created_at",
        "pull_request.updated_at",
        "workflow_run.started_at",
        "workflow_run.completed_at",
        "run.updated",
        "run.updated_at",
        "run.stopped",
        "created_at",
        "updated_at",
    )

    def keep(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """As the base; where a version leaves the event empty, its finer type tells it."""
        kept = super().keep(headers, body)
        finer = headers.get("x-gitea-event-type")
        return kept if kept.get(self.type_header) or not finer else {**kept, self.type_header: finer}

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - as the base
        """The pull request, or the repository: one commit comes in many branches.

        Some runs of a branch are of a pull request, others of the same link are not.
        """
        repository = first(data, ("repository.id", "run.repository.id"))
        alone = "pull_request" in data and "workflow_run" not in data
        number = first(data, ("pull_request.number", "number")) if alone else ""
        return f"{repository}/{number}" if number else repository


SOURCE = Gitea()
