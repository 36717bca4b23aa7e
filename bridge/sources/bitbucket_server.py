"""Bitbucket Data Center (and Server): pull requests and pushes.

## Set up

1. In the repository or the project: *Settings > Webhooks > Create webhook*.
2. *URL*: `https://BRIDGE/webhooks/bitbucket-server`.
3. *Secret*: a long random text, the same as in the configuration:

       ingress:
         endpoints:
           bitbucket-server:
             source: bitbucket-server
             secrets: [env:BITBUCKET_SERVER_WEBHOOK_SECRET]

4. *Events*: Repository: Push. Pull request: Opened, Source branch updated, Modified, Merged, Declined,
   Deleted. Others are taken and skipped.
5. *Test connection* sends `diagnostics:ping`, which version 5.6 does not sign: that test is refused there,
   and tells nothing of the other deliveries.

Some versions tell no addresses (`"links": {"self": [null]}`), others none at all. For these say where
Bitbucket is, with the path that it may have there:

       options: {url: "https://git.example.com/bitbucket"}

## Events

| event | link |
| --- | --- |
| `pr:*` | the pull request, on all issues of its title and source branch |
| `repo:refs_changed` | each branch whose name names an issue, and each commit (version 8 and later) |

Skipped with a reason: `ping`, the test of a connection; a `comment`, which changes nothing of its pull
request; a `tag`, a push of tags alone; `no_address`, where neither the body nor the option `url` says where
Bitbucket is. All other events are not of interest. Bitbucket Data Center has no event for build statuses:
let the build server tell of them itself.

## Links

A pull request is struck through when it is merged or declined, a branch when it is deleted. A key that
leaves a pull request's title takes the link off the issue, and so does deleting it; pushes add to what
others said. A pull request's own version number keeps old news from new.

`draft` holds for draft pull requests, `bot` for those of service users.

## Signature

`X-Hub-Signature`: `sha256=` and the HMAC-SHA256 of the raw body in hexadecimal. `X-Request-Id` names the
delivery. There is no timestamp, and what failed is not sent again.

## Facts

- https://confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
- https://confluence.atlassian.com/bitbucketserver/manage-webhooks-938025878.html
- https://github.com/go-playground/webhooks/tree/master/testdata/bitbucket-server
- https://github.com/jenkins-x/go-scm/tree/main/scm/driver/stash/testdata/webhooks (versions without links)
- https://github.com/zulip/zulip/tree/main/zerver/webhooks/bitbucket3/fixtures
- https://github.com/jenkinsci/atlassian-bitbucket-server-integration-plugin/pull/88 (repositories have had
  addresses since 5.14)
- https://github.com/runatlantis/atlantis/issues/474 (a test of a connection without a signature)

From which version on the test of a connection is signed could not be confirmed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bridge.model import Webhook
from bridge.sources.base import Paths
from bridge.sources.bodies import first, parse_object, site
from bridge.sources.options import SitedJson
from bridge.sources.signing import Hmac


class BitbucketServer(SitedJson):
    """`bridge.ports.Source` for Bitbucket Data Center, and Bitbucket Server before it."""

    kind = "bitbucket-server"
    vendor = "Bitbucket Data Center"
    signature = Hmac("x-hub-signature", prefix="sha256=")
    type_header = "x-event-key"
    id_header = "x-request-id"
    place = "x-bitbucket-url"
    home = "bitbucket-server"
    # Pushes of a repository share a key: one commit comes in many branches.
    objects = ("pullRequest.toRef.repository.id", "pullRequest.id", "repository.id")
    # `date` has seconds only.
    times = ("date", "pullRequest.createdDate", "pullRequest.updatedDate", "pullRequest.closedDate")

    addresses: ClassVar[Paths] = (
        "pullRequest.toRef.repository.links.self.0.href",
        "pullRequest.links.self.0.href",
        "repository.links.self.0.href",
        "actor.links.self.0.href",
    )
    """Pages of projects and users."""

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over the address, of which the path on its host counts too. Raises ConfigError."""
        super().choose(options)
        path = options["url"].rpartition("://")[2].partition("/")[2]
        self.url += f"/{path}".rstrip("/")

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - as the base
        """The JSON object in the body; some versions ping with an empty body. Raises BadBody."""
        return parse_object(body or b"{}")

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """The pull request, or the repository."""
        return super().subject_of(type_, data).strip("/")

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:
        """Where Bitbucket is, with its path there: the option says it, or the page of a project or user."""
        page = first(data, self.addresses)
        told = next((page.partition(part)[0] for part in ("/projects/", "/users/") if part in page), "")
        places = (webhook.headers.get(self.place, ""), told)
        return next((place.rstrip("/") for place in places if site(place)), self.home)


SOURCE = BitbucketServer()
