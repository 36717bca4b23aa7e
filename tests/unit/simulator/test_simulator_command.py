"""The command `simulator`, run as a user runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

COMMAND = (sys.executable, "-c", "from bridge.cli import main; main()", "simulator")


@contextmanager
def simulator(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and the URL that it printed."""
    with subprocess.Popen([*COMMAND, "--port", "0", *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            url = re.search(r"http://\S+", process.stdout.readline())
            assert url
            yield process, url[0]
        finally:
            process.kill()


def get(url: str, login: str) -> dict[str, object]:
    """What is told to a user, given as EMAIL:TOKEN."""
    basic = b64encode(login.encode()).decode()
    with urlopen(Request(url, headers={"Authorization": f"Basic {basic}"})) as answer:  # noqa: S310 - http
        told = json.load(answer)
    assert isinstance(told, dict)
    return told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    """Either signal ends it, with exit code 0."""
    with simulator("--issue", "PROJ-1") as (process, url):
        assert get(f"{url}/rest/api/2/issue/PROJ-1", "demo@example.com:demo")["key"] == "PROJ-1"
        process.send_signal(number)
        assert process.wait(10) == 0


def test_it_takes_users_limits_and_knobs(tmp_path: Path) -> None:
    """Several users, a file of knobs, and Data Center's limits, which make it a Data Center."""
    knobs = tmp_path / "knobs.json"
    knobs.write_text('{"lag": 2, "bucket_size": 99}', "utf-8")
    users = ("--user", "ada@example.com:a", "--user", "bob@example.com:b")
    with simulator(*users, "--limits", "datacenter", "--knobs", str(knobs), "--seed", "7") as (_, url):
        for login in users[1::2]:
            assert get(f"{url}/rest/api/2/myself", login)["name"] == login.partition(":")[0]
        told = get(f"{url}/_simulator/knobs", "")
    assert {name: told[name] for name in ("lag", "bucket_size", "limits", "deployment")} == {
        "lag": 2,
        "bucket_size": 99,
        "limits": "datacenter",
        "deployment": "Server",
    }


def test_what_it_prints_can_be_tried() -> None:
    """The page, and commands that name an issue that exists."""
    with simulator("--project", "OPS") as (process, url):
        process.send_signal(signal.SIGTERM)
        assert process.stdout
        shown = process.stdout.read()
    assert f"{url}/rest/api/3/issue/OPS-1/remotelink" in shown
    assert f'curl -X PATCH -d \'{{"latency": 0.2, "rate_429": 0.1}}\' {url}/_simulator/knobs' in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--user", "ada"), "--user: expected EMAIL:TOKEN"),
        (("--user", ":token"), "--user: expected EMAIL:TOKEN"),
        (("--issue", "no key"), "--issue: NO KEY is no issue key"),
        (("--knobs", '{"rate_lost": 2}'), "--knobs: rate_lost: Input should be less than or equal to 1"),
        (("--knobs", "/nowhere.json"), "--knobs: /nowhere.json: No such file"),
        (("--host", "192.0.2.1"), "192.0.2.1:0 cannot be listened on"),
    ],
)
def test_wrong_options_are_a_sentence(options: tuple[str, ...], words: str) -> None:
    """The exit code is that of wrong usage, and no traceback is shown."""
    done = subprocess.run(
        [*COMMAND, "--port", "0", *options], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, words in " ".join(done.stderr.split())) == (2, True)
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_a_sentence() -> None:
    """It names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "--port", port],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=os.environ,
        )
    assert (done.returncode, f"127.0.0.1:{port} cannot be listened on" in done.stderr) == (2, True)
