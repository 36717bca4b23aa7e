"""The mappings that come with the bridge: every YAML file of this folder, and the canonical one."""

from __future__ import annotations

from importlib.resources import files

from bridge.mapping.canonical import CanonicalMapping
from bridge.mapping.mapper import Mapping
from bridge.mapping.rules import RuleMapping, parse_mapping


def builtin_files() -> list[RuleMapping]:
    """The mappings of the files, in the order of their names."""
    found = sorted(
        (each for each in files(__name__).iterdir() if each.name.endswith(".yaml")), key=lambda f: f.name
    )
    return [parse_mapping(each.read_text("utf-8"), each.name) for each in found]


def builtin_mappings() -> list[Mapping]:
    """All of them, for a Mapper; mappings of one's own go behind these."""
    return [CanonicalMapping(), *builtin_files()]
