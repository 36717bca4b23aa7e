"""https://pypi.org/project/atlassian-python-api/: the whole way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from atlassian.jira import JiraCloud
from requests import HTTPError

ISSUE = os.environ["JIRA_ISSUE"]
LINK = json.loads(os.environ["JIRA_LINK"])
CHANGED = json.loads(os.environ["JIRA_CHANGED"])


def connect(token: str) -> JiraCloud:
    """A client that logs in with that token."""
    if os.environ["JIRA_AUTH"] == "basic":
        return JiraCloud(os.environ["JIRA_URL"], username=os.environ["JIRA_USER"], password=token)
    return JiraCloud(os.environ["JIRA_URL"], token=token)


def step(name: str, call: Callable[[], Any]) -> Any:
    """Do it and tell."""
    try:
        told: dict[str, Any] = {"answer": call()}
    except HTTPError as error:
        told = {"error": error.response.status_code if error.response is not None else str(error)}
    sys.stdout.write(json.dumps({"step": name, **told}) + "\n")
    return told.get("answer")


def main() -> None:
    """Take the steps."""
    jira = connect(os.environ["JIRA_TOKEN"])
    number = step("create", lambda: jira.create_or_update_remote_issue_link(ISSUE, LINK))["id"]
    step("again", lambda: jira.create_or_update_remote_issue_link(ISSUE, LINK))
    step("list", lambda: jira.get_remote_issue_links(ISSUE))
    step("get", lambda: jira.get_remote_issue_link_by_id(ISSUE, number))
    step("find", lambda: jira.get_remote_issue_links(ISSUE, LINK["globalId"]))
    step("update", lambda: jira.update_remote_issue_link(ISSUE, number, CHANGED))
    step("reread", lambda: jira.get_remote_issue_link_by_id(ISSUE, number))
    step("delete", lambda: jira.delete_remote_issue_link_by_id(ISSUE, number))
    step("remake", lambda: jira.create_or_update_remote_issue_link(ISSUE, LINK))
    step("drop", lambda: jira.delete_remote_issue_link_by_global_id(ISSUE, LINK["globalId"]))
    step("missing", lambda: jira.get_remote_issue_links("NONE-1"))
    stranger = connect("wrong")
    step("stranger", lambda: stranger.get_remote_issue_links(ISSUE))


if __name__ == "__main__":
    main()
