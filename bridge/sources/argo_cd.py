"""Argo CD: what is deployed of an application, as its notifications controller tells.

## Set up

1. In the ConfigMap *argocd-notifications-cm*, add the service, template and trigger; `argocdUrl` is `url` of
   `argocd-cm`, which must be set:

       service.webhook.jira-bridge: |
         url: https://BRIDGE/webhooks/argo-cd
         headers:
           - name: Content-Type
             value: application/json
           - name: Authorization
             value: Bearer $jira-bridge-token
       template.jira-bridge: |
         webhook:
           jira-bridge:
             method: POST
             body: |
               {{- $app := .app }}
               {{- $status := default (dict) $app.status }}
               {{- $source := default (dict) $app.spec.source }}
               {{- $sync := default (dict) $status.sync }}
               {{- $operation := default (dict) $status.operationState }}
               {{- $notes := default (dict) $app.metadata.annotations }}
               {"time": {{ (call .time.Now).UTC.Format "2006-01-02T15:04:05.999999Z07:00" | toJson }},
                "argocdUrl": {{ toJson .context.argocdUrl }},
                "issues": {{ get $notes "jira-bridge/issues" | toJson }},
                {{- if and $source.repoURL (not $source.chart) $sync.revision }}
                {{- $commit := call .repo.GetCommitMetadata $sync.revision }}
                "commit": {"message": {{ toJson $commit.Message }}},
                {{- end }}
                "app": {
                 "metadata": {{ pick $app.metadata "name" "namespace" "labels" "deletionTimestamp"
                                | toJson }},
                 "spec": {
                  "project": {{ toJson $app.spec.project }},
                  "destination": {{ toJson $app.spec.destination }},
                  "source": {{ pick $source "repoURL" "targetRevision" | toJson }}},
                 "status": {
                  "sync": {{ pick $sync "status" "revision" "revisions" | toJson }},
                  "health": {{ toJson $status.health }},
                  "summary": {{ toJson $status.summary }},
                  "operationState": {{ pick $operation "phase" "startedAt" "finishedAt" | toJson }}}}}
       trigger.jira-bridge: |
         - when: app.metadata.deletionTimestamp != nil
           send: [jira-bridge]
         - when: app.status?.operationState?.phase in ['Running']
           oncePer: app.status?.operationState?.startedAt
           send: [jira-bridge]
         - when: app.status?.operationState?.phase in ['Succeeded', 'Failed', 'Error']
           oncePer: app.status?.operationState?.finishedAt
           send: [jira-bridge]
         - when: app.status?.health?.status == 'Healthy'
           send: [jira-bridge]
         - when: app.status?.health?.status == 'Degraded'
           send: [jira-bridge]

2. In `argocd-notifications-secret`, put a long random text under `jira-bridge-token`, the same as in the
   configuration:

       ingress:
         endpoints:
           argo-cd:
             source: argo-cd
             secrets: [env:ARGO_CD_WEBHOOK_TOKEN]

3. Subscribe applications, or a project for all of its own, with the annotation
   `notifications.argoproj.io/subscribe.jira-bridge.jira-bridge: ""`.
4. Where commits do not name the issues, the annotation `jira-bridge/issues: ABC-12 ABC-13` does.

## Events

| event | link |
| --- | --- |
| `application` | one an application, which each synchronisation changes |

Skipped with a reason: `no_address`, where neither `argocdUrl` nor a link is told. A template of one's own
may send the whole application as `app`, or single fields by their usual names (`application` or `app_name`,
`sync_status`, `health_status`, `phase`, `revision`, `commit_message`, `url`, `timestamp`, and these in
camel case); the name is needed. Keys may stand in `jira` or `issues`, also within `annotations`.

## Links

A link's title is the application and its state; it is struck through when that is synchronised and
healthy. A synchronisation that runs or failed beats the health. When the application is deleted the link
is taken off the issues that it names then; those of earlier revisions keep theirs. Keys are looked for in
the commit's message, the target revision (a branch, in any case), `issues`, the labels, the images' tags
and the application's name.

## Signature

Argo CD signs nothing; it sends a header of one's own or Basic (`basicAuth`, with the secret
`USER:PASSWORD`). It tries again on answers of 5xx, three times by default. Nothing names a delivery: a
digest of its body does.

## Facts

- https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/services/webhook/
- https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/templates/, with Sprig's functions
- https://argo-cd.readthedocs.io/en/stable/operator-manual/notifications/triggers/
- https://github.com/argoproj/notifications-engine: `pkg/services/webhook.go`
- The template and the trigger were tried with Go's templates, Sprig and expr, not in an Argo CD.
  `GetCommitMetadata` is asked of an application with one source of Git only: for a chart or several
  sources there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bridge.model import Webhook
from bridge.sources.base import JsonSource, Paths
from bridge.sources.bodies import at, first, parse_object, site, snake
from bridge.sources.signing import Token

_NAMED: dict[str, Paths] = {
    "metadata.name": (
        *("app", "application", "app_name", "application_name", "app.name", "application.name", "name"),
    ),
    "spec.project": ("project", "app.project", "application.project"),
    "spec.destination.namespace": ("namespace", "destination.namespace", "app.namespace"),
    "spec.source.repoURL": ("repo_url", "repoURL", "repository", "repo", "source.repoURL"),
    "spec.source.targetRevision": ("target_revision", "branch", "source.targetRevision"),
    "status.sync.revision": ("revision", "commit", "commit_sha", "sha", "sync.revision"),
}
"""Where templates of others have what an application has at a path."""

_PAGES = ("url", "app_url", "application_url", "link", "app_link", "target_url", "annotations.url")
_HOMES = ("argocd_url", "context.argocdUrl")

_TOLD = (
    *("phase", "operation_phase", "operation_state", "operation.phase"),
    *("status", "state", "result", "sync_status", "sync", "sync.status", "status.sync"),
    *("health_status", "health", "health.status", "status.health", "status.sync.status"),
    *("status.health.status", "status.operationState.phase"),
)
_STATES = {
    "status.operationState.phase": ("Running", "Succeeded", "Failed", "Error", "Terminating"),
    "status.sync.status": ("Synced", "OutOfSync"),
    "status.health.status": ("Healthy", "Progressing", "Degraded", "Suspended", "Missing"),
}
"""The words of a state; templates of others have them under many names, and each is of one kind."""

_ALIKE = {"success": "succeeded", "failure": "failed", "out_of_sync": "outofsync"}
_WORDS = {word.lower(): (path, word) for path, words in _STATES.items() for word in words}


class ArgoCD(JsonSource):
    """`bridge.ports.Source` for the notifications controller of Argo CD."""

    kind = "argo-cd"
    vendor = "Argo CD"
    signature = Token()
    type_paths = ("app.metadata.name",)
    origin = ("argocdUrl", "url")
    home = "https://argo-cd.readthedocs.io"
    objects = ("app.metadata.name",)
    times = (
        *("time", "timestamp", "finished_at", "started_at", "operation.finishedAt", "operation.startedAt"),
        "app.status.operationState.finishedAt",
        "app.status.operationState.startedAt",
        # Of a whole application: its health changes without an operation.
        "app.status.reconciledAt",
        "app.status.health.lastTransitionTime",
    )

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - the base's
        """The JSON object in the body, in which `app` is the application or what is told of it.

        `url` is its page, `argocdUrl` where Argo CD is: some templates have the page under that name.
        """
        sent = parse_object(body)
        data = {**snake(sent), **sent}
        wholes = (data.get("app"), data.get("application"), data)
        app = next((each for each in wholes if isinstance(at(each, "metadata.name"), str)), None)
        home = first(data, _HOMES).rstrip("/")
        page = first(data, _PAGES) or (home if "/applications/" in home else "")
        told = {"app": _application(data) if app is None else app, "url": page, "argocdUrl": home}
        return {**data, **told}

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:
        """The host of Argo CD: only a link of the application may be told."""
        return site(super().origin_of(webhook, data)) or self.home

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        """`application`, where one is named."""
        return "application" if super().type_of(headers, data) else ""


def _application(data: dict[str, Any]) -> dict[str, Any]:
    """What a template of others tells, where an application has it."""
    application: dict[str, Any] = {}
    for path, value in (*_names(data), *_states(data)):
        *above, last = path.split(".")
        place = application
        for name in above:
            place = place.setdefault(name, {})
        place.setdefault(last, value)
    return application


def _names(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((path, found) for path, places in _NAMED.items() if (found := first(data, places)))


def _states(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for place in _TOLD:
        word = first(data, (place,)).lower()
        found = _WORDS.get(_ALIKE.get(word, word))
        if found:
            yield found
        elif word == "unknown" and ("sync" in place or "health" in place):
            yield f"status.{'sync' if 'sync' in place else 'health'}.status", "Unknown"


SOURCE = ArgoCD()
