"""The functions of expressions: JMESPath's own with their work counted, and what it lacks for texts.

https://jmespath.org/specification.html#builtin-functions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

import re2
from jmespath import functions
from jmespath.exceptions import JMESPathTypeError

from bridge.errors import BadBody
from bridge.mapping.bounds import MAX_TEXT, TooMuch, Work, fit, measure, same
from bridge.times import parse_time

MAX_PATTERN = 200
"""Characters of a pattern."""

_MAX_PATTERN_MEMORY = 1 << 18
_SHORT_SHA = 7

Compiled = Callable[[Any, Work], Any]
"""An expression as a function of a value, which counts its work."""

Node = dict[str, Any]
"""A node of the library's syntax tree: `type`, `children`, and `value` where it has one."""


class Argument(NamedTuple):
    """An argument of a call: compiled, as it was written, and the steps that it takes."""

    run: Compiled
    node: Node
    steps: int


Bind = Callable[[Sequence[Argument]], Compiled]


class Function(NamedTuple):
    """How a function is called. `bind` makes the call; it raises ValueError for what it cannot take."""

    bind: Bind
    least: int
    most: int | None
    reference: int | None = None
    """Which argument is a reference, as in `sort_by(commits, &timestamp)`."""

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        many = "argument" if self.least == 1 else "arguments"
        return f"{self.least} {many}" if self.most else f"at least {self.least} {many}"


def written(value: object) -> str:
    """A value as a text: null is an empty one, a number is written plainly. Raises BadBody for others."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value).lower()
    raise BadBody(f"{'an array' if isinstance(value, list) else 'an object'} is not a text")


# --- JMESPath's own ------------------------------------------------------------------------


class _Expression:
    """A reference while its function runs; the library knows references by the name of their type."""

    expression = None

    def __init__(self, argument: Argument, work: Work) -> None:
        self._run, _, self._steps = argument
        self._work = work

    def visit(self, _node: None, value: object) -> object:
        """What the reference is of a value."""
        self._work.spend(1 + self._steps)
        found = self._run(value, self._work)
        if isinstance(found, str):
            # It may become a key, which is compared several times.
            self._work.read(len(found), 16)
        return found


_LIBRARY = functions.Functions()
_REFERENCES = {"map": 0, "sort_by": 1, "min_by": 1, "max_by": 1}


def _called(name: str, given: list[Any]) -> Any:  # noqa: ANN401 - JSON
    """Call a function of the library. Raises BadBody without the value that it could not take."""
    try:
        return _LIBRARY.call_function(name, given)
    except JMESPathTypeError as error:
        # The library's own text holds the value.
        raise _mistaken(name, error.expected_types, error.actual_type) from None
    except TypeError:
        raise BadBody(f"{name}() takes values that are all numbers or all texts, not both") from None


def _mistaken(name: str, expected: Sequence[str], was: str) -> BadBody:
    """For a function that was given what it does not take, by the name of its type in Python."""
    taken = " or ".join(each.replace("-", " of ") for each in expected)
    return BadBody(f"{name}() takes {taken}, not {functions.TYPES_MAP.get(was, was)}")


def _counted(name: str, charge: Callable[[list[Any], Work], None]) -> Bind:
    reference = _REFERENCES.get(name)

    def bind(arguments: Sequence[Argument]) -> Compiled:
        if reference is not None:

            def refer(value: Any, work: Work) -> Any:  # noqa: ANN401
                given = [
                    _Expression(each, work) if place == reference else each.run(value, work)
                    for place, each in enumerate(arguments)
                ]
                charge(given, work)
                return _called(name, given)

            return refer

        runs = [each.run for each in arguments]

        def call(value: Any, work: Work) -> Any:  # noqa: ANN401
            given = [run(value, work) for run in runs]
            charge(given, work)
            return _called(name, given)

        return call

    return bind


def _read_once(given: list[Any], work: Work) -> None:
    for each in given:
        if isinstance(each, str):
            work.read(len(each))
        elif isinstance(each, list | dict):
            work.spend(len(each))


def _ordered(given: list[Any], work: Work) -> None:
    for each in given:
        if isinstance(each, list):
            rounds = len(each).bit_length()
            work.spend(len(each) * rounds)
            work.read(sum(len(text) for text in each if isinstance(text, str)), rounds)


def _joined(given: list[Any], work: Work) -> None:
    between, pieces = given
    if isinstance(between, str) and isinstance(pieces, list):
        work.spend(len(pieces))
        length = sum(len(piece) for piece in pieces if isinstance(piece, str))
        if length + len(between) * len(pieces) > MAX_TEXT:
            raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
        work.read(length)


def _merged(given: list[Any], work: Work) -> None:
    for each in given:
        # The library looks at the first alone, and takes a list of pairs for an object.
        if not isinstance(each, dict):
            raise _mistaken("merge", ["object"], type(each).__name__)
        work.spend(len(each))


def _contains(arguments: Sequence[Argument]) -> Compiled:
    (subject, _, _), (search, _, _) = arguments

    def contains(value: Any, work: Work) -> bool:  # noqa: ANN401
        holder, sought = subject(value, work), search(value, work)
        if isinstance(holder, str):
            if not isinstance(sought, str):
                raise BadBody("contains() looks for a text in a text, not for another type")
            work.read(len(holder) + len(sought))
            return sought in holder
        if isinstance(holder, list):
            work.spend(len(holder))
            if isinstance(sought, str):
                work.read(len(holder) * len(sought))
                return sought in holder
            return any(same(sought, each, work) for each in holder)
        return bool(_called("contains", [holder, sought]))

    return contains


def _to_string(arguments: Sequence[Argument]) -> Compiled:
    run = arguments[0].run

    def to_string(value: Any, work: Work) -> str:  # noqa: ANN401
        found = run(value, work)
        if isinstance(found, str):
            return found
        if measure(found, work) > MAX_TEXT:
            raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
        # As JSON it may still be longer: `ä` is then written as six characters.
        return fit(_called("to_string", [found]))

    return to_string


def _map(arguments: Sequence[Argument]) -> Compiled:
    (run, _, steps), (array, _, _) = arguments

    def mapped(value: Any, work: Work) -> list[Any]:  # noqa: ANN401
        found = array(value, work)
        if not isinstance(found, list):
            raise _mistaken("map", ["array"], type(found).__name__)
        work.spend(len(found) * (1 + steps))
        return [run(each, work) for each in found]

    return mapped


def _sort_by(arguments: Sequence[Argument]) -> Compiled:
    (array, _, _), (run, _, steps) = arguments

    def sort_by(value: Any, work: Work) -> list[Any]:  # noqa: ANN401
        found = array(value, work)
        if not isinstance(found, list):
            raise _mistaken("sort_by", ["array"], type(found).__name__)
        work.spend(len(found) * (steps + len(found).bit_length()))
        keys = [run(each, work) for each in found]
        kinds = set(map(type, keys))
        if kinds == {str}:
            work.read(sum(map(len, keys)), len(found).bit_length())
        elif not kinds <= {int, float}:
            told = ", ".join(sorted({functions.TYPES_MAP[kind.__name__] for kind in kinds}))
            raise BadBody(f"sort_by() takes keys that are all numbers or all texts, not {told}")
        return [found[place] for place in sorted(range(len(found)), key=keys.__getitem__)]

    return sort_by


_CHARGES: dict[str, Callable[[list[Any], Work], None]] = {
    "join": _joined,
    "max": _ordered,
    "merge": _merged,
    "max_by": _ordered,
    "min": _ordered,
    "min_by": _ordered,
    "sort": _ordered,
    "sort_by": _ordered,
}


def _library() -> dict[str, Function]:
    made = {}
    for name, entry in functions.Functions.FUNCTION_TABLE.items():
        least = len(entry["signature"])
        most = None if entry["signature"][-1].get("variadic") else least
        bind = _counted(name, _CHARGES.get(name, _read_once))
        made[name] = Function(bind, least, most, _REFERENCES.get(name))
    own = {"contains": _contains, "map": _map, "sort_by": _sort_by, "to_string": _to_string}
    return made | {name: made[name]._replace(bind=bind) for name, bind in own.items()}


# --- those for texts -----------------------------------------------------------------------


def _of_text(function: Callable[[str], str], slowness: int = 1) -> Function:
    def bind(arguments: Sequence[Argument]) -> Compiled:
        run = arguments[0].run

        def call(value: Any, work: Work) -> str:  # noqa: ANN401
            text = run(value, work)
            if not isinstance(text, str):
                text = written(text)
            work.read(len(text), slowness)
            return fit(function(text))

        return call

    return Function(bind, 1, 1)


def _first_line(text: str) -> str:
    text = text.lstrip()
    end = text.find("\n")
    return (text if end < 0 else text[:end]).rstrip()


def _quoted(text: str) -> str:
    return quote(text, safe="/", errors="replace")


def _replace(arguments: Sequence[Argument]) -> Compiled:
    runs = [each.run for each in arguments]

    def replace(value: Any, work: Work) -> str:  # noqa: ANN401
        text, old, new = (written(run(value, work)) for run in runs)
        work.read(len(text) + len(old), 4)
        # Nothing is found nowhere; Python finds it between all characters.
        count = text.count(old) if old else 0
        if len(text) + count * (len(new) - len(old)) > MAX_TEXT:
            raise TooMuch(f"makes a text of more than {MAX_TEXT} characters")
        return text.replace(old, new) if count else text

    return replace


def _default(arguments: Sequence[Argument]) -> Compiled:
    first, fallback = (each.run for each in arguments)

    def default(value: Any, work: Work) -> Any:  # noqa: ANN401
        found = first(value, work)
        return fallback(value, work) if found is None or found == "" else found

    return default


def _time(arguments: Sequence[Argument]) -> Compiled:
    run = arguments[0].run

    def time(value: Any, work: Work) -> str | None:  # noqa: ANN401
        told = run(value, work)
        work.read(len(told) if isinstance(told, str) else 0)
        moment = parse_time(told)
        # All of one length: texts are then in the order of their moments.
        return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z" if moment else None

    return time


def _searched(name: str, told: Callable[[Any], Any]) -> Function:
    def bind(arguments: Sequence[Argument]) -> Compiled:
        run = arguments[0].run
        pattern = _pattern(name, arguments[1].node)
        search, size = pattern.search, pattern.programsize

        def call(value: Any, work: Work) -> Any:  # noqa: ANN401
            text = run(value, work)
            if not isinstance(text, str):
                text = written(text)
            # At worst, each character is held against each instruction of the pattern.
            work.read(len(text), 1 + size // 2)
            # Python's texts are encoded and their places counted, unless it is done here.
            return told(search(text.encode("utf-8", "replace")))

        return call

    return Function(bind, 2, 2)


def _pattern(name: str, node: Node) -> Any:  # noqa: ANN401 - re2 has no types
    if node["type"] != "literal" or not isinstance(node["value"], str):
        raise ValueError(f"the second argument of {name}() is a pattern in single quotes")
    if len(node["value"]) > MAX_PATTERN:
        raise ValueError(f"the pattern of {name}() has more than {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = _MAX_PATTERN_MEMORY
    options.log_errors = False
    try:
        return re2.compile(node["value"], options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if isinstance(error, re2.error) else "no Unicode"
        told = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise ValueError(f"the pattern of {name}() is none of RE2: {told}") from None


def _found(match: Any) -> str | None:  # noqa: ANN401 - re2 has no types
    if match is None:
        return None
    groups = match.groups()
    found: bytes | None = groups[0] if groups else match.group()
    return None if found is None else found.decode("utf-8", "replace")


FUNCTIONS: dict[str, Function] = {
    **_library(),
    "first_line": _of_text(_first_line),
    "short_sha": _of_text(lambda text: text[:_SHORT_SHA]),
    "branch": _of_text(lambda text: text.removeprefix("refs/heads/")),
    "quote": _of_text(_quoted, 32),
    "lower": _of_text(str.lower),
    "upper": _of_text(str.upper),
    "replace": Function(_replace, 3, 3),
    "default": Function(_default, 2, 2),
    "time": Function(_time, 1, 1),
    "matches": _searched("matches", lambda match: match is not None),
    "extract": _searched("extract", _found),
}
"""All functions by name; those for texts take null for an empty text, and numbers as written."""

PREDICATES = frozenset({"contains", "ends_with", "matches", "starts_with"})
"""Those whose value is true or false."""
