"""Where a configuration value comes from: a YAML file, the environment over it, flags over both.

Pure: texts go in. Every scalar of the YAML stays text, and the settings' types say what it
becomes: so `NO` may be a project, `0123` a password, and a variable means what a file means.
No message repeats a value, since any value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, NamedTuple

import yaml

PREFIX = "BRIDGE_"
"""Environment variables that begin so are configuration; `__` stands between two levels."""

Key = tuple[str | int, ...]


class Given(NamedTuple):
    """A value as it was given, and where: a mapping or a list of `Given`, or a plain value."""

    value: Any
    place: str


NOTHING = Given({}, "")


class Problem(NamedTuple):
    """One thing that is wrong: where it was read, its key, what is wrong and what is expected."""

    place: str
    key: Key
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, dotted(self.key), self.text) if part)


def dotted(key: Key) -> str:
    """The key as people write it."""
    return ".".join(map(str, key))


def over(low: Given, high: Given) -> Given:
    """`high` laid over `low`, key by key; a list is replaced as a whole."""
    if not (isinstance(low.value, dict) and isinstance(high.value, dict)):
        return high
    both = {key: over(low.value[key], value) for key, value in high.value.items() if key in low.value}
    return Given({**low.value, **high.value, **both}, low.place or high.place)


def plain(given: Given) -> Any:  # noqa: ANN401 - configuration is any plain data until it is validated
    """The value without the places."""
    match given.value:
        case dict(entries):
            return {key: plain(value) for key, value in entries.items()}
        case list(items):
            return [plain(item) for item in items]
        case value:
            return value


def place(given: Given, key: Key) -> str:
    """Where `key` was given, or the nearest key above it."""
    found = given.place or "configuration"
    for step in key:
        try:
            given = given.value[step]
        except (KeyError, IndexError, TypeError):
            break
        found = given.place or found
    return found


def from_environment(environ: Mapping[str, str], problems: list[Problem]) -> Given:
    """The configuration among the environment's variables.

    A value that begins with `[` or `{` is a YAML list or mapping; an empty one says nothing.
    """
    layer = NOTHING
    for name in sorted(name for name in environ if name.startswith(PREFIX) and environ[name]):
        given = Given(environ[name], name)
        if given.value.startswith(("[", "{")):
            given = _Document(given.value, name, problems, lines=False).read()
        layer = over(layer, _nested(name.removeprefix(PREFIX).lower().split("__"), given))
    return layer


def from_flags(overrides: Mapping[str, object]) -> Given:
    """The configuration among the flags, by their dotted keys; None says nothing."""
    given = (
        _nested(name.split("."), _given(value, "flag"))
        for name, value in overrides.items()
        if value is not None
    )
    return reduce(over, given, NOTHING)


def from_yaml(text: str, file: str, problems: list[Problem]) -> Given:
    """The configuration in the YAML `text`; `file` is the name that messages show."""
    given = _Document(text, file, problems, lines=True).read()
    if isinstance(given.value, dict):
        return given
    problems.append(Problem(given.place, (), "is not a mapping; expected `key: value` lines"))
    return NOTHING


def _given(value: object, place: str) -> Given:
    if isinstance(value, Mapping):
        return Given({key: _given(inner, place) for key, inner in value.items()}, place)
    return Given([_given(item, place) for item in value] if isinstance(value, list) else value, place)


def _nested(steps: list[str], given: Given) -> Given:
    return reduce(lambda inner, step: Given({step: inner}, ""), reversed(steps), given)


class _Loader(yaml.BaseLoader):
    """YAML without anchors and aliases: `*secret` is most likely a text that lacks its quotes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose what comes next; raises MarkedYAMLError for an anchor or an alias."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="begins with & or *", problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_QUOTES = "expected spaces to indent, and quotes around a text with signs"


class _Document:
    """Reads one YAML text; what is wrong with it goes to `problems`."""

    def __init__(self, text: str, name: str, problems: list[Problem], *, lines: bool) -> None:
        self._text, self._name, self._problems, self._lines = text, name, problems, lines

    def read(self) -> Given:
        """The whole text's value; an empty mapping where there is none."""
        try:
            node = yaml.compose(self._text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            # PyYAML puts parts of the text into its messages, in quotes: they end where one begins.
            reason = re.split(r"['\"]", error.problem or "")[0].strip()
            self._problem(error.problem_mark, (), f"cannot be read as YAML ({reason}); {_QUOTES}")
        except yaml.YAMLError:
            self._problem(None, (), "cannot be read as YAML; expected printable text")
        else:
            if node is not None:
                return self._given(node, (), node.start_mark)
        return Given({}, self._place(None))

    def _given(self, node: yaml.Node, key: Key, mark: yaml.Mark) -> Given:
        if not node.tag.startswith("tag:yaml.org,"):
            self._problem(mark, key, f"begins with !; {_QUOTES}")
        if isinstance(node, yaml.MappingNode):
            return Given(dict(self._entries(node, key)), self._place(mark))
        if isinstance(node, yaml.SequenceNode):
            items = [self._given(item, (*key, i), item.start_mark) for i, item in enumerate(node.value)]
            return Given(items, self._place(mark))
        return Given(node.value, self._place(mark))

    def _entries(self, node: yaml.MappingNode, key: Key) -> Iterator[tuple[str, Given]]:
        met = set()
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._problem(name.start_mark, key, "has a key that is no text; expected `key: value`")
            elif name.value in met:
                self._problem(name.start_mark, (*key, name.value), "is given twice; expected once")
            elif not _says_nothing(value):
                yield name.value, self._given(value, (*key, name.value), name.start_mark)
            met.add(name.value if isinstance(name, yaml.ScalarNode) else None)

    def _place(self, mark: yaml.Mark | None) -> str:
        return f"{self._name}:{mark.line + 1 if mark else 1}" if self._lines else self._name

    def _problem(self, mark: yaml.Mark | None, key: Key, text: str) -> None:
        self._problems.append(Problem(self._place(mark), key, text))


def _says_nothing(node: yaml.Node) -> bool:
    """Whether the value is left out or null: the default holds then."""
    plain_scalar = isinstance(node, yaml.ScalarNode) and node.style is None
    return plain_scalar and node.value in {"", "~", "null"} and node.tag.startswith("tag:yaml.org,")
