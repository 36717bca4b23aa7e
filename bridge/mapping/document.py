"""A mapping file as YAML: its data, and the line and column of everything in it.

A payload is JSON, so of YAML 1.1 only `true` and `false` are booleans, numbers are decimal (`12:30` is a
text, and so is `010`), and no text is a date. A key that is given twice is an error, and so are aliases
that grow beyond all bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from bridge.errors import ConfigError

MAX_CHARACTERS = 1_000_000
MAX_NODES = 100_000
"""Values in a file, those of an alias counted wherever it stands."""

Loc = Sequence[str | int]


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML takes it for an instance's
        first: [(tag, pattern) for tag, pattern in resolvers if tag.endswith((":null", ":merge"))]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors = {  # noqa: RUF012 - as above
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.endswith((":null", ":str", ":seq", ":map"))
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:  # noqa: ANN401 - untyped in PyYAML
        """A mapping with each key once. Raises MarkedYAMLError."""
        node = super().compose_mapping_node(anchor)
        met: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in met:
                    problem = f"`{key.value}` is given twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                met.add(key.value)
        return node


def _add(name: str, pattern: str, first: str, read: Callable[[str], object]) -> None:
    def construct(loader: _Loader, node: yaml.ScalarNode) -> object:
        return read(loader.construct_scalar(node))

    tag = f"tag:yaml.org,2002:{name}"
    _Loader.add_implicit_resolver(tag, re.compile(f"(?:{pattern})$", re.ASCII), list(first))
    _Loader.add_constructor(tag, construct)


_add("bool", "true|false", "tf", lambda text: bool(("false", "true").index(text)))
_add("int", "-?(?:0|[1-9][0-9]*)", "-0123456789", int)
_add("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789", float)


class Document:
    """The text of a file. Raises ConfigError, with line and column, for what is no YAML mapping."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        if len(text) > MAX_CHARACTERS:
            raise ConfigError(f"{name}: is longer than {MAX_CHARACTERS} characters")
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            if node is not None and _size(node, {}) > MAX_NODES:
                raise ConfigError(f"{name}: holds more than {MAX_NODES} values")
            data = loader.construct_document(node) if node is not None else None
        except yaml.MarkedYAMLError as error:
            raise ConfigError(f"{_at(name, error.problem_mark)}: not YAML: {_told(error.problem)}") from None
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"{name}: not YAML: {error}") from None
        except RecursionError:
            raise ConfigError(f"{name}: nested too deeply") from None
        if node is None or not isinstance(data, dict):
            raise ConfigError(f"{name}: is not a mapping; expected `key: value` lines")
        self._node: yaml.Node = node
        self.data: dict[str, Any] = data

    def place(self, loc: Loc) -> str:
        """`FILE:LINE:COLUMN` of the key or item at `loc`, or of the nearest one above it."""
        node, mark = self._node, self._node.start_mark
        for step in loc:
            found = _child(node, step)
            if found is None:
                break
            mark, node = found
        return _at(self.name, mark)


_MEANT = {
    r"found character '\\t'": "a tab; indent with spaces",
    r"found character '([`@%])'": "a text that begins with \\1 stands in quotes",
    "mapping values are not allowed": "a key out of line, or `: ` within a text, which stands in quotes then",
    "block end>, but found '<block (mapping|sequence) start>'": "more indented than the lines before",
    "block end>, but found '-'": "a list's item that is less indented than the items before",
    "block end>, but found '<scalar>'": "a text goes on behind its closing quote, which takes quotes of the "
    "other kind around the whole, or a quote before it was never closed",
    "expected ',' or '[}\\]]'": "a comma or a closing bracket is missing, or a text in brackets takes quotes",
    "expected ' ', but found": "a text that begins with ! stands in quotes",
    "expected alphabetic or numeric": "a text that begins with * or & stands in quotes",
    "undefined alias '(.*)'": "no anchor `&\\1` stands before it; a text that begins with * stands in quotes",
    "constructor for the tag '(!.*)'": "`\\1` is taken for a tag of YAML's; put quotes around the whole",
    "unexpected end of stream": "a quote that is never closed",
}
"""What is no doubt meant by PyYAML's own words."""


def _told(problem: str | None) -> str:
    found = ((meant, re.search(pattern, problem or "")) for pattern, meant in _MEANT.items())
    return next((match.expand(meant) for meant, match in found if match), problem or "")


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark, value) for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    return None


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """The values in a node, an alias as often as it stands. Raises ValueError for one within itself."""
    if id(node) in known:
        if known[id(node)] == 0:
            raise ValueError("an alias stands within what it names")
        return known[id(node)]
    known[id(node)] = 0
    inner = node.value if isinstance(node, yaml.CollectionNode) else []
    pairs = [each for pair in inner for each in pair] if isinstance(node, yaml.MappingNode) else inner
    known[id(node)] = 1 + sum(_size(each, known) for each in pairs)
    return known[id(node)]


def _at(name: str, mark: yaml.Mark | None) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name


def merge_patch(base: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON documents
    """`patch` laid over `base`: members are merged, null takes one away (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(base) if isinstance(base, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
