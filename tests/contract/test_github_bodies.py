"""Bodies that GitHub really sent, where they are at hand: PROJ-1 is planted and must be found.

BRIDGE_PAYLOADS names a folder of files EVENT.NN.ACTION.json, as in the npm package
@octokit/webhooks-examples. `pytest -s` prints what each of them comes to.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.mapper import Mapped, Mapper, Site, Wish
from bridge.model import Action, Request, Webhook
from bridge.sources.github import SOURCE
from tests.deliveries import RECEIVED_AT

FOLDER = os.environ.get("BRIDGE_PAYLOADS")
BODIES = sorted(Path(FOLDER).glob("*.json")) if FOLDER else []
MAPPER = Mapper(builtin_mappings(), [Site("main", frozenset({"PROJ"}))])

pytestmark = pytest.mark.skipif(not BODIES, reason="BRIDGE_PAYLOADS names no folder of real webhooks")
every_body = pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)

OBJECTS = {
    "pull_request": {"pull_request"},
    "push": {"branch", "commit"},
    "workflow_run": {"workflow"},
    "check_run": {"check_run"},
    "check_suite": {"check_suite"},
    "deployment_status": {"deployment"},
    "release": {"release"},
    "status": {"status"},
}
"""What each type tells of; all others are of no interest."""

SETS = {"pull_request", "release"}


def plant(type_: str, body: dict[str, Any]) -> None:
    """Put the key where a person would: into the title, the branch or the message."""
    part: Any = body.get(type_, body)
    match type_:
        case "pull_request":
            part["title"] = f"PROJ-1: {part['title']}"
        case "push":
            body["ref"] = body["ref"].replace("refs/heads/", "refs/heads/proj-1-")
            for commit in body["commits"]:
                commit["message"] = f"{commit['message']}\n\nCloses PROJ-1."
        case "workflow_run":
            part["head_branch"] = "feature/proj-1-login"
        case "check_run":
            part["check_suite"]["head_branch"] = "proj-1"
        case "check_suite":
            part["head_branch"] = "proj-1"
        case "deployment_status":
            body["deployment"]["ref"] = "release/PROJ-1"
        case "release":
            part["body"] = f"{part['body']}\n- [PROJ-1] Fix login"
        case "status":
            body["commit"]["commit"]["message"] = "PROJ-1: Fix login"


def mapped(path: Path, *, planted: bool) -> Mapped:
    """What a body comes to, with the key or as it is."""
    type_ = path.name.partition(".")[0]
    body = orjson.loads(path.read_bytes())
    if planted:
        plant(type_, body)
    headers = {"x-github-event": type_, "x-github-delivery": path.stem}
    raw = orjson.dumps(body)
    return MAPPER.map(SOURCE.event(Webhook("main", "github", path.stem, headers, raw, RECEIVED_AT)))


def reason(path: Path) -> str | None:
    """Why nothing is asked for, as far as the body itself tells."""
    type_ = path.name.partition(".")[0]
    body = orjson.loads(path.read_bytes())
    if type_ not in OBJECTS:
        return "ping" if type_ == "ping" else "not_of_interest"
    if type_ == "push" and body["ref"].startswith("refs/tags/"):
        return "tag"
    if type_.startswith("check_") and body[type_]["app"].get("slug") == "github-actions":
        return "actions_check"
    return None


@every_body
def test_a_planted_key_is_linked(path: Path) -> None:
    """Each type that means something comes to its links on PROJ-1, each other to its reason."""
    type_ = path.name.partition(".")[0]
    found = mapped(path, planted=True)
    assert found.skipped == reason(path)
    if found.skipped:
        return
    assert {object_of(wish) for wish in found.wishes} == OBJECTS[type_]
    if path.name.endswith(".deleted.json"):  # a release that is gone takes its links along
        assert [(wish.action, wish.issues, wish.link) for wish in found.wishes] == [(Action.SET, (), None)]
        return
    for wish in found.wishes:
        assert wish.issues == ("PROJ-1",)
        assert wish.action is (Action.SET if type_ in SETS else Action.UPSERT)
        assert wish.link is not None
        assert wish.link.object.url.startswith(("https://", "http://github.com/github/hello-world"))
        assert wish.time < RECEIVED_AT


@every_body
def test_a_body_without_a_key_has_no_link(path: Path) -> None:
    """As they are, the bodies name no issue: a set is empty, all else is skipped."""
    type_ = path.name.partition(".")[0]
    found = mapped(path, planted=False)
    if type_ in SETS:
        assert [(wish.action, wish.issues, wish.link) for wish in found.wishes] == [(Action.SET, (), None)]
    else:
        assert found.skipped == (reason(path) or "no_issue_key")


@every_body
def test_a_signed_body_is_accepted(path: Path) -> None:
    """The raw bytes verify, and the record key names the repository."""
    raw = path.read_bytes()
    request = Request("POST", "", {}, raw)
    headers = SOURCE.signature.sign(request, b"secret", RECEIVED_AT)
    SOURCE.signature.verify(replace(request, headers=headers), [b"secret"], RECEIVED_AT)
    key = SOURCE.record_key({"x-github-event": path.name.partition(".")[0]}, raw)
    assert key.startswith("github/")


def test_the_table_of_all_bodies() -> None:
    """Every body has its line in the table that `pytest -s` prints."""
    lines = table()
    print("", *lines, sep="\n")  # noqa: T201 - for a reader
    assert len(lines) >= 2 + len({path.name.partition(".")[0] for path in BODIES})


def table() -> list[str]:
    """A Markdown table: the bodies of a kind by what they come to, and one title of each."""
    counts: Counter[tuple[str, str]] = Counter()
    titles: dict[tuple[str, str], str] = {}
    for path in BODIES:
        found = mapped(path, planted=True)
        row = path.name.partition(".")[0], f"skipped: {found.skipped}" if found.skipped else told(found)
        counts[row] += 1
        titles.setdefault(row, next((w.link.object.title for w in found.wishes if w.link), ""))
    rows = [f"| {row[0]} | {count} | {row[1]} | {titles[row]} |" for row, count in sorted(counts.items())]
    return ["| type | bodies | comes to | first title |", "| --- | --- | --- | --- |", *rows]


def told(found: Mapped) -> str:
    """The wishes in a few words."""
    return ", ".join(
        dict.fromkeys(f"{wish.action} {object_of(wish)} ({state_of(wish)})" for wish in found.wishes)
    )


def object_of(wish: Wish) -> str:
    """The type in the globalId."""
    return wish.global_id.partition("&type=")[2].partition("&")[0]


def state_of(wish: Wish) -> str:
    """The status as a reader sees it."""
    status = wish.link.object.status if wish.link else None
    if status is None or status.icon is None:
        return "no state"
    return f"{status.icon.title}{', resolved' if status.resolved else ''}"
