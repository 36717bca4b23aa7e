"""What sources share: how they are found, and the source whose body is JSON, as nearly all are."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, ClassVar, Self

import bridge.sources
from bridge.errors import BadBody, BadRequest, ConfigError
from bridge.model import Event, Webhook
from bridge.ports import Signature, Source
from bridge.sources.bodies import at, first, parse_object, text
from bridge.times import parse_time

ENTRY_POINTS = "bridge.sources"
"""The group under which a package outside names its sources, instances of `bridge.ports.Source`."""

Paths = tuple[str, ...]
"""Dotted paths into a body, a list's items by number: `commits.0.id`."""


def load_sources() -> dict[str, Source]:
    """All sources by kind: `SOURCE` of each module in this package, and the entry points'.

    Raises ConfigError when two have the same kind.
    """
    found: dict[str, Source] = {}
    for place, source in (*_own(), *_outside()):
        if source.kind in found:
            raise ConfigError(f"{place}: there is another source of the kind {source.kind!r}")
        found[source.kind] = source
    return found


def _own() -> Iterator[tuple[str, Source]]:
    for module in pkgutil.iter_modules(bridge.sources.__path__, "bridge.sources."):
        source = getattr(importlib.import_module(module.name), "SOURCE", None)
        if source is not None:
            yield module.name, source


def _outside() -> Iterator[tuple[str, Source]]:
    for point in entry_points(group=ENTRY_POINTS):
        yield f"{point.name} = {point.value}", point.load()


def page(source: Source) -> str:
    """The set-up page of a source, in Markdown: the docstring of its module."""
    return inspect.getdoc(sys.modules[type(source).__module__]) or ""


class JsonSource:
    """`bridge.ports.Source` of a vendor that posts JSON; a subclass says where things stand.

    What stands here without ClassVar may be an endpoint's choice (`AnyJson`).

    What is not found where it should be is done without, as far as that goes: an event without a
    time has that of its receipt, a delivery without an id is named by a digest of its body.
    """

    kind: ClassVar[str]
    vendor: ClassVar[str]
    signature: Signature

    type_header: str = ""
    """The header that tells the event's type; without it, the first text at `type_paths` does."""
    type_paths: Paths = ()
    id_header: str = ""
    """The header that names the delivery; without it, the first text or number at `id_paths` does."""
    id_paths: Paths = ()
    kept: tuple[str, ...] = ()
    """Other headers that travel with the body."""
    aliases: ClassVar[Mapping[str, str]] = {}
    """Headers that some senders call otherwise: by that name, the one under which they are kept."""
    origin: ClassVar[Paths] = ()
    """Where the event's source stands, a URL or an account: the first that is found, else `home`."""
    home: ClassVar[str]
    objects: Paths | Mapping[str, Paths] = ()
    """What tells objects apart, for all types or by type.

    It may be coarser than a link's identity but never finer: what shares a globalId must share a
    record key.
    """
    times: Paths = ()
    """Where times stand; the latest is the event's."""
    CHOICES: ClassVar[Paths] = ()
    """The options that an endpoint may give; `choose` takes them over."""

    def configured(self, options: Mapping[str, str]) -> Self:
        """A source of its own with these options. Raises ConfigError for unknown and bad ones."""
        if not options:
            return self
        if not self.CHOICES:
            raise ConfigError(f"the source {self.kind} has no options; found {', '.join(sorted(options))}")
        unknown = sorted(options.keys() - set(self.CHOICES))
        if unknown:
            raise ConfigError(
                f"the source {self.kind} has no option {unknown[0]}; it has {', '.join(self.CHOICES)}"
            )
        chosen = copy(self)
        chosen.choose(options)
        return chosen

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over what the options say, each one of `CHOICES`. Raises ConfigError."""

    def headers(self, event: str, delivery_id: str) -> dict[str, str]:
        """The headers that tell the event's type and the delivery, where this vendor has them."""
        told = {self.type_header: event, self.id_header: delivery_id}
        return {name: value for name, value in told.items() if name}

    def keep(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:  # noqa: ARG002 - for others
        """The type, the delivery and what else the class says."""
        renamed = {self.aliases[name]: value for name, value in headers.items() if name in self.aliases}
        names = {self.type_header, self.id_header, *self.kept}
        return {name: value for name, value in {**renamed, **headers}.items() if name in names}

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """What names the delivery. Raises BadRequest where a header should and is missing."""
        for name, paths in ((self.type_header, self.type_paths), (self.id_header, self.id_paths)):
            if name and not paths:
                require(headers, name)
        return headers.get(self.id_header) or self._told_id(headers, body) or _digest(body)

    def _told_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return short(first(self.read(headers, body), self.id_paths)) if self.id_paths else ""

    def read(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """As `parse`; empty for what cannot be read."""
        try:
            return self.parse(headers, body)
        except BadBody:
            return {}

    def record_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """`<kind>/<object>`, as much of it as can be read."""
        try:
            data = self.parse(headers, body)
        except BadBody:
            return f"{self.kind}/"
        return f"{self.kind}/{short(self.subject_of(self.type_of(headers, data), data))}"

    def event(self, webhook: Webhook) -> Event:
        """Parse the delivery. Raises BadBody."""
        data = self.parse(webhook.headers, webhook.body)
        type_ = self.type_of(webhook.headers, data)
        if not type_:
            raise BadBody(f"The event's type is missing: {' or '.join(self._type_places())}.")
        times = map(parse_time, self.times_of(type_, data))
        return Event(
            id=webhook.delivery_id,
            source=short(self.origin_of(webhook, data)),
            type=short(type_),
            time=max((time for time in times if time is not None), default=self.default_time(webhook)),
            data=data,
            kind=self.kind,
            subject=short(self.subject_of(type_, data)),
            endpoint=webhook.endpoint,
        )

    def _type_places(self) -> tuple[str, ...]:
        return tuple(name for name in (self.type_header, *self.type_paths) if name)

    # --- what a vendor that does it another way says otherwise ---------------------------------

    def parse(self, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:  # noqa: ARG002 - for others
        """The JSON object in the body. Raises BadBody."""
        return parse_object(body)

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        """The event's type, empty when it is not told."""
        return headers.get(self.type_header, "") or first(data, self.type_paths)

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:
        """What the event is about, among all that its source tells of."""
        paths = self.objects.get(type_, ()) if isinstance(self.objects, Mapping) else self.objects
        return "/".join(text(at(data, path)) for path in paths)

    def times_of(self, type_: str, data: dict[str, Any]) -> Iterable[object]:  # noqa: ARG002 - for others
        """The values that may be the event's time."""
        return (at(data, path) for path in self.times)

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002 - for others
        """Where the event comes from: a URL or an account."""
        return first(data, self.origin) or self.home

    def default_time(self, webhook: Webhook) -> datetime:
        """The event's time where the body has none."""
        return webhook.received_at


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def require(headers: Mapping[str, str], name: str) -> str:
    """The header, which its source always sends. Raises BadRequest when it is missing."""
    value = headers.get(name)
    if not value:
        raise BadRequest(f"The header {name} is missing. {BadRequest.advice}")
    return value


_MAX_NAME = 500


def short(name: str) -> str:
    """A text that names something: of one that is too long to be a name the beginning, and a digest.

    It becomes a record's key and header and a part of the ledger's ids, which have bounds or are kept.
    """
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:_MAX_NAME]}~{_digest(name.encode('utf-8', 'surrogatepass'))}"
