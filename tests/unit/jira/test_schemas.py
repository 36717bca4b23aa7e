"""The bodies agree with what Atlassian documents of them.

BRIDGE_JIRA_OPENAPI names Atlassian's own description as JSON (its whole file for Jira Cloud, or the
part about remote issue links); then the facts in `tests.atlassian` are held against it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from bridge.jira import protocol, schemas
from bridge.model import Application, Link, RemoteObject, Status, StatusIcon
from tests.atlassian import FIELDS, ROUTES, STATUSES

FILE = os.environ.get("BRIDGE_JIRA_OPENAPI")
described = pytest.mark.skipif(not FILE, reason="BRIDGE_JIRA_OPENAPI names no description of Jira's API")

MODELS: dict[str, type[BaseModel]] = {
    "RemoteIssueLinkRequest": schemas.RemoteIssueLinkRequest,
    "RemoteIssueLink": schemas.RemoteIssueLink,
    "RemoteIssueLinkIdentifies": schemas.RemoteIssueLinkIdentifies,
    "RemoteObject": RemoteObject,
    "Application": Application,
    "Status": Status,
    "Icon": StatusIcon,
    "ErrorCollection": schemas.ErrorCollection,
}
LEFT_OUT = {"ErrorCollection": {"status"}}
"""The answer itself has its status."""

LINK = Link.model_validate({"object": {"url": "https://example.com/1", "title": "One"}})
REQUESTS: list[protocol.Request[Any]] = [
    protocol.upsert("3", "PROJ-1", LINK, "g"),
    protocol.list_links("3", "PROJ-1"),
    protocol.get_by_global_id("3", "PROJ-1", "g"),
    protocol.delete_by_global_id("3", "PROJ-1", "g"),
    protocol.get("3", "PROJ-1", 7),
    protocol.update("3", "PROJ-1", 7, LINK, "g"),
    protocol.delete("3", "PROJ-1", 7),
]


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name: str) -> None:
    """Each model has the documented fields, under their own names, and no other."""
    ours = {field.alias or field_name for field_name, field in MODELS[name].model_fields.items()}
    assert ours == FIELDS[name] - LEFT_OUT.get(name, set())


def test_operations() -> None:
    """The six operations are asked by the documented methods and paths, and know their successes."""
    found: dict[str, tuple[str, str]] = {}
    for request in REQUESTS:
        path = request.path.partition("?")[0].replace("PROJ-1", "{issueIdOrKey}").replace("/7", "/{linkId}")
        found[request.asked.operation] = (request.method, path.removeprefix("/rest/api/3"))
        assert request.statuses == {s for s in STATUSES[request.asked.operation] if s < 300}
    assert found == ROUTES


def test_request() -> None:
    """A request's body has the globalId beside the content, and what is empty stays out."""
    full = {"object": {"url": "https://a.example", "title": "A", "status": {}}, "application": {"name": ""}}
    request = schemas.RemoteIssueLinkRequest.of(Link.model_validate(full), "g")
    assert orjson.loads(request.json_bytes) == {
        "globalId": "g",
        "object": {"url": "https://a.example", "title": "A"},
    }
    assert request.link.digest == Link.model_validate(full).digest


def description() -> dict[str, Any]:
    """Atlassian's description."""
    document: dict[str, Any] = orjson.loads(Path(FILE or "").read_bytes())
    return document


@described
@pytest.mark.parametrize("name", FIELDS)
def test_described_fields(name: str) -> None:
    """Atlassian's schemas have the fields that stand in our table."""
    assert set(description()["components"]["schemas"][name]["properties"]) == FIELDS[name]


@described
def test_described_operations() -> None:
    """Atlassian's operations have the statuses, methods and paths that stand in our tables."""
    operations = {
        operation["operationId"]: (method.upper(), path, {int(status) for status in operation["responses"]})
        for path, methods in description()["paths"].items()
        if "/remotelink" in path
        for method, operation in methods.items()
        if method in {"get", "put", "post", "delete"}
    }
    assert operations == {
        name: (method, f"/rest/api/3{path}", STATUSES[name]) for name, (method, path) in ROUTES.items()
    }
