"""Toxiproxy between the bridge and Jira: a proxy whose connections can be spoilt while they are in use.

The Go program (https://github.com/Shopify/toxiproxy), built into .cache/ where Go is; driven over
its HTTP API.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.brokers import ROOT, Missing, eventually, free_port
from tests.chaos.processes import Process

VERSION = "v2.5.0"
PROGRAM = ROOT / ".cache" / f"toxiproxy-{VERSION.removeprefix('v')}" / "server"


def build() -> None:
    """See that the program is there. Raises Missing."""
    if PROGRAM.exists():
        return
    if shutil.which("go") is None:
        raise Missing("no Toxiproxy: there is no Go to build it")
    command = ["go", "install", f"github.com/Shopify/toxiproxy/v2/cmd/server@{VERSION}"]
    environ = {**os.environ, "GOBIN": str(PROGRAM.parent)}
    done = subprocess.run(command, env=environ, capture_output=True, check=False, timeout=600)
    if done.returncode:
        raise Missing(f"no Toxiproxy: {done.stderr.decode()[-300:]}")


class Toxiproxy:
    """One proxy to one address; `url` is where the bridge finds it."""

    def __init__(self, session: aiohttp.ClientSession, admin: int, port: int) -> None:
        self._session = session
        self._admin = f"http://127.0.0.1:{admin}"
        self.url = f"http://127.0.0.1:{port}"

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to its API; the answer's JSON."""
        async with self._session.request(method, self._admin + path, json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.status != 204 else None

    @asynccontextmanager
    async def spoilt(self, kind: str, stream: str, attributes: Mapping[str, int]) -> AsyncIterator[None]:
        """All connections are spoilt in this way, in one direction, `upstream` or `downstream`."""
        toxic = {"name": kind, "type": kind, "stream": stream, "attributes": dict(attributes)}
        await self.ask("POST", "/proxies/jira/toxics", toxic)
        try:
            yield
        finally:
            await self.ask("DELETE", f"/proxies/jira/toxics/{kind}")

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Nobody listens there."""
        await self.ask("POST", "/proxies/jira", {"enabled": False})
        try:
            yield
        finally:
            await self.ask("POST", "/proxies/jira", {"enabled": True})


@asynccontextmanager
async def toxiproxy(to: str, folder: Path, session: aiohttp.ClientSession) -> AsyncIterator[Toxiproxy]:
    """A proxy that leads to the URL. Raises Missing."""
    build()
    admin, port = free_port(), free_port()
    process = Process([str(PROGRAM), "-port", str(admin)], folder / "toxiproxy.log")
    process.start()
    try:
        proxy = Toxiproxy(session, admin, port)
        await eventually(lambda: _answers(proxy))
        there = {"name": "jira", "listen": f"127.0.0.1:{port}", "upstream": to.removeprefix("http://")}
        await proxy.ask("POST", "/proxies", there)
        yield proxy
    finally:
        process.kill()


async def _answers(proxy: Toxiproxy) -> bool:
    try:
        await proxy.ask("GET", "/proxies")
    except aiohttp.ClientError:
        return False
    return True
