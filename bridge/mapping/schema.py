"""The format of a mapping file: what may stand in it, checked when it is read.

A *text* is written as it is, with JMESPath expressions in braces; an *expression* is JMESPath
alone. Both are of the event's data, with `item` beside it under `each`, and `state_title` in a
link.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, model_validator

from bridge.errors import BadLink
from bridge.mapping.expressions import Expression, Template
from bridge.mapping.identity import MAX_UNITS, clip, utf16_units, web_url
from bridge.model import Action, Application, Icon, Status, StatusIcon


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("expected a text")  # noqa: TRY004 - pydantic reports ValueErrors with their place
    return given


def _web_url(given: object) -> str:
    try:
        return web_url(given, "url")
    except BadLink as error:
        raise ValueError(str(error)) from None


def _name(given: object) -> str:
    if utf16_units(_text(given)) > MAX_UNITS or clip(_text(given)) != given:
        raise ValueError(f"expected one line of at most {MAX_UNITS} characters")
    return _text(given)


Expr = Annotated[Expression, PlainValidator(lambda given: Expression(_text(given)))]
Text = Annotated[Template, PlainValidator(lambda given: Template(_text(given)))]
Url = Annotated[str, PlainValidator(_web_url)]
Name = Annotated[str, PlainValidator(_name)]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Origin(_Section):
    """`application`: the kind of system and its name, by which Jira groups links."""

    type: Name
    name: Name

    @cached_property
    def part(self) -> Application:
        """The part of a link."""
        return Application(type=self.type, name=self.name)


class Picture(_Section):
    """`icon`: a picture of 16x16, and the text beside it."""

    url: Url
    title: Name

    @cached_property
    def part(self) -> Icon:
        """The part of a link."""
        return Icon(url16x16=self.url, title=self.title)


class State(_Section):
    """One of `states`: how it looks, and whether it outranks others of the same instant."""

    title: Name
    icon: Url | None = None
    resolved: bool = False
    rank: int = Field(0, ge=0, le=255)

    @cached_property
    def part(self) -> Status:
        """The part of a link."""
        return Status(resolved=self.resolved, icon=StatusIcon(url16x16=self.icon, title=self.title))


class Keys(_Section):
    """`keys`: where issue keys are looked for; each expression gives a text or a list of texts."""

    texts: tuple[Expr, ...] = ()
    branches: tuple[Expr, ...] = ()


class LinkTexts(_Section):
    """`link`: what people see in the issue."""

    url: Text
    title: Text
    summary: Text | None = None
    relationship: Text | None = None


class Skip(_Section):
    """One of `skip`: events that ask for nothing, by the code of the reason."""

    reason: Code
    types: frozenset[str]
    when: Expr | None = None


class Rule(_Section):
    """One of `rules`: events of these types, for which `when` holds, speak of this object."""

    types: frozenset[str]
    when: Expr | None = None
    each: Expr | None = None
    action: Action
    object: Code
    id: Text
    keys: Keys
    sequence: tuple[Expr, ...] = ()
    state: Expr | None = None
    states: dict[str, State] = {}
    link: LinkTexts | None = None

    @model_validator(mode="after")
    def _has_link_unless_delete(self) -> Self:
        if (self.link is None) != (self.action is Action.DELETE):
            raise ValueError("a rule has a `link`, unless its action is `delete`")
        return self


class Expected(_Section):
    """`expect`: the reason for a skip, or the wishes, each by as much of it as matters."""

    skipped: str | None = None
    wishes: tuple[dict[str, Any], ...] = ()

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.skipped is None) == (not self.wishes):
            raise ValueError("expected either `skipped` or `wishes`")
        return self


class Example(_Section):
    """One of `tests`: an event, and what should come of it on a site with any project."""

    name: str
    type: str
    source: str = "https://example.com"
    data: dict[str, Any]
    expect: Expected


class MappingFile(_Section):
    """A whole file: one mapping, for one kind of source, with its own tests."""

    source: Code
    application: Origin
    icon: Picture | None = None
    skip: tuple[Skip, ...] = ()
    rules: tuple[Rule, ...]
    tests: Annotated[tuple[Example, ...], Field(min_length=1)]
