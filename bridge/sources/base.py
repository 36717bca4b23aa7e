"""What sources share: how they are found, and the source whose body is JSON, as nearly all are."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, ClassVar, Self

import orjson

import bridge.sources
from bridge.errors import BadBody, BadRequest, ConfigError
from bridge.model import Event, Webhook
from bridge.ports import Signature, Source
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

    def configured(self, options: Mapping[str, str]) -> Self:
        """Itself, since nothing can be chosen. Raises ConfigError for any option."""
        if options:
            raise ConfigError(f"the source {self.kind} has no options; found {', '.join(sorted(options))}")
        return self

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
        try:
            return short(first(self.parse(headers, body), self.id_paths)) if self.id_paths else ""
        except BadBody:
            return ""

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


class SitedJson(JsonSource):
    """A vendor whose bodies do not all tell the account's address: the option `url` does, or a header.

    It travels with the body in the header, for who reads the record knows no options.
    """

    place: ClassVar[str]
    """The header."""
    url: str = ""
    """What the option says."""

    def configured(self, options: Mapping[str, str]) -> Self:
        """A source of that account. Raises ConfigError for another option, and for what is no address."""
        unknown = sorted(options.keys() - {"url"})
        if unknown:
            raise ConfigError(f"the source {self.kind} has no option {unknown[0]}; it has url")
        chosen = copy(self)
        chosen.url = site(options.get("url"))
        if "url" in options and not chosen.url:
            raise ConfigError(f"option url: expected the address of your account at {self.vendor}")
        return chosen

    def keep(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """What the class keeps, and the address, of the option rather than of the sender."""
        told = self.url or headers.get(self.place)
        return {**super().keep(headers, body), **({self.place: told} if told else {})}

    def told_site(self, webhook: Webhook) -> str:
        """The account's address, as the option or the header has it; empty without."""
        return site(webhook.headers.get(self.place))


TYPE, OBJECT, TIME = "bridge-type", "bridge-object", "bridge-time"
"""Under these, what an endpoint's options found travels with the body."""

_TOLD = {TYPE: "type", OBJECT: "object", TIME: "time"}


class AnyJson(JsonSource):
    """A sender that nobody knows here: where things stand in its JSON is the endpoint's choice.

    Each of `CHOICES` is an option: dotted paths with commas between, the first found counts; or
    `header:NAME`, for `type` and `delivery`. What is not chosen is where the plain document of
    `bridge/mapping/builtin/webhook.yaml` has it. An event without a type is called `webhook`.
    """

    CHOICES: ClassVar[Paths] = ("type", "object", "time", "delivery")

    home = "webhook"
    type_paths = ("type",)
    objects = ("data.id", "id")
    times = ("time", "timestamp", "data.time", "data.timestamp")

    def __init__(self) -> None:
        self._chosen: dict[str, tuple[str, Paths]] = {}

    def configured(self, options: Mapping[str, str]) -> Self:
        """A source that looks where the options say. Raises ConfigError for unknown and bad ones."""
        unknown = sorted(options.keys() - set(self.CHOICES))
        if unknown:
            raise ConfigError(
                f"the source {self.kind} has no option {unknown[0]}; it has {', '.join(self.CHOICES)}"
            )
        chosen = copy(self)
        chosen.choose(options)
        return chosen

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over what the options say. Raises ConfigError."""
        self._chosen = {
            name: _places(name, options[name], headers=name in {"type", "delivery"})
            for name in AnyJson.CHOICES
            if name in options
        }

    def keep(self, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """What the class keeps, and the type, object and time where the options have them.

        Headers of those names that were sent are not kept: nobody has signed them.
        """
        kept, delivery = super().keep(headers, body), self.header("delivery")
        found = {name: self._found(option, headers, body) for name, option in _TOLD.items()}
        found |= {delivery: headers.get(delivery, "")}
        return {**kept, **{name: text for name, text in found.items() if text}}

    def headers(self, event: str, delivery_id: str) -> dict[str, str]:
        """Those of the class, and of the options."""
        told = {self.header("type"): event, self.header("delivery"): delivery_id}
        return {**super().headers(event, delivery_id), **{name: text for name, text in told.items() if name}}

    def header(self, option: str) -> str:
        """The header that an option names; empty where it names none."""
        return self._chosen.get(option, ("", ()))[0]

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """What the options say, else what the class does. Raises BadRequest."""
        if self.header("delivery"):
            return require(headers, self.header("delivery"))
        return self._found("delivery", headers, body) or super().delivery_id(headers, body)

    def _found(self, option: str, headers: Mapping[str, str], body: bytes) -> str:
        header, paths = self._chosen.get(option, ("", ()))
        if header:
            return headers.get(header, "")
        try:
            return short(first(self.parse(headers, body), paths)) if paths else ""
        except BadBody:
            return ""

    def record_key(self, headers: Mapping[str, str], body: bytes) -> str:
        """`<kind>/<object>`; what was kept of it counts."""
        kept = headers.get(OBJECT)
        return f"{self.kind}/{kept}" if kept else super().record_key(headers, body)

    def event(self, webhook: Webhook) -> Event:
        """Parse the delivery; what was kept of it counts. Raises BadBody."""
        event = super().event(webhook)
        return replace(
            event,
            type=webhook.headers.get(TYPE) or event.type,
            subject=webhook.headers.get(OBJECT) or event.subject,
            time=parse_time(webhook.headers.get(TIME)) or event.time,
        )

    def type_of(self, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        """The type that is told, or `webhook`."""
        return super().type_of(headers, data) or "webhook"

    def subject_of(self, type_: str, data: dict[str, Any]) -> str:  # noqa: ARG002 - an id is its endpoint's own
        """The first of the places of the object's id that has one."""
        return first(data, AnyJson.objects)

    def origin_of(self, webhook: Webhook, data: dict[str, Any]) -> str:  # noqa: ARG002 - the body may be anyone's
        """The endpoint: what is told there is one system's."""
        return webhook.endpoint or self.home


_HEADER = "header:"
_WITH_SECRETS = {"authorization", "cookie", "proxy-authorization", "x-webhook-token"}


def _places(option: str, text: str, *, headers: bool) -> tuple[str, Paths]:
    """A header's name, or the paths into a body."""
    if headers and text.startswith(_HEADER):
        name = text.removeprefix(_HEADER).strip().lower()
        if not name or name in _WITH_SECRETS:
            raise ConfigError(f"option {option}: expected the name of a header that holds no secret")
        return name, ()
    paths = tuple(path.strip() for path in text.split(","))
    if not all(paths) or any(path.startswith(_HEADER) for path in paths):
        raise ConfigError(f"option {option}: expected dotted paths into the body, with commas between")
    return "", paths


def _digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=16).hexdigest()


def require(headers: Mapping[str, str], name: str) -> str:
    """The header, which its source always sends. Raises BadRequest when it is missing."""
    value = headers.get(name)
    if not value:
        raise BadRequest(f"The header {name} is missing. {BadRequest.advice}")
    return value


def parse_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object in the body. Raises BadBody."""
    data = _parse(body)
    if not isinstance(data, dict):
        raise BadBody(f"The body is JSON, but not an object: {type(data).__name__}")
    return data


def parse_batch(body: bytes) -> dict[str, Any]:
    """The list of JSON objects in the body, as `events` of an object. Raises BadBody."""
    data = _parse(body)
    if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
        raise BadBody("The body is JSON, but not a list of objects.")
    return {"events": data}


def _parse(body: bytes | str) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadBody(f"The body is not JSON: {error}") from None


def at(data: object, path: str) -> object:
    """What stands at a dotted path, None where it leads nowhere."""
    for name in path.split("."):
        if isinstance(data, dict):
            data = data.get(name)
        elif isinstance(data, list) and name.isdecimal() and int(name) < len(data):
            data = data[int(name)]
        else:
            return None
    return data


def text(value: object) -> str:
    """A text or a whole number as text; anything else is empty."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def first(data: object, paths: Iterable[str]) -> str:
    """The first text or number that is found at one of the paths, else an empty text."""
    return next((found for found in (text(at(data, path)) for path in paths) if found), "")


_MAX_NAME = 500


def short(name: str) -> str:
    """A text that names something: of one that is too long to be a name the beginning, and a digest.

    It becomes a record's key and header and a part of the ledger's ids, which have bounds or are kept.
    """
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:_MAX_NAME]}~{_digest(name.encode('utf-8', 'surrogatepass'))}"


_SITE = re.compile(
    r"\s*(?:(https?)://)?([a-z0-9.-]+|\[[0-9a-f:]+\])(:[0-9]{1,5})?(?:[/?#]|\s*$)", re.ASCII | re.IGNORECASE
)


def site(address: object) -> str:
    """`https://host` of an address, `http` where it says so; empty where it has no host's name."""
    found = _SITE.match(address) if isinstance(address, str) else None
    if found is None or not (found[1] or "." in found[2]):
        return ""
    return f"{found[1] or 'https'}://{found[2]}{found[3] or ''}".lower()


_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def snake(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by names such as `ticket_id`: whoever writes a template may call one `ticketId`."""
    return {_HUMP.sub("_", name).lower(): value for name, value in fields.items()}
