"""Compiled expressions give what JMESPath's own interpreter gives, of any document, and end in time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jmespath
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jmespath.exceptions import JMESPathError

from bridge.errors import BadBody
from bridge.mapping import expressions as expressions_module
from bridge.mapping import reading
from bridge.mapping.bounds import MAX_WORK
from bridge.mapping.expressions import MAX_LENGTH, Expression
from bridge.mapping.syntax import parse

SUITE = os.environ.get("JMESPATH_COMPLIANCE")
"""A folder with the JSON files of https://github.com/jmespath/jmespath.test."""

FAILED = object()

names = st.sampled_from(["a", "b", "c", '"d e"', '"f.g"'])
keys = st.sampled_from(["a", "b", "c", "d e", "f.g"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, 1.5, -2.5]),
    st.sampled_from(["", "a", "b", "ab", "1"]),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=16,
)
numbers = st.integers(-3, 3).map(str)
literals = documents.map(lambda value: "`" + json.dumps(value) + "`") | st.sampled_from(
    ["'a'", "''", "'it\\'s'"]
)
slices = st.tuples(
    st.just("") | numbers, st.just("") | numbers, st.sampled_from(["", ":", ":1", ":2", ":-1"])
).map(lambda parts: f"[{parts[0]}:{parts[1]}{parts[2]}]")
UNARY = [
    *("abs", "avg", "ceil", "floor", "keys", "length", "max", "min", "reverse", "sort", "sum", "to_array"),
    *("to_number", "to_string", "type", "values"),
]
BINARY = ["contains", "ends_with", "starts_with", "join", "merge", "not_null"]


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(inner, inner)
    listed = st.lists(inner, min_size=1, max_size=3).map(", ".join)
    named = st.lists(st.tuples(names, inner).map(": ".join), min_size=1, max_size=3).map(", ".join)
    steps = st.one_of(
        names.map(lambda name: f".{name}"),
        numbers.map(lambda number: f"[{number}]"),
        slices,
        st.sampled_from(["[*]", "[]", ".*"]),
        inner.map(lambda when: f"[?{when}]"),
        listed.map(lambda each: f".[{each}]"),
        named.map(lambda each: f".{{{each}}}"),
    )
    return st.one_of(
        st.tuples(inner, steps).map("".join),
        st.tuples(inner, steps, steps).map("".join),
        pair.map(" | ".join),
        pair.map(" || ".join),
        pair.map(" && ".join),
        inner.map(lambda each: f"!{each}"),
        inner.map(lambda each: f"({each})"),
        listed.map(lambda each: f"[{each}]"),
        named.map(lambda each: f"{{{each}}}"),
        st.tuples(inner, st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), inner).map(" ".join),
        st.tuples(st.sampled_from(UNARY), inner).map(lambda call: f"{call[0]}({call[1]})"),
        st.tuples(st.sampled_from(BINARY), inner, inner).map(lambda call: f"{call[0]}({call[1]}, {call[2]})"),
        pair.map(lambda each: f"map(&{each[0]}, {each[1]})"),
        st.tuples(st.sampled_from(["sort_by", "min_by", "max_by"]), inner, inner).map(
            lambda call: f"{call[0]}({call[1]}, &{call[2]})"
        ),
    )


def with_own(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    unary = st.sampled_from(["first_line", "short_sha", "branch", "quote", "lower", "upper", "time"])
    return st.one_of(
        larger(inner),
        st.tuples(unary, inner).map(lambda call: f"{call[0]}({call[1]})"),
        st.tuples(inner, inner).map(lambda each: f"default({each[0]}, {each[1]})"),
        st.tuples(inner, inner, inner).map(lambda each: f"replace({each[0]}, {each[1]}, {each[2]})"),
        inner.map(lambda each: f"matches({each}, '^a|b$')"),
        inner.map(lambda each: f"extract({each}, '(a)?b')"),
    )


simple = names | literals | st.sampled_from(["@", "*", "[0]", "[]"])
expressions = st.recursive(simple, larger, max_leaves=8)
all_expressions = st.recursive(simple, with_own, max_leaves=8)


def theirs(text: str, document: Any) -> Any:
    """What the library makes of it; `FAILED` for what it reports, and what it breaks at."""
    try:
        return jmespath.search(text, document)
    except (JMESPathError, TypeError, ValueError, ArithmeticError):
        return FAILED


def ours(expression: Expression, document: Any) -> Any:
    try:
        return expression.value(document)
    except BadBody:
        return FAILED


def exact(value: Any) -> str:
    """As JSON, which tells 1 from true and from 1.0."""
    return "failed" if value is FAILED else json.dumps(value)


def compiled(text: str) -> Expression | None:
    try:
        return Expression(text)
    except ValueError:
        return None


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(expressions, documents)
@example("sort_by(a, &b)", {"a": [{"b": "x"}, {"b": "a", "c": 1}]})
@example("!a.b", {"a": {"b": 1}})
def test_values_are_those_of_the_library(text: str, document: Any) -> None:
    """The same JSON, or an error where the library has one; its crash over two orders is null here."""
    expression = compiled(text)
    if expression is None:
        return
    expected, found = theirs(text, document), ours(expression, document)
    if found is FAILED and "merge(" in text:
        # The library takes a list of pairs for an object, and breaks at others.
        return
    if expected is FAILED and found is not FAILED:
        # `1 < 'a'` breaks the library; here it is null, as JMESPath says.
        assert any(sign in text for sign in "<>")
    else:
        assert exact(found) == exact(expected)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(all_expressions, documents)
def test_a_condition_is_true_of_what_the_value_is_true_of(text: str, document: Any) -> None:
    """`is_true` is computed apart from the value, and never differs."""
    expression = compiled(text)
    if expression is None:
        return
    value = ours(expression, document)
    if value is FAILED:
        with pytest.raises(BadBody):
            expression.is_true(document)
    else:
        empty = value is None or value is False or value in ("", [], {})
        assert expression.is_true(document) is not (
            value is False or (empty and not isinstance(value, int | float))
        )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(all_expressions, documents)
def test_the_text_of_an_expression_is_the_expression(text: str, document: Any) -> None:
    """What is told of a part can be written into a mapping and means the same."""
    expression = compiled(text)
    if expression is None:
        return
    again = compiled(reading.text_of(parse(text)))
    assert again is not None or len(reading.text_of(parse(text))) > 500
    if again is not None:
        assert exact(ours(again, document)) == exact(ours(expression, document))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(all_expressions, documents)
def test_what_is_said_without_a_document_holds_of_each(text: str, document: Any) -> None:
    """Its outcomes, whether it is constant, and its parts; nothing of it breaks."""
    expression = compiled(text)
    if expression is None:
        return
    list(expression.contradictions())
    assert expression.fields is not None
    value = ours(expression, document)
    if value is FAILED:
        return
    if expression.constant and document is not None:
        assert exact(value) == exact(ours(expression, {}))
    if expression.outcomes is not None:
        assert value in (None, False, "", [], {}) or value in expression.outcomes
    expression.parts(document)
    assert expressions_module._UNCOUNTED.left == MAX_WORK, "what is said to spend nothing has spent"


@settings(max_examples=500, deadline=None)
@given(st.text(st.sampled_from("ab.[]*?&|!=<>(){}@,:'`\"\\-019 é"), max_size=40))
def test_any_text_is_an_expression_or_none(text: str) -> None:
    """A text that is no expression is a ValueError of one line, and nothing else."""
    told = ""
    try:
        Expression(text).is_true({})
    except (ValueError, BadBody) as error:
        told = str(error)
    assert "\n" not in told


TWICE, FLAT = " | ".join(["[@, @]"] * 25), " | ".join(["[@,@,@,@,@,@,@,@][]"] * 8)
MANY = " | ".join(["[@,@,@,@,@,@,@,@][]"] * 5)
GROWING = {
    "a list is flattened": " | ".join(["[@, @][]"] * 40),
    "a value is doubled": " | ".join(["[@, @]"] * 40),
    "it is written": f"{TWICE} | to_string(@)",
    "two are compared": f"{{a: {TWICE}, b: {TWICE}}} | a == b",
    "one is looked for": f"{{a: {TWICE}, b: {TWICE}}} | contains([a], b)",
    "texts are joined": "'aa' | " + " | ".join(["join(@, [@, @, @, @])"] * 15),
    "a text is replaced": "'aaaa' | " + " | ".join(["replace(@, 'a', 'aaaaaaaa')"] * 10),
    "a text is quoted": "'ä' | " + " | ".join(["quote(@)"] * 5 + ["replace(@, '%', '%%%%%%%')"] * 9),
    "lists are projected": f"a[*].a[*].a[*] | {FLAT}",
    "a map is in a map": f"{MANY} | map(&map(&length(@), @.a), [{{a: @}}, {{a: @}}, {{a: @}}, {{a: @}}])",
    "it is sorted": f"['a', 'b'] | {FLAT} | sort(@)",
}


@pytest.mark.parametrize("text", GROWING.values(), ids=GROWING)
def test_what_grows_is_refused_in_time(text: str) -> None:
    """Nobody need send anything: next to no document shows it when the mapping is read."""
    with pytest.raises(ValueError, match="more work than is allowed"):
        Expression(text)


def _cases() -> list[Any]:
    return [
        pytest.param(group["given"], case, id=f"{path.stem}-{number}-{place}")
        for path in sorted(Path(SUITE).glob("*.json") if SUITE else ())
        for number, group in enumerate(json.loads(path.read_text("utf-8")))
        for place, case in enumerate(group["cases"])
        if len(case["expression"]) <= MAX_LENGTH
    ]


@pytest.mark.skipif(not SUITE, reason="JMESPATH_COMPLIANCE names no folder with JMESPath's compliance suite")
@pytest.mark.parametrize(("document", "case"), _cases())
def test_the_compliance_suite(document: Any, case: dict[str, Any]) -> None:
    """What the suite says of each implementation."""
    if "result" in case:
        assert exact(Expression(case["expression"]).value(document)) == exact(case["result"])
    elif "error" in case:
        with pytest.raises((ValueError, BadBody)):
            Expression(case["expression"]).value(document)
    else:
        Expression(case["expression"]).value(document)
