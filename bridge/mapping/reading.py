"""What can be said of an expression without a document, and why it is what it is of one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from math import prod
from typing import Any, NamedTuple

from bridge.mapping.functions import FUNCTIONS, Node
from bridge.mapping.jmes import is_true
from bridge.mapping.syntax import CHAINS, nodes, steps_of

_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_PROJECTIONS = frozenset({"projection", "value_projection", "filter_projection"})
_SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}

# --- as text -------------------------------------------------------------------------------

_BINDING = {"pipe": 1, "or_expression": 2, "and_expression": 3, "comparator": 5, "not_expression": 45}
_POSTFIX = 40
_ATOM = 99


def text_of(node: Node) -> str:
    """The expression of a node, in the plainest spelling."""
    return _WRITERS[node["type"]](node)


def _within(node: Node, binding: int) -> str:
    """A node as part of what binds so closely."""
    text = text_of(node)
    return text if _BINDING.get(node["type"], _ATOM) >= binding else f"({text})"


def _operands(sign: str, binding: int) -> Callable[[Node], str]:
    def write(node: Node) -> str:
        return f" {sign} ".join(_within(each, binding + 1) for each in node["children"])

    return write


def _write_comparator(node: Node) -> str:
    left, right = (_within(each, _BINDING["comparator"] + 1) for each in node["children"])
    return f"{left} {_SIGNS[node['value']]} {right}"


def _write_not(node: Node) -> str:
    (inner,) = node["children"]
    simple = inner["type"] in {"field", "current", "literal", "function_expression", "not_expression"}
    return f"!{text_of(inner)}" if simple else f"!({text_of(inner)})"


def _write_name(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)


def _write_literal(node: Node) -> str:
    value = node["value"]
    if isinstance(value, str) and "\\" not in value:
        return "'" + value.replace("'", "\\'") + "'"
    return "`" + json.dumps(value).replace("`", "\\`") + "`"


def _left_of(node: Node) -> str:
    """What a step is of: the end of a projection is closed, as its steps would be of the elements."""
    if node["type"] == "identity":
        return ""
    text = _within(node, _POSTFIX)
    is_open = node["type"] in _PROJECTIONS or node["type"] == "not_expression"
    return f"({text})" if is_open else text


def _then(left: str, right: Node) -> str:
    """`left` with a step behind it."""
    if right["type"] == "identity":
        return left
    text = _within(right, _POSTFIX)
    bare = text.startswith("[") and not _leads_with_list(right)
    return left + text if bare or not left else f"{left}.{text}"


def _leads_with_list(node: Node) -> bool:
    while node["type"] in CHAINS | _PROJECTIONS | {"flatten"} and node["children"]:
        node = node["children"][0]
    return bool(node["type"] == "multi_select_list")


def _write_steps(node: Node) -> str:
    first, *others = node["children"]
    text = _left_of(first)
    for each in others:
        text = _then(text, each)
    return text


def _write_pipe(node: Node) -> str:
    return " | ".join(_within(each, _BINDING["pipe"] + 1) for each in node["children"])


def _write_projection(node: Node) -> str:
    left, right = node["children"]
    if left["type"] == "flatten" or (left["type"] in CHAINS and left["children"][-1]["type"] == "slice"):
        return _then(text_of(left), right)
    return _then(f"{_left_of(left)}[*]", right)


def _write_value_projection(node: Node) -> str:
    left, right = node["children"]
    return _then(f"{_left_of(left)}.*" if left["type"] != "identity" else "*", right)


def _write_filter(node: Node) -> str:
    left, right, when = node["children"]
    return _then(f"{_left_of(left)}[?{text_of(when)}]", right)


def _write_flatten(node: Node) -> str:
    (left,) = node["children"]
    # Flattening ends a projection by itself.
    return f"{text_of(left) if left['type'] in _PROJECTIONS else _left_of(left)}[]"


def _write_slice(node: Node) -> str:
    return "[" + ":".join("" if each is None else str(each) for each in node["children"]) + "]"


def _write_pairs(node: Node) -> str:
    pairs = (f"{_write_name(each['value'])}: {text_of(each['children'][0])}" for each in node["children"])
    return "{" + ", ".join(pairs) + "}"


_WRITERS: dict[str, Callable[[Node], str]] = {
    "and_expression": _operands("&&", _BINDING["and_expression"]),
    "comparator": _write_comparator,
    "current": lambda _node: "@",
    "expref": lambda node: f"&{text_of(node['children'][0])}",
    "field": lambda node: _write_name(node["value"]),
    "filter_projection": _write_filter,
    "flatten": _write_flatten,
    "function_expression": lambda node: f"{node['value']}({', '.join(map(text_of, node['children']))})",
    "identity": lambda _node: "@",
    "index": lambda node: f"[{node['value']}]",
    "index_expression": _write_steps,
    "literal": _write_literal,
    "multi_select_dict": _write_pairs,
    "multi_select_list": lambda node: "[" + ", ".join(map(text_of, node["children"])) + "]",
    "not_expression": _write_not,
    "or_expression": _operands("||", _BINDING["or_expression"]),
    "pipe": _write_pipe,
    "projection": _write_projection,
    "slice": _write_slice,
    "subexpression": _write_steps,
    "value_projection": _write_value_projection,
}


# --- bounds --------------------------------------------------------------------------------


_SKETCHED = 20


def copies(node: Node) -> int:
    """How often one value may at most stand in what the node makes of it."""
    below = [copies(each) for each in node["children"]] if node["type"] != "slice" else []
    match node["type"]:
        case "multi_select_list" | "multi_select_dict" | "function_expression":
            return sum(below) or 1
        case "or_expression" | "and_expression":
            return max(below)
        case "comparator" | "not_expression":
            return 1
    return prod(below)


def probes(node: Node) -> Iterator[object]:
    """Small documents that show what an expression does however little it is given."""
    seen = _Seen()
    seen.used |= _reach(node, frozenset({()}), seen)
    yield None
    yield {}
    yield _sketch(seen, (), "x")
    yield _sketch(seen, (), {})


def _sketch(seen: _Seen, path: tuple[str, ...], leaf: object) -> object:
    """A document that has all paths that are looked at, with two elements in each list."""
    names = {each[len(path)] for each in seen.used | seen.lists if each[: len(path)] == path != each}
    if len(path) > _SKETCHED:
        return leaf
    made = {name: _sketch(seen, (*path, name), leaf) for name in sorted(names)} or leaf
    return [made, made] if path in seen.lists else made


# --- fields --------------------------------------------------------------------------------

_Paths = frozenset[tuple[str, ...]]
_NOWHERE: _Paths = frozenset()
_MAX_PATHS = 200
_KEEPING = frozenset({"reverse", "sort", "to_array", "max", "min", "values", "sort_by", "max_by", "min_by"})


class _Seen:
    """Where an expression looks: the paths whose values it uses, and those that it takes for lists."""

    def __init__(self) -> None:
        self.used: set[tuple[str, ...]] = set()
        self.lists: set[tuple[str, ...]] = set()


def fields(node: Node) -> _Paths:
    """The paths in the document that the expression looks at, as far as they can be told."""
    seen = _Seen()
    return (_reach(node, frozenset({()}), seen) | seen.used) - {()}


def _reach(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    """Which paths the node's value may be at; those whose values are looked at are `seen`.

    Each step of `(a || b) | (a || b) | …` doubles them: of very many it is said that none can be told.
    """
    found = _REACHING.get(node["type"], _reach_parts)(node, here, seen)
    return found if len(found) <= _MAX_PATHS else _NOWHERE


def _reach_parts(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    for each in node["children"]:
        seen.used |= _reach(each, here, seen)
    return _NOWHERE


def _reach_field(node: Node, here: _Paths, _seen: _Seen) -> _Paths:
    return frozenset((*path, node["value"]) for path in here)


def _reach_element(_node: Node, here: _Paths, seen: _Seen) -> _Paths:
    seen.lists |= here
    return here


def _reach_steps(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    for each in node["children"]:
        here = _reach(each, here, seen)
    return here


def _reach_either(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    return frozenset(chain.from_iterable(_reach(each, here, seen) for each in node["children"]))


def _reach_both(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    *firsts, last = node["children"]
    for each in firsts:
        seen.used |= _reach(each, here, seen)
    return _reach(last, here, seen)


def _reach_elements(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    here = _reach(node["children"][0], here, seen)
    if node["type"] == "value_projection":
        # The names of what lies below are the document's own.
        seen.used |= here
        here = _NOWHERE
    seen.lists |= here
    if node["type"] == "flatten":
        return here
    if node["type"] == "filter_projection":
        seen.used |= _reach(node["children"][2], here, seen)
    return _reach(node["children"][1], here, seen)


def _reach_function(node: Node, here: _Paths, seen: _Seen) -> _Paths:
    name, children = node["value"], node["children"]
    place = FUNCTIONS[name].reference
    reached = [
        _NOWHERE if number == place else _reach(each, here, seen) for number, each in enumerate(children)
    ]
    if place is not None:
        seen.lists |= reached[1 - place]
        told = _reach(children[place]["children"][0], reached[1 - place], seen)
        if name == "map":
            return told
        seen.used |= told
    if name in {"not_null", "default"}:
        return frozenset(chain.from_iterable(reached))
    if name in _KEEPING:
        return reached[0]
    seen.used.update(*reached)
    return _NOWHERE


_REACHING: dict[str, Callable[[Node, _Paths, _Seen], _Paths]] = {
    "and_expression": _reach_both,
    "current": lambda _node, here, _seen: here,
    "field": _reach_field,
    "filter_projection": _reach_elements,
    "flatten": _reach_elements,
    "function_expression": _reach_function,
    "identity": lambda _node, here, _seen: here,
    "index": _reach_element,
    "index_expression": _reach_steps,
    "literal": lambda _node, _here, _seen: _NOWHERE,
    "or_expression": _reach_either,
    "pipe": _reach_steps,
    "projection": _reach_elements,
    "slice": _reach_element,
    "subexpression": _reach_steps,
    "value_projection": _reach_elements,
}


# --- outcomes ------------------------------------------------------------------------------


class _Outcomes(NamedTuple):
    """The texts of a value; whether it may be null, false or empty, or anything else."""

    texts: frozenset[str] = frozenset()
    empty: bool = True
    other: bool = True


def outcomes(node: Node) -> frozenset[str] | None:
    """The texts that an expression can give, null and the like aside; None where it may give others."""
    told = _outcomes(node)
    return None if told.other else told.texts


def _outcomes(node: Node) -> _Outcomes:
    told = _Outcomes()
    match node["type"]:
        case "literal":
            value = node["value"]
            texts = {value} - {""} if isinstance(value, str) else set()
            told = _Outcomes(frozenset(texts), empty=not is_true(value), other=is_true(value) and not texts)
        case "or_expression":
            told = _first_of(node["children"])
        case "and_expression":
            every = [_outcomes(each) for each in node["children"]]
            told = every[-1]._replace(empty=any(each.empty for each in every))
        case "pipe" | "subexpression":
            steps = steps_of(node)
            told = _outcomes(steps[-1]) if steps else told
        case "function_expression" if node["value"] in {"default", "not_null"}:
            told = _first_of(node["children"])
        case "function_expression" if node["value"] in _LETTERS:
            told = _outcomes(node["children"][0])
            told = told._replace(texts=frozenset(map(_LETTERS[node["value"]], told.texts)))
    return told


_LETTERS = {"lower": str.lower, "upper": str.upper}


def _first_of(operands: list[Node]) -> _Outcomes:
    texts: frozenset[str] = frozenset()
    other = False
    for each in map(_outcomes, operands):
        texts |= each.texts
        other = other or each.other
        if not each.empty:
            return _Outcomes(texts, empty=False, other=other)
    return _Outcomes(texts, empty=True, other=other)


def is_constant(node: Node) -> bool:
    """Whether the expression is the same of each document."""
    match node["type"]:
        case "literal" | "expref":
            return True
        case "pipe" | "subexpression" | "index_expression":
            first, *others = node["children"]
            # A step that tells nothing of what it is of makes all before it idle; but a list of null is null.
            return is_constant(first) or any(is_constant(each) and not _selects(each) for each in others)
        case "projection" | "value_projection" | "filter_projection":
            return is_constant(node["children"][0])
        case "field" | "current" | "identity" | "index" | "slice":
            return False
    return all(is_constant(each) for each in node["children"])


def _selects(node: Node) -> bool:
    return any(each["type"] in {"multi_select_list", "multi_select_dict"} for each in nodes(node))


# --- contradictions ------------------------------------------------------------------------


def contradictions(node: Node) -> Iterator[str]:
    """What can never hold, or always does, or is meant otherwise: a sentence each, without its period."""
    for each in nodes(node):
        match each["type"]:
            case "comparator":
                yield from _of_comparison(each)
            case "and_expression" | "or_expression":
                yield from _of_operands(each)
            case "filter_projection" if is_constant(each["children"][2]):
                yield f"the filter `{text_of(each['children'][2])}` is the same of every element"
            case "not_expression" if is_constant(each["children"][0]):
                yield f"`{text_of(each)}` is the same of every document"
            case "subexpression" | "index_expression" if each["children"][0]["type"] == "not_expression":
                (inner,) = each["children"][0]["children"]
                meant = {**each, "children": [inner, *each["children"][1:]]}
                yield f"`{text_of(each)}` is always null, as `!` binds first; write `!({text_of(meant)})`"


def _of_comparison(node: Node) -> Iterator[str]:
    left, right = node["children"]
    text = text_of(node)
    if is_constant(left) and is_constant(right):
        yield f"`{text}` compares values that are the same of every document"
    elif text_of(left) == text_of(right):
        yield f"`{text}` compares a value with itself"
    elif node["value"] not in {"eq", "ne"}:
        for each in (left, right):
            if each["type"] != "literal" or type(each["value"]) in {int, float}:
                continue
            if isinstance(each["value"], str):
                yield f"`{text}` compares texts letter by letter, and is null of a number"
            else:
                yield f"`{text}` is always null: only numbers and texts are in an order"


def _of_operands(node: Node) -> Iterator[str]:
    operands = node["children"]
    is_and = node["type"] == "and_expression"
    for each in operands[:-1]:
        if each["type"] == "literal":
            holds = is_true(each["value"])
            effect = "it changes nothing" if holds is is_and else "what follows is never looked at"
            yield f"`{text_of(each)}` {'always' if holds else 'never'} holds in `{text_of(node)}`: {effect}"
    yield from _of_pairs(node, operands, "eq" if is_and else "ne")


def _of_pairs(node: Node, operands: list[Node], sign: str) -> Iterator[str]:
    """`a == 'x' && a == 'y'` and `a == 'x' && a != 'x'` never hold; with `!=` and `||` it always holds."""
    is_and = node["type"] == "and_expression"
    told = [each for each in map(_told, operands) if each is not None]
    for (one_sign, path, value), (other_sign, other_path, other) in combinations(told, 2):
        if path != other_path:
            continue
        is_pair = one_sign == other_sign == sign and value != other
        if is_pair and is_and:
            why = f"cannot be {value} and {other} at once"
        elif is_pair:
            why = f"always differs from {value} or from {other}"
        elif one_sign != other_sign and value == other:
            why = f"cannot be {value} and not be it" if is_and else f"is {value} or is not"
        else:
            continue
        yield f"`{text_of(node)}` {'never' if is_and else 'always'} holds: `{path}` {why}"


def _told(node: Node) -> tuple[str, str, str] | None:
    """What `path == literal` or `path != literal` compares: its sign, the path, the literal."""
    if node["type"] != "comparator" or node["value"] not in {"eq", "ne"}:
        return None
    left, right = node["children"]
    if left["type"] == "literal":
        left, right = right, left
    if right["type"] != "literal" or is_constant(left):
        return None
    return node["value"], text_of(left), text_of(right)


# --- why -----------------------------------------------------------------------------------


def parts(node: Node, value_of: Callable[[Node], Any]) -> Iterator[tuple[str, Any]]:
    """The conditions in an expression and what they compare, each as text with its value.

    Operands that were not looked at are left out, and so are literals.
    """
    if node["type"] == "literal":
        return
    if node["type"] in {"or_expression", "and_expression"}:
        for each in node["children"]:
            yield from parts(each, value_of)
            if is_true(value_of(each)) is (node["type"] == "or_expression"):
                return
        return
    yield text_of(node), value_of(node)
    if node["type"] in {"comparator", "not_expression", "function_expression"}:
        for each in node["children"]:
            if each["type"] != "expref":
                yield from parts(each, value_of)
