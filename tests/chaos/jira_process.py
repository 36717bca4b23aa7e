"""A simulated Jira in a process of its own, and how it is turned and asked while it runs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.brokers import free_port
from tests.chaos.processes import BRIDGE, Process

TOKEN = "demo"
USERS = {"first": "demo@example.com", "second": "second@example.com"}
"""Who asks each site's Jira."""
PROJECTS = {"first": "DEMO", "second": "OPS"}
"""The sites, all of one simulator, each with a project of its own."""


class Simulator:
    """A simulated Jira in a process of its own."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession, seed: int) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        projects = [word for project in PROJECTS.values() for word in ("--project", project)]
        users = [word for user in USERS.values() for word in ("--user", f"{user}:{TOKEN}")]
        command = [*BRIDGE, "simulator", "--port", str(port), "--seed", str(seed), *projects, *users]
        self.process = Process(command, folder / "simulator.log")
        self._session = session

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to /_simulator; the answer's JSON."""
        url = f"{self.url}/_simulator{path}"
        async with self._session.request(method, url, json=body) as answer:
            text = await answer.text()
            assert answer.status < 400, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None

    async def answers(self) -> bool:
        """Whether it listens."""
        try:
            await self.ask("GET", "/knobs")
        except aiohttp.ClientError:
            return False
        return True

    async def turn(self, **knobs: object) -> None:
        """Turn these knobs."""
        await self.ask("PATCH", "/knobs", knobs)

    async def calls(self) -> int:
        """How many requests to Jira there were."""
        return int((await self.ask("GET", f"/calls?after={2**40}"))["last"])

    async def counts(self) -> Counter[str]:
        """All requests, by "METHOD STATUS"."""
        return Counter((await self.ask("GET", ""))["counts"])

    async def statuses(self) -> Counter[str]:
        """All requests by status; "None" where the connection ended unanswered."""
        found: Counter[str] = Counter()
        for name, number in (await self.counts()).items():
            found[name.split()[1]] += number
        return found
