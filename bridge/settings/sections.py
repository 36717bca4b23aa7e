"""The sections of the configuration: each key with its type, its default and what it means."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    SecretStr,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

from bridge.settings.layers import Key

FORMAT = 1
"""The version of the configuration's format that this code reads."""

_LOOPBACK = r"https?://(127\.0\.0\.1|\[::1\]|localhost)(?=[:/]|$)"
"""Where a simulator may be: what is sent there leaves no machine."""

GATEWAY = "https://api.atlassian.com/ex/jira"
"""Atlassian's gateway to all sites on Jira Cloud; a site's id goes below it."""


class Contradiction(ValueError):
    """Values that are right alone and wrong together; `found` has keys below the one at fault."""

    def __init__(self, *found: tuple[Key, str]) -> None:
        super().__init__("; ".join(text for _, text in found))
        self.found = found


# --- the types of values -------------------------------------------------------------------


def _reveal(value: object, info: ValidationInfo) -> object:
    """Replace `env:NAME` and `file:PATH` by what they stand for. Raises ValueError naming them."""
    if not isinstance(value, str):
        return value
    kind, _, name = value.partition(":")
    if kind == "env":
        value = (info.context or {}).get(name)
        if value is None:
            raise ValueError(f"names the variable {name}, which is not set")
    elif kind == "file":
        value = _secret_file(name)
    if not value:
        raise ValueError("is empty; expected a value")
    return value


def _secret_file(name: str) -> str:
    try:
        return Path(name).read_text("utf-8").removesuffix("\n")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"names the file {name}, which cannot be read: {reason}") from None


def _format(version: int) -> int:
    if version != FORMAT:
        raise ValueError(f"is of another format; this jira-bridge reads version {FORMAT}")
    return version


_SQLITE = r"sqlite:///.+"
# An @ behind the host is of a password that holds a / or a ?.
_POSTGRESQL = r"postgresql://([^:@/?#\s]+(:(?P<password>[^@/?#\s]*))?@)?[^@/?#\s]*/[^@/?#\s]*(\?[^@#\s]*)?"


def _database(url: str) -> str:
    if re.fullmatch(_SQLITE, url):
        return url
    found = re.fullmatch(_POSTGRESQL, url)
    if not found:
        raise ValueError(
            "names no ledger; supported are sqlite:///PATH (four slashes before an absolute one) and "
            "postgresql://USER@HOST:PORT/DATABASE"
        )
    if found["password"] or re.search(r"[?&](ssl)?password=", url):
        raise ValueError("holds a password, which would be shown; expected it under ledger.password")
    return url


def _whole_site(url: str) -> str:
    if within := re.search(r"(?<=[^/])/(browse|rest)(/|$)", url):
        raise ValueError(f"leads into the site; expected its address alone, which ends before {within[0]}")
    return url


def _encrypted(url: str) -> str:
    if not re.match(rf"https:|{_LOOPBACK}", url):
        raise ValueError("is not encrypted, and the app's secret is sent there; expected https://…")
    return url


def _member(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name):
        raise ValueError("is no name of a member; expected letters, digits and . _ -")
    return name


def _distinct(values: list[str]) -> list[str]:
    if len(set(values)) < len(values):
        raise ValueError("names something twice; expected each once")
    return values


JmesPath = Annotated[str, StringConstraints(min_length=1)]
Secret = Annotated[SecretStr, BeforeValidator(_reveal)]
# No pattern: the schema is of what is written, which may be `env:NAME`.
InstanceId = Annotated[str, BeforeValidator(_reveal), AfterValidator(_member)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([_-][a-z0-9]+)*$")]
Topic = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Project = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]+$")]
# A pattern and no URL parser: parsers differ on `https://good.example\@evil.example`.
_URL = r"^https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$"
HttpUrl = Annotated[str, StringConstraints(pattern=_URL), AfterValidator(lambda url: url.rstrip("/"))]
SiteUrl = Annotated[HttpUrl, AfterValidator(_whole_site)]
TokenUrl = Annotated[HttpUrl, AfterValidator(_encrypted)]
CloudId = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
Port = Annotated[int, Field(ge=0, le=65_535)]
ApiVersion = Annotated[
    Literal["2", "3"],
    BeforeValidator(lambda value: str(value) if isinstance(value, int) else value),
    WithJsonSchema({"enum": [2, 3, "2", "3"]}),
]
Rate = Annotated[float, Field(gt=0, le=100_000, description="requests a second")]
Window = tuple[Annotated[int, Field(ge=1, le=100_000)], Annotated[float, Field(gt=0, le=86_400)]]


# --- the sections --------------------------------------------------------------------------


class Section(BaseModel):
    """A part of the configuration; keys that it does not know are errors."""

    # Defaults are validated too: one that is right alone may contradict what was given.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)


class Security(Section):
    """How the bridge speaks to Kafka."""

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="encryption and login of the brokers' listener"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="how to log in, for the SASL protocols"
    )
    username: str | None = Field(None, description="the name to log in with, for the SASL protocols")
    password: Secret | None = Field(None, description="the password to log in with, for the SASL protocols")
    ca_file: FilePath | None = Field(
        None, description="PEM file of the authority that signed the brokers' certificates; else the system's"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        login = {"sasl_mechanism": self.sasl_mechanism, "username": self.username, "password": self.password}
        sasl = self.protocol.startswith("SASL")
        wrong = "is missing, and {} needs it" if sasl else "is of no use with {}; expected a SASL protocol"
        found = [((key,), wrong) for key, value in login.items() if (value is None) == sasl]
        if self.ca_file and not self.protocol.endswith("SSL"):
            found.append((("ca_file",), "is of no use with {}; expected SSL or SASL_SSL"))
        if found:
            raise Contradiction(*((key, text.format(self.protocol)) for key, text in found))
        return self


class Kafka(Section):
    """The topics, and the way to them."""

    bootstrap_servers: str = Field(
        "localhost:9092",
        pattern=r"^[^\s,:]+:[0-9]{1,5}(,[^\s,:]+:[0-9]{1,5})*$",
        description="brokers, HOST:PORT[,HOST:PORT]…",
    )
    topics: Annotated[list[Topic], AfterValidator(_distinct)] = Field(
        ["bridge.events"],
        min_length=1,
        description="topics that the worker reads, of letters, digits and . _ -",
    )
    dead_letter_topic: Topic = Field("bridge.dead-letters", description="topic that rejected records go to")
    group: str = Field("jira-bridge", min_length=1, description="consumer group of the workers")
    security: Security = Field(Security(), description="encryption and login")
    start: Literal["earliest", "latest"] = Field(
        "earliest",
        description="where to read a partition from that neither the ledger nor the group knows",
    )
    on_lost_position: Literal["stop", "earliest"] = Field(
        "stop", description="what to do when records were deleted unread: stop, or go on from the oldest left"
    )
    instance_id: InstanceId | None = Field(
        None,
        description="name of this worker alone in the group; its partitions wait for it while it restarts",
    )
    session_seconds: int = Field(
        10, ge=1, le=1_800, description="seconds after which a worker that is silent loses its partitions"
    )
    fetch_bytes: int = Field(
        1_048_576, ge=1, le=67_108_864, description="bytes read ahead of each partition, or one record"
    )
    create_topics: bool = Field(True, description="whether to create topics that are missing")
    partitions: int = Field(12, ge=1, description="partitions of a topic that the bridge creates")
    replication: int = Field(1, ge=1, description="replicas of a topic that the bridge creates")
    retention_days: int = Field(14, ge=1, description="days for which the topics keep a record")

    @field_validator("dead_letter_topic")
    @classmethod
    def _apart(cls, topic: str, info: ValidationInfo) -> str:
        if topic in info.data.get("topics", ()):
            raise ValueError("is among kafka.topics; expected a topic that no worker reads")
        return topic


class Endpoint(Section):
    """One address that webhooks are sent to: `/webhooks/NAME`."""

    source: str = Field(
        min_length=1,
        description="kind of the sender (github, zendesk, hmac…), as `jira-bridge sources` lists it",
    )
    secrets: list[Secret] = Field([], description="signing secrets; any of them is accepted, for rotations")
    open: bool = Field(False, description="take deliveries without a signature, from anyone")
    options: dict[str, str] = Field(
        {}, description="what the source lets choose: a header's name, an algorithm; see docs/sources.md"
    )

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        if self.open and self.secrets:
            raise Contradiction((("open",), "is true beside secrets; expected one of the two"))
        if not (self.open or self.secrets):
            raise ValueError("has no secrets; list them, or say `open: true` to take anyone's deliveries")
        return self


class Ingress(Section):
    """The server that takes webhooks."""

    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104 - it serves a network
    port: Port = Field(8080, description="port to listen on; 0 takes a free one")
    public_url: HttpUrl | None = Field(
        None,
        description="address by which senders know the bridge, before /webhooks; left out: their Host",
    )
    topic: Topic = Field("bridge.events", description="topic that deliveries are published to")
    max_body_bytes: int = Field(
        900_000, ge=1, le=1_000_000, description="longest body taken; with its headers it must fit into 1 MiB"
    )
    max_bytes_in_flight: int = Field(
        32_000_000,
        ge=1_000_000,
        description="bytes of bodies held at the same time; what comes beyond them is answered with 503",
    )
    endpoints: dict[Name, Endpoint] = Field({}, description="endpoints by name, the last part of their path")


class Basic(Section):
    """Jira Cloud: an account's e-mail address and API token."""

    email: str = Field(pattern="^[^:]+$", description="the account's e-mail address (or user name)")
    token: Secret = Field(description="the account's API token")


class Bearer(Section):
    """Data Center: a personal access token; Cloud, through the gateway: a service account's token."""

    token: Secret = Field(description="the token")


class OAuth(Section):
    """Jira Cloud through the gateway: an app of OAuth 2.0, by its credentials or with a refresh token."""

    client_id: str = Field(min_length=1, description="the app's client id")
    client_secret: Secret = Field(description="the app's client secret")
    refresh_token_file: FilePath | None = Field(
        None,
        description="file with a refresh token, which is written anew; left out: client credentials",
    )
    token_url: TokenUrl = Field(
        "https://auth.atlassian.com/oauth/token", description="address that gives tokens"
    )


def _in_short(*forms: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    """Lets the JSON schema of a section take these forms too."""

    def extend(schema: dict[str, Any]) -> None:
        schema["anyOf"] = [*forms, {**schema}]
        for key in schema.keys() - {"anyOf", "description"}:
            del schema[key]

    return extend


class Auth(Section):
    """How a site knows the bridge: one of the three, or `anonymous`.

    As text: `basic:EMAIL:TOKEN`, `bearer:TOKEN` or `anonymous`.
    """

    model_config = ConfigDict(json_schema_extra=_in_short({"type": "string"}))

    basic: Basic | None = Field(None, description="e-mail address and API token")
    bearer: Bearer | None = Field(None, description="a bearer token")
    oauth: OAuth | None = Field(None, description="an app of OAuth 2.0")

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: object, info: ValidationInfo) -> object:
        match _reveal(value, info):
            case dict() as schemes if len(schemes) == 1:
                return schemes
            case "anonymous":
                return {}
            case str(text) if text.startswith("bearer:"):
                return {"bearer": {"token": text.removeprefix("bearer:")}}
            case str(text) if text.startswith("basic:") and text.count(":") > 1:
                _, email, token = text.split(":", 2)
                return {"basic": {"email": email, "token": token}}
        raise ValueError("expected basic:EMAIL:TOKEN, bearer:TOKEN or anonymous, or a mapping of one of them")

    @model_serializer(mode="wrap")
    def _short(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any] | str:
        return {scheme: value for scheme, value in dump(self).items() if value} or "anonymous"


def _one_address(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [{"required": ["url"]}, {"required": ["cloud_id"]}]


class Rates(Section):
    """Requests a second, by HTTP method and in all; null for no limit."""

    get: Rate | None = Field(100, description="reads")
    post: Rate | None = Field(100, description="links that are created or updated")
    put: Rate | None = Field(50, description="links that are adopted")
    delete: Rate | None = Field(50, description="links that are deleted")
    all: Rate | None = Field(None, description="all requests together")


class Limit(Section):
    """What the bridge asks of a site at the most, before Jira tells; the defaults are Jira Cloud's.

    In short: `cloud`; a number, of requests a second in all; or `none`, to go by what Jira tells
    alone, as Data Center does with each answer.
    """

    model_config = ConfigDict(
        json_schema_extra=_in_short({"enum": ["cloud", "none"]}, {"type": "number", "exclusiveMinimum": 0})
    )

    issue: list[Window] = Field(
        [(20, 2), (100, 30)], description="writes to one issue: [count, seconds] of each window"
    )
    per_second: Rates = Field(Rates(), description="requests a second")
    points_per_hour: int | None = Field(
        None, ge=100, description="points of an hour, for apps of OAuth 2.0; a tenth is kept for new links"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_short(cls, value: object) -> object:
        if isinstance(value, dict | Limit):
            return value
        if value == "cloud":
            return {}
        unpaced = dict.fromkeys(Rates.model_fields)
        if value == "none":
            return {"issue": [], "per_second": unpaced}
        try:
            rate = float(str(value))
        except ValueError:
            rate = math.nan
        if not 0 < rate < math.inf:
            raise ValueError("expected cloud, none, or a number of requests a second above 0")
        return {"per_second": {**unpaced, "all": rate}}


class Site(Section):
    """One Jira site, and which issues it has."""

    model_config = ConfigDict(json_schema_extra=_one_address)

    url: SiteUrl | None = Field(
        None, description="address, http(s)://HOST[:PORT][/PATH], without user, query or fragment"
    )
    cloud_id: CloudId | None = Field(
        None,
        description="instead of the address: id of a site on Jira Cloud, asked through Atlassian's gateway",
    )
    api_version: ApiVersion = Field("2", description="version of Jira's REST API: 2, or 3 on Cloud")
    auth: Auth = Field(
        description="how the site knows the bridge; or text, basic:EMAIL:TOKEN or bearer:TOKEN"
    )
    projects: Annotated[list[Project], AfterValidator(_distinct)] | None = Field(
        None,
        min_length=1,
        description="keys of the projects that it has, in capitals; left out: every project",
    )
    endpoints: Annotated[list[Name], AfterValidator(_distinct)] | None = Field(
        None, min_length=1, description="endpoints whose events it takes; left out: events from anywhere"
    )
    limit: Limit = Field(
        Limit(), description="requests at the most; or cloud, what Jira Cloud allows; a number a second; none"
    )
    max_in_flight: int = Field(16, ge=1, description="requests under way at the same time")
    adopt: bool = Field(
        False, description="take over a link that was made by hand, where its URL is that of a new one"
    )

    @model_validator(mode="after")
    def _reached(self) -> Self:
        if (self.url is None) == (self.cloud_id is None):
            wrong = (
                "is missing; expected {}, or cloud_id" if self.url is None else "is given beside cloud_id; {}"
            )
            expected = "the site's address" if self.url is None else "expected one of the two"
            raise Contradiction((("url",), wrong.format(expected)))
        if self.auth.oauth and not re.search(
            rf"^({re.escape(GATEWAY)}|{_LOOPBACK}.*/ex/jira)/[^/]+$", self.address
        ):
            text = "is taken by Atlassian's gateway only; expected cloud_id in place of url"
            raise Contradiction((("auth", "oauth"), text))
        return self

    @property
    def address(self) -> str:
        """Where its API is asked."""
        return self.url or f"{GATEWAY}/{self.cloud_id}"

    def meets(self, other: Site, told_apart: Collection[str] = ()) -> bool:
        """Whether one event could belong to both sites; those of some endpoints name theirs."""
        if self.projects and other.projects and not set(self.projects) & set(other.projects):
            return False
        if self.endpoints is None or other.endpoints is None:
            return True
        return not set(self.endpoints) & set(other.endpoints) <= set(told_apart)


class Ledger(Section):
    """Where it stands what is wanted and what Jira has."""

    url: Annotated[str, AfterValidator(_database)] = Field(
        "sqlite:///jira-bridge.sqlite",
        description="the database, sqlite:///PATH, or for several workers postgresql://USER@HOST:PORT/DATABASE",
    )
    password: Secret | None = Field(None, description="PostgreSQL's password for the user in the url")
    journal_days: int = Field(14, ge=1, description="days for which it is remembered what became of an event")
    tombstone_days: int = Field(
        30, ge=1, description="days for which a deleted link is remembered; kafka.retention_days or more"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.password and self.is_file:
            raise Contradiction((("password",), "is of no use with SQLite; expected a url of PostgreSQL"))
        return self

    @property
    def secret(self) -> str | None:
        """The password in plain text."""
        return self.password.get_secret_value() if self.password else None

    @property
    def is_file(self) -> bool:
        """Whether it is SQLite's, which serves one process."""
        return self.url.startswith("sqlite:")

    @property
    def path(self) -> Path:
        """The file of an SQLite ledger."""
        return Path(self.url.removeprefix("sqlite:///"))


class Worker(Section):
    """The process that reads the topics and writes to Jira."""

    host: str = Field("0.0.0.0", description="address of metrics and probes")  # noqa: S104 - as above
    port: Port = Field(8081, description="port of metrics and probes; 0 takes a free one")
    shadow: bool = Field(False, description="read and decide, tell what would be asked of Jira, ask nothing")
    max_rows: int = Field(
        100_000,
        ge=1,
        description="links of one site that it has in mind at a time; the others wait in the ledger",
    )
    drain_seconds: float = Field(
        25, gt=0, le=3_600, description="seconds in which to finish what is under way when told to stop"
    )
    max_future_seconds: int = Field(
        600, ge=0, description="seconds that an event's time may be ahead of its record's"
    )


class Reconcile(Section):
    """How the ledger is compared with what Jira holds, and what is done about it."""

    every_hours: int | None = Field(
        None,
        ge=1,
        description="hours between a worker's rounds, counted from midnight UTC; null for none",
    )
    removed: Literal["restore", "forget"] = Field(
        "restore",
        description="what is done about a link that somebody removed: made again, or left until newer news",
    )
    orphaned: Literal["delete", "keep"] = Field(
        "delete", description="what is done about a link of ours that the ledger does not know"
    )
    max_deletes_percent: float = Field(
        10, ge=0, le=100, description="share of the links compared that may be taken away at once"
    )
    per_second: Rate = Field(
        5, description="issues that are compared in a second, beside the writer's requests"
    )


class Mentions(Section):
    """Where issue keys are looked for, beside where the mapping looks; JMESPath expressions."""

    texts: list[JmesPath] = Field([], description="in titles, messages, descriptions: keys in capitals")
    branches: list[JmesPath] = Field([], description="in names of branches: keys in any case")
    tags: list[JmesPath] = Field([], description="in labels, tags, custom fields: keys in any case")


class Ignore(Section):
    """Objects that are taken for naming no issue."""

    drafts: bool = Field(False, description="drafts")
    bots: bool = Field(False, description="what bots made")
    branches: Annotated[list[str], AfterValidator(_distinct)] = Field(
        [], description="what is on branches of these patterns only, as renovate/*"
    )


class Route(Section):
    """What holds for one endpoint's events, whatever mapping reads them."""

    issues: Mentions = Field(Mentions(), description="where else issue keys are looked for")
    site: JmesPath | None = Field(
        None, description="expression of the name of the site that an event is for; null: by the issue's key"
    )
    ignore: Ignore = Field(Ignore(), description="objects that are taken for naming no issue")


class Routing(Section):
    """Which issues, of which site, an event is taken to name."""

    aliases: dict[Project, Project] = Field(
        {}, description="projects that were moved: the key that each had, and the one that it has"
    )
    endpoints: dict[Name, Route] = Field({}, description="by endpoint")

    @model_validator(mode="after")
    def _once(self) -> Self:
        again = [former for former, now in self.aliases.items() if now in self.aliases]
        if again:
            text = "leads to a project that was moved too; expected the key that it has today"
            raise Contradiction(*((("aliases", former), text) for former in again))
        return self


class Log(Section):
    """What is written to standard error."""

    format: Literal["json", "console"] = Field("json", description="json for machines, console for people")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="least severity written")


_MEETS = (
    "may take the same event as the site {}; give both `projects`, or `endpoints`, with none in common, or "
    "the `site` of their endpoints under routing"
)


class Settings(Section):
    """All of it. Sections with defaults may be left out."""

    version: Annotated[int, AfterValidator(_format), WithJsonSchema({"const": FORMAT})] = Field(
        FORMAT, description="version of the configuration's format"
    )
    kafka: Kafka = Field(Kafka(), description="the topics, and the way to them")
    ingress: Ingress = Field(Ingress(), description="the server that takes webhooks")
    routing: Routing = Field(Routing(), description="which issues, of which site, an event is taken to name")
    sites: dict[Name, Site] = Field({}, description="Jira sites by name")
    ledger: Ledger = Field(Ledger(), description="where it stands what is wanted and what Jira has")
    mappings: list[FilePath] = Field([], description="mapping files of your own, beside the built-in ones")
    worker: Worker = Field(Worker(), description="the process that reads the topics and writes to Jira")
    reconcile: Reconcile = Field(Reconcile(), description="how the ledger is compared with what Jira holds")
    log: Log = Field(Log(), description="what is written to standard error")

    @field_validator("ingress")
    @classmethod
    def _is_read(cls, ingress: Ingress, info: ValidationInfo) -> Ingress:
        kafka = info.data.get("kafka")
        if kafka and ingress.endpoints and ingress.topic not in kafka.topics:
            raise Contradiction((("topic",), "is not among kafka.topics; expected one that a worker reads"))
        return ingress

    @field_validator("routing")
    @classmethod
    def _of_endpoints(cls, routing: Routing, info: ValidationInfo) -> Routing:
        ingress = info.data.get("ingress")
        # As below, a worker's own configuration may leave the endpoints out.
        if ingress and ingress.endpoints and (strange := set(routing.endpoints) - set(ingress.endpoints)):
            found = (("endpoints", name) for name in sorted(strange))
            raise Contradiction(*((key, "is not the name of an endpoint of ingress") for key in found))
        return routing

    @field_validator("sites")
    @classmethod
    def _apart(cls, sites: dict[str, Site], info: ValidationInfo) -> dict[str, Site]:
        routing = info.data.get("routing") or Routing()
        told_apart = [name for name, route in routing.endpoints.items() if route.site]
        pairs = [
            (one, other)
            for one, other in combinations(sites, 2)
            if sites[one].meets(sites[other], told_apart)
        ]
        found: list[tuple[Key, str]] = [((other,), _MEETS.format(one)) for one, other in pairs]
        ingress = info.data.get("ingress")
        # A worker's own configuration may leave out the endpoints, and so their secrets.
        if ingress and ingress.endpoints:
            found += [
                ((name, "endpoints", i), "is not the name of an endpoint of ingress")
                for name, site in sites.items()
                for i, endpoint in enumerate(site.endpoints or ())
                if endpoint not in ingress.endpoints
            ]
        if found:
            raise Contradiction(*found)
        return sites

    @field_validator("ledger")
    @classmethod
    def _outlasts(cls, ledger: Ledger, info: ValidationInfo) -> Ledger:
        kafka = info.data.get("kafka")
        if kafka and ledger.tombstone_days < kafka.retention_days:
            text = "is less than kafka.retention_days: an old event could bring a deleted link back"
            raise Contradiction((("tombstone_days",), f"{text}; expected {kafka.retention_days} or more"))
        return ledger

    def redacted(self) -> dict[str, Any]:
        """The whole configuration as plain data, with stars for secrets."""
        return self.model_dump(mode="json", exclude_none=True)
