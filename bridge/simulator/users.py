"""Who may ask the simulated Jira: users with their credentials and what they may not do. Pure."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import field
from hashlib import blake2b
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from bridge.simulator.faults import STRICT, Login
from bridge.simulator.jira_model import Permission

ANONYMOUS = "anonymous"
"""The user of requests without credentials, where there is such a user."""

Secret = Annotated[str, Field(min_length=1)]
Project = Annotated[str, AfterValidator(str.upper)]


@dataclass(config=STRICT)
class User:
    """A user, known by an e-mail address; an OAuth app, known by its client id; or anonymous.

    Args:
        token: API token or personal access token; of an app, the client secret.
        denied: the permissions that the user lacks, by project.
        login: how the credentials are taken.
        is_app: whether this is an OAuth app, which asks through the gateway.
        refresh_token: an app's first one.
    """

    token: Secret | None = field(default=None, repr=False)
    denied: dict[Project, set[Permission]] = field(default_factory=dict)
    login: Login = Login.CHECKED
    is_app: bool = False
    refresh_token: Secret | None = field(default=None, repr=False)


USER = TypeAdapter(User)
DENIED = TypeAdapter(dict[Project, set[Permission]])
"""Users and permissions from JSON."""


class Users:
    """The users by name, and whom the header `Authorization` names."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._names: dict[str, str] = {}

    def __getitem__(self, name: str) -> User:
        return self._users[name]

    def get(self, name: str) -> User | None:
        """The user, None where there is none."""
        return self._users.get(name)

    def names(self) -> list[str]:
        """All users, in the order in which they came."""
        return list(self._users)

    def put(self, name: str, user: User) -> None:
        """Have that user from now on.

        Raises ValueError when the name does not fit into Basic's credentials and into a header,
        and when another than `anonymous` is without a token.
        """
        if not name or ":" in name or not name.isascii() or not name.isprintable():
            raise ValueError("a user's name is printable ASCII without a colon")
        if (name == ANONYMOUS) != (user.token is None):
            raise ValueError(f"a user has a token, and {ANONYMOUS} has none")
        self.remove(name)
        self._users[name] = user
        if user.token is not None and not user.is_app:
            basic = b64encode(f"{name}:{user.token}".encode()).decode()
            self._names |= {f"basic {basic}": name, f"bearer {user.token}": name}

    def remove(self, name: str) -> None:
        """Forget the user, if there is one."""
        self._users.pop(name, None)
        self._names = {key: other for key, other in self._names.items() if other != name}

    def named(self, authorization: str) -> str | None:
        """Whom the header names: by Basic with name and token, or by Bearer with the token."""
        scheme, _, credentials = authorization.partition(" ")
        return self._names.get(f"{scheme.lower()} {credentials.strip()}")


def read_login(text: str) -> tuple[str, User]:
    """A name and the user of `EMAIL:TOKEN`. Raises ValueError when it is no such thing."""
    name, _, token = text.partition(":")
    if not name or not token:
        raise ValueError("expected EMAIL:TOKEN")
    return name, User(token=token)


def account_id(name: str) -> str:
    """What Cloud knows a user by; it tells nothing of the name."""
    return blake2b(name.encode(), digest_size=12).hexdigest()
