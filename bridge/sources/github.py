"""GitHub: pull requests, pushes, workflow runs, checks, deployments, releases and commit statuses.

## Set up

1. In the repository or the organisation: *Settings > Webhooks > Add webhook*.
2. *Payload URL*: `https://BRIDGE/webhooks/github`. *Content type*: `application/json` (a form works too).
3. *Secret*: a long random text, the same as in the configuration:

       ingress:
         endpoints:
           github:
             source: github
             secrets: [env:GITHUB_WEBHOOK_SECRET]

4. *Let me select individual events*: Pull requests, Pushes, Workflow runs, Check runs, Check suites,
   Deployment statuses, Releases, Statuses. Others are taken and skipped.

GitHub does not repeat a delivery that failed; *Recent Deliveries* has a button for it.

## Events

| event | link |
| --- | --- |
| `pull_request` | the pull request, on all issues of its title and head branch |
| `push` | each commit whose message names an issue, and the branch whose name does |
| `workflow_run` | one a workflow and branch, which each run changes |
| `check_run`, `check_suite` | one a check and branch; those of GitHub Actions are told of as runs |
| `deployment_status` | one an environment and ref |
| `release` | the release, on all issues of its name, tag and notes |
| `status` | one a context and branch |

Skipped with a reason: `ping`, GitHub's first delivery; a `tag`, which belongs to no issue; an
`actions_check`, which its run tells of. All other events are not of interest.

## Links

A pull request is struck through when it is merged or closed, a build when it passed, a branch when it
is deleted. A key that leaves a pull request's title takes the link off the issue; a push or a build
adds to what others said. Keys in titles and messages are written in capitals, in branches as you like.

## Signature

`X-Hub-Signature-256`: `sha256=` and the HMAC-SHA256 of the raw body in hexadecimal. `X-GitHub-Delivery`
names the delivery, the same when it is redelivered. There is no timestamp.

## Facts

- https://docs.github.com/en/webhooks/webhook-events-and-payloads
- https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs

from bridge.errors import BadBody
from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, parse_object, text
from bridge.sources.signing import Hmac


class GitHub(JsonSource):
    """`bridge.ports.Source` for github.com and GitHub Enterprise Server."""

    kind = "github"
    vendor = "GitHub"
    signature = Hmac("x-hub-signature-256", prefix="sha256=")
    type_header = "x-github-event"
    id_header = "x-github-delivery"
    kept = ("content-type",)
    origin = ("repository.html_url",)
    home = "https://github.com"
    # All pushes of a repository share a key, since one commit comes in many branches.
    objects = {  # noqa: RUF012 - a ClassVar of the base
        "check_run": ("check_run.name",),
        "check_suite": ("check_suite.app.id",),
        "deployment_status": ("deployment.environment",),
        "issues": ("issue.number",),
        "pull_request": ("pull_request.number",),
        "release": ("release.id",),
        "status": ("context",),
        "workflow_run": ("workflow_run.workflow_id", "workflow_run.head_branch"),
    }
    # A check run has no `updated_at`; a release has had one since 2025 only.
    times = ("updated_at", "completed_at", "started_at", "published_at", "created_at")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """The JSON object in the body, or in the one field of a form. Raises BadBody."""
        if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return parse_object(body)
        try:
            (payload,) = parse_qs(body.decode("ascii"), max_num_fields=2, errors="strict")["payload"]
        except (ValueError, KeyError):
            raise BadBody("The body is a form without one field `payload`.") from None
        return parse_object(payload)

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """`<repository id>/<type>/<object>`: a type has objects of its own."""
        told = (text(at(data, "repository.id")), type_, super().subject_of(type_, data))
        return "/".join(part for part in told if part)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:
        """Those of the object that the event is named after; a push says when in its repository."""
        if type_ == "push":
            yield at(data, "repository.pushed_at")
        described = data.get(type_, data)
        yield from super().times_of(type_, described if isinstance(described, dict) else {})


SOURCE = GitHub()
