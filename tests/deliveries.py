"""The samples of a source as deliveries: `tests/samples/<kind>/<what>.json`.

A sample is what its vendor sends, where its shape was taken from, and what must come of it:

    {"from": "https://…", "request": {"headers": {…}, "body": {…} or "text"},
     "events": [{"type", "id", "source", "time", "subject"}],
     "changes": […], "skipped": null, "rejected": null}

`python -m tests.deliveries --write KIND…` writes what comes of the requests into the samples, to be
reviewed line by line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bridge.errors import Unmappable
from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.examples import plain
from bridge.mapping.mapper import Mapper, Site
from bridge.model import Request, Webhook
from bridge.sources.base import load_sources

SOURCES = load_sources()
SAMPLES = Path(__file__).parent / "samples"
RECEIVED_AT = datetime(2026, 3, 5, tzinfo=UTC)
MAPPER = Mapper(builtin_mappings(), [Site("main", None)])
"""The built-in mappings, for one site with any project."""

EXPECTED = ("events", "changes", "skipped", "rejected")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One sample: its file's name, the headers (without a signature), the body, and the whole file."""

    kind: str
    name: str
    headers: dict[str, str]
    body: bytes
    sample: dict[str, Any]

    @property
    def request(self) -> Request:
        """The delivery as its sender makes it."""
        return Request("POST", "https://bridge.example.com/webhooks/main", self.headers, self.body)

    @property
    def webhook(self) -> Webhook:
        """The delivery as ingress hands it on."""
        source = SOURCES[self.kind]
        kept = source.keep(self.headers, self.body)
        id_ = source.delivery_id(kept, self.body)
        return Webhook("main", self.kind, id_, kept, self.body, RECEIVED_AT)

    @property
    def expected(self) -> dict[str, Any]:
        """What must come of it."""
        return {name: self.sample.get(name) for name in EXPECTED}


def deliveries(kind: str) -> list[Delivery]:
    """All samples of a source, by name; none where its folder is missing."""
    return [_delivery(kind, path) for path in sorted((SAMPLES / kind).glob("*.json"))]


def delivery(kind: str, name: str) -> Delivery:
    """One sample by its file's name without `.json`."""
    return _delivery(kind, SAMPLES / kind / f"{name}.json")


def outcome(webhook: Webhook) -> dict[str, Any]:
    """What comes of a delivery, in the form in which samples expect it."""
    found: dict[str, Any] = {"events": [], "changes": [], "skipped": None, "rejected": None}
    try:
        event = SOURCES[webhook.source].event(webhook)
        time = event.time.isoformat().replace("+00:00", "Z")
        named = {"type": event.type, "id": event.id, "source": event.source, "time": time}
        found["events"] = [{**named, "subject": event.subject}]
        mapped = MAPPER.map(event)
    except Unmappable as error:
        return {**found, "rejected": error.code}
    return {**found, "changes": [plain(wish) for wish in mapped.wishes], "skipped": mapped.skipped}


def _delivery(kind: str, path: Path) -> Delivery:
    sample = orjson.loads(path.read_bytes())
    request = sample["request"]
    headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
    body = request["body"]
    return Delivery(
        kind, path.stem, headers, body.encode() if isinstance(body, str) else orjson.dumps(body), sample
    )


def _write(kinds: list[str]) -> Iterator[Path]:
    for kind in kinds:
        for each in deliveries(kind):
            path = SAMPLES / kind / f"{each.name}.json"
            sample = {name: value for name, value in each.sample.items() if name not in EXPECTED}
            written = orjson.dumps({**sample, **outcome(each.webhook)}, option=orjson.OPT_INDENT_2) + b"\n"
            if written != path.read_bytes():
                path.write_bytes(written)
                yield path


if __name__ == "__main__":
    if sys.argv[1:2] != ["--write"]:
        sys.exit(__doc__)
    for changed in _write(sys.argv[2:]):
        print(changed)  # noqa: T201 - for the reviewer
