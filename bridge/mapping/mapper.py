"""From an event to wishes: which links should stand on which issues of which Jira sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bridge.errors import BadBody, BadLink, UnknownSource
from bridge.mapping.identity import issue_keys
from bridge.model import Action, Event, Link

NOT_OF_INTEREST = "not_of_interest"
NO_ISSUE_KEY = "no_issue_key"

MAX_ISSUES = 500
"""Issues that one event may name on one site; a release's notes name the most."""


@dataclass(frozen=True, slots=True)
class Site:
    """A Jira site, the keys of its projects, and the endpoints whose events it takes.

    `projects` None is any project that no other site has; `endpoints` None is from anywhere.
    """

    name: str
    projects: frozenset[str] | None
    endpoints: frozenset[str] | None = None

    def takes(self, endpoint: str | None) -> bool:
        """Whether the site takes events that came in by `endpoint` (None: by Kafka itself)."""
        return self.endpoints is None or endpoint in self.endpoints


@dataclass(frozen=True, slots=True)
class Wish:
    """What an event asks of one subject on one site: a change, but for its record's place.

    An upsert or a delete names one issue. A set names all that the subject belongs to;
    without any, it has no link.
    """

    action: Action
    site: str
    global_id: str
    issues: tuple[str, ...]
    link: Link | None
    sequence: int
    time: datetime
    rank: int


@dataclass(frozen=True, slots=True)
class Mapped:
    """The wishes of an event, or the code of the reason for which it has none."""

    wishes: tuple[Wish, ...] = ()
    skipped: str | None = None


class Sites:
    """The sites, and which of them an issue is on."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self._sites = {site.name: site for site in sites}
        self._claimed = frozenset[str]().union(*(site.projects or () for site in self._sites.values()))

    def named(self, texts: Sequence[str], branches: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """By site, for every site: the keys of its issues in `texts` and `branches`. Raises BadBody."""
        found = {}
        for site in self._sites.values():
            keys = issue_keys(texts, site.projects, branches=branches)
            if site.projects is None:
                keys = tuple(key for key in keys if self._has(site, key))
            if len(keys) > MAX_ISSUES:
                raise BadBody(f"The event names {len(keys)} issues; {MAX_ISSUES} are allowed.")
            found[site.name] = keys
        return found

    def of(self, issue: str, site: str | None) -> tuple[str, ...]:
        """The sites of an issue that is asked for by key or numeric id, or the site that is.

        Raises BadLink when there is none.
        """
        if site is not None:
            if site not in self._sites:
                raise BadLink(f"data.site: no site is called {site!r}")
            return (site,)
        if issue.isdecimal() and len(self._sites) > 1:
            raise BadLink("data.site: needed, since a numeric issue id does not tell the site")
        found = tuple(name for name, it in self._sites.items() if issue.isdecimal() or self._has(it, issue))
        if not found:
            raise BadLink(f"data.issue: no site has the project {_project(issue)}")
        return found

    def _has(self, site: Site, key: str) -> bool:
        return _project(key) not in self._claimed if site.projects is None else _project(key) in site.projects


def _project(key: str) -> str:
    return key.rpartition("-")[0]


class Mapping(Protocol):
    """How the events of one kind of source become wishes. Pure."""

    @property
    def source(self) -> str:
        """The kind of the events that it reads."""
        ...

    def map(self, event: Event, sites: Sites) -> Mapped:
        """Raises BadBody and BadLink; `not_of_interest` leaves the event to another mapping."""
        ...


class Mapper:
    """Asks the mappings of an event's kind, the last one first, until one is interested.

    So a user's mapping, given after the built-in ones, replaces what it speaks of, and the
    rest stays as it is.
    """

    def __init__(self, mappings: Sequence[Mapping], sites: Sequence[Site]) -> None:
        self._all = tuple(sites)
        self._views: dict[tuple[Site, ...], Sites] = {}
        self._by_kind = {
            kind: [each for each in reversed(mappings) if each.source == kind]
            for kind in {each.source for each in mappings}
        }

    def map(self, event: Event) -> Mapped:
        """What the event asks for. Raises BadBody, BadLink and UnknownSource."""
        if event.kind not in self._by_kind:
            raise UnknownSource(f"No mapping for {event.kind!r} is installed. {UnknownSource.advice}")
        sites = self._taking(event)
        for mapping in self._by_kind[event.kind]:
            mapped = mapping.map(event, sites)
            if mapped.skipped != NOT_OF_INTEREST:
                return mapped
        return Mapped(skipped=NOT_OF_INTEREST)

    def _taking(self, event: Event) -> Sites:
        """The sites that take the event; there are few such views, so they are kept.

        What came by Kafka itself may name its site, whatever endpoints that one has.
        """
        is_direct = event.endpoint is None and isinstance(event.data, dict)
        named = event.data.get("site") if is_direct else None
        taken = tuple(site for site in self._all if site.takes(event.endpoint) or site.name == named)
        if taken not in self._views:
            self._views[taken] = Sites(taken)
        return self._views[taken]
