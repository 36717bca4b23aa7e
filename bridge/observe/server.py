"""The probes over HTTP: /livez, /readyz and /metrics, for ingress and for a worker of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bridge.observe.health import Condition, Health
from bridge.observe.metrics import CONTENT_TYPE, Metrics
from bridge.observe.states import STATES


def probes(health: Health, metrics: Metrics) -> list[web.RouteDef]:
    """The three routes, to be added to any aiohttp application."""

    async def exposition(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    return [
        web.get("/livez", _probe(health.alive)),
        web.get("/readyz", _probe(health.ready)),
        web.get("/metrics", exposition),
    ]


def _probe(
    conditions: Callable[[], Mapping[str, Condition]],
) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_request: web.Request) -> web.Response:
        found = conditions()
        ok = all(condition.ok for condition in found.values())
        named = {name: _shown(condition) for name, condition in sorted(found.items())}
        return web.json_response({"ok": ok, "conditions": named}, status=200 if ok else 503)

    return answer


def _shown(condition: Condition) -> dict[str, object]:
    """The condition; where its reason begins with the name of a state, with that state's advice."""
    state = STATES.get(condition.reason.partition(":")[0])
    advice = {"advice": state.advice} if state and state.advice else {}
    return {"ok": condition.ok, "reason": condition.reason, **advice}
