"""Bitbucket Cloud: pull requests, pushes and build statuses.

## Set up

1. In the repository: *Repository settings > Webhooks > Add webhook*; for all repositories of a workspace:
   *Workspace settings > Webhooks*.
2. *URL*: `https://BRIDGE/webhooks/bitbucket`.
3. *Secret*: *Generate secret*, the same as in the configuration:

       ingress:
         endpoints:
           bitbucket:
             source: bitbucket
             secrets: [env:BITBUCKET_WEBHOOK_SECRET]

4. *Triggers > Choose from a full list of triggers*: Repository: Push, Build status created, Build status
   updated. Pull request: Created, Updated, Merged, Declined. Others are taken and skipped.

Bitbucket waits ten seconds for the answer, and sends what failed two more times. Where Jira and Bitbucket
are linked by Atlassian's own application, issues have this in their development panel already.

## Events

| event | link |
| --- | --- |
| `pullrequest:*` | the pull request, on all issues of its title and source branch |
| `repo:push` | each commit whose message names an issue, and the branches whose names do |
| `repo:commit_status_*` | one a status key and branch; Bitbucket Pipelines has one a branch |

Skipped with a reason: a `comment`, which changes nothing of its pull request; a `tag`, a push of tags alone.
All other events are not of interest.

## Links

A pull request is struck through when it is merged, declined or superseded, a build when it is successful,
a branch when it is deleted. A key that leaves a pull request's title takes the link off the issue; pushes
and builds add to what others said. A pull request cannot be deleted.

A status tells neither a message nor, in older bodies, a branch: its keys are looked for in its name,
description and `refname`. At most five commits come with each branch that is pushed.

`draft` holds for draft pull requests, `bot` for what an app or an access token made.

## Signature

`X-Hub-Signature`: `sha256=` and the HMAC-SHA256 of the raw body in hexadecimal. `X-Request-UUID` names the
delivery. There is no timestamp.

## Facts

- https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/
- https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/
- https://github.com/go-playground/webhooks/tree/master/testdata/bitbucket
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/bitbucket2/fixtures

That `X-Request-UUID` is the same when a delivery is tried again could not be confirmed.
"""

from __future__ import annotations

from typing import Any

from bridge.sources.base import JsonSource
from bridge.sources.signing import Hmac


class Bitbucket(JsonSource):
    """`bridge.ports.Source` for bitbucket.org."""

    kind = "bitbucket"
    vendor = "Bitbucket Cloud"
    signature = Hmac("x-hub-signature", prefix="sha256=")
    type_header = "x-event-key"
    id_header = "x-request-uuid"
    origin = ("repository.links.html.href",)
    home = "https://bitbucket.org"
    # Pushes and statuses of a repository share a key: one commit comes in many branches, and old
    # statuses tell no branch.
    objects = ("repository.uuid", "pullrequest.id")
    # The dates in a push are its commits', who may be old: it happened when it was received.
    times = (
        "pullrequest.created_on",
        "pullrequest.updated_on",
        "commit_status.created_on",
        "commit_status.updated_on",
    )

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """The pull request, or the repository."""
        return super().subject_of(type_, data).strip("/")


SOURCE = Bitbucket()
