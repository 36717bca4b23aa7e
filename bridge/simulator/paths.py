"""Where the simulated Jira's paths lead. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qs, unquote

VERSIONS = ("2", "3", "latest")
"""Of the API; `latest` is another name of 2."""

GATEWAY = "/ex/jira/"
"""What the gateway's paths begin with; the site's cloud id follows."""


class HttpRequest(NamedTuple):
    """A request as it came: `target` with its query, `base` the site's URL as the client calls it."""

    method: str
    target: str
    base: str = ""
    authorization: str | None = None
    content_type: str = ""
    body: bytes = b""
    accept: str = ""

    @property
    def operation(self) -> str:
        """The method, where HEAD is a GET whose body stays away."""
        return "GET" if self.method == "HEAD" else self.method

    @property
    def scheme(self) -> str:
        """That of the credentials, in small letters; empty without any."""
        return (self.authorization or "").partition(" ")[0].lower()

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def global_id(self) -> str | None:
        """The query's first globalId, read off the wire: `+` is a space there and `%2B` a plus."""
        _, mark, query = self.target.partition("?")
        return parse_qs(query, keep_blank_values=True).get("globalId", [None])[0] if mark else None


class Place(NamedTuple):
    """Where a path leads.

    `root` is what a `self` begins with there, below the site's URL. `parts` are those of the path,
    with `api` for the API and its version, and nothing for the first where it is a page's. `issue`
    and `link_id` are those of remote links. `cloud_id` is the gateway's.
    """

    root: str
    parts: tuple[str, ...]
    issue: str | None = None
    link_id: str | None = None
    cloud_id: str | None = None

    @property
    def name(self) -> str:
        """The parts in one text."""
        return "/".join(self.parts)

    @property
    def is_gateway(self) -> bool:
        """Whether Atlassian's gateway stands there and not the site itself."""
        return self.cloud_id is not None or self.parts[:1] == ("oauth",)

    @property
    def is_page(self) -> bool:
        """Whether it is no resource of an API, but a page for people."""
        return self.parts[:1] == ("",)

    @property
    def endpoint(self) -> str:
        """What counts as one endpoint for rate limits."""
        if self.issue is None:
            return "/".join(self.parts[:2])
        return "remotelink" if self.link_id is None else "remotelink/id"


def locate(target: str) -> Place:
    """Read a path, with or without a query; a slash at its end says nothing."""
    path = target.partition("?")[0].removesuffix("/")
    if path.startswith(GATEWAY):
        cloud_id, _, rest = path.removeprefix(GATEWAY).partition("/")
        place = locate(f"/{rest}")
        return place._replace(root=f"{GATEWAY}{cloud_id}{place.root}", cloud_id=cloud_id)
    match [unquote(part) for part in path.split("/")[1:]]:
        case ["rest", "api", version, *parts] if version in VERSIONS:
            return _api(f"/rest/api/{version}", parts)
        case ["rest" | "oauth" | "_edge", *_] as parts:
            return Place("/rest/api/latest", tuple(parts))
        case parts:
            return Place("", ("", *parts))


def _api(root: str, parts: list[str]) -> Place:
    match parts:
        case ["issue", issue, "remotelink"]:
            return Place(root, ("remotelink",), issue)
        case ["issue", issue, "remotelink", link_id]:
            return Place(root, ("remotelink",), issue, link_id)
    return Place(root, ("api", *parts))
