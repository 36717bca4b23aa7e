"""The mappings that come with the bridge: every YAML file of this folder, and the canonical one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from bridge.mapping.canonical import CanonicalMapping
from bridge.mapping.document import Document
from bridge.mapping.lint import Finding, lint
from bridge.mapping.mapper import EventMapping
from bridge.mapping.rules import RuleMapping, parse_mapping


@cache
def builtin_files() -> tuple[RuleMapping, ...]:
    """The mappings of the files, in the order of their names."""
    return tuple(parse_mapping(text, name) for name, text in _texts().items())


def builtin_mappings() -> list[EventMapping]:
    """All of them, for a Mapper; mappings of one's own go behind these."""
    return [CanonicalMapping(), *builtin_files()]


def parse_own(text: str, name: str) -> RuleMapping:
    """A user's mapping, which may extend one of the built-in files. Raises ConfigError."""
    return parse_mapping(text, name, _Bases())


def lint_own(text: str, name: str, kinds: Iterable[str]) -> list[Finding]:
    """What can be said against a user's mapping, where these kinds of source are installed."""
    known = {kind: file.types for file in builtin_files() for kind in file.sources}
    return lint(text, name, _Bases(), {**dict.fromkeys(kinds, frozenset[str]()), **known})


class _Bases(Mapping[str, dict[str, Any]]):
    """What may be extended, by the file's name; each is read when it is asked for."""

    def __init__(self) -> None:
        self._texts = {name.removesuffix(".yaml"): text for name, text in _texts().items()}

    def __getitem__(self, name: str) -> dict[str, Any]:
        return Document(self._texts[name], f"{name}.yaml").data

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _texts() -> dict[str, str]:
    found = (each for each in files(__name__).iterdir() if each.name.endswith(".yaml"))
    return {each.name: each.read_text("utf-8") for each in sorted(found, key=lambda each: each.name)}
