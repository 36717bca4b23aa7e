"""The worked examples of users' mappings in docs/mappings: each does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from bridge.mapping.builtin import lint_own, parse_own
from bridge.mapping.examples import failures
from bridge.mapping.schema import MappingFile
from bridge.sources.base import load_sources

FOLDER = Path(__file__).parents[2] / "docs" / "mappings"
FILES = sorted(FOLDER.glob("*.yaml"))
README = FOLDER / "README.md"
SOURCES = load_sources()
KINDS = {*SOURCES, "cloudevents"}

every_file = pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])


def test_there_are_examples_of_what_users_do() -> None:
    """Ten and more, and among them one of each part that is not plain."""
    assert len(FILES) >= 10
    shown = "\n".join(file.read_text("utf-8") for file in FILES)
    for part in (
        "extends:",
        "each:",
        "extract(",
        "matches(",
        "version: {time:",
        "delete_when:",
        "skip_when:",
    ):
        assert part in shown


@every_file
def test_the_tests_in_the_file_pass(file: Path) -> None:
    """An example is tested by its own tests."""
    assert list(failures(parse_own(file.read_text("utf-8"), file.name))) == []


@every_file
def test_there_is_nothing_to_say_against_it(file: Path) -> None:
    """`jira-bridge mapping lint` finds nothing."""
    assert lint_own(file.read_text("utf-8"), file.name, KINDS) == []


@every_file
def test_it_says_what_it_is_for(file: Path) -> None:
    """By a comment at its top, and a line in the README."""
    assert re.match(r"# [A-Z].*\.", file.read_text("utf-8").partition("\n\n")[0], re.DOTALL)
    assert f"({file.name})" in README.read_text("utf-8")


@every_file
def test_its_endpoint_is_understood(file: Path) -> None:
    """What the comment at the top configures is of the mapping's source, which takes the options."""
    text = file.read_text("utf-8")
    head = re.sub(r"^# ?", "", text.partition("\n\n")[0], flags=re.MULTILINE)
    shown = re.search(r"^ +ingress\.endpoints\..*(?:\n {4,}.*)*", head, re.MULTILINE)
    if parse_own(text, file.name).extends != "github":
        assert shown
        (endpoint,) = yaml.safe_load(shown[0]).values()
        assert endpoint["source"] in parse_own(text, file.name).sources
        SOURCES[endpoint["source"]].configured(endpoint.get("options", {}))


def test_the_mapping_that_the_readme_begins_with_does_what_it_says() -> None:
    """It can be copied as it stands."""
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert list(failures(parse_own(shown, README.name))) == []
    assert lint_own(shown, README.name, KINDS) == []


def test_the_readme_names_every_key() -> None:
    """Each key of the format is explained."""
    told = README.read_text("utf-8")
    missing = {key for key in keys(MappingFile.model_json_schema()) if f"`{key}`" not in told}
    assert missing == set()


def keys(schema: object) -> set[str]:
    """The names of all properties in a JSON schema."""
    if isinstance(schema, list):
        return set().union(*map(keys, schema))
    if not isinstance(schema, dict):
        return set()
    own = set(schema["properties"]) if isinstance(schema.get("properties"), dict) else set()
    return own.union(*map(keys, schema.values()))
