"""GitLab: merge requests, pushes, pipelines, jobs, deployments and releases.

## Set up

1. In the project or the group: *Settings > Webhooks > Add new webhook*. For all projects of an instance:
   *Admin > System hooks*.
2. *URL*: `https://BRIDGE/webhooks/gitlab`.
3. *Signing token* (GitLab 19.0 and later): *Generate*, and copy the whole `whsec_…`. Before that, *Secret
   token*: a long random text. It goes into the configuration:

       ingress:
         endpoints:
           gitlab:
             source: gitlab
             secrets: [env:GITLAB_WEBHOOK_SECRET]

   A webhook with a signing token is checked by that alone; the secret token beside it is not looked at.
4. *Trigger*: Push events, Merge request events, Pipeline events, Deployment events, Releases events. Job
   events only if each job should have a link of its own. Others are taken and skipped.
5. *Custom webhook template*: leave it empty. *Enable SSL verification*.

GitLab waits ten seconds for the answer and does not repeat a delivery that failed; the webhook's *Recent
events* has a button for it. It stops a webhook that fails again and again.

## Events

The type is the body's `object_kind`, or `event_name` where a system hook has only that.

| event | link |
| --- | --- |
| `merge_request` | the merge request, on all issues of its title and source branch |
| `push` | each commit whose message names an issue, and the branch whose name does |
| `pipeline` | one a branch, tag or merge request, which each pipeline changes |
| `build` | one a job's name and branch: what GitLab calls a job event |
| `deployment` | one an environment and ref |
| `release` | the release, on all issues of its name, tag and description |

Skipped with a reason: `tag`, the push of a tag, which belongs to no issue; `child_pipeline`, of which
its parent tells (with `strategy: depend` the child's failure too). All other events are not of interest:
GitLab's own issues, comments, wiki pages, members, feature flags.

## Links

A merge request is struck through when it is merged or closed, a pipeline or job when it passed, a branch
when it is deleted, a release when it is out. A key that leaves a merge request's title takes the link off
the issue; pushes and pipelines add to what others said. A release that is deleted takes its links with it;
of a merge request that is deleted GitLab tells nothing, so its links stay.

A pipeline's version is its id, then the latest time of its jobs: a job that is run again sets a failed
pipeline back to running. One that another project triggers counts as its own ref's. Only 20 commits come with
a push, and nothing at all of a push of more than three branches.

`draft` holds for draft merge requests, `bot` for those that a project's or group's access token made, while
the bot itself acts on them, and for what such a bot pushes.

## Signature

`webhook-signature`: `v1,` and the HMAC-SHA256 of `webhook-id.webhook-timestamp.body` in Base64, as Standard
Webhooks has it, 300 seconds; else `X-Gitlab-Token`, the secret itself. `Idempotency-Key` names the delivery,
the same when it is sent again; older versions lack it, and a digest of the body does.

## Facts

- https://docs.gitlab.com/user/project/integrations/webhooks/
- https://docs.gitlab.com/user/project/integrations/webhook_events/
- https://docs.gitlab.com/administration/system_hooks/
- https://gitlab.com/gitlab-org/gitlab/-/merge_requests/230944 (the signing token)
- https://gitlab.com/gitlab-org/gitlab/-/tree/master/lib/gitlab/data_builder (what bodies hold)
- https://github.com/go-playground/webhooks/tree/master/testdata/gitlab
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/gitlab/fixtures (approvals of deployments)

No known answer of GitLab's own signature could be found; the tests have that of Standard Webhooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.bodies import at
from bridge.sources.signing import Either, StandardWebhooks, Token


class GitLab(JsonSource):
    """`bridge.ports.Source` for gitlab.com and GitLab of one's own."""

    kind = "gitlab"
    vendor = "GitLab"
    signature = Either(StandardWebhooks(("webhook",)), Token("x-gitlab-token"))
    type_paths = ("object_kind", "event_name")
    kept = ("idempotency-key",)
    # Job events had no `project` before GitLab 17.
    origin = ("project.web_url", "repository.homepage", "object_attributes.url")
    home = "https://gitlab.com"
    # All pushes of a project share a key, since one commit comes in many branches.
    objects = {  # noqa: RUF012 - a ClassVar of the base
        "build": ("project_id", "build_name", "ref"),
        "deployment": ("project.id", "environment"),
        "merge_request": ("object_attributes.target_project_id", "object_attributes.iid"),
        "pipeline": ("project.id", "object_attributes.ref"),
        "push": ("project_id",),
        "release": ("project.id", "id"),
    }
    # A push tells no time, and a release none of its change: theirs is that of the receipt.
    times = (
        "object_attributes.created_at",
        "object_attributes.updated_at",
        "object_attributes.finished_at",
        "build_created_at",
        "build_started_at",
        "build_finished_at",
        "status_changed_at",
    )

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The idempotency key, which older versions do not send."""
        return headers.get("idempotency-key") or super().delivery_id(headers, body)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:
        """A pipeline's own time stays where it was when one of its jobs is run again: theirs count too."""
        yield from super().times_of(type_, data)
        jobs = data.get("builds")
        for job in jobs if isinstance(jobs, list) else ():
            yield from (at(job, name) for name in ("created_at", "started_at", "finished_at"))


SOURCE = GitLab()
