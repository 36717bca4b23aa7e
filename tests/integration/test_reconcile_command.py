"""`jira-bridge reconcile` as its users run it, beside a worker and without one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from bridge.jira.auth import Basic
from bridge.jira.client import JiraClient
from bridge.kafka.cluster import Cluster
from bridge.ledger import open_ledger
from bridge.model import Phase
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer
from tests.brokers import eventually
from tests.desks import OURS, SITE, Desk, link
from tests.ledgers import Shown, pending, postgresql

COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()", "reconcile")


@dataclass
class Office:
    """A configuration with a Jira behind it, and a ledger that is closed when nobody needs it."""

    jira: JiraServer
    client: JiraClient
    config: Path
    url: str

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """The ledger, open; an SQLite one for this process alone."""
        ledger = cast("Shown", open_ledger(self.url))
        try:
            yield Desk(self.jira, self.client, ledger)
        finally:
            await ledger.close()

    async def differ(self, count: int) -> None:
        """So many links are written; of them one is removed by hand, and an orphan made."""
        async with self.desk() as desk, desk.writing():
            await desk.links(count)
        await self.client.delete_by_global_id("PROJ-1", OURS.format(1))
        await self.client.upsert("PROJ-2", link("orphan"), OURS.format(99))

    @property
    def links(self) -> set[str]:
        """The globalIds that stand."""
        return {one["globalId"] for one in self.jira.model.links()}

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200"}
        whole = [*COMMAND, "--config", str(self.config), *arguments]
        return await asyncio.to_thread(
            subprocess.run, whole, capture_output=True, text=True, env=env, check=False, timeout=60
        )


@pytest.fixture(params=["sqlite"])
async def office(
    request: pytest.FixtureRequest, embedded_broker: Cluster, tmp_path: Path
) -> AsyncIterator[Office]:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    if request.param == "postgresql":
        url = await postgresql(request.getfixturevalue("postgres"))
    async with (
        JiraServer(JiraModel(projects=["PROJ"])) as jira,
        JiraClient(jira.url, Basic("demo@example.com", "demo"), attempts=1) as client,
    ):
        config = tmp_path / "bridge.yaml"
        settings = {
            "kafka": {"bootstrap_servers": embedded_broker.bootstrap},
            "sites": {SITE: {"url": jira.url, "auth": "basic:demo@example.com:demo"}},
            "ledger": {"url": url},
            "reconcile": {"per_second": 1_000, "max_deletes_percent": 30},
        }
        config.write_bytes(orjson.dumps(settings))
        yield Office(jira, client, config, url)


async def test_beside_a_worker_it_shows_and_says_how_to_repair(office: Office) -> None:
    """SQLite's worker has the file: only reading works beside it, and the error says what to do."""
    await office.differ(3)
    standing = office.links
    async with office.desk() as desk:
        shown = await office.run("--dry-run")
        assert shown.returncode == 0, shown.stderr
        refused = await office.run()
        assert await pending(desk.ledger) == []
    for word in ("removed", "orphaned", OURS.format(99), "4 links of 3 issues compared", "2 would be marked"):
        assert word in shown.stdout
    assert refused.returncode == 3
    assert f"process {os.getpid()}" in refused.stderr
    assert "Stop the worker" in refused.stderr
    assert office.links == standing


async def test_without_a_worker_it_writes_what_it_marks(office: Office) -> None:
    """And what else the ledger wanted; then nothing differs any more."""
    await office.differ(3)
    async with office.desk() as desk:
        await desk.wish("PROJ-7", number=7)
    done = await office.run()
    assert done.returncode == 0, done.stderr
    assert "2 marked" in done.stdout
    assert office.links == {OURS.format(n) for n in (1, 2, 3, 7)}
    again = await office.run("--json")
    (summary,) = map(orjson.loads, again.stdout.splitlines())
    assert (summary["found"], summary["links"], summary["marked"]) == ({SITE: {}}, 4, 0)


async def test_a_repair_that_jira_refuses_ends_too(office: Office) -> None:
    """Without a worker the command itself puts the letter on the dead-letter topic, and goes on."""
    await office.differ(3)
    office.jira.model.denied["PROJ"] = {Permission.LINK}
    done = await office.run()
    assert done.returncode == 0, done.stderr
    async with office.desk() as desk:
        refused = [row.reason for row in await desk.ledger.rows() if row.phase is Phase.REJECTED]
    assert refused == ["jira_forbidden"] * 2


async def test_a_plan_that_takes_too_much_away_needs_force(office: Office) -> None:
    """The refusal says how much it was, what to look at and what applies it; nothing is marked."""
    await office.differ(2)
    standing = office.links
    refused = await office.run()
    assert refused.returncode == 1
    assert "1 of 3 links" in refused.stderr
    assert "--force" in refused.stderr
    assert office.links == standing
    forced = await office.run("--force")
    assert forced.returncode == 0, forced.stderr
    assert office.links == {OURS.format(1), OURS.format(2)}


async def test_a_plan_that_is_kept_is_applied_without_a_new_comparison(
    office: Office, tmp_path: Path
) -> None:
    """Made beside the worker, applied when it is stopped; applied once more it finds nothing to do."""
    await office.differ(4)
    plan = str(tmp_path / "plan.jsonl")
    async with office.desk():
        shown = await office.run("--dry-run", "--plan", plan, "--json")
    *repairs, summary = map(orjson.loads, shown.stdout.splitlines())
    assert [repair["finding"] for repair in repairs] == ["removed", "orphaned"]
    assert _numbers(summary) == (4, 5, 2)
    listed = _lists(office)
    done = await office.run("--plan", plan)
    assert done.returncode == 0, done.stderr
    assert office.links == {OURS.format(n) for n in (1, 2, 3, 4)}
    again = orjson.loads((await office.run("--plan", plan, "--json")).stdout.splitlines()[-1])
    assert _numbers(again) == (4, 5, 0)
    assert _lists(office) == listed
    other = await office.run("--plan", plan, "--project", "PROJ")
    assert other.returncode == 2


async def test_interrupted_it_goes_on_from_its_plan(office: Office, tmp_path: Path) -> None:
    """Ctrl-C ends it; run again with the same file no issue that stands there is listed again."""
    await office.differ(6)
    plan = tmp_path / "plan.jsonl"
    env = {**os.environ, "BRIDGE_RECONCILE__PER_SECOND": "1"}
    whole = [*COMMAND, "--config", str(office.config), "--dry-run", "--plan", str(plan)]
    process = await asyncio.create_subprocess_exec(*whole, env=env, stderr=asyncio.subprocess.DEVNULL)
    await eventually(lambda: _compared(plan) >= 2)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 130
    before = _compared(plan)
    listed = _lists(office)
    assert before < 6
    done = await office.run("--plan", str(plan))
    assert done.returncode == 0, done.stderr
    assert "6 issues compared" in done.stdout
    assert _lists(office) - listed == 6 - before
    assert office.links == {OURS.format(n) for n in range(1, 7)}


def _compared(plan: Path) -> int:
    """How many issues stand in the file."""
    return plan.read_text("utf-8").count('{"compared"') if plan.exists() else 0


def _numbers(summary: dict[str, Any]) -> tuple[int, int, int]:
    return summary["issues"], summary["links"], summary["left"]


def _lists(office: Office) -> int:
    return sum(call.method == "GET" and "globalId" not in call.path for call in office.jira.calls)


@pytest.mark.parametrize("office", ["postgresql"], indirect=True)
async def test_beside_a_worker_on_postgresql_that_one_writes(office: Office) -> None:
    """The command marks rows, and whoever has the lease hears of them."""
    await office.differ(4)
    async with office.desk() as desk, desk.writing():
        done = await office.run()
        assert done.returncode == 0, done.stderr
        assert office.links == {OURS.format(n) for n in (1, 2, 3, 4)}
        assert await pending(desk.ledger) == []


async def test_a_scope_narrows_what_is_compared(office: Office) -> None:
    """By project and by time; a site or a ledger that is not there is wrong usage."""
    await office.differ(2)
    narrow = await office.run("--dry-run", "--project", "PROJ", "--since", "1970-01-01T00:00Z")
    assert "2 issues" in narrow.stdout
    assert "0 issues" in (await office.run("--dry-run", "--since", "1w")).stdout
    for wrong in (("--site", "nowhere"), ("--ledger", "sqlite:///nowhere.sqlite")):
        assert (await office.run(*wrong)).returncode == 2
