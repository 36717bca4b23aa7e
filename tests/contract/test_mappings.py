"""What every built-in mapping must do. They are found by themselves, and carry their tests."""

from __future__ import annotations

from pathlib import Path

import pytest

import bridge.mapping.builtin
from bridge.mapping.builtin import builtin_files, builtin_mappings, lint_own
from bridge.mapping.examples import failures
from bridge.mapping.rules import RuleMapping, is_of
from bridge.sources.base import load_sources

FILES = [pytest.param(each, id=each.name) for each in builtin_files()]


def test_every_file_is_found() -> None:
    """A mapping is added by its file alone."""
    (folder,) = bridge.mapping.builtin.__path__
    assert [each.name for each in builtin_files()] == sorted(
        path.name for path in Path(folder).glob("*.yaml")
    )


@pytest.mark.parametrize("mapping", FILES)
def test_the_tests_in_the_file_pass(mapping: RuleMapping) -> None:
    """A mapping does what its own tests say."""
    assert list(failures(mapping)) == []


@pytest.mark.parametrize("mapping", FILES)
def test_the_tests_speak_of_every_type(mapping: RuleMapping) -> None:
    """Each event type of a rule or a skip has a test of its own."""
    tested = {example.type for example in mapping.file.tests}
    assert [each for each in mapping.types if not any(is_of(type_, (each,)) for type_ in tested)] == []


@pytest.mark.parametrize("mapping", FILES)
def test_nothing_is_said_against_a_file(mapping: RuleMapping) -> None:
    """The linter finds no condition that never holds, no state that is never met, no unknown name."""
    (folder,) = bridge.mapping.builtin.__path__
    text = (Path(folder) / mapping.name).read_text("utf-8")
    assert lint_own(text, mapping.name, load_sources()) == []


def test_every_source_has_a_mapping() -> None:
    """What a source tells means something in Jira."""
    assert set(load_sources()) <= frozenset().union(*(each.sources for each in builtin_mappings()))
