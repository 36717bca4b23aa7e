"""GitHub's webhooks.

Headers, the signature and the two content types:
https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from bridge.errors import BadBody
from bridge.model import Event, Webhook
from bridge.sources import signing
from bridge.sources.base import parse_object, parse_time, require

SIGNATURE, EVENT, DELIVERY = "x-hub-signature-256", "x-github-event", "x-github-delivery"

# What tells the objects of one type apart within a repository. It may be coarser than a link's
# identity (all pushes of a repository share a key, since one commit comes in many branches), but
# never finer: what shares a globalId must share a record key.
OBJECTS: Mapping[str, tuple[str, ...]] = {
    "check_run": ("check_run.name",),
    "check_suite": ("check_suite.app.id",),
    "deployment_status": ("deployment.environment",),
    "issues": ("issue.number",),
    "pull_request": ("pull_request.number",),
    "release": ("release.id",),
    "status": ("context",),
    "workflow_run": ("workflow_run.workflow_id", "workflow_run.head_branch"),
}

# The latest of these is when the object came to be as the body shows it. A check run has no
# `updated_at`; a release has had one since 2025 only.
TIMES = ("updated_at", "completed_at", "started_at", "published_at", "created_at")


class GitHub:
    """`bridge.ports.Source` for github.com and GitHub Enterprise Server."""

    kind = "github"
    kept_headers = frozenset({EVENT, DELIVERY, "content-type"})

    def headers(self, event: str, delivery_id: str) -> dict[str, str]:
        """The headers that tell the event's type and the delivery."""
        return {EVENT: event, DELIVERY: delivery_id}

    def sign(self, body: bytes, secret: bytes) -> dict[str, str]:
        """The headers with which GitHub signs the body; for demonstrations and tests."""
        return {SIGNATURE: signing.sign(body, secret, prefix="sha256=")}

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes]) -> None:
        """Raise BadSignature unless one of `secrets` signs the raw body."""
        signing.verify(headers.get(SIGNATURE), body, secrets, prefix="sha256=")

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002 - in the headers
        """The delivery's GUID, the same when GitHub redelivers. Raises BadRequest."""
        require(headers, EVENT)
        return require(headers, DELIVERY)

    def record_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """`github/<repository id>/<event>/<object>`, as much of it as can be read."""
        event = headers.get(EVENT, "")
        try:
            data = _parse(headers, body)
        except BadBody:
            return f"{self.kind}//{event}"
        return f"{self.kind}/{_text(_at(data, 'repository.id'))}/{_subject(event, data)}"

    def event(self, webhook: Webhook) -> Event:
        """Parse the delivery. Raises BadBody."""
        type_ = webhook.headers.get(EVENT)
        if not type_:
            raise BadBody(f"The delivery has no header {EVENT}.")
        data = _parse(webhook.headers, webhook.body)
        url = _at(data, "repository.html_url")
        return Event(
            id=webhook.delivery_id,
            source=url if isinstance(url, str) and url else "https://github.com",
            type=type_,
            time=max(_times(type_, data), default=webhook.received_at),
            data=data,
            kind=self.kind,
            subject=_subject(type_, data),
            endpoint=webhook.endpoint,
        )


SOURCE = GitHub()


def _parse(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return parse_object(body)
    try:
        (payload,) = parse_qs(body.decode("ascii"), max_num_fields=2, errors="strict")["payload"]
    except (ValueError, KeyError):
        raise BadBody("The body is a form without one field `payload`.") from None
    return parse_object(payload)


def _subject(event: str, data: dict[str, Any]) -> str:
    return "/".join([event, *(_text(_at(data, path)) for path in OBJECTS.get(event, ()))])


def _times(event: str, data: dict[str, Any]) -> Iterator[datetime]:
    # A push says when in its repository, as seconds since the epoch.
    found = [_at(data, "repository.pushed_at")] if event == "push" else []
    described = data.get(event, data)
    if isinstance(described, dict):
        found += [described.get(name) for name in TIMES]
    return (time for time in map(parse_time, found) if time is not None)


def _at(data: object, path: str) -> object:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
