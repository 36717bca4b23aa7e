"""Other people's Jira clients against the simulated Jira: `make foreign-clients`.

Each program beside this file takes one client through STEPS, and prints a line of JSON for each:
`answer`, what the client made of Jira's; `error`, the status that the client tells of; or `cannot`,
where the client has no such call. What it prints and what went over the wire must both be as
Atlassian documents it. The clients are installed into .cache/foreign/, by their own package
managers; what cannot be installed is skipped. Exits with 1 on a difference.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bridge.simulator.faults import Deployment
from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from bridge.simulator.oauth import CLOUD_ID

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "foreign"
SECONDS = 120.0
"""The longest that a program may take."""

ISSUE = "DEMO-1"
LINK = {
    "globalId": "system=http://www.mycompany.com/support&id=1",
    "application": {"type": "com.acme.tracker", "name": "My Acme Tracker"},
    "relationship": "causes",
    "object": {
        "url": "http://www.mycompany.com/support?id=1",
        "title": "TSTSUP-111",
        "summary": "Customer support issue",
        "icon": {"url16x16": "http://www.mycompany.com/support/ticket.png", "title": "Support Ticket"},
        "status": {
            "resolved": True,
            "icon": {
                "url16x16": "http://www.mycompany.com/support/resolved.png",
                "title": "Case Closed",
                "link": "http://www.mycompany.com/support?id=1&details=closed",
            },
        },
    },
}
"""Atlassian's own example: https://developer.atlassian.com/server/jira/platform/jira-rest-api-for-remote-issue-links/."""
CHANGED = {"globalId": LINK["globalId"], "object": {"url": "http://www.mycompany.com/2", "title": "Two"}}

STEPS = {
    "create": ("POST", 201),
    "again": ("POST", 200),
    "list": ("GET", 200),
    "get": ("GET", 200),
    "find": ("GET", 200),
    "update": ("PUT", 204),
    "reread": ("GET", 200),
    "delete": ("DELETE", 204),
    "remake": ("POST", 201),
    "drop": ("DELETE", 204),
    "missing": ("GET", 404),
    "stranger": ("GET", 401),
}
"""What each program does, and what Jira answers.

`find` and `drop` are by globalId, `get` and `delete` by id; `update` is by id and puts CHANGED;
`missing` lists the links of an issue that is not there, `stranger` those of ISSUE with a wrong token.
"""
MADE, SHOWN = {"create", "again", "remake"}, {"list": LINK, "get": LINK, "find": LINK, "reread": CHANGED}


UNTOLD = "untold"
"""In the place of an error's status, where the client tells of an error without it."""


class Unavailable(Exception):
    """A client cannot be installed here; the text says why."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client: its package and version, the program that drives it, and the sites that it can ask."""

    package: str
    version: str
    program: str
    sites: tuple[str, ...]


CLIENTS = (
    Client("curl", "", "curl.sh", ("cloud", "gateway", "server")),
    Client("jira", "3.10.5", "jira_python.py", ("cloud", "gateway", "server")),
    Client("atlassian-python-api", "5.0.5", "atlassian_python_api.py", ("cloud", "gateway")),
    Client("jira.js", "6.2.0", "jira_js.mjs", ("cloud", "gateway")),
    Client("jira-client", "8.2.2", "jira_client.mjs", ("cloud", "server")),
    Client("jira-connector", "3.1.0", "jira_connector.mjs", ("cloud",)),
    Client("github.com/andygrunwald/go-jira", "v1.16.0", "go_jira.go", ("cloud", "server")),
    Client(
        "github.com/ctreminiom/go-atlassian/v2", "v2.6.1", "go_atlassian.go", ("cloud", "gateway", "server")
    ),
)


# --- installing ----------------------------------------------------------------------------


def run(folder: Path, *command: str, **environment: str) -> None:
    """Run a package manager. Raises Unavailable when it is not here or does not succeed."""
    if shutil.which(command[0]) is None:
        raise Unavailable(f"{command[0]} is not installed")
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Unavailable(f"{' '.join(command[:2])}: {''.join(last)}")


def python(client: Client, folder: Path) -> list[str]:
    """Install with pip."""
    run(folder, sys.executable, "-m", "venv", ".")
    interpreter = str(folder / "bin" / "python")
    run(folder, interpreter, "-m", "pip", "install", "--quiet", f"{client.package}=={client.version}")
    return [interpreter, str(HERE / client.program)]


def node(client: Client, folder: Path) -> list[str]:
    """Install with npm; a module finds what lies beside it."""
    run(folder, "npm", "install", "--silent", "--prefix", ".", f"{client.package}@{client.version}")
    return ["node", str(shutil.copy(HERE / client.program, folder))]


def go(client: Client, folder: Path) -> list[str]:
    """Fetch with Go, and build; what it keeps can be deleted."""
    environment = {"GOPATH": str(folder / "path"), "GOFLAGS": "-modcacherw -mod=mod"}
    shutil.copy(HERE / client.program, folder / "main.go")
    (folder / "go.mod").write_text(f"module foreign\nrequire {client.package} {client.version}\n")
    run(folder, "go", "build", "-o", "client", "main.go", **environment)
    return [str(folder / "client")]


def shell(client: Client, folder: Path) -> list[str]:
    """Nothing but the program that is there already."""
    run(folder, client.package, "--version")
    return ["sh", str(HERE / client.program)]


INSTALLERS: Mapping[str, Callable[[Client, Path], list[str]]] = {
    ".py": python,
    ".mjs": node,
    ".go": go,
    ".sh": shell,
}


def install(client: Client) -> list[str]:
    """The command that runs the program. Raises Unavailable."""
    folder = CACHE / Path(client.program).stem
    folder.mkdir(parents=True, exist_ok=True)
    return INSTALLERS[Path(client.program).suffix](client, folder)


# --- running -------------------------------------------------------------------------------


async def drive(command: list[str], site: str) -> tuple[dict[str, Any], list[tuple[str, int | None]]]:
    """Run a program against a Jira of its own: what it said of each step, and each call and status."""
    model = JiraModel(projects=["DEMO"])
    async with JiraServer(model) as server:
        if site == "server":
            server.knobs.deployment = Deployment.SERVER
        environment = {
            **os.environ,
            "JIRA_URL": server.url + (f"/ex/jira/{CLOUD_ID}" if site == "gateway" else ""),
            "JIRA_AUTH": "basic" if site == "cloud" else "bearer",
            "JIRA_USER": "demo@example.com",
            "JIRA_TOKEN": "demo",
            "JIRA_ISSUE": ISSUE,
            "JIRA_LINK": json.dumps(LINK),
            "JIRA_CHANGED": json.dumps(CHANGED),
        }
        program = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)
        try:
            said, _ = await asyncio.wait_for(program.communicate(), SECONDS)
        except TimeoutError:
            program.kill()
            said, _ = await program.communicate()
        lines = [json.loads(line) for line in said.splitlines() if line.startswith(b"{")]
        calls = [(call.method, call.status) for call in server.calls if "/remotelink" in call.path]
        return {line["step"]: line for line in lines}, calls


# --- judging -------------------------------------------------------------------------------


def differences(told: Mapping[str, Any], calls: list[tuple[str, int | None]]) -> Iterator[tuple[str, str]]:
    """The steps that did not go as they should, each with the reason."""
    left = iter(calls)
    for step, (method, status) in STEPS.items():
        line = told.get(step, {})
        if "cannot" in line:
            continue
        call = next(left, None)
        if call != (method, status):
            yield step, f"on the wire {call}, not {(method, status)}"
        elif status >= 400:
            if line.get("error") not in {status, UNTOLD}:
                yield step, f"the client told {line}"
        elif reason := _misread(step, line, told):
            yield step, reason
    if rest := list(left):
        yield "stranger", f"more calls: {rest}"


def _misread(step: str, line: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """What is wrong with what the client made of a success."""
    if "answer" not in line:
        return f"the client told {line}"
    answer = line["answer"]
    if step in MADE:
        is_first = answer["id"] == told["create"]["answer"]["id"]
        return "" if is_first == (step != "remake") and _names_itself(answer) else f"made {answer}"
    if step in SHOWN:
        shown = answer if isinstance(answer, dict) else answer[0] if len(answer) == 1 else {}
        body = _pruned({key: shown.get(key) for key in LINK})
        return "" if body == SHOWN[step] and _names_itself(shown) else f"read {answer}"
    return ""


def _names_itself(answer: Mapping[str, Any]) -> bool:
    return str(answer["self"]).endswith(f"/issue/{ISSUE}/remotelink/{answer['id']}")


def _pruned(value: Any) -> Any:
    """The value without what typed clients fill in where Jira said nothing."""
    if not isinstance(value, dict):
        return value
    pruned = {key: _pruned(part) for key, part in value.items()}
    return {key: part for key, part in pruned.items() if part not in (None, "", {})}


# --- telling -------------------------------------------------------------------------------


def outcome(step: str, told: Mapping[str, Any], wrong: Mapping[str, str]) -> str:
    """A cell of the table."""
    if step in wrong:
        return "[red]differs[/]"
    return "-" if "cannot" in told.get(step, {}) else str(STEPS[step][1])


def main() -> int:
    """Run them all; 1 when one differs, or when there was none."""
    out = Console(width=160)
    table = Table("client", "version", "site", *STEPS)
    reasons = []
    for client in CLIENTS:
        try:
            command = install(client)
        except Unavailable as error:
            out.print(f"skipped: {client.package}: {error}", markup=False)
            continue
        for site in client.sites:
            told, calls = asyncio.run(drive(command, site))
            wrong = dict(differences(told, calls))
            reasons += [f"{client.package}, {site}, {step}: {reason}" for step, reason in wrong.items()]
            cells = (outcome(step, told, wrong) for step in STEPS)
            table.add_row(client.package, client.version, site, *cells)
    out.print(table)
    for reason in reasons:
        out.print(reason, markup=False)
    return 1 if reasons or not table.row_count else 0


if __name__ == "__main__":
    sys.exit(main())
