"""Jenkins: builds, as the Notification plugin tells of them.

## Set up

1. With the plugin Notification (`notification`), in the job: *Configure > Job Notifications > Add
   Endpoint*. *Format*: `JSON`. *Protocol*: `HTTP`. *Event*: `All Events`.
2. *Manage Jenkins > System > Jenkins URL* must be set: without it Jenkins does not tell where a build
   can be seen.
3. *URL*: `https://BRIDGE/webhooks/jenkins?token=SECRET`; best as a credential of the kind *Secret text*
   (*URL Source*: `Credentials Store`), so that it does not stand in the job. The plugin sends a user
   and a password in the URL as Basic too: `https://USER:PASSWORD@BRIDGE/webhooks/jenkins`, where the
   endpoint's secret is `USER:PASSWORD`.
4. The secret, a long random text, is the same as in the configuration:

       ingress:
         endpoints:
           jenkins:
             source: jenkins
             secrets: [env:JENKINS_WEBHOOK_SECRET]

## Events

| event | link |
| --- | --- |
| `QUEUED`, `STARTED`, `COMPLETED`, `FINALIZED` | one a job, which each build changes |

Skipped with a reason: `no_jenkins_url`, where Jenkins does not know its own address. The pipeline step
`notifyEndpoints` sends one of these phases too, with notes of its own. That a build or a job was
deleted is told by no event: its link stays.

## Links

A link's title is the job's name and the result of its latest build that names the issue; it leads to
that build, and is struck through when that has passed. Keys are looked for in the branch (in any case),
in the display name (that of a multibranch job is the branch's), in the notes, and in the parameters. The
job of a pull request, `PR-12`, is no key.

A job has one link an issue and not one a branch: before the checkout Jenkins tells no branch, or that
of the build before. For the same reason the branch of a `QUEUED` or `STARTED` build is not read.

Builds are ordered by their number. A job that is deleted and made anew begins at 1: until it has caught
up, the links of the old one stay.

## Signature

The plugin signs nothing. It sends a token in the URL, or a user and a password (Basic). A delivery that
failed is sent again as often as *Retries* says. Nothing names a delivery: a digest of its body does.

## Facts

- https://plugins.jenkins.io/notification/
- https://github.com/jenkinsci/notification-plugin: `Phase`, `JobState`, `BuildState`, `Protocol`
- Old versions wrote the build's time in ISO 8601, later ones write milliseconds, the oldest none; the
  oldest wrote `fullUrl` for `full_url`, and `FINISHED` for the last phase. All are read. Since which
  version each is so was not looked up.
- That the Git plugin tells the branch of the build before until the checkout was read in its source
  (`GitSCM.getBuildData`), not tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bridge.model import Webhook
from bridge.sources.base import JsonSource
from bridge.sources.bodies import at, first, site, text
from bridge.sources.signing import Token


class Jenkins(JsonSource):
    """`bridge.ports.Source` for the Notification plugin of Jenkins."""

    kind = "jenkins"
    vendor = "Jenkins"
    signature = Token()
    type_paths = ("build.phase",)
    home = "https://www.jenkins.io"
    # Queued in no queue: the plugin writes 0, which keeps it older than what follows.
    times = ("build.timestamp",)

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        """The phase, in capitals as the plugin writes it."""
        return super().type_of(headers, data).upper()

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - the base's
        """The job's path; the oldest plugin tells the build's there."""
        job = text(at(data, "url"))
        return job.rstrip("/").rstrip("0123456789") if job == text(at(data, "build.url")) else job

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002 - the base's
        """Jenkins' own address: the build's, without its path within Jenkins."""
        address = first(data, ("build.full_url", "build.fullUrl"))
        path = text(at(data, "build.url"))
        # Without the path, or where it is the whole address, the host has to do.
        told = address.removesuffix(path) if path and path != address else site(address)
        return told or self.home


SOURCE = Jenkins()
