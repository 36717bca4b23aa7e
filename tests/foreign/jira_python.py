"""https://pypi.org/project/jira/: the whole way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from jira import JIRA, JIRAError

ISSUE = os.environ["JIRA_ISSUE"]
LINK = json.loads(os.environ["JIRA_LINK"])
CHANGED = json.loads(os.environ["JIRA_CHANGED"])


def connect(token: str, **more: Any) -> JIRA:
    """A client that logs in with that token."""
    if os.environ["JIRA_AUTH"] == "basic":
        return JIRA(os.environ["JIRA_URL"], basic_auth=(os.environ["JIRA_USER"], token), **more)
    return JIRA(os.environ["JIRA_URL"], token_auth=token, **more)


def step(name: str, call: Callable[[], Any]) -> Any:
    """Do it and tell."""
    try:
        told: dict[str, Any] = {"answer": call()}
    except JIRAError as error:
        told = {"error": error.status_code}
    sys.stdout.write(json.dumps({"step": name, **told}) + "\n")
    return told.get("answer")


def main() -> None:
    """Take the steps."""
    jira = connect(os.environ["JIRA_TOKEN"])
    arguments = (LINK["object"], LINK["globalId"], LINK["application"], LINK["relationship"])
    made = step("create", lambda: jira.add_remote_link(ISSUE, *arguments).raw)
    number = str(made["id"])
    step("again", lambda: jira.add_remote_link(ISSUE, *arguments).raw)
    step("list", lambda: [link.raw for link in jira.remote_links(ISSUE)])
    link = jira.remote_link(ISSUE, number)
    step("get", lambda: link.raw)
    sys.stdout.write('{"step": "find", "cannot": true}\n')
    step("update", lambda: link.update(CHANGED["object"], CHANGED["globalId"]))
    step("reread", lambda: link.raw)  # which the update has read already
    step("delete", lambda: jira.delete_remote_link(ISSUE, internal_id=number).status_code)
    step("remake", lambda: jira.add_remote_link(ISSUE, *arguments).raw)
    step("drop", lambda: jira.delete_remote_link(ISSUE, global_id=LINK["globalId"]).status_code)
    step("missing", lambda: jira.remote_links("NONE-1"))
    stranger = connect("wrong", get_server_info=False)
    step("stranger", lambda: stranger.remote_links(ISSUE))


if __name__ == "__main__":
    main()
