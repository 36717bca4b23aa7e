"""The demonstration's story: a pull request and its builds, an incident, a ticket.

Made of the vendors' own field names and of nothing that really happened. Pure: the moment at
which the story begins is given.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

HOST = "https://github.com"
REPOSITORY = {
    "id": 4711,
    "full_name": "acme/shop",
    "name": "shop",
    "html_url": f"{HOST}/acme/shop",
    "default_branch": "main",
    "owner": {"login": "acme"},
}
BRANCH = "feature/demo-1-cart"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens: `webhook` is GitHub's event type, None for a canonical event."""

    words: str
    body: dict[str, Any]
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """A link that must stand in the end; `kind` is a part of its globalId."""

    issue: str
    kind: str
    resolved: bool


EXPECTED = (
    Expected("DEMO-1", "type=pull_request", resolved=True),
    Expected("DEMO-1", "type=workflow", resolved=True),
    Expected("DEMO-3", "pagerduty", resolved=True),
    Expected("DEMO-4", "helpdesk", resolved=False),
)


def story(begin: datetime) -> Iterator[Step]:
    """The steps in order, a minute apart."""
    minutes = (begin + timedelta(minutes=n) for n in range(60))
    yield _pull(
        next(minutes),
        "A pull request is opened for DEMO-1 and DEMO-2",
        "opened",
        title="DEMO-2: Keep the cart",
    )
    for words, run, attempt, status, conclusion in (
        ("its build is queued", 7, 1, "queued", None),
        ("the build runs", 7, 1, "in_progress", None),
        ("the build fails", 7, 1, "completed", "failure"),
        ("the build is run again", 7, 2, "in_progress", None),
        ("the build passes", 7, 2, "completed", "success"),
        ("the news of the failure comes once more, late", 7, 1, "completed", "failure"),
    ):
        yield _build(next(minutes), words, run, attempt, status, conclusion)
    yield _pull(next(minutes), "DEMO-2 is taken out of the title", "edited", title="Keep the cart")
    yield _pull(
        next(minutes),
        "the pull request is merged",
        "closed",
        title="Keep the cart",
        state="closed",
        merged=True,
    )
    yield _incident(next(minutes), "An incident is triggered for DEMO-3", resolved=False)
    yield _incident(next(minutes), "the incident is resolved", resolved=True)
    yield _ticket(next(minutes), "A support ticket names DEMO-4")


def _pull(
    when: datetime, words: str, action: str, *, title: str, state: str = "open", merged: bool = False
) -> Step:
    pull = {
        "id": 900,
        "number": 12,
        "title": title,
        "state": state,
        "draft": False,
        "merged": merged,
        "merged_at": _text(when) if merged else None,
        "html_url": f"{HOST}/acme/shop/pull/12",
        "created_at": _text(when),
        "updated_at": _text(when),
        "body": None,
        "user": {"login": "ada"},
        "head": {"ref": BRANCH, "sha": "5f2c" + "0" * 36},
        "base": {"ref": "main"},
    }
    body = {
        "action": action,
        "number": 12,
        "pull_request": pull,
        "repository": REPOSITORY,
        "sender": {"login": "ada"},
    }
    return Step(words, body, "pull_request")


def _build(when: datetime, words: str, run: int, attempt: int, status: str, conclusion: str | None) -> Step:
    workflow_run = {
        "id": 31_000 + run,
        "name": "CI",
        "workflow_id": 55,
        "run_number": run,
        "run_attempt": attempt,
        "status": status,
        "conclusion": conclusion,
        "display_title": "Keep the cart",
        "head_branch": BRANCH,
        "head_sha": "5f2c" + "0" * 36,
        "event": "pull_request",
        "html_url": f"{HOST}/acme/shop/actions/runs/{31_000 + run}",
        "created_at": _text(when),
        "updated_at": _text(when),
        "run_started_at": _text(when),
        "head_commit": {"id": "5f2c" + "0" * 36, "message": "Keep the cart"},
        "pull_requests": [],
    }
    action = {"queued": "requested", "in_progress": "in_progress", "completed": "completed"}[status]
    body = {
        "action": action,
        "workflow_run": workflow_run,
        "repository": REPOSITORY,
        "sender": {"login": "ada"},
    }
    return Step(words, body, "workflow_run")


def _incident(when: datetime, words: str, *, resolved: bool) -> Step:
    state = "resolved" if resolved else "triggered"
    link = _canonical(
        "system=pagerduty:acme&type=incident&id=PX1",
        "https://acme.pagerduty.com/incidents/PX1",
        f"Checkout is slow: {state}",
        {"type": "com.pagerduty", "name": "PagerDuty"},
        resolved=resolved,
    )
    return _event(when, words, f"PX1-{state}", "https://acme.pagerduty.com", "DEMO-3", link)


def _ticket(when: datetime, words: str) -> Step:
    link = _canonical(
        "system=helpdesk:acme&type=ticket&id=345",
        "https://acme.example.com/tickets/345",
        "#345: My cart is empty again",
        {"type": "com.example.helpdesk", "name": "Help desk"},
        resolved=False,
    )
    return _event(when, words, "345-1", "https://acme.example.com", "DEMO-4", link)


def _canonical(
    global_id: str, url: str, title: str, application: dict[str, str], *, resolved: bool
) -> dict[str, Any]:
    thing = {"url": url, "title": title, "status": {"resolved": resolved}}
    return {"globalId": global_id, "application": application, "relationship": "concerns", "object": thing}


def _event(when: datetime, words: str, id_: str, source: str, issue: str, link: dict[str, Any]) -> Step:
    body = {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": "remotelink.upsert",
        "time": _text(when),
        "subject": link["globalId"],
        "datacontenttype": "application/json",
        "data": {"issue": issue, **link},
    }
    return Step(words, body)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
