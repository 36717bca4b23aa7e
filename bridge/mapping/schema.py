"""The format of a mapping file: what may stand in it, checked when it is read.

A *text* is written as it is, with JMESPath expressions in braces; an *expression* is JMESPath
alone. Both are of one document: `body` is what was sent, `event` its type, source, id, endpoint and
subject, `item` the one of `each`, and in a link `state` is the state's name and title.
"""

from __future__ import annotations

from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic.json_schema import WithJsonSchema

from bridge.errors import BadLink
from bridge.mapping.expressions import MAX_LENGTH, Expression, Template
from bridge.mapping.identity import MAX_UNITS, clip, utf16_units, web_url
from bridge.model import Action, Application, Icon, Status, StatusIcon


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("expected a text")  # noqa: TRY004 - pydantic reports ValueErrors with their place
    return given


def _template(given: object) -> Template:
    if isinstance(given, dict):
        raise ValueError("expected a text; one that begins with a brace stands in quotes")  # noqa: TRY004
    return Template(_text(given))


def _web_url(given: object) -> str:
    try:
        return web_url(given, "url")
    except BadLink as error:
        raise ValueError(str(error)) from None


def _name(given: object) -> str:
    if utf16_units(_text(given)) > MAX_UNITS or clip(_text(given)) != given:
        raise ValueError(f"expected one line of at most {MAX_UNITS} characters")
    return _text(given)


def _listed(given: object) -> object:
    return [given] if isinstance(given, str) else given


def _one_or_more(items: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [items, {"type": "array", "items": items, "minItems": 1}]})


_WRITTEN: dict[str, Any] = {"type": "string"}

Expr = Annotated[
    Expression,
    PlainValidator(lambda given: Expression(_text(given))),
    WithJsonSchema({"type": "string", "maxLength": MAX_LENGTH, "description": "a JMESPath expression"}),
]
Text = Annotated[
    Template,
    PlainValidator(_template),
    WithJsonSchema({"type": "string", "description": "a text, with JMESPath expressions in braces"}),
]
Url = Annotated[str, PlainValidator(_web_url), WithJsonSchema({"type": "string", "format": "uri"})]
Name = Annotated[str, PlainValidator(_name), WithJsonSchema({"type": "string", "maxLength": MAX_UNITS})]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Kind = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Kinds = Annotated[
    tuple[Kind, ...], BeforeValidator(_listed), Field(min_length=1), _one_or_more({"type": "string"})
]
Types = Annotated[
    tuple[str, ...], BeforeValidator(_listed), Field(min_length=1), _one_or_more({"type": "string"})
]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Origin(_Section):
    """`application`: the kind of system and its name, by which Jira groups links."""

    type: Name = Field(description="kind of system, as a reversed domain: com.github")
    name: Name = Field(description="its name, as people know it")

    @cached_property
    def part(self) -> Application:
        """The part of a link."""
        return Application(type=self.type, name=self.name)


class Picture(_Section):
    """`icon`: a picture of 16x16, and the text beside it."""

    url: Url = Field(description="address of the picture, which browsers of Jira's users can reach")
    title: Name = Field(description="text shown with it")

    @cached_property
    def part(self) -> Icon:
        """The part of a link."""
        return Icon(url16x16=self.url, title=self.title)


class State(_Section):
    """One of `states`: how it looks, and whether it outranks others of the same instant."""

    title: Name = Field(description="what people read")
    icon: Url | None = Field(None, description="address of a picture of 16x16")
    resolved: bool = Field(False, description="whether the link is struck through")
    rank: int = Field(0, ge=0, le=255, description="of two events of one instant the higher wins")

    @cached_property
    def part(self) -> Status:
        """The part of a link."""
        return self.shown(self.resolved)

    def shown(self, resolved: bool) -> Status:
        """The part of a link that is struck through, or not."""
        return Status(resolved=resolved, icon=StatusIcon(url16x16=self.icon, title=self.title))


class Match(_Section):
    """Which events are meant: those of these types for which `when` holds."""

    type: Types = Field(description="types of event; a * at the end is any ending")
    when: Expr | None = Field(None, description="condition: neither false, null nor empty")


class Subject(_Section):
    """`subject`: what the link is of; its globalId is made of these."""

    type: Code = Field(description="type of object: pull_request, build, ticket")
    id: Text = Field(description="the object's own id; every piece of it must be there")
    system: Text | None = Field(
        None, description="the system's host or account; left out: the event's source, or its host"
    )


class Issues(_Section):
    """`issues`: where issue keys are looked for; each expression gives texts, at any depth."""

    texts: tuple[Expr, ...] = Field((), description="titles, messages, descriptions: keys in capitals")
    branches: tuple[Expr, ...] = Field((), description="names of branches: keys in any case")
    tags: tuple[Expr, ...] = Field(
        (), description="labels, tags, custom fields: any case for known projects, or behind `jira:`"
    )


class Newness(_Section):
    """`version`: what makes one event newer than another; the sequence counts first, then the time."""

    time: Expr | None = Field(None, description="the moment; left out: the event's own")
    sequence: tuple[Expr, ...] = Field(
        (), max_length=5, description="whole numbers that grow, the weightiest first; the others below 10000"
    )


class LinkTexts(_Section):
    """`link`: what people see in the issue."""

    url: Text = Field(description="where the link leads")
    title: Text = Field(description="what it says")
    summary: Text | None = Field(None, description="a line below it")
    relationship: Text | None = Field(None, description="heading under which Jira lists it: pull request")


class Rule(_Section):
    """One of `rules`: the events that match speak of this object."""

    match: Match = Field(description="which events")
    each: Expr | None = Field(None, description="a list: the rule speaks of each of its items, as `item`")
    action: Literal[Action.SET, Action.UPSERT] = Field(
        description="set: the event names all issues of its object; upsert: it adds to them"
    )
    subject: Subject = Field(description="what the link is of")
    issues: Issues = Field(description="where issue keys are looked for")
    version: Newness = Field(Newness(), description="what makes one event newer than another")
    delete_when: Expr | None = Field(
        None, description="condition: the object is gone, and its links with it (upsert: those named)"
    )
    state: Expr | None = Field(None, description="name of the state the object is in")
    states: dict[str, State] = Field({}, description="states by name; others are shown by their name")
    resolved_when: Expr | None = Field(
        None, description="condition: the link is struck through; left out: as the state says"
    )
    draft: Expr | None = Field(None, description="condition: a draft, which routing may ignore")
    bot: Expr | None = Field(None, description="condition: made by a bot, which routing may ignore")
    link: LinkTexts = Field(description="what people see in the issue")


CHANGE = ("action", "globalId", "issues", "sequence", "rank", "link")
"""What a change of a test may tell."""


class Example(_Section):
    """One of `tests`: an event, and what should come of it on a site with any project."""

    name: str = Field(description="what is shown, in a sentence")
    type: str = Field(description="the event's type")
    source: str = Field("https://example.com", description="the event's source: a URL or an account")
    subject: str | None = Field(None, description="the event's subject, as its source tells it")
    endpoint: str = Field("test", description="the endpoint that it came in by")
    payload: dict[str, Any] = Field(description="the body")
    changes: tuple[dict[str, Any], ...] = Field((), description="the changes, each as far as it matters")
    skipped: str | None = Field(None, description="or the reason for which there are none")
    rejected: str | None = Field(None, description="or the code of the error")

    @model_validator(mode="after")
    def _expects_one_thing(self) -> Self:
        if sum(map(bool, (self.changes, self.skipped, self.rejected))) != 1:
            raise ValueError("expected one of `changes`, `skipped` and `rejected`")
        for place, change in enumerate(self.changes):
            unknown = next((name for name in change if name not in CHANGE), None)
            if unknown is not None:
                there = ", ".join(CHANGE)
                raise ValueError(f"changes.{place}: `{unknown}` is not known; there are {there}")
        return self


class MappingFile(_Section):
    """A mapping of jira-link-bridge: what the events of a kind of source mean in Jira."""

    source: Kinds = Field(description="the kind of source, or several")
    application: Origin = Field(description="the system that the links are of")
    icon: Picture | None = Field(None, description="picture of the links")
    skip_when: dict[Code, Match] = Field(
        {}, description="events that ask for nothing, by the code of the reason"
    )
    rules: dict[Code, Rule] = Field(description="rules by name; all that match an event speak")
    tests: tuple[Example, ...] = Field(min_length=1, description="the mapping's own tests")


def keys_at(place: tuple[str | int, ...]) -> list[str]:
    """The keys that may stand at a place in a file."""
    part: Any = MappingFile
    for step in place:
        if isinstance(part, type) and issubclass(part, BaseModel):
            field = part.model_fields.get(str(step))
            part = field.annotation if field else None
        else:
            part = next((each for each in reversed(get_args(part)) if each not in (type(None), ...)), None)
        while get_origin(part) in {Annotated, Union, UnionType}:
            part = get_args(part)[0]
    return list(part.model_fields) if isinstance(part, type) and issubclass(part, BaseModel) else []


def json_schema() -> dict[str, Any]:
    """The JSON schema of mapping files; in one that `extends` another, all parts may be left out or null."""
    whole = MappingFile.model_json_schema()
    part = _in_part(MappingFile.model_json_schema())
    definitions = {
        **whole.pop("$defs"),
        **{f"{name}InPart": each for name, each in part.pop("$defs").items()},
    }
    part["properties"]["extends"] = {
        "type": "string",
        "description": "the built-in mapping that this is laid over",
    }
    del part["properties"]["source"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "if": {"required": ["extends"]},
        "then": {**part, "required": ["extends", "tests"]},
        "else": whole,
        "$defs": definitions,
    }


def _in_part(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON schema
    """A schema of what is laid over another document: nothing is required, and null takes away."""
    if isinstance(schema, list):
        return [_in_part(each) for each in schema]
    if not isinstance(schema, dict):
        return f"{schema}InPart" if isinstance(schema, str) and schema.startswith("#/$defs/") else schema
    found = {name: _in_part(each) for name, each in schema.items() if name != "required"}
    if isinstance(found.get("properties"), dict):
        optional = {name: {"anyOf": [each, {"type": "null"}]} for name, each in found["properties"].items()}
        found["properties"] = optional
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = {"anyOf": [found["additionalProperties"], {"type": "null"}]}
    return found
