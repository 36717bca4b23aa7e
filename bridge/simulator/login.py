"""How the simulated Jira finds out who asks, and how it refuses. Pure.

The forms of refusals are those that were recorded of Cloud sites in September and October 2026,
and of Data Center.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from bridge.simulator import resources
from bridge.simulator.faults import Deployment, Knobs, Login
from bridge.simulator.jira_model import NO_ISSUE
from bridge.simulator.oauth import Tokens
from bridge.simulator.paths import HttpRequest, Place
from bridge.simulator.reply import Reply, page, refusal
from bridge.simulator.users import ANONYMOUS, User, Users, account_id

_BAD_LOGIN = {"X-Seraph-LoginReason": "AUTHENTICATED_FAILED"}
_LOGIN_DENIED = {
    "X-Seraph-LoginReason": "AUTHENTICATION_DENIED",
    "X-Authentication-Denied-Reason": "CAPTCHA_CHALLENGE",
}
_UNKNOWN = b"Client must be authenticated to access this resource."
"""All that Cloud says."""

BEARER_REFUSED = Reply(403, {}, {"error": "Failed to parse Connect Session Auth Token"})
"""What a Cloud site answers to any bearer's token, before it looks at anything else.

There only apps of Atlassian Connect bear one: API tokens are sent as Basic, and those of OAuth to
the gateway.
"""


class Caller(NamedTuple):
    """Who asks."""

    name: str
    user: User

    @property
    def is_anonymous(self) -> bool:
        """Whether there were no credentials."""
        return self.name == ANONYMOUS


def authenticate(
    asked: HttpRequest, place: Place, users: Users, tokens: Tokens, knobs: Knobs, now: float
) -> Caller | Reply:
    """Who asks, or the refusal that it comes to.

    Args:
        asked: the request.
        place: where its path leads.
        users: who may ask.
        tokens: the gateway's access tokens.
        knobs: how all credentials are taken, and which Jira this is.
        now: seconds since the epoch.
    """
    if asked.authorization is None:
        return _anybody(place, users) or _unknown(asked, place, knobs.deployment)
    name = tokens.named(asked.authorization, now) if place.is_gateway else None
    name = name or users.named(asked.authorization)
    user = users.get(name) if name else None
    login = user.login if user and knobs.login is Login.CHECKED else knobs.login
    if name and user and login is Login.CHECKED:
        return Caller(name, user)
    return _refuse(login, asked, place, knobs.deployment)


def signature(caller: Caller | None, deployment: Deployment) -> dict[str, str]:
    """The headers that tell as whom a request was taken; None for nobody."""
    if deployment is Deployment.SERVER:
        reason = {} if caller is None else {"X-Seraph-LoginReason": "OK"}
        return {"X-AUSERNAME": caller.name if caller else ANONYMOUS, **reason}
    return {"X-AACCOUNTID": account_id(caller.name)} if caller and not caller.is_anonymous else {}


def _anybody(place: Place, users: Users) -> Caller | None:
    """Who asks without credentials, where that is allowed."""
    anonymous = users.get(ANONYMOUS)
    if anonymous and place.name not in resources.PRIVATE:
        return Caller(ANONYMOUS, anonymous)
    return Caller(ANONYMOUS, User()) if place.name in resources.OPEN else None


def _refuse(login: Login, asked: HttpRequest, place: Place, deployment: Deployment) -> Caller | Reply:
    """What credentials come to that are wrong, or refused although they are right."""
    match login:
        case Login.DENIED:
            return page(403, "Forbidden (403)", _LOGIN_DENIED)
        case Login.UNSCOPED:
            return Reply(401, {}, {"code": 401, "message": "Unauthorized; scope does not match"})
        case Login.HIDDEN if place.issue is not None:
            return refusal(404, NO_ISSUE, headers=_BAD_LOGIN)
    return _reject(asked, place, deployment)


def _reject(asked: HttpRequest, place: Place, deployment: Deployment) -> Caller | Reply:
    """What wrong credentials come to: on Cloud, to be taken for nobody."""
    if place.is_gateway:
        return _unknown(asked, place, deployment)
    if deployment is Deployment.SERVER:
        return page(401, "Unauthorized (401)", _BAD_LOGIN)
    if place.name in resources.OPEN:
        return Caller(ANONYMOUS, User())
    return _unknown(asked, place, deployment).adding(_BAD_LOGIN)


def _unknown(asked: HttpRequest, place: Place, deployment: Deployment) -> Reply:
    """The 401 to one whom nobody knows."""
    if place.is_gateway:
        return Reply(401, {}, {"code": 401, "message": "Unauthorized"})
    realm = {"WWW-Authenticate": f'OAuth realm="{quote(asked.base, safe="")}"'}
    if deployment is Deployment.SERVER:
        return refusal(401, "You are not authenticated.", headers=realm)
    return Reply(401, {"Content-Type": _line_type(asked.accept), **realm}, _UNKNOWN)


def _line_type(accept: str) -> str:
    """The type that Cloud gives its line, which is what was asked for: the line is no JSON all the same."""
    if not accept:
        return "text/plain"
    return "application/json" if accept.startswith("application/json") else "text/html;charset=UTF-8"
