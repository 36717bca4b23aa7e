"""The simulated Jira as a site: in front of its links stand credentials, limits and methods. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from bridge.simulator import resources, routing
from bridge.simulator.faults import Deployment, Limits
from bridge.simulator.jira_model import JiraModel, Request
from bridge.simulator.login import BEARER_REFUSED, Caller, authenticate, signature
from bridge.simulator.oauth import CLOUD_ID, Tokens
from bridge.simulator.paths import HttpRequest, Place
from bridge.simulator.rate_limit import Ask, CloudLimits, DataCenterLimits
from bridge.simulator.reply import Reply, page, refusal
from bridge.simulator.users import Users


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
        if reply := self._before_jira(asked, place, now):
            return Answer(reply)
        caller = authenticate(asked, place, self.users, self._tokens, knobs, now)
        if isinstance(caller, Reply):
            return Answer(caller.adding(signature(None, knobs.deployment)))
        reply = self._limited(asked, place, caller, now)
        return Answer(reply.adding(signature(caller, knobs.deployment)), caller.name)

    def _before_jira(self, asked: HttpRequest, place: Place, now: float) -> Reply | None:
        """What is answered whoever asks: by the gateway, as a page, or by a Cloud site's framework."""
        knobs = self.model.knobs
        if place.name in resources.TOKEN and asked.method == "POST":
            return self._tokens.grant(asked.body, knobs.token_seconds, now)
        if place.cloud_id not in {None, CLOUD_ID}:
            return _no_site(asked, now)
        if place.is_page:
            return page(200, "Log in") if place.name == "/login.jsp" else page(404, "Not Found")
        if knobs.deployment is Deployment.SERVER or place.is_gateway:
            return None
        return BEARER_REFUSED if asked.scheme == "bearer" else routing.refuse(asked, place, knobs)

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
        knobs = self.model.knobs
        if refused := routing.refuse(asked, place, knobs):
            return refused
        if asked.method == "OPTIONS":
            return Reply(200, routing.options(routing.methods(place, knobs.deployment)))
        root = asked.base + place.root
        if resource := resources.find(place.parts, knobs.deployment):
            return resource(resources.Context(self.model, asked.base, root, caller.name, caller.user.denied))
        request = Request(
            asked.operation,
            place.issue or "",
            place.link_id,
            asked.global_id,
            asked.body,
            root,
            caller.user.denied,
        )
        return self.model.answer(request, now)


def _no_site(asked: HttpRequest, now: float) -> Reply:
    """What the gateway answers where it knows no site of that id."""
    body = {
        "timestamp": datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z"),
        "status": 404,
        "error": "Not Found",
        "message": "No message available",
        "path": asked.target.partition("?")[0],
    }
    return Reply(404, {}, body)


def _objects(reply: Reply) -> int:
    """How many objects an answer returns, which cost points."""
    if reply.status >= 400:  # noqa: PLR2004 - an error returns none
        return 0
    return len(reply.body) if isinstance(reply.body, list) else 1
