"""The parts that a configuration asks for, each made from it alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from bridge.errors import ConfigError, JiraError, JiraUnauthorized
from bridge.ingress import Endpoint
from bridge.jira.auth import Anonymous, Auth, Basic, Bearer
from bridge.jira.client import JiraClient
from bridge.jira.oauth import OAuth
from bridge.jira.session import Login
from bridge.jira.token_file import RefreshTokenFile
from bridge.kafka.cluster import Cluster
from bridge.mapping import mapper as mapped
from bridge.mapping.builtin import builtin_mappings, parse_own
from bridge.mapping.expressions import Expression
from bridge.mapping.identity import is_global_id
from bridge.mapping.rules import RuleMapping, mentions
from bridge.mapping.schema import Issues
from bridge.pipeline import Pipeline
from bridge.ports import Observe, Source
from bridge.reconcile import Reconciliation
from bridge.settings import Route, Settings, Site, read_text
from bridge.sources.base import load_sources
from bridge.state.pace import Allowance, Window, per_second
from bridge.state.reconcile import Orphaned, Policy, Removed

_ROOTS = frozenset({"body", "event", "item"})
"""What an expression under `routing` is of."""

_BEGAN = time.time() - time.monotonic()


def clock() -> float:
    """Seconds since the epoch, steady: a clock that is set back must not hold all pacing."""
    return _BEGAN + time.monotonic()


def policy(settings: Settings) -> Policy:
    """What is done about links that were removed, or that the ledger does not know."""
    return Policy(Removed(settings.reconcile.removed), Orphaned(settings.reconcile.orphaned))


def reconciliation(
    settings: Settings,
    sites: Mapping[str, JiraClient],
    observe: Observe,
    tell: Callable[[str], None] = lambda _site: None,
) -> Reconciliation:
    """What compares the ledger with these sites."""
    per_second = settings.reconcile.per_second
    return Reconciliation(sites, is_global_id, per_second, observe, clock, tell)


def cluster(settings: Settings) -> Cluster:
    """The Kafka that the configuration names."""
    kafka = settings.kafka
    security = kafka.security
    return Cluster(
        kafka.bootstrap_servers,
        security.protocol,
        security.sasl_mechanism or "PLAIN",
        security.username,
        security.password.get_secret_value() if security.password else None,
        security.ca_file,
    )


def endpoints(settings: Settings) -> list[Endpoint]:
    """The endpoints with their sources. Raises ConfigError for what a source does not know."""
    sources, found = load_sources(), []
    for name, endpoint in settings.ingress.endpoints.items():
        try:
            source = source_of(endpoint.source, sources).configured(endpoint.options)
        except ConfigError as error:
            raise ConfigError(f"ingress.endpoints.{name}: {error}") from None
        secrets = tuple(
            secret.get_secret_value().encode("utf-8", "surrogateescape") for secret in endpoint.secrets
        )
        found.append(Endpoint(name, source, settings.ingress.topic, secrets, endpoint.open))
    return found


def source_of(kind: str, sources: Mapping[str, Source]) -> Source:
    """The source of that kind. Raises ConfigError, with the nearest names, when there is none."""
    if kind in sources:
        return sources[kind]
    near = get_close_matches(kind, sources, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "`jira-bridge sources` lists them"
    raise ConfigError(f"there is no source {kind}; {hint}")


def pipeline(settings: Settings) -> Pipeline:
    """The pipeline that the configuration asks for. Raises ConfigError for a mapping at fault."""
    mapper_ = mapper(settings, mapped_sites(settings))
    adopting = frozenset(name for name, site in settings.sites.items() if site.adopt)
    return Pipeline(load_sources(), mapper_, settings.worker.max_future_seconds, adopting)


def mapper(settings: Settings, sites: Sequence[mapped.Site]) -> mapped.Mapper:
    """The mapper; a user's own mapping is asked before the built-in ones. Raises ConfigError."""
    return mapper_of(settings, [*builtin_mappings(), *own_mappings(settings)], sites)


def mapper_of(
    settings: Settings, mappings: Sequence[mapped.EventMapping], sites: Sequence[mapped.Site]
) -> mapped.Mapper:
    """The mapper that asks these mappings, with the configuration's routing. Raises ConfigError."""
    routing = settings.routing
    routes = {name: _route(name, route, settings.sites) for name, route in routing.endpoints.items()}
    return mapped.Mapper(mappings, sites, routing.aliases, routes)


def _route(name: str, route: Route, sites: Mapping[str, Site]) -> mapped.Route:
    place = f"routing.endpoints.{name}"
    try:
        issues = Issues.model_validate(route.issues.model_dump())
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        told = fault["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{place}.issues.{'.'.join(map(str, fault['loc']))}: {told}") from None
    for kind in ("texts", "branches", "tags"):
        for number, expression in enumerate(getattr(issues, kind)):
            _check_roots(f"{place}.issues.{kind}.{number}", expression)
    try:
        site = Expression(route.site) if route.site else None
    except ValueError as error:
        raise ConfigError(f"{place}.site: {error}") from None
    if site:
        _check_roots(f"{place}.site", site)
        unknown = sorted((site.outcomes or frozenset()) - sites.keys())
        if unknown and sites:
            raise ConfigError(f"{place}.site: no site is called {unknown[0]}; there are {', '.join(sites)}")
    return mapped.Route(
        mentions=partial(mentions, issues) if any(route.issues.model_dump().values()) else None,
        site=site.value if site else None,
        ignored=frozenset(name for name in ("draft", "bot") if getattr(route.ignore, f"{name}s")),
        branches=tuple(route.ignore.branches),
    )


def _check_roots(place: str, expression: Expression) -> None:
    """Refuse what is null of each document. Raises ConfigError."""
    for root in sorted({field[0] for field in expression.fields} - _ROOTS):
        raise ConfigError(f"{place}: `{root}` is not known here: there are body, event, item")


def own_mappings(settings: Settings) -> list[RuleMapping]:
    """The user's own mappings. Raises ConfigError, also when two extend the same one."""
    found = [parse_own(read_text(path), str(path)) for path in settings.mappings]
    for place, mapping in enumerate(found):
        for other in found[:place]:
            if mapping.extends and mapping.extends == other.extends:
                raise ConfigError(
                    f"{mapping.name}: extends {mapping.extends} as {other.name} does, which would never be "
                    "asked; put both into one file"
                )
    return found


def mapped_sites(settings: Settings) -> list[mapped.Site]:
    """The sites as the mapper sees them: which projects each has, and whose events it takes."""
    return [
        mapped.Site(name, _names(site.projects), _names(site.endpoints))
        for name, site in settings.sites.items()
    ]


def jiras(settings: Settings) -> dict[str, JiraClient]:
    """The writer's client of each site; sites that have one refresh token share one login.

    Each makes one attempt, since the writer decides anew after each. Raises ConfigError, with the
    site's name, for credentials that cannot be sent.
    """
    logins: dict[Path | str, Login] = {}
    clients = {}
    for name, site in settings.sites.items():
        try:
            login = logins.setdefault(_refresh_token_file(site) or name, Login(_auth(site)))
        except ConfigError as error:
            raise ConfigError(f"sites.{name}.auth: {error}") from None
        clients[name] = jira(site, login, attempts=1)
    return clients


def jira(
    site: Site,
    login: Login | None = None,
    *,
    attempts: int = 4,
    on_wait: Callable[[JiraError, float], None] | None = None,
) -> JiraClient:
    """The client of one site. Raises ConfigError for credentials that cannot be sent."""
    return JiraClient(
        site.address,
        login or _auth(site),
        api_version=site.api_version,
        attempts=attempts,
        max_connections=site.max_in_flight + 1,  # what compares takes no place from what writes
        on_wait=on_wait,
    )


def check_jira(settings: Settings) -> None:
    """See that each site's credentials can be sent, and its refresh token be renewed. Raises ConfigError."""
    jiras(settings)
    for name, site in settings.sites.items():
        try:
            if file := _refresh_token_file(site):
                RefreshTokenFile(file).check()
        except JiraUnauthorized as error:
            raise ConfigError(f"sites.{name}.auth.oauth.refresh_token_file: {error}") from None


def _refresh_token_file(site: Site) -> Path | None:
    file = site.auth.oauth.refresh_token_file if site.auth.oauth else None
    return file.resolve() if file else None


def _auth(site: Site) -> Auth:
    auth = site.auth
    if auth.basic:
        return Basic(auth.basic.email, auth.basic.token.get_secret_value())
    if auth.bearer:
        return Bearer(auth.bearer.token.get_secret_value())
    if auth.oauth:
        file = _refresh_token_file(site)
        return OAuth(
            auth.oauth.client_id,
            auth.oauth.client_secret.get_secret_value(),
            RefreshTokenFile(file) if file else None,
            auth.oauth.token_url,
        )
    return Anonymous()


def allowance(site: Site) -> Allowance:
    """What the writer may ask of one site."""
    limit = site.limit
    rates = limit.per_second.model_dump(exclude_none=True)
    windows = {method.upper(): per_second(rate) for method, rate in rates.items()}
    whole = windows.pop("ALL", ())
    issue = tuple(Window(count, seconds) for count, seconds in limit.issue)
    return Allowance(issue, windows, whole, limit.points_per_hour, site.max_in_flight)


def _names(values: Sequence[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)
