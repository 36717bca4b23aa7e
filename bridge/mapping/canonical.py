"""The canonical event: a producer that knows the link it wants asks for it by name.

`remotelink.upsert` and `remotelink.delete` in CloudEvents 1.0, whose `data` is Jira's own
request body with `issue` and, where there are several sites, `site` beside it.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.errors import BadBody, BadLink
from bridge.mapping.identity import ISSUE_KEY, MAX_UNITS, clip, printable, utf16_units, web_url
from bridge.mapping.mapper import NOT_OF_INTEREST, Mapped, Sites, Wish
from bridge.model import Action, Application, Event, Icon, Link, RemoteObject, Status, StatusIcon

ACTIONS = {"remotelink.upsert": Action.UPSERT, "remotelink.delete": Action.DELETE}

_ISSUE_ID = re.compile(r"[1-9][0-9]{0,18}", re.ASCII)


class CanonicalMapping:
    """`bridge.mapping.mapper.EventMapping` of events that say themselves what they want."""

    sources = frozenset({"cloudevents"})

    def map(self, event: Event, sites: Sites) -> Mapped:
        """A wish for each site that has the issue. Raises BadBody and BadLink."""
        action = ACTIONS.get(event.type)
        if action is None:
            return Mapped(skipped=NOT_OF_INTEREST)
        if not isinstance(event.data, dict):
            raise BadBody("The event's data is not an object.")
        issue = sites.current(_issue(event.data))
        subject = _global_id(event.data)
        link = _link(event.data) if action is Action.UPSERT else None
        names = sites.of(issue, _text(event.data, "site", "data"))
        return Mapped(tuple(Wish(action, name, subject, (issue,), link, 0, event.time, 0) for name in names))


def _issue(data: dict[str, Any]) -> str:
    given = data.get("issue")
    text = str(given) if isinstance(given, str | int) else ""
    text = text.upper() if text.isascii() else ""
    if not (ISSUE_KEY.fullmatch(text) or _ISSUE_ID.fullmatch(text)):
        raise BadLink("data.issue: neither an issue's key nor its numeric id")
    return text


def _global_id(data: dict[str, Any]) -> str:
    given = _text(data, "globalId", "data")
    if given is None or not given.strip() or utf16_units(given) > MAX_UNITS:
        raise BadLink(f"data.globalId: expected 1 to {MAX_UNITS} characters (UTF-16 units)")
    return given


def _link(data: dict[str, Any]) -> Link:
    application = _part(data, "application", "data")
    return Link(
        object=_object(_part(data, "object", "data")),
        application=Application(
            type=_line(application, "type", "data.application"),
            name=_line(application, "name", "data.application"),
        ),
        relationship=_line(data, "relationship", "data"),
    )


def _object(given: dict[str, Any]) -> RemoteObject:
    title = _line(given, "title", "data.object")
    if not title:
        raise BadLink("data.object.title: is missing or blank")
    summary = _text(given, "summary", "data.object")
    return RemoteObject(
        url=web_url(given.get("url"), "data.object.url"),
        title=title,
        summary=summary and printable(summary),
        icon=Icon(**_icon(given, "data.object")),
        status=_status(_part(given, "status", "data.object")),
    )


def _status(given: dict[str, Any]) -> Status:
    place = "data.object.status"
    resolved = given.get("resolved")
    if resolved is not None and not isinstance(resolved, bool):
        raise BadLink(f"{place}.resolved: neither true nor false")
    icon = _icon(given, place)
    link = _url(_part(given, "icon", place), "link", f"{place}.icon")
    return Status(resolved=resolved, icon=StatusIcon(**icon, link=link))


def _icon(given: dict[str, Any], place: str) -> dict[str, str | None]:
    icon, place = _part(given, "icon", place), f"{place}.icon"
    return {"url16x16": _url(icon, "url16x16", place), "title": _line(icon, "title", place)}


def _url(given: dict[str, Any], name: str, place: str) -> str | None:
    return web_url(given[name], f"{place}.{name}") if given.get(name) not in (None, "") else None


def _line(given: dict[str, Any], name: str, place: str) -> str | None:
    text = _text(given, name, place)
    return text and clip(text)


def _text(given: dict[str, Any], name: str, place: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise BadLink(f"{place}.{name}: is not a text")
    return value


def _part(given: dict[str, Any], name: str, place: str) -> dict[str, Any]:
    value = given.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadLink(f"{place}.{name}: is not an object")
    return value
