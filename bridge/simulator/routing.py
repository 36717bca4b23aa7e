"""Whether a request leads to an operation, and how Jira's framework refuses one that leads to none. Pure.

Cloud's framework tells of problems in the form of RFC 7807, as was recorded of Cloud sites in
September and October 2026; Data Center's has a form of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from bridge.simulator import resources
from bridge.simulator.faults import Deployment, Knobs
from bridge.simulator.paths import GATEWAY, HttpRequest, Place
from bridge.simulator.reply import Reply, refusal

JSON = "application/json"
_PROBLEM = {"Content-Type": "application/problem+json;charset=UTF-8"}


def methods(place: Place, deployment: Deployment) -> Sequence[str]:
    """Those of the place, but for HEAD and OPTIONS; none where nothing is."""
    if place.issue is None:
        return ("GET",) if resources.find(place.parts, deployment) else ()
    return ("GET", "POST", "DELETE") if place.link_id is None else ("GET", "PUT", "DELETE")


def options(allowed: Sequence[str]) -> dict[str, str]:
    """The header that tells the methods, these two among them."""
    return {"Allow": ",".join((*allowed, "HEAD", "OPTIONS"))}


def refuse(asked: HttpRequest, place: Place, knobs: Knobs) -> Reply | None:
    """The refusal of a path, a method or a content type, in this order; None where all is well."""
    allowed = methods(place, knobs.deployment)
    typed = {"POST", "PUT", "DELETE"} if knobs.is_delete_typed else {"POST", "PUT"}
    if not allowed:
        status = 404
    elif asked.operation not in (*allowed, "OPTIONS"):
        status = 405
    elif asked.method in typed and asked.media_type != JSON:
        status = 415
    else:
        return None
    is_cloud = knobs.deployment is Deployment.CLOUD
    return _on_cloud(status, asked, place, allowed) if is_cloud else _on_server(status, asked, allowed)


def _on_cloud(status: int, asked: HttpRequest, place: Place, allowed: Sequence[str]) -> Reply:
    path = asked.target.partition("?")[0].removeprefix(f"{GATEWAY}{place.cloud_id}")
    title, detail, headers = {
        404: ("Not Found", f"No endpoint {asked.method} {path}.", {}),
        405: (
            "Method Not Allowed",
            f"Method '{asked.method}' is not supported.",
            {"Allow": ", ".join(allowed)},
        ),
        415: (
            "Unsupported Media Type",
            f"Content-Type '{asked.content_type or 'null'}' is not supported.",
            {"Accept": JSON},
        ),
    }[status]
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "instance": path}
    return Reply(status, {**_PROBLEM, **headers}, problem)


def _on_server(status: int, asked: HttpRequest, allowed: Sequence[str]) -> Reply:
    match status:
        case 404:
            return Reply(
                404, {}, {"message": f"null for uri: {asked.base}{asked.target}", "status-code": 404}
            )
        case 405:
            return refusal(405, "Method Not Allowed", headers=options(allowed))
    return refusal(415, f"The content type must be {JSON}.")
