"""How the simulated Jira finds out who asks, and how it refuses. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from bridge.simulator import resources
from bridge.simulator.faults import Deployment, Login
from bridge.simulator.jira_model import NO_ISSUE
from bridge.simulator.oauth import Tokens
from bridge.simulator.paths import HttpRequest, Place
from bridge.simulator.reply import Reply, refusal
from bridge.simulator.users import ANONYMOUS, User, Users, account_id

_BAD_LOGIN = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
_LOGIN_DENIED = {
    "X-Seraph-LoginReason": "AUTHENTICATION_DENIED",
    "X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE",
}


class Caller(NamedTuple):
    """Who asks."""

    name: str
    user: User

    @property
    def is_anonymous(self) -> bool:
        """Whether there were no credentials."""
        return self.name == ANONYMOUS


def authenticate(
    asked: HttpRequest, place: Place, users: Users, tokens: Tokens, login: Login, now: float
) -> Caller | Reply:
    """Who asks, or the refusal that it comes to.

    Args:
        asked: the request.
        place: where its path leads.
        users: who may ask.
        tokens: the gateway's access tokens.
        login: how all credentials are taken.
        now: seconds since the epoch.
    """
    if asked.authorization is None:
        if anonymous := users.get(ANONYMOUS):
            return Caller(ANONYMOUS, anonymous)
        if place.name in resources.OPEN:
            return Caller(ANONYMOUS, User())
        realm = quote(asked.base, safe="")
        return refusal(
            401, "You are not authenticated.", headers={"WWW-Authenticate": f'OAuth realm="{realm}"'}
        )
    name = tokens.named(asked.authorization, now) if place.is_gateway else None
    name = name or users.named(asked.authorization)
    user = users.get(name) if name else None
    if login is Login.CHECKED and user:
        login = user.login
    return Caller(name, user) if name and user and login is Login.CHECKED else _refuse(login, place)


def signature(caller: Caller | None, deployment: Deployment) -> dict[str, str]:
    """The headers that tell as whom a request was taken; None for nobody."""
    if deployment is Deployment.SERVER:
        reason = {} if caller is None else {"X-Seraph-LoginReason": "OK"}
        return {"X-AUSERNAME": caller.name if caller else ANONYMOUS, **reason}
    return {"X-AACCOUNTID": account_id(caller.name)} if caller and not caller.is_anonymous else {}


def _refuse(login: Login, place: Place) -> Reply:
    match login:
        case Login.DENIED:
            return refusal(403, "A CAPTCHA is to be solved.", headers=_LOGIN_DENIED)
        case Login.UNSCOPED:
            return Reply(401, {}, {"code": 401, "message": "Unauthorized; scope does not match"})
        case Login.HIDDEN if place.issue is not None:
            return refusal(404, NO_ISSUE, headers=_BAD_LOGIN)
    if place.is_gateway:
        return Reply(401, {}, {"code": 401, "message": "Unauthorized"})
    return refusal(401, "The credentials are not valid.", headers=_BAD_LOGIN)
