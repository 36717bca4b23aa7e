"""What can be turned and asked is in docs/simulator.md, and its examples work."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import aiohttp
import orjson
import pytest

from bridge.simulator.admin import Admin
from bridge.simulator.faults import Fate, Knobs, Login
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.jira_server import JiraServer
from bridge.simulator.simulation import Simulation

TEXT = (Path(__file__).parents[3] / "docs/simulator.md").read_text("utf-8")
EXAMPLES = re.findall(r"^    (curl .*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("knob", [field.name for field in fields(Knobs)])
def test_each_knob_is_documented_with_its_default(knob: str) -> None:
    """The knob's row tells what it is when nobody turns it."""
    (default,) = re.findall(rf"^\| `{knob}` \| ([^|]+) \|", TEXT, re.MULTILINE)
    is_word = default.startswith("`")
    assert (default.strip("`") if is_word else orjson.loads(default)) == getattr(Knobs(), knob)


@pytest.mark.parametrize("word", [*Fate, *Login, *Permission])
def test_each_word_is_documented(word: str) -> None:
    """Fates, ways of a login, permissions."""
    assert f"`{word}`" in TEXT


@pytest.mark.parametrize(("method", "path"), Admin(Simulation(JiraModel())).paths)
def test_each_path_has_an_example(method: str, path: str) -> None:
    """A curl that does just this."""
    found = [
        example
        for example in EXAMPLES
        if re.search(rf"/_simulator/?{path.replace('*', '[^/]+')}(\?|'|$)", example)
        and (re.findall(r"-X ([A-Z]+)", example) or ["GET"])[0] == method
    ]
    assert found


async def test_the_examples_work() -> None:
    """Each curl, in the order of the page, is answered with a success."""
    async with (
        JiraServer(JiraModel(projects=["DEMO"])) as server,
        aiohttp.ClientSession(server.url) as session,
    ):
        for example in EXAMPLES:
            *options, url = shlex.split(example)[1:]
            given = dict(zip(options[::2], options[1::2], strict=True))
            headers = dict([given["-H"].split(": ")]) if "-H" in given else {}
            if "-u" in given:
                headers["Authorization"] = aiohttp.encode_basic_auth(*given["-u"].split(":"))
            method = given.get("-X", "POST" if "-d" in given else "GET")
            path = url.removeprefix("http://127.0.0.1:8090")
            async with session.request(method, path, data=given.get("-d"), headers=headers) as answer:
                assert answer.status < 300, (example, await answer.text())
    assert len(EXAMPLES) > 20
