"""An expression's syntax tree: the library's parser reads it, and what is wrong with it is said.

https://jmespath.org/specification.html
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import pairwise
from typing import cast

import jmespath
from jmespath.exceptions import EmptyExpressionError, IncompleteExpressionError, LexerError, ParseError
from jmespath.lexer import Lexer

from bridge.mapping.functions import FUNCTIONS, Node

MAX_DEPTH = 100
"""How deep an expression may be nested; each level is a call while it is evaluated."""

CHAINS = frozenset({"subexpression", "index_expression", "pipe"})
"""The nodes whose children are steps: each is of what the one before it gave."""

_FLAT = {
    "and_expression": frozenset({"and_expression"}),
    "index_expression": frozenset({"subexpression", "index_expression"}),
    "or_expression": frozenset({"or_expression"}),
    "pipe": frozenset({"pipe"}),
    "subexpression": frozenset({"subexpression", "index_expression"}),
}
"""The nodes that may stand in each other, as the parser reads `a || b || c`, and which they are."""

_OPENING = frozenset({"lparen", "lbracket", "lbrace", "filter"})
_CLOSING = frozenset({"rparen", "rbracket", "rbrace"})


def parse(text: str) -> Node:
    """The library's syntax tree of an expression, chains in one node. Raises ValueError, with the column."""
    try:
        _check_nesting(text)
        with warnings.catch_warnings():
            # An old way to write texts, `like this`, is still read.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            node = cast("Node", jmespath.compile(text).parsed)
        _check_functions(node, text)
        return _flattened(node)
    except EmptyExpressionError:
        raise ValueError("an expression is missing") from None
    except IncompleteExpressionError:
        raise ValueError(f"not a JMESPath expression: it ends too early, at column {len(text) + 1}") from None
    except LexerError as error:
        told = f"{' '.join(error.message.split())}, at column {error.lexer_position + 1}"
        raise ValueError(f"not a JMESPath expression: {told}{_hint(text)}") from None
    except ParseError as error:
        # The end is the only token that is empty.
        what = f"unexpected {error.token_value!r}" if error.token_value != "" else "it ends too early,"
        told = f"{what} at column {error.lex_position + 1}"
        raise ValueError(f"not a JMESPath expression: {told}{_hint(text)}") from None
    except RecursionError:
        raise ValueError("the expression is nested too deeply") from None


_HABITS = (
    (r"^\s*\{.*\}\s*$", "an expression stands without braces, which only texts have"),
    (r"(?<![\w'\"])\$", "it begins with `body`, and there is no `$`"),
    (r"\sand\s", "`and` is written `&&`"),
    (r"\sor\s", "`or` is written `||`"),
    (r"\bnot\s", "`not` is written `!(…)`"),
    (r"(?<![=!<>])=(?!=)", "equal is written `==`"),
    (r"[=<>]\s*-?[0-9]", "numbers stand in backticks: `3`"),
    (
        r"\w-\w",
        'a name with other characters than letters, digits and _ stands in double quotes: `body."my-name"`',
    ),
    (r"\w\s*\?\s.*:", "`a ? b : c` is written `a && b || c`"),
    (r"\+|%", "there is no arithmetic; texts are joined by `join('', [a, b])`"),
)


def _hint(text: str) -> str:
    """What is no doubt meant, of the habits of other languages."""
    bare = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*`", "''", text)
    return next((f"; {meant}" for habit, meant in _HABITS if re.search(habit, bare)), "")


def _check_nesting(text: str) -> None:
    """Refuse what the parser may only just follow, whatever the depth of the stack."""
    if sum(map(text.count, "([{")) <= MAX_DEPTH:
        return
    depth = 0
    for token in Lexer().tokenize(text):
        depth += (token["type"] in _OPENING) - (token["type"] in _CLOSING)
        if depth > MAX_DEPTH:
            raise ValueError("the expression is nested too deeply")


def _flattened(node: Node, depth: int = 0) -> Node:
    """The tree with all steps of a chain, and all operands of a condition, side by side."""
    if depth > MAX_DEPTH:
        raise ValueError("the expression is nested too deeply")
    children = _flat(node, _FLAT[node["type"]]) if node["type"] in _FLAT else node["children"]
    if node["type"] != "slice":
        children = [_flattened(each, depth + 1) for each in children]
    return {**node, "children": children}


def nodes(node: Node) -> Iterator[Node]:
    """A node and all below it, from left to right."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        if each["type"] != "slice":
            waiting.extend(reversed(each["children"]))


def _check_functions(node: Node, text: str) -> None:
    references = set()
    for each in nodes(node):
        if each["type"] == "expref" and id(each) not in references:
            raise ValueError("an & stands only before the argument of a function that takes a reference")
        if each["type"] != "function_expression":
            continue
        name, given = each["value"], each["children"]
        function = FUNCTIONS.get(name)
        place = f"at column {_column(text, name)}"
        if function is None:
            close = get_close_matches(name, FUNCTIONS, 1)
            hint = f"; did you mean {close[0]}()?" if close else ""
            raise ValueError(f"there is no function {name}(), {place}{hint}")
        if len(given) < function.least or (function.most is not None and len(given) > function.most):
            raise ValueError(f"{name}() takes {function.arity}, not {len(given)}, {place}")
        if function.reference is not None:
            reference = given[function.reference]
            if reference["type"] != "expref":
                number = function.reference + 1
                raise ValueError(f"argument {number} of {name}() is a reference, as in &field, {place}")
            references.add(id(reference))


def _column(text: str, name: str) -> int:
    """Where a function is first called."""
    for token, following in pairwise(Lexer().tokenize(text)):
        if (
            token["value"] == name
            and token["type"] == "unquoted_identifier"
            and following["type"] == "lparen"
        ):
            return token["start"] + 1
    return 1


def misquoted(text: str) -> Iterator[str]:
    """The names in double quotes that something is compared with: no doubt meant as texts."""
    tokens = list(Lexer().tokenize(text))
    for sign, name, following in zip(tokens, tokens[1:], tokens[2:], strict=False):
        is_compared = sign["type"] in {"eq", "ne"} and name["type"] == "quoted_identifier"
        if is_compared and following["type"] not in {"dot", "lbracket", "filter", "flatten"}:
            yield name["value"]


def is_spending(node: Node) -> bool:
    """Whether the work depends on the document: all else is bounded by the expression's own length."""
    return any(
        each["type"]
        in {"projection", "value_projection", "filter_projection", "flatten", "slice", "function_expression"}
        or (each["type"] == "comparator" and not any(map(is_scalar, each["children"])))
        for each in nodes(node)
    )


def steps_of(node: Node) -> list[Node]:
    """The steps of a chain, `a.b[0] | c`, from left to right; those that change nothing are left out."""
    return [each for each in _flat(node, CHAINS) if each["type"] not in {"identity", "current"}]


def _flat(node: Node, types: frozenset[str]) -> list[Node]:
    flat: list[Node] = []
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if each["type"] in types:
            waiting.extend(reversed(each["children"]))
        else:
            flat.append(each)
    return flat


def is_scalar(node: Node) -> bool:
    """Whether it is a text, a number, a truth or null, written out."""
    return node["type"] == "literal" and not isinstance(node["value"], list | dict)
