"""The probes over HTTP: /livez, /readyz and /metrics, for ingress and for a worker of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from bridge.observe.health import Condition, Health
from bridge.observe.metrics import CONTENT_TYPE, Metrics


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
        named = {name: {"ok": c.ok, "reason": c.reason} for name, c in sorted(found.items())}
        return web.json_response({"ok": ok, "conditions": named}, status=200 if ok else 503)

    return answer


async def serve(health: Health, metrics: Metrics, host: str, port: int) -> web.AppRunner:
    """Serve the probes until the runner that is returned is cleaned up. Port 0 takes a free one."""
    app = web.Application()
    app.add_routes(probes(health, metrics))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
