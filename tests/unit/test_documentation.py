"""What an operator or a user can meet is written down."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from typer.main import get_command

from bridge.cli.app import PARTS, app
from bridge.errors import BadBody, BridgeError, JiraNotFound
from bridge.kafka.dead_letters import Fate, Place, dead_letter, marker, refused
from bridge.kafka.survey import Status
from bridge.mapping.builtin import builtin_files, parse_own
from bridge.mapping.examples import failures
from bridge.mapping.rules import RuleMapping
from bridge.model import Call, CallKind, Known, LinkKey, Record, Version
from bridge.observe.states import STATES
from bridge.parts import endpoints, mapped_sites, mapper
from bridge.settings import Settings, load
from bridge.sources.base import load_sources, page
from bridge.state.reconcile import Difference

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
STATE_ROWS, CODE_ROWS = OPERATIONS.split("## Codes")
LETTERS = OPERATIONS.partition("## Dead letters")[2]
ENDPOINTS = {"ingress": {"endpoints": {"github": {"source": "github", "open": True}}}}
SITES = {
    "sites": {
        "cloud": {"url": "https://acme.atlassian.net", "auth": "anonymous", "projects": ["OPS"]},
        "datacenter": {"url": "https://jira.example.com", "auth": "anonymous", "projects": ["OLD"]},
    }
}
"""What the parts of a configuration on a page are parts of."""

README = (ROOT / "README.md").read_text("utf-8")


def errors(kind: type[BridgeError] = BridgeError) -> Iterator[type[BridgeError]]:
    """The whole tree."""
    for each in kind.__subclasses__():
        yield each
        yield from errors(each)


@pytest.mark.parametrize("name", STATES)
def test_every_state_is_documented(name: str) -> None:
    """The state's row has its metric and what to do."""
    (row,) = re.findall(rf"^\| `{name}` \|.*$", STATE_ROWS, re.MULTILINE)
    metric = STATES[name].metric
    assert metric is None or metric.name in row
    assert STATES[name].advice in row


@pytest.mark.parametrize("kind", [kind for kind in errors() if kind.advice])
def test_every_code_is_documented(kind: type[BridgeError]) -> None:
    """The code's row says what to do."""
    (row,) = re.findall(rf"^\| `{kind.code}` \|.*$", CODE_ROWS, re.MULTILINE)
    assert kind.advice in row


def test_every_skip_is_documented() -> None:
    """Each reason for which any event is skipped has its row."""
    skips = {"not_of_interest", "no_issue_key", "ignored_draft", "ignored_bot", "ignored_branch"}
    assert {skip for skip in skips if f"| `{skip}` |" not in OPERATIONS} == set()


@pytest.mark.parametrize("mapping", builtin_files(), ids=lambda mapping: mapping.name)
def test_every_skip_of_a_source_is_explained(mapping: RuleMapping) -> None:
    """A reason of a built-in mapping stands on the set-up page of each of its sources."""
    sources = load_sources()
    for kind in mapping.sources & sources.keys():
        told = page(sources[kind])
        assert [reason for reason in mapping.file.skip_when if f"`{reason}`" not in told] == []


def test_the_page_of_sources_is_current(tmp_path: Path) -> None:
    """`docs/sources` writes it from the sources themselves; run it after a change."""
    copy = tmp_path / "sources.md"
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, ROOT / "docs/sources", copy], check=True, env=environ)
    assert copy.read_text("utf-8") == (ROOT / "docs/sources.md").read_text("utf-8")


def blocks(path: str) -> Iterator[str]:
    """The fenced and the indented blocks of a page that are YAML, without their indentation."""
    text = (ROOT / path).read_text("utf-8")
    yield from re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).splitlines()
    while lines:
        line = lines.pop(0)
        if not line.strip() and lines and re.match(r" {4,}[a-z]+:( |$)", lines[0]):
            depth = len(lines[0]) - len(lines[0].lstrip())
            block = list(takewhile(lambda each: not each[:depth].strip(), lines))  # noqa: B023 - used at once
            yield dedent("\n".join(block))


@pytest.mark.parametrize(
    "path", ["README.md", "docs/operations.md", "docs/sources.md", "docs/mappings/README.md"]
)
def test_what_is_to_be_copied_is_right(path: str, tmp_path: Path) -> None:
    """Each part of a configuration and each mapping on a page is taken as it stands; tests in it pass."""
    found = 0
    for block in blocks(path):
        data = yaml.safe_load(re.sub(r"\bfile:/\S+", "env:FILE", block))
        if "tests" in data:
            assert list(failures(parse_own(block, path))) == []
        elif data.keys() <= Settings.model_fields.keys():
            file = tmp_path / "bridge.yaml"
            file.write_text(yaml.safe_dump({**ENDPOINTS, **SITES, **data, "mappings": []}))
            environ = dict.fromkeys(re.findall(r"env:(\w+)", file.read_text()), "whsec_c2VjcmV0c2VjcmV0")
            settings = load(file, environ, {})
            endpoints(settings)
            mapper(settings, mapped_sites(settings))
        else:
            continue
        found += 1
    assert found


def test_dead_letters_are_documented() -> None:
    """Each header that a letter or a mark may have, and each status, has its row."""
    call = Call(CallKind.DELETE, LinkKey("a", "A-1", "g"), None, "s 1", Version(0, 0, 0, 0, 0), Known.UNSEEN)
    error = JiraNotFound("404", trace_id="t", request_id="r")
    *_, rejected = dead_letter(Record("t", 0, 0, 0, None, b"x" * 9_000), BadBody("x"), 1_000)
    *_, asked = refused(call, error, "t", 1_000)
    marked = marker("t", Place(0, 0), Fate.REPLAYED).headers
    written = {name for name, _ in (*rejected, *asked, *marked) if name != "content-type"}
    assert {name for name in written if f"`{name}`" not in LETTERS} == set()
    assert {status for status in Status if f"`{status}`" not in LETTERS} == set()


def test_every_finding_is_documented() -> None:
    """Each difference that a comparison may find has its row."""
    rows = OPERATIONS.partition("## Repair")[2]
    assert {difference for difference in Difference if f"| `{difference}` |" not in rows} == set()


def test_every_command_is_in_the_readme() -> None:
    """The table of commands names them all."""
    for part in PARTS:
        importlib.import_module(f"bridge.cli.{part}")
    program: Any = get_command(app)
    assert len(program.commands) > 10
    for command in program.commands:
        assert re.search(rf"^\|.*`{command}\b", README, re.MULTILINE), command


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/design.md",
        "docs/operations.md",
        "docs/simulator.md",
        "docs/sources.md",
        "docs/mappings/README.md",
    ],
)
def test_links_between_documents_lead_somewhere(path: str) -> None:
    """Each relative link names a file that is there."""
    text = (ROOT / path).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / path).parent / target).exists(), target
