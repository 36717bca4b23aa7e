"""Sources with options: where an account is, and where things stand in anyone's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from bridge.errors import ConfigError
from bridge.model import Event, Webhook
from bridge.sources.base import JsonSource, Paths, require, short
from bridge.sources.bodies import first, site
from bridge.times import parse_time


class SitedJson(JsonSource):
    """A vendor whose bodies do not all tell the account's address: the option `url` does, or a header.

    It travels with the body in the header, for who reads the record knows no options.
    """

    CHOICES = ("url",)

    place: ClassVar[str]
    """The header."""
    url: str = ""
    """What the option says."""

    def choose(self, options: Mapping[str, str]) -> None:
        """Take over the account's address. Raises ConfigError for what is none."""
        self.url = site(options["url"])
        if not self.url:
            raise ConfigError(f"option url: expected the address of your account at {self.vendor}")

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
        data = self.read(headers, body) if self._chosen else {}
        found = {name: self._found(option, headers, data) for name, option in _TOLD.items()}
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
        data = self.read(headers, body) if "delivery" in self._chosen else {}
        return self._found("delivery", headers, data) or super().delivery_id(headers, body)

    def _found(self, option: str, headers: Mapping[str, str], data: dict[str, Any]) -> str:
        header, paths = self._chosen.get(option, ("", ()))
        return headers.get(header, "") if header else short(first(data, paths))

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
