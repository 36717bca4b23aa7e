"""The bodies that go to Jira and come from it, named and spelt as in Atlassian's description.

https://developer.atlassian.com/cloud/jira/platform/swagger-v3.v3.json, `components.schemas`. The
parts of a link (`RemoteObject`, `Application`, `Icon`, `Status`) stand in `bridge.model`, since the
whole bridge speaks of links.
"""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import (
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from bridge.jira.wire import shown
from bridge.model import Link

MAX_LINK_ID: Final = 2**63 - 1
"""Jira counts in 64 bits, and so does the ledger."""

_MOST = 5
"""How many of Jira's reasons are kept; each is cut too."""


class RemoteIssueLinkRequest(Link):
    """What a create, an update and a replacement send: a link's content and its globalId."""

    globalId: str | None = None  # noqa: N815 - Atlassian's spelling

    @classmethod
    def of(cls, link: Link, global_id: str | None) -> Self:
        """The request for a link.

        Args:
            link: the whole content; what it lacks is emptied in Jira.
            global_id: the address within the issue; None or empty for none.

        Returns:
            A request whose `json_bytes` is the body to send.
        """
        return cls(
            globalId=global_id,
            object=link.object,
            application=link.application,
            relationship=link.relationship,
        )

    @property
    def link(self) -> Link:
        """The content alone."""
        return Link(object=self.object, application=self.application, relationship=self.relationship)


class RemoteIssueLinkIdentifies(BaseModel):
    """What a create or an update is answered with."""

    id: int = Field(strict=True, ge=1, le=MAX_LINK_ID)
    self_url: str = Field("", alias="self")


class RemoteIssueLink(RemoteIssueLinkIdentifies, RemoteIssueLinkRequest):
    """A link as Jira gives it. A part that has another form is as if it were missing."""

    @field_validator("object", "application", "relationship", mode="wrap")
    @classmethod
    def _or_nothing(cls, value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:  # noqa: ANN401 - any field's
        try:
            return read(value)
        except ValidationError:
            return cls.model_fields[info.field_name or ""].default


class ErrorCollection(BaseModel):
    """Jira's reasons for a refusal, localised: for people only. What has another form is left out."""

    errorMessages: tuple[str, ...] = ()  # noqa: N815 - Atlassian's spelling
    errors: dict[str, str] = {}

    @field_validator("errorMessages", mode="before")
    @classmethod
    def _texts(cls, value: object) -> tuple[str, ...]:
        items = value[:_MOST] if isinstance(value, list) else []
        return tuple(shown(item) for item in items if isinstance(item, str))

    @field_validator("errors", mode="before")
    @classmethod
    def _by_field(cls, value: object) -> dict[str, str]:
        items = list(value.items())[:_MOST] if isinstance(value, dict) else []
        return {shown(name): shown(text) for name, text in items if isinstance(text, str)}
