"""The commands as their users run them: output, exit codes, errors that say what to do."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.simulator.jira_model import JiraModel
from bridge.simulator.jira_server import JiraServer
from tests.wire import Wire, answer

SAMPLES = Path(__file__).parents[2] / "samples" / "github"
COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()")


def run(*arguments: str, text: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "200", **environ}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, input=text, env=env, check=False
    )


def test_map_prints_one_object_a_file() -> None:
    """`map --json` is for scripts: file, event, skipped, changes."""
    opened, ping = SAMPLES / "pull_request.opened.json", SAMPLES / "ping.repository.json"
    done = run("map", str(opened), "--source", "github", "--event", "pull_request", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"file", "event", "skipped", "changes"}
    assert found["skipped"] is None
    for change in found["changes"]:
        assert set(change) == {"action", "site", "issue", "globalId", "version", "link"}
        assert change["link"]["globalId"] == change["globalId"]
    skipped = json.loads(run("map", str(ping), "--source", "github", "--event", "ping", "--json").stdout)
    assert (skipped["skipped"], skipped["changes"]) == ("ping", [])


def test_map_shows_an_empty_set() -> None:
    """A pull request without keys is a set of nothing, not a skip."""
    path = SAMPLES / "pull_request.opened.json"
    done = run(
        "map", str(path), "--source", "github", "--event", "pull_request", "--project", "NONE", "--json"
    )
    (change,) = json.loads(done.stdout)["changes"]
    assert (change["action"], change["issue"], change["link"]) == ("set", None, None)


def test_map_tells_what_is_wrong_with_a_part(tmp_path: Path) -> None:
    """One commit's link, and why the other has none: the worker writes the one and tells of the other."""
    path = tmp_path / "push.json"
    commits = [
        {"id": name * 40, "message": "ABC-1: x", "url": url}
        for name, url in (("a", "https://github.com/o/h"), ("b", "javascript:alert(1)"))
    ]
    path.write_text(json.dumps({"ref": "refs/heads/main", "repository": {"id": 1}, "commits": commits}))
    done = run("map", str(path), "--source", "github", "--event", "push", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["skipped"], len(found["changes"])) == (1, None, 1)
    assert found["error"].startswith("url: ")


def test_map_tells_a_bad_body(tmp_path: Path) -> None:
    """What cannot be mapped is an exit code and a reason."""
    path = tmp_path / "bad.json"
    path.write_text("{")
    done = run("map", str(path), "--source", "github", "--event", "pull_request", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["skipped"] == "bad_body"
    assert run("map", str(tmp_path / "none"), "--source", "github").returncode == 2
    unknown = run("map", str(path), "--source", "gitbub")
    assert "did you mean github" in unknown.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("worker",), "`--jira URL`"),
        (("worker", "--jira", "https://j.example"), "sites.default.auth"),
        (("worker", "--kafka", "nonsense"), "kafka.bootstrap_servers"),
        (("config", "check", "/nowhere.yaml"), "cannot be read"),
        (
            ("links", "get", "PROJ-1", "--jira", "http://127.0.0.1:1", "--jira-auth", "anonymous"),
            "--global-id",
        ),
        (("links", "list", "PROJ-1"), "give --jira URL"),
    ],
)
def test_a_users_mistake_is_a_sentence(arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, what is wrong, and no traceback."""
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_on_the_command_line_is_never_printed() -> None:
    """Nor in the error about it."""
    done = run("worker", "--jira", "https://j.example", "--jira-auth", "basic:only-hunter2")
    assert done.returncode == 2
    assert "hunter2" not in done.stdout + done.stderr


def test_config_schema_is_json() -> None:
    """An editor can read it."""
    schema = json.loads(run("config", "schema").stdout)
    assert "kafka" in schema["properties"]


def test_explain_of_nothing_is_an_exit_code(tmp_path: Path) -> None:
    """Without a ledger, or with nothing of that event in it, it says so."""
    done = run("explain", "some-id", "--ledger", f"sqlite:///{tmp_path}/none.sqlite")
    assert done.returncode == 2
    assert "no such ledger" in done.stderr


async def test_the_six_operations_by_hand() -> None:
    """put, get, list and delete, by globalId and by id."""
    async with JiraServer(JiraModel(issues=["PROJ-1"])) as jira:
        site = ("--jira", jira.url, "--jira-auth", "basic:demo@example.com:demo")

        async def links(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
            return await asyncio.to_thread(run, "links", *arguments, *site, text=text)

        body = json.dumps({"object": {"url": "https://ci.example/1", "title": "build 1"}})
        created = await links("put", "PROJ-1", "-", "--global-id", "a=b&c", text=body)
        assert "is created" in created.stdout, created.stderr
        found = json.loads((await links("get", "PROJ-1", "--global-id", "a=b&c", "--json")).stdout)
        assert found["object"]["title"] == "build 1"
        number = str(found["id"])
        assert "is replaced" in (await links("put", "PROJ-1", "-", "--id", number, text=body)).stdout
        assert "build 1" in (await links("get", "PROJ-1", "--id", number)).stdout
        assert (await links("delete", "PROJ-1", "--id", number)).returncode == 0
        assert (await links("list", "PROJ-1", "--json")).stdout == ""
        gone = await links("delete", "PROJ-1", "--global-id", "a=b&c")
        assert gone.returncode == 1
        assert "jira_not_found" in gone.stderr


def test_config_check_tells_of_credentials_that_cannot_be_sent(tmp_path: Path) -> None:
    """A token that came with half a line break is named by its site, and is not shown."""
    config = tmp_path / "bridge.yaml"
    auth = "{bearer: {token: env:TOKEN}}"
    config.write_text(f"sites: {{main: {{url: 'https://j.example', auth: {auth}}}}}", "utf-8")
    done = run("config", "check", str(config), TOKEN="hunter2\r")
    assert done.returncode == 2
    assert "sites.main.auth: " in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_config_check_tells_of_a_refresh_token_that_cannot_be_renewed(tmp_path: Path) -> None:
    """A folder in which the next token could not be kept is named before the first one is used up."""
    (tmp_path / "refresh").write_text("hunter2", "utf-8")
    config = tmp_path / "bridge.yaml"
    app = f"{{client_id: c, client_secret: s, refresh_token_file: '{tmp_path}/refresh'}}"
    site = f"{{cloud_id: 11111111-2222-3333-4444-555555555555, auth: {{oauth: {app}}}}}"
    config.write_text(f"sites: {{main: {site}}}", "utf-8")
    assert run("config", "check", str(config)).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"refresh", "bridge.yaml"}
    (tmp_path / ".refresh.next").mkdir()
    done = run("config", "check", str(config))
    assert done.returncode == 2
    assert "sites.main.auth.oauth.refresh_token_file: " in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


async def test_a_wait_is_told() -> None:
    """Who waits at a terminal reads for what, and a page of a proxy's is told at once."""
    limited = answer(429, b"", "Retry-After: 0.1")
    async with Wire(limited, answer(404, b"<html>")) as wire:
        site = ("--jira", wire.url, "--jira-auth", "anonymous")
        done = await asyncio.to_thread(run, "links", "list", "PROJ-1", *site)
    assert done.returncode != 0
    first, second = done.stderr.splitlines()[0], done.stderr.splitlines()[-1]
    assert "429; again in " in first
    assert "jira_foreign_answer" in second
    assert len(wire.requests) == 2


async def test_a_long_wait_is_left_to_the_user() -> None:
    """What Jira asks for beyond half a minute is told and not waited for."""
    async with Wire(answer(429, b"", "Retry-After: 1800")) as wire:
        site = ("--jira", wire.url, "--jira-auth", "anonymous")
        done = await asyncio.to_thread(run, "links", "list", "PROJ-1", *site)
    assert done.returncode == 3
    assert "in 1800 s" in done.stderr
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "- is not a JSON object"),
        ("[]", "- is not a JSON object"),
        ('{"object": {"url": 5}}', "- is no link: object.url: "),
        ('{"globalId": 7}', "- is no link: globalId: "),
    ],
)
def test_a_body_that_is_no_link(body: str, told: str) -> None:
    """What cannot be a link is refused before Jira is asked, and in words."""
    done = run(
        "links", "put", "PROJ-1", "-", "--jira", "http://127.0.0.1:1", "--jira-auth", "anonymous", text=body
    )
    assert done.returncode == 2
    assert told in done.stderr


async def test_a_strange_title_is_shown_as_it_is() -> None:
    """Titles come from other people: no markup and no emoji is made of them."""
    title = r"build [1] [/x] :smile: <b>\[red]"
    async with JiraServer(JiraModel(issues=["PROJ-1"])) as jira:
        site = ("--jira", jira.url, "--jira-auth", "basic:demo@example.com:demo")
        body = json.dumps({"object": {"url": "https://ci.example/1", "title": title}})
        await asyncio.to_thread(run, "links", "put", "PROJ-1", "-", "-g", "g", *site, text=body)
        shown = await asyncio.to_thread(run, "links", "list", "PROJ-1", *site)
        assert title in shown.stdout


def test_help_shows_the_credentials_form_as_it_is() -> None:
    """The words between its colons are not taken for an emoji."""
    assert "basic:USER:TOKEN" in run("worker", "--help").stdout


@pytest.mark.parametrize("command", ["run", "ingress", "worker", "map", "explain", "simulator", "demo"])
def test_help_has_an_example(command: str) -> None:
    """Every command shows how it is used."""
    done = run(command, "--help")
    assert done.returncode == 0
    assert "Example: jira-bridge" in " ".join(done.stdout.split())
