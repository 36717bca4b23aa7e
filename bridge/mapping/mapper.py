"""From an event to wishes: which links should stand on which issues of which Jira sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Protocol

from bridge.errors import BadBody, BadLink, UnknownSite, UnknownSource, Unmappable
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
class Mentions:
    """The texts in which an event may name issues, by how keys are written there."""

    texts: Sequence[str] = ()
    branches: Sequence[str] = ()
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """What holds for the events of one endpoint, whatever mapping reads them.

    `mentions` gives further places of issue keys in an event's document; `site` the name of the
    site that it is for, None to go by the keys. `ignored` are facts (`draft`, `bot`) that a rule
    tells, `branches` patterns of names, whose objects are taken for naming no issue.
    """

    mentions: Callable[[dict[str, Any]], Mentions] | None = None
    site: Callable[[dict[str, Any]], object] | None = None
    ignored: frozenset[str] = frozenset()
    branches: tuple[str, ...] = ()

    def reason(self, branches: Sequence[str], facts: Callable[[], frozenset[str]]) -> str | None:
        """Why an object is ignored: `ignored_draft`, `ignored_bot` or `ignored_branch`."""
        if self.ignored and (found := self.ignored & facts()):
            return f"ignored_{min(found)}"
        matches = (any(fnmatchcase(name, pattern) for pattern in self.branches) for name in branches)
        return "ignored_branch" if self.branches and branches and all(matches) else None


@dataclass(frozen=True, slots=True)
class Named:
    """The keys of an object's issues, by site, for every site; or why they are not looked at."""

    keys: Mapping[str, tuple[str, ...]]
    ignored: str | None = None


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
    """The wishes of an event, or the code of the reason for which it has none.

    `fault` is what is wrong with some of its objects, where others have wishes.
    """

    wishes: tuple[Wish, ...] = ()
    skipped: str | None = None
    fault: Unmappable | None = None


class Sites:
    """The sites that take an event, and which of them an issue is on.

    `aliases` are the keys that moved projects had before, and have now.
    """

    def __init__(
        self, sites: Iterable[Site], aliases: Mapping[str, str] | None = None, route: Route | None = None
    ) -> None:
        self._sites = {site.name: site for site in sites}
        self._claimed = frozenset[str]().union(*(site.projects or () for site in self._sites.values()))
        self._aliases = aliases or {}
        self._route = route or Route()
        self._known = {site.name: self._with_former(site.projects) for site in self._sites.values()}

    def named(
        self, found: Mentions, document: dict[str, Any], facts: Callable[[], frozenset[str]] = frozenset
    ) -> Named:
        """The issues that an object names on each site, in what was found and where the route says.

        `facts` tells which of `draft` and `bot` the object is. Raises BadBody and UnknownSite.
        """
        reason = self._route.reason(found.branches, facts)
        if reason is not None:
            return Named(dict.fromkeys(self._sites, ()), reason)
        more = self._route.mentions(document) if self._route.mentions else Mentions()
        keys = {name: self._keys(site, found, more) for name, site in self._sites.items()}
        meant = self._route.site(document) if self._route.site else None
        if meant is None:
            return Named(keys)
        is_known = isinstance(meant, str) and meant in self._sites
        if not is_known and any(keys.values()):
            raise UnknownSite(f"The event names a site that does not take it. {UnknownSite.advice}")
        return Named({name: of_site if name == meant else () for name, of_site in keys.items()})

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

    def current(self, key: str) -> str:
        """The key that an issue of a moved project has now."""
        project, _, number = key.rpartition("-")
        return f"{self._aliases[project]}-{number}" if project in self._aliases else key

    def _keys(self, site: Site, found: Mentions, more: Mentions) -> tuple[str, ...]:
        keys = issue_keys(
            (*found.texts, *more.texts),
            self._known[site.name],
            branches=(*found.branches, *more.branches),
            tags=(*found.tags, *more.tags),
        )
        if self._aliases:
            keys = tuple(dict.fromkeys(self.current(key) for key in keys))
        if site.projects is None:
            keys = tuple(key for key in keys if self._has(site, key))
        if len(keys) > MAX_ISSUES:
            raise BadBody(f"The event names {len(keys)} issues; {MAX_ISSUES} are allowed.")
        return keys

    def _with_former(self, projects: frozenset[str] | None) -> frozenset[str] | None:
        if projects is None:
            return None
        return projects | {former for former, now in self._aliases.items() if now in projects}

    def _has(self, site: Site, key: str) -> bool:
        return _project(key) not in self._claimed if site.projects is None else _project(key) in site.projects


def _project(key: str) -> str:
    return key.rpartition("-")[0]


class EventMapping(Protocol):
    """How the events of one kind of source become wishes. Pure."""

    @property
    def sources(self) -> frozenset[str]:
        """The kinds of the events that it reads."""
        ...

    def map(self, event: Event, sites: Sites) -> Mapped:
        """Raises BadBody and BadLink; `not_of_interest` leaves the event to another mapping."""
        ...


class Mapper:
    """Asks the mappings of an event's kind, the last one first, until one is interested.

    So a user's mapping, given after the built-in ones, replaces what it speaks of, and the
    rest stays as it is.
    """

    def __init__(
        self,
        mappings: Sequence[EventMapping],
        sites: Sequence[Site],
        aliases: Mapping[str, str] | None = None,
        routes: Mapping[str, Route] | None = None,
    ) -> None:
        self._all = tuple(sites)
        self._aliases = aliases or {}
        self._routes = routes or {}
        self._views: dict[tuple[Route | None, tuple[Site, ...]], Sites] = {}
        self._by_kind = {
            kind: [each for each in reversed(mappings) if kind in each.sources]
            for kind in frozenset[str]().union(*(each.sources for each in mappings))
        }

    def map(self, event: Event) -> Mapped:
        """What the event asks for. Raises BadBody, BadLink, UnknownSource and UnknownSite."""
        if event.kind not in self._by_kind:
            raise UnknownSource(f"No mapping for {event.kind!r} is installed. {UnknownSource.advice}")
        sites = self.sites(event)
        for mapping in self._by_kind[event.kind]:
            mapped = mapping.map(event, sites)
            if mapped.skipped != NOT_OF_INTEREST:
                return mapped
        return Mapped(skipped=NOT_OF_INTEREST)

    def sites(self, event: Event) -> Sites:
        """The sites that take the event; there are few such views, so they are kept.

        What came by Kafka itself may name its site, whatever endpoints that one has.
        """
        is_direct = event.endpoint is None and isinstance(event.data, dict)
        named = event.data.get("site") if is_direct else None
        taken = tuple(site for site in self._all if site.takes(event.endpoint) or site.name == named)
        view = self._routes.get(event.endpoint or ""), taken
        if view not in self._views:
            self._views[view] = Sites(taken, self._aliases, view[0])
        return self._views[view]
