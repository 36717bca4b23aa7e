"""What clients ask of Jira before they come to links: who am I, which Jira is this. Pure.

The shapes are those of https://developer.atlassian.com/cloud/jira/platform/rest/v2/ and, where
only Data Center has the resource, https://developer.atlassian.com/server/jira/platform/rest/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.simulator.faults import Deployment
from bridge.simulator.jira_model import NO_ISSUE, Denied, JiraModel, Permission
from bridge.simulator.oauth import CLOUD_ID, SCOPES
from bridge.simulator.reply import Reply, refusal
from bridge.simulator.users import account_id

OPEN = frozenset({"api/serverInfo", "api/field", "_edge/tenant_info"})
"""What anybody may read, without credentials too."""

PRIVATE = frozenset({"api/myself", "rest/auth/1/session"})
"""What nobody reads without credentials, even where anonymous is a user."""

TOKEN = frozenset({"oauth/token", "rest/oauth2/latest/token"})
"""Where OAuth's tokens are given out: in Cloud, and in Data Center."""

_FIELDS = {"summary": "Summary", "project": "Project", "issuetype": "Issue Type", "status": "Status"}
_TYPES = {"summary": "string"}


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks, and what for.

    `base` is the site's URL, `root` what a `self` begins with, `user` the name.
    """

    model: JiraModel
    base: str
    root: str
    user: str
    denied: Denied

    @property
    def is_cloud(self) -> bool:
        """Whether this is Jira Cloud."""
        return self.model.knobs.deployment is Deployment.CLOUD


Resource = Callable[[Context], Reply]


def find(path: Sequence[str], deployment: Deployment) -> Resource | None:
    """The resource at the parts of a path; None where is none."""
    match path:
        case ["rest", "auth", "1", "session"] if deployment is Deployment.SERVER:
            return _session
        case ["api", "issue", key]:
            return lambda context: _issue(context, key)
        case ["rest", "applinks", "latest", "applicationlink" | "listApplicationlinks"]:
            return lambda _: Reply(200, {}, {"list": []})
    return _RESOURCES.get("/".join(path))


def _server_info(context: Context) -> Reply:
    numbers = (1001, 0, 0) if context.is_cloud else (10, 3, 0)
    return Reply(
        200,
        {},
        {
            "baseUrl": context.base,
            "version": ".".join(map(str, numbers)) + ("-SNAPSHOT" if context.is_cloud else ""),
            "versionNumbers": numbers,
            "deploymentType": context.model.knobs.deployment,
            "buildNumber": 100_000,
            "serverTitle": "Jira",
        },
    )


def _myself(context: Context) -> Reply:
    name = context.user
    known = _known_by(context)
    (key, value), *_ = known.items()
    person = {"emailAddress": name, "displayName": name, "active": True, "timeZone": "Etc/UTC"}
    return Reply(200, {}, {"self": f"{context.root}/user?{key}={value}", **known, **person})


def _known_by(context: Context) -> dict[str, str]:
    if context.is_cloud:
        return {"accountId": account_id(context.user), "accountType": "atlassian"}
    return {"name": context.user, "key": context.user}


def _fields(_context: Context) -> Reply:
    return Reply(200, {}, [_field(name, words) for name, words in _FIELDS.items()])


def _field(name: str, words: str) -> dict[str, Any]:
    flags = {"custom": False, "orderable": True, "navigable": True, "searchable": True}
    schema = {"type": _TYPES.get(name, name), "system": name}
    return {"id": name, "key": name, "name": words, **flags, "clauseNames": [name], "schema": schema}


def _issue(context: Context, key: str) -> Reply:
    issue = context.model.find(key)
    if issue is None or context.model.lacks(Permission.BROWSE, issue.project, context.denied):
        return refusal(404, NO_ISSUE)
    shown = {
        "summary": f"Issue {issue.key}",
        "project": _part(context, "project", "10000", issue.project) | {"key": issue.project},
        "issuetype": _part(context, "issuetype", "10001", "Task") | {"subtask": False},
        "status": _part(context, "status", "10002", "To Do"),
    }
    at = f"{context.root}/issue/{issue.id}"
    return Reply(200, {}, {"id": str(issue.id), "self": at, "key": issue.key, "fields": shown})


def _part(context: Context, kind: str, number: str, name: str) -> dict[str, Any]:
    return {"self": f"{context.root}/{kind}/{number}", "id": number, "name": name}


def _session(context: Context) -> Reply:
    """Who is logged in."""
    at = f"{context.base}/rest/api/latest/user?username={context.user}"
    return Reply(200, {}, {"self": at, "name": context.user, "loginInfo": {"loginCount": 1}})


def _tenant(_context: Context) -> Reply:
    return Reply(200, {}, {"cloudId": CLOUD_ID})


def _accessible(context: Context) -> Reply:
    site = {"id": CLOUD_ID, "url": context.base, "name": "simulator", "scopes": SCOPES.split()}
    return Reply(200, {}, [site])


_RESOURCES: Mapping[str, Resource] = {
    "_edge/tenant_info": _tenant,
    "oauth/token/accessible-resources": _accessible,
    "api/serverInfo": _server_info,
    "api/myself": _myself,
    "api/field": _fields,
}
