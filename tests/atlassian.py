"""What Atlassian documents of remote issue links, as plain facts that the tests are held against.

https://developer.atlassian.com/cloud/jira/platform/rest/v2/api-group-issue-remote-links/
"""

from __future__ import annotations

STATUSES = {
    "deleteRemoteIssueLinkByGlobalId": {204, 400, 401, 403, 404},
    "getRemoteIssueLinks": {200, 400, 401, 403, 404, 413},
    "createOrUpdateRemoteIssueLink": {200, 201, 400, 401, 403, 404},
    "deleteRemoteIssueLinkById": {204, 400, 401, 403, 404},
    "getRemoteIssueLinkById": {200, 400, 401, 403, 404},
    "updateRemoteIssueLink": {204, 400, 401, 403, 404},
}
"""The documented statuses of each operation, by its operationId."""

ROUTES = {
    "deleteRemoteIssueLinkByGlobalId": ("DELETE", "/issue/{issueIdOrKey}/remotelink"),
    "getRemoteIssueLinks": ("GET", "/issue/{issueIdOrKey}/remotelink"),
    "createOrUpdateRemoteIssueLink": ("POST", "/issue/{issueIdOrKey}/remotelink"),
    "deleteRemoteIssueLinkById": ("DELETE", "/issue/{issueIdOrKey}/remotelink/{linkId}"),
    "getRemoteIssueLinkById": ("GET", "/issue/{issueIdOrKey}/remotelink/{linkId}"),
    "updateRemoteIssueLink": ("PUT", "/issue/{issueIdOrKey}/remotelink/{linkId}"),
}
"""The method and the path of each operation, below `/rest/api/N`."""

FIELDS = {
    "RemoteIssueLinkRequest": {"application", "globalId", "object", "relationship"},
    "RemoteIssueLink": {"application", "globalId", "id", "object", "relationship", "self"},
    "RemoteIssueLinkIdentifies": {"id", "self"},
    "RemoteObject": {"icon", "status", "summary", "title", "url"},
    "Application": {"name", "type"},
    "Status": {"icon", "resolved"},
    "Icon": {"link", "title", "url16x16"},
    "ErrorCollection": {"errorMessages", "errors", "status"},
}
"""The fields of each schema."""
