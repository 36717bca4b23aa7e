"""The samples of a source as deliveries: `tests/samples/<kind>/<event type>.<what>.json`.

A sample is a body; its headers are those with which the source says that its vendor sends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bridge.model import Webhook
from bridge.sources.base import load_sources

SOURCES = load_sources()
SAMPLES = Path(__file__).parent / "samples"
RECEIVED_AT = datetime(2026, 3, 5, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One sample: its file's name, the headers (without a signature) and the body."""

    kind: str
    name: str
    headers: dict[str, str]
    body: bytes

    @property
    def webhook(self) -> Webhook:
        """The delivery as ingress hands it on."""
        return Webhook("main", self.kind, self.name, self.headers, self.body, RECEIVED_AT)


def deliveries(kind: str) -> list[Delivery]:
    """All samples of a source, by name; none where its folder is missing."""
    return [_delivery(kind, path) for path in sorted((SAMPLES / kind).glob("*.json"))]


def delivery(kind: str, name: str) -> Delivery:
    """One sample by its file's name without `.json`."""
    return _delivery(kind, SAMPLES / kind / f"{name}.json")


def _delivery(kind: str, path: Path) -> Delivery:
    headers = SOURCES[kind].headers(path.name.partition(".")[0], path.stem)
    return Delivery(kind, path.stem, headers, path.read_bytes())
