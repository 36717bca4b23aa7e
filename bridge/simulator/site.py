"""The simulated Jira as a site: in front of its links stand credentials, limits and methods. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from bridge.simulator import resources
from bridge.simulator.faults import Limits
from bridge.simulator.jira_model import JiraModel, Request
from bridge.simulator.login import Caller, authenticate, signature
from bridge.simulator.oauth import CLOUD_ID, Tokens
from bridge.simulator.paths import HttpRequest, Place
from bridge.simulator.rate_limit import Ask, CloudLimits, DataCenterLimits
from bridge.simulator.reply import Reply, page, refusal
from bridge.simulator.users import Users

JSON = "application/json"


class Answer(NamedTuple):
    """What is answered, and to whom: a user's name, None where nobody was known."""

    reply: Reply
    user: str | None = None


class Site:
    """Jira behind its doors.

    Attributes:
        model: the issues and their links.
        users: who may ask.
    """

    def __init__(self, model: JiraModel) -> None:
        self.model = model
        self.reset()

    def reset(self) -> None:
        """Have no users, no tokens that were given out, and nothing counted."""
        self.users = Users()
        self._tokens = Tokens(self.users)
        self._cloud = CloudLimits()
        self._data_center = DataCenterLimits()

    def answer(self, asked: HttpRequest, place: Place, now: float) -> Answer:
        """What the site answers; `now` in seconds since the epoch."""
        knobs = self.model.knobs
        if place.name in resources.TOKEN and asked.method == "POST":
            return Answer(self._tokens.grant(asked.body, knobs.token_seconds, now))
        if place.cloud_id not in {None, CLOUD_ID}:
            return Answer(Reply(404, {}, {"code": 404, "message": "Not Found"}))
        if place.is_page:
            return Answer(page(200, "Log in") if place.name == "/login.jsp" else page(404, "Not Found"))
        caller = authenticate(asked, place, self.users, self._tokens, knobs.login, now)
        if isinstance(caller, Reply):
            return Answer(caller.adding(signature(None, knobs.deployment)))
        reply = self._limited(asked, place, caller, now)
        return Answer(reply.adding(signature(caller, knobs.deployment)), caller.name)

    # --- what is allowed -------------------------------------------------------------------

    def _limited(self, asked: HttpRequest, place: Place, caller: Caller, now: float) -> Reply:
        limits = self._limits()
        if limits is None:
            return self._do(asked, place, caller, now)
        issue = None if place.issue is None else self.model.find(place.issue)
        user = None if caller.is_anonymous else caller.name
        ask = Ask(asked.operation, place.endpoint, issue.id if issue else None, user, caller.user.is_app)
        if (headers := limits.refuse(ask, now)) is not None:
            if isinstance(limits, DataCenterLimits):  # whose servlet container answers
                return page(429, "HTTP Status 429 - Too Many Requests", headers)
            return refusal(429, "Rate limit exceeded.", headers=headers)
        reply = self._do(asked, place, caller, now)
        return reply.adding(limits.tell(ask, _objects(reply), now))

    def _limits(self) -> CloudLimits | DataCenterLimits | None:
        """The limits that hold. New figures begin a new count."""
        knobs = self.model.knobs
        match knobs.limits:
            case Limits.CLOUD:
                if self._cloud.points_per_hour != knobs.points_per_hour:
                    self._cloud = CloudLimits(knobs.points_per_hour)
                return self._cloud
            case Limits.DATACENTER:
                bucket = self._data_center
                figures = (knobs.bucket_size, knobs.bucket_fill, knobs.bucket_interval)
                if figures != (bucket.size, bucket.fill, bucket.interval):
                    self._data_center = DataCenterLimits(*figures)
                return self._data_center
        return None

    # --- what is done ----------------------------------------------------------------------

    def _do(self, asked: HttpRequest, place: Place, caller: Caller, now: float) -> Reply:
        resource = resources.find(place.parts)
        methods = _methods(place) or (("GET",) if resource else ())
        if not methods:
            return resources.nowhere(asked.base + asked.target)
        if asked.method == "OPTIONS":
            return Reply(200, _allow(methods))
        if asked.operation not in methods:
            return refusal(405, "Method Not Allowed", headers=_allow(methods))
        if resource:
            root = asked.base + place.root
            return resource(resources.Context(self.model, asked.base, root, caller.name, caller.user.denied))
        return self._links(asked, place, caller, now)

    def _links(self, asked: HttpRequest, place: Place, caller: Caller, now: float) -> Reply:
        typed = {"POST", "PUT", "DELETE"} if self.model.knobs.is_delete_typed else {"POST", "PUT"}
        if asked.method in typed and asked.media_type != JSON:
            return refusal(415, f"The content type must be {JSON}.")
        request = Request(
            asked.operation,
            place.issue or "",
            place.link_id,
            asked.global_id,
            asked.body,
            asked.base + place.root,
            caller.user.denied,
        )
        return self.model.answer(request, now)


def _methods(place: Place) -> Sequence[str]:
    """Those of remote links."""
    if place.issue is None:
        return ()
    return ("GET", "POST", "DELETE") if place.link_id is None else ("GET", "PUT", "DELETE")


def _allow(methods: Sequence[str]) -> dict[str, str]:
    return {"Allow": ",".join((*methods, "HEAD", "OPTIONS"))}


def _objects(reply: Reply) -> int:
    """How many objects an answer returns, which cost points."""
    if reply.status >= 400:  # noqa: PLR2004 - an error returns none
        return 0
    return len(reply.body) if isinstance(reply.body, list) else 1
