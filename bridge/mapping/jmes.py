"""JMESPath, compiled: closures are made of an expression's syntax tree.

https://jmespath.org/specification.html. The values are those of the library's own interpreter, which
takes several times as long and knows no bounds, but for what that one fails at: a text and a number are
in no order, which gives null; and `merge` takes objects only.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, cast

from bridge.mapping.bounds import Work, same
from bridge.mapping.functions import FUNCTIONS, PREDICATES, Argument, Compiled, Node
from bridge.mapping.syntax import MAX_DEPTH, is_scalar, nodes, steps_of

_CALL = 8
_LONG = 512
"""More characters than a literal has: comparing with one spends nothing."""
_NUMBERS = frozenset({int, float})


def is_true(value: object) -> bool:
    """JMESPath's own rule: neither false, null nor empty; a number always is."""
    return bool(value) or type(value) in _NUMBERS


# --- values --------------------------------------------------------------------------------


def compiled(node: Node, depth: int = 0) -> Compiled:
    """The node as a function of a value. Raises ValueError where it can never be evaluated."""
    if depth > MAX_DEPTH:
        raise ValueError("the expression is nested too deeply")
    return _COMPILERS[node["type"]](node, depth + 1)


def _chain(node: Node, depth: int) -> Compiled:
    steps = steps_of(node)
    runs: list[Compiled] = []
    names: list[str] = []
    for step in steps:
        if step["type"] == "field":
            names.append(step["value"])
            continue
        if names:
            runs.append(_path(tuple(names)))
            names = []
        runs.append(compiled(step, depth))
    if names:
        runs.append(_path(tuple(names)))
    return _composed(runs)


def _composed(runs: list[Compiled]) -> Compiled:
    match runs:
        case []:
            return lambda value, _work: value
        case [run]:
            return run
        case [first, second]:
            return lambda value, work: second(first(value, work), work)

    def chain(value: Any, work: Work) -> Any:  # noqa: ANN401
        for run in runs:
            value = run(value, work)
        return value

    return chain


def _path(names: tuple[str, ...]) -> Compiled:
    """`a.b.c`; most expressions are one, and of two names."""
    if len(names) == 1:
        (only,) = names
        return lambda value, _work: value.get(only) if isinstance(value, dict) else None
    if len(names) == 2:  # noqa: PLR2004 - a loop takes twice as long
        first, second = names

        def two(value: Any, _work: Work) -> Any:  # noqa: ANN401
            if isinstance(value, dict):
                value = value.get(first)
                if isinstance(value, dict):
                    return value.get(second)
            return None

        return two

    def path(value: Any, _work: Work) -> Any:  # noqa: ANN401
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return path


def _index(node: Node, _depth: int) -> Compiled:
    place = node["value"]

    def index(value: Any, _work: Work) -> Any:  # noqa: ANN401
        if isinstance(value, list) and -len(value) <= place < len(value):
            return value[place]
        return None

    return index


def _slice(node: Node, _depth: int) -> Compiled:
    start, stop, step = cast("list[Any]", node["children"])
    if step == 0:
        raise ValueError("the step of a slice is not 0")
    part = slice(start, stop, step)

    def sliced(value: Any, work: Work) -> Any:  # noqa: ANN401
        if not isinstance(value, list):
            return None
        work.spend(len(value))
        return value[part]

    return sliced


def _literal(node: Node, _depth: int) -> Compiled:
    literal = node["value"]
    return lambda _value, _work: literal


def _or(node: Node, depth: int) -> Compiled:
    *firsts, last = (compiled(each, depth) for each in node["children"])
    if len(firsts) == 1:
        (first,) = firsts

        def either(value: Any, work: Work) -> Any:  # noqa: ANN401
            found = first(value, work)
            return found if found or type(found) in _NUMBERS else last(value, work)

        return either

    def any_of(value: Any, work: Work) -> Any:  # noqa: ANN401
        for each in firsts:
            found = each(value, work)
            if found or type(found) in _NUMBERS:
                return found
        return last(value, work)

    return any_of


def _and(node: Node, depth: int) -> Compiled:
    *firsts, last = (compiled(each, depth) for each in node["children"])
    if len(firsts) == 1:
        (first,) = firsts

        def both(value: Any, work: Work) -> Any:  # noqa: ANN401
            found = first(value, work)
            return last(value, work) if found or type(found) in _NUMBERS else found

        return both

    def all_of(value: Any, work: Work) -> Any:  # noqa: ANN401
        for each in firsts:
            found = each(value, work)
            if not found and type(found) not in _NUMBERS:
                return found
        return last(value, work)

    return all_of


def _not(node: Node, depth: int) -> Compiled:
    test = condition(node["children"][0], depth)
    return lambda value, work: not test(value, work)


def _multi_select_list(node: Node, depth: int) -> Compiled:
    runs = [compiled(each, depth) for each in node["children"]]
    match runs:
        case [only]:
            return lambda value, work: None if value is None else [only(value, work)]
        case [one, other]:
            return lambda value, work: None if value is None else [one(value, work), other(value, work)]
    return lambda value, work: None if value is None else [run(value, work) for run in runs]


def _multi_select_dict(node: Node, depth: int) -> Compiled:
    runs = [(each["value"], compiled(each["children"][0], depth)) for each in node["children"]]
    return lambda value, work: None if value is None else {name: run(value, work) for name, run in runs}


def _flatten(node: Node, depth: int) -> Compiled:
    base = compiled(node["children"][0], depth)

    def flatten(value: Any, work: Work) -> Any:  # noqa: ANN401
        found = base(value, work)
        if not isinstance(found, list):
            return None
        work.left -= len(found)
        for each in found:
            if isinstance(each, list):
                break
        else:
            # Mostly there is nothing to flatten, and nobody changes a list that was given out.
            return found
        flat: list[Any] = []
        for each in found:
            if isinstance(each, list):
                work.spend(len(each))
                flat += each
            else:
                flat.append(each)
        return flat

    return flatten


def _projection(node: Node, depth: int) -> Compiled:
    left, right = node["children"]
    base = compiled(left, depth)
    elements = _projected(right, depth)

    def project(value: Any, work: Work) -> Any:  # noqa: ANN401
        found = base(value, work)
        return elements(found, work) if isinstance(found, list) else None

    return project


def _value_projection(node: Node, depth: int) -> Compiled:
    left, right = node["children"]
    base = compiled(left, depth)
    elements = _projected(right, depth)

    def project_values(value: Any, work: Work) -> Any:  # noqa: ANN401
        found = base(value, work)
        return elements(list(found.values()), work) if isinstance(found, dict) else None

    return project_values


def _projected(node: Node, depth: int) -> Compiled:
    """What a projection is of a list: what `node` is of each element, nulls left out."""
    cost = 1 + _size(node)
    if node["type"] == "identity":

        def unchanged(found: list[Any], work: Work) -> list[Any]:
            work.spend(len(found))
            return [each for each in found if each is not None]

        return unchanged
    if node["type"] == "field":
        name = node["value"]

        def field(found: list[Any], work: Work) -> list[Any]:
            work.spend(len(found) * cost)
            return [told for each in found if isinstance(each, dict) and (told := each.get(name)) is not None]

        return field
    run = compiled(node, depth)

    def projected(found: list[Any], work: Work) -> list[Any]:
        work.spend(len(found) * cost)
        return [told for each in found if (told := run(each, work)) is not None]

    return projected


def _filter(node: Node, depth: int) -> Compiled:
    left, right, when = node["children"]
    base = compiled(left, depth)
    test = condition(when, depth)
    cost = 1 + _size(when) + _size(right)
    run = None if right["type"] == "identity" else compiled(right, depth)

    def select(value: Any, work: Work) -> Any:  # noqa: ANN401
        found = base(value, work)
        if not isinstance(found, list):
            return None
        work.spend(len(found) * cost)
        if run is None:
            return [each for each in found if test(each, work) and each is not None]
        return [told for each in found if test(each, work) and (told := run(each, work)) is not None]

    return select


def _function(node: Node, depth: int) -> Compiled:
    arguments = []
    for each in node["children"]:
        inner = each["children"][0] if each["type"] == "expref" else each
        arguments.append(Argument(compiled(inner, depth), inner, _size(inner)))
    return FUNCTIONS[node["value"]].bind(arguments)


def _size(node: Node) -> int:
    """About how many steps a node takes, of which a call of the library's functions is some."""
    return sum(_CALL if each["type"] == "function_expression" else 1 for each in nodes(node))


# --- comparisons ---------------------------------------------------------------------------


def _comparator(node: Node, depth: int) -> Compiled:
    left, right = node["children"]
    if node["value"] not in {"eq", "ne"}:
        return _order(_ORDERS[node["value"]], compiled(left, depth), compiled(right, depth))
    if is_scalar(right):
        equals = _equals_literal(compiled(left, depth), right["value"], negated=node["value"] == "ne")
    elif is_scalar(left):
        equals = _equals_literal(compiled(right, depth), left["value"], negated=node["value"] == "ne")
    else:
        equals = _equals(compiled(left, depth), compiled(right, depth), negated=node["value"] == "ne")
    return equals


def _equals_literal(run: Compiled, literal: Any, *, negated: bool) -> Compiled:  # noqa: ANN401
    if literal is None or isinstance(literal, bool):
        if negated:
            return lambda value, work: run(value, work) is not literal
        return lambda value, work: run(value, work) is literal
    if isinstance(literal, str):
        if negated:
            return lambda value, work: run(value, work) != literal
        return lambda value, work: run(value, work) == literal

    def equals_number(value: Any, work: Work) -> bool:  # noqa: ANN401
        found = run(value, work)
        return (found == literal and not isinstance(found, bool)) is not negated

    return equals_number


def _equals(left: Compiled, right: Compiled, *, negated: bool) -> Compiled:
    def equals(value: Any, work: Work) -> bool:  # noqa: ANN401
        one, other = left(value, work), right(value, work)
        if isinstance(one, bool) or isinstance(other, bool):
            return (one is other) is not negated
        if one is other:
            # NaN is the only value that does not equal itself.
            return bool(one == other) is not negated if isinstance(one, float) else not negated
        return same(one, other, work) is not negated

    return equals


_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
}


def _order(compare: Callable[[Any, Any], bool], left: Compiled, right: Compiled) -> Compiled:
    def ordered(value: Any, work: Work) -> bool | None:  # noqa: ANN401
        one, other = left(value, work), right(value, work)
        if type(one) in _NUMBERS and type(other) in _NUMBERS:
            return compare(one, other)
        if isinstance(one, str) and isinstance(other, str):
            if len(one) > _LONG and len(other) > _LONG:
                work.read(min(len(one), len(other)))
            return compare(one, other)
        return None

    return ordered


# --- conditions ----------------------------------------------------------------------------


def condition(node: Node, depth: int = 0) -> Compiled:
    """The node as a condition: true or not, in Python's sense. Raises ValueError as `compiled` does."""
    match node["type"]:
        case "or_expression" | "and_expression":
            if depth > MAX_DEPTH:
                raise ValueError("the expression is nested too deeply")
            tests = [condition(each, depth + 1) for each in node["children"]]
            return _either(tests) if node["type"] == "or_expression" else _both(tests)
        case "not_expression" | "comparator":
            return compiled(node, depth)
        case "function_expression" if node["value"] in PREDICATES:
            return compiled(node, depth)
        case "field":
            name = node["value"]

            def has(value: Any, _work: Work) -> bool:  # noqa: ANN401
                found = value.get(name) if isinstance(value, dict) else None
                return bool(found) or type(found) in _NUMBERS

            return has
    run = compiled(node, depth)

    def holds(value: Any, work: Work) -> bool:  # noqa: ANN401
        found = run(value, work)
        return bool(found) or type(found) in _NUMBERS

    return holds


def _either(tests: list[Compiled]) -> Compiled:
    if len(tests) == 2:  # noqa: PLR2004 - most are
        one, other = tests
        return lambda value, work: one(value, work) or other(value, work)

    def any_holds(value: Any, work: Work) -> bool:  # noqa: ANN401
        for test in tests:  # noqa: SIM110 - a generator takes twice as long
            if test(value, work):
                return True
        return False

    return any_holds


def _both(tests: list[Compiled]) -> Compiled:
    if len(tests) == 2:  # noqa: PLR2004 - most are
        one, other = tests
        return lambda value, work: one(value, work) and other(value, work)

    def all_hold(value: Any, work: Work) -> bool:  # noqa: ANN401
        for test in tests:  # noqa: SIM110 - a generator takes twice as long
            if not test(value, work):
                return False
        return True

    return all_hold


_COMPILERS: dict[str, Callable[[Node, int], Compiled]] = {
    "and_expression": _and,
    "comparator": _comparator,
    "current": _chain,
    "field": _chain,
    "filter_projection": _filter,
    "flatten": _flatten,
    "function_expression": _function,
    "identity": _chain,
    "index": _index,
    "index_expression": _chain,
    "literal": _literal,
    "multi_select_dict": _multi_select_dict,
    "multi_select_list": _multi_select_list,
    "not_expression": _not,
    "or_expression": _or,
    "pipe": _chain,
    "projection": _projection,
    "slice": _slice,
    "subexpression": _chain,
    "value_projection": _value_projection,
}
