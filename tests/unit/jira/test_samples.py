"""Recorded exchanges with Jira, one a file in tests/samples/jira, and what each of them means.

A record has the operation, the request as it goes out, the answer, and what it means: the type of
the value, or the error's code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import JiraBadRequest, JiraError, JiraRateLimited, Scope
from bridge.jira import protocol
from bridge.jira.wire import HttpAnswer
from bridge.model import Link
from tests.atlassian import STATUSES
from tests.documents import JSON

FOLDER = Path(__file__).parents[2] / "samples" / "jira"
SAMPLES: dict[str, dict[str, Any]] = {path.stem: orjson.loads(path.read_bytes()) for path in FOLDER.iterdir()}
NOW = 1_785_585_600.0  # 2026-08-01T12:00:00Z
GLOBAL_ID = "system=http://www.mycompany.com/support&id=1"
LINK = Link.model_validate(SAMPLES["createOrUpdateRemoteIssueLink.201"]["request"]["body"])

REQUESTS: list[protocol.Request[Any]] = [
    protocol.upsert("2", "PROJ-1", LINK, GLOBAL_ID),
    protocol.list_links("2", "PROJ-1"),
    protocol.get_by_global_id("2", "PROJ-1", GLOBAL_ID),
    protocol.delete_by_global_id("2", "PROJ-1", GLOBAL_ID),
    protocol.get("2", "PROJ-1", 10000),
    protocol.update("2", "PROJ-1", 10000, LINK, GLOBAL_ID),
    protocol.delete("2", "PROJ-1", 10000),
]
BY_ROUTE = {(request.method, request.path): request for request in REQUESTS}

every_sample = pytest.mark.parametrize("name", sorted(SAMPLES))


def asked(name: str) -> protocol.Request[Any]:
    """Our request that goes out as the recorded one did."""
    recorded = SAMPLES[name]["request"]
    return BY_ROUTE[recorded["method"], recorded["path"]]


def deciphered(name: str) -> Any:
    """What we make of the recorded answer; an error is returned."""
    answer = SAMPLES[name]["answer"]
    body = answer.get("body", "")
    raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
    return _deciphered(asked(name), answer["status"], answer["headers"], raw)


def _deciphered(request: protocol.Request[Any], status: int, headers: dict[str, str], body: bytes) -> Any:
    try:
        lower = {name.lower(): value for name, value in headers.items()}
        return protocol.decipher(request, HttpAnswer(status, lower, body), NOW)
    except JiraError as error:
        return error


@every_sample
def test_request(name: str) -> None:
    """What we send is what was recorded, under Atlassian's name of the operation."""
    recorded, ours = SAMPLES[name], asked(name)
    assert ours.asked.operation == recorded["operation"]
    assert (ours.body and orjson.loads(ours.body)) == recorded["request"].get("body")


@every_sample
def test_meaning(name: str) -> None:
    """Each answer means what its record says, and an error tells of its request and both traces."""
    recorded, found = SAMPLES[name], deciphered(name)
    if not isinstance(found, JiraError):
        assert type(found).__name__ == recorded["means"]
        return
    headers = recorded["answer"]["headers"]
    assert found.code == recorded["means"]
    assert (found.operation, found.issue) == (recorded["operation"], "PROJ-1")
    assert found.status == recorded["answer"]["status"]
    assert (found.trace_id, found.request_id) == (headers.get("ATL-TraceId"), headers.get("X-AREQUESTID"))
    for told in (
        "PROJ-1",
        recorded["operation"],
        found.trace_id or "",
        found.request_id or "",
        *found.messages,
    ):
        assert told in str(found)


def test_every_documented_status_is_recorded() -> None:
    """There is a record of each status of each operation."""
    recorded = {(sample["operation"], sample["answer"]["status"]) for sample in SAMPLES.values()}
    documented = {(operation, status) for operation, statuses in STATUSES.items() for status in statuses}
    assert documented <= recorded


def test_content_reads_back() -> None:
    """The link that was written is the link that is read, by id, by globalId and in the list."""
    one, other = deciphered("getRemoteIssueLinks.200")
    assert one == deciphered("getRemoteIssueLinks.200-one") == deciphered("getRemoteIssueLinkById.200")
    assert (one.link.digest, one.global_id) == (LINK.digest, GLOBAL_ID)
    assert (other.global_id, other.link.normal) == (
        None,
        {"object": {"url": "https://example.com/2", "title": "Two"}},
    )


@pytest.mark.parametrize(
    ("kind", "seconds", "scope"),
    [
        ("burst", 1.0, Scope.METHOD),
        ("issue", 2.0, Scope.ISSUE),
        ("quota", 1800.0, Scope.SITE),
        ("datacenter", 5.0, Scope.SITE),
    ],
)
def test_limits(kind: str, seconds: float, scope: Scope) -> None:
    """Each kind of 429 says how long to wait, and what is to wait."""
    error = deciphered(f"createOrUpdateRemoteIssueLink.429-{kind}")
    assert isinstance(error, JiraRateLimited)
    assert (error.retry_after, error.scope) == (seconds, scope)


def test_blank() -> None:
    """The lost race of two first writes is known by its 400 without a word."""
    blank = deciphered("createOrUpdateRemoteIssueLink.400-blank")
    assert isinstance(blank, JiraBadRequest)
    assert blank.is_blank


_NAMES = st.sampled_from(
    sorted({name for sample in SAMPLES.values() for name in sample["answer"]["headers"]} | {"Location"})
)
_VALUES = st.text() | st.sampled_from(
    [
        "application/json",
        "text/html",
        "true",
        "0",
        "-1",
        "9" * 400,
        "AUTHENTICATED_FAILED",
        "http://[",
        "1e400",
    ]
)
_BODIES = (
    st.binary()
    | JSON.map(orjson.dumps)
    | st.sampled_from([orjson.dumps(s["answer"].get("body")) for s in SAMPLES.values()])
    | st.sampled_from([b"[" * 5000, b'{"a":' * 5000, b'{"id":1e400}', b'{"id":99999999999999999999}', b"NaN"])
)


@given(
    request=st.sampled_from(REQUESTS),
    status=st.integers(100, 999) | st.sampled_from(sorted({s for found in STATUSES.values() for s in found})),
    headers=st.dictionaries(_NAMES, _VALUES, max_size=6),
    body=_BODIES,
)
def test_anything(request: protocol.Request[Any], status: int, headers: dict[str, str], body: bytes) -> None:
    """Whatever comes back is a value or a JiraError that says so in one printable line."""
    found = _deciphered(request, status, headers, body)
    if isinstance(found, JiraError):
        assert str(found).isprintable()
        assert found.status == status
        assert found.retry_after is None or 0 <= found.retry_after <= 3600
    else:
        assert status in request.statuses
