"""Expressions: their functions, their bounds, how one that is wrong is told, and what is said of one."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

from bridge.errors import BadBody
from bridge.mapping.bounds import MAX_TEXT, MAX_WORK
from bridge.mapping.expressions import MAX_LENGTH, Expression, Template
from bridge.mapping.syntax import MAX_DEPTH

DOCUMENT = {
    "title": " Fix ABC-1 \nat last",
    "sha": "0123456789abcdef",
    "ref": "refs/heads/feature/ä b",
    "n": 7,
    "part": 1.5,
    "yes": True,
    "no": None,
    "empty": "",
    "at": 1_772_625_600,
    "labels": [{"name": "bug", "age": 3}, {"name": "api", "age": 1}],
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("first_line(title)", "Fix ABC-1"),
        ("first_line(no)", ""),
        ("short_sha(sha)", "0123456"),
        ("short_sha(n)", "7"),
        ("branch(ref)", "feature/ä b"),
        ("quote(branch(ref))", "feature/%C3%A4%20b"),
        ("lower('ÄB')", "äb"),
        ("upper(part)", "1.5"),
        ("upper(yes)", "TRUE"),
        ("replace(sha, '0', 'zero')", "zero123456789abcdef"),
        ("replace(sha, no, 'x')", "0123456789abcdef"),
        ("replace(no, 'a', 'b')", ""),
        ("replace(n, n, part)", "1.5"),
        ("default(no, 'x')", "x"),
        ("default(empty, n)", 7),
        ("default(`0`, 'x')", 0),
        ("default(`false`, 'x')", False),
        ("default(title, first_line(labels))", " Fix ABC-1 \nat last"),
        ("time(at)", "2026-03-04T12:00:00.000000Z"),
        ("time('2026-03-04 13:00:00.5 +0100')", "2026-03-04T12:00:00.500000Z"),
        ("time(no)", None),
        ("time(labels)", None),
        ("time('soon')", None),
        ("matches(title, '[A-Z]+-[0-9]+')", True),
        ("matches(no, 'x')", False),
        ("matches(no, '^$')", True),
        ("matches(n, '^7$')", True),
        ("extract(title, '[A-Z]+-[0-9]+')", "ABC-1"),
        ("extract(title, '([A-Z]+)-([0-9]+)')", "ABC"),
        ("extract(ref, 'feature/(.)')", "ä"),
        ("extract(title, 'z')", None),
        ("extract(title, '(z)?ABC')", None),
        ("sort_by(labels, &age)[0].name", "api"),
        ("sort_by(labels, &name)[].age", [1, 3]),
        ("sort_by(`[]`, &age)", []),
        ("map(&upper(name), labels)", ["BUG", "API"]),
        ("max_by(labels, &age).name", "bug"),
        ("labels[?age > `2`].name | [0]", "bug"),
        ("labels[?contains(name, 'p')] | length(@)", 1),
        ("join(', ', labels[].name)", "bug, api"),
        ("title < 'A'", True),
        ("title < n", None),
        ("labels[].no", []),
        ("`1` == `true`", False),
        ("`[1]` == `[true]`", True),
    ],
)
def test_values(text: str, value: object) -> None:
    """What each function gives; null is an empty text, and a number is written plainly."""
    assert Expression(text).value(DOCUMENT) == value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("first_line(labels)", "`first_line(labels)`: an array is not a text."),
        ("lower(@)", "`lower(@)`: an object is not a text."),
        ("length(n)", "`length(n)`: length() takes string or array or object, not number."),
        ("join(', ', labels)", "`join(', ', labels)`: join() takes array of string, not object."),
        ("map(&a, no)", "`map(&a, no)`: map() takes array, not null."),
        ("contains(title, no)", "looks for a text in a text"),
        ("merge(@, labels)", "`merge(@, labels)`: merge() takes object, not array."),
        ("contains(no, title)", "contains() takes array or string, not null"),
        ("sort_by([{a: 'x'}, {a: n}], &a)", "all numbers or all texts, not number, string"),
        ("sort_by(labels, &no)", "all numbers or all texts, not null"),
        ("floor(to_number('inf'))", "cannot be computed"),
        ("avg([to_number('1e308'), to_number(join('', ['1', sha]))])", "takes array of number, not null"),
    ],
)
def test_an_expression_of_the_wrong_values_is_a_bad_body(text: str, told: str) -> None:
    """The expression and the types are named; what the document holds is not."""
    with pytest.raises(BadBody) as failed:
        Expression(text).value(DOCUMENT)
    assert told in str(failed.value)
    assert "ABC-1" not in str(failed.value)
    assert "bug" not in str(failed.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "an expression is missing"),
        ("body.", "it ends too early, at column 6"),
        ("body ==", "it ends too early, at column 8"),
        ("body name", "unexpected 'name' at column 6"),
        ("body = 'x'", "Unknown token '=', at column 6"),
        ("body.a == 'x", "at column 11"),
        ("a && frist_line(b)", "there is no function frist_line(), at column 6; did you mean first_line()?"),
        ("zzz(a)", "there is no function zzz(), at column 1"),
        ("join(a)", "join() takes 2 arguments, not 1, at column 1"),
        ("not_null()", "not_null() takes at least 1 argument, not 0"),
        ("sort_by(a, b)", "argument 2 of sort_by() is a reference, as in &field"),
        ("&a", "an & stands only before"),
        ("to_string(&a)", "an & stands only before"),
        ("a[::0]", "the step of a slice is not 0"),
        ("matches(a, b)", "the second argument of matches() is a pattern in single quotes"),
        ("matches(a, `7`)", "the second argument of matches() is a pattern in single quotes"),
        ("matches(a, '(')", "the pattern of matches() is none of RE2: missing )"),
        ("extract(a, '(?=b)')", "the pattern of extract() is none of RE2"),
        (r"extract(a, '((\pL{60}){40}){3}')", "the pattern of extract() is none of RE2"),
        (f"extract(a, '{'b' * 201}')", "the pattern of extract() has more than 200 characters"),
        ("a" * (MAX_LENGTH + 1), "the expression has more than 500 characters"),
        ("!" * (MAX_LENGTH - 1) + "a", "nested too deeply"),
        ("(" * 240 + "a" + ")" * 240, "nested too deeply"),
        ("a" + "[*]" * (MAX_DEPTH + 1), "nested too deeply"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text: str, told: str) -> None:
    """What is wrong, where, and what was probably meant."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - what is told is compared below
        Expression(text)
    assert told in str(refused.value)


def test_long_chains_are_not_deep() -> None:
    """Many alternatives, steps or pipes stand side by side."""
    for sign in ("||", "&&", ".", "|"):
        expression = Expression(sign.join("a" * 150))
        assert expression.is_true({}) is False
        assert expression.fields == {("a",) * (150 if sign in ".|" else 1)}
        assert expression.outcomes is None
        assert not expression.constant


# --- bounds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("a[?b == c]", {"a": [None] * MAX_WORK}),
        ("a[].b", {"a": [[None] * 1000] * 2000}),
        ("a[*].b[*].c", {"a": [{"b": [{}] * 1000}] * 1000}),
        ("map(&map(&length(@), @), a)", {"a": [[""] * 1000] * 1000}),
        ("a[?contains(b, 'x')]", {"a": [{"b": ["y"] * 1000}] * 1000}),
        ("a[?b == 'x'][?b == 'x'] | [?b == 'x'] | [?b == 'x']", {"a": [{"b": "x"}] * 200_000}),
        ("a[*].to_string(@)", {"a": [[[1] * 1000] * 1000] * 3}),
        ("a[*].[sort(b)]", {"a": [{"b": ["x"] * 1000}] * 200}),
        ("a[*].sort_by(b, &c)", {"a": [{"b": [{"c": 1}] * 1000}] * 200}),
        ("a[?b == c]", {"a": [{"b": "x" * 50_000, "c": "x" * 49_999 + "y"}] * 5000}),
        ("a[?starts_with(b, b)]", {"a": [{"b": "x" * 50_000}] * 5000}),
        ("a[*].matches(@, '(a|b)*a(a|b){90}c')", {"a": ["ab" * 5_000] * 100}),
        ("a[*].lower(@)", {"a": ["x" * 100_000] * 1000}),
        ("a[*].quote(@)", {"a": ["ä" * 10_000] * 300}),
        ("a[*].replace(@, 'x', 'y')", {"a": ["x" * 100_000] * 300}),
        ("join(',', a)", {"a": ["x" * 1000] * 1000}),
        ("replace(a, 'x', 'xxxxxxxxxx')", {"a": "x" * (MAX_TEXT // 8)}),
        ("quote(a)", {"a": "ä" * (MAX_TEXT // 5)}),
        ("to_string(a)", {"a": ["x" * 1000] * 1000}),
        ("to_string([a])", {"a": "ä" * (MAX_TEXT // 5)}),
        ("a[?b < c]", {"a": [{"b": "x" * 50_000, "c": "x" * 49_999 + "y"}] * 5000}),
        ("values(a)[].values(@)[].values(@)[]", {"a": {str(n): {"b": {}} for n in range(60_000)}}),
    ],
)
def test_work_is_bounded(text: str, document: Any) -> None:
    """However large the document, an expression ends, and soon."""
    expression = Expression(text)
    with pytest.raises(BadBody, match=r"more work than is allowed|makes a text of more than"):
        expression.value(document)


@pytest.mark.parametrize(
    "text",
    [
        "|".join(["(a || b)"] * 40),
        "|".join(["(a || b)"] * 40) + "|[*].x[]",
        "|".join(["not_null(a, b)"] * 25) + "|[*]|reverse(@)",
        "|".join(["[a, b]", "(a || b || c)[]"] * 20),
    ],
)
def test_an_expression_is_read_in_time(text: str) -> None:
    """Where it looks doubles with each step."""
    expression = Expression(text)
    assert list(expression.contradictions()) == []
    assert all(expression.fields)


def test_a_function_that_cannot_compare_says_so() -> None:
    """Numbers and texts are in no order: the event is rejected, and the bridge has not failed."""
    for name in ("max_by", "min_by"):
        with pytest.raises(BadBody, match="all numbers or all texts"):
            Expression(f"{name}(@, &a)").value([{"a": 1}, {"a": "x"}])


def test_a_time_is_read_in_time() -> None:
    """A text of many spaces is no time, and is not searched for a zone again and again."""
    assert Expression("time(a)").value({"a": f"1{' ' * 200_000}x"}) is None


def test_texts_are_bounded() -> None:
    """The texts of a value that holds one list very often are not walked for ever."""
    with pytest.raises(BadBody, match="more work than is allowed"):
        Expression("[a, a, a]").texts({"a": [""] * (MAX_WORK // 2)})


@pytest.mark.parametrize("text", ["a == b", "to_string(a)", "contains([a], b)", "[a, [a]] | [0] == [1]"])
def test_deep_documents_are_bad_bodies(text: str) -> None:
    """A value that is nested deeper than Python follows is told of, and breaks nothing."""
    deep: list[Any] = [[], []]
    for place in range(2):
        for _ in range(2000):
            deep[place] = [deep[place]]
    with pytest.raises(BadBody, match="nested too deeply"):
        Expression(text).value({"a": deep[0], "b": deep[1]})
    with pytest.raises(BadBody, match="nested too deeply"):
        Expression("a").texts({"a": deep[0]})


def test_a_deep_stack_is_a_bad_body() -> None:
    """An expression that finds no room for its calls is told of like any other."""
    expression = Expression("!" * (MAX_DEPTH - 1) + "a")

    def below(frames: int) -> object:
        return below(frames - 1) if frames else expression.value({})

    with pytest.raises(BadBody, match="nested too deeply"):
        below(sys.getrecursionlimit() - len(inspect.stack()) - MAX_DEPTH // 2)


# --- what is said without a document -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("body.a.b || event.type", {"body a b", "event type"}),
        ("(body.a || body.b).c", {"body a c", "body b c"}),
        ("body.a && 'x'", {"body a"}),
        (
            "a.b[?c].[d, e[]][]",
            {"a b c", "a b d", "a b e"},
        ),
        ("sort_by(a, &b.c)[0].d", {"a b c", "a d"}),
        ("map(&x, a.y)", {"a y x"}),
        ("lower(a.b) == c", {"a b", "c"}),
        ("a.*.b", {"a"}),
        ('a."b.c"', {"a b.c"}),
        ("a | b", {"a b"}),
        ("'x'", set()),
        ("@", set()),
    ],
)
def test_fields(text: str, fields: set[str]) -> None:
    """The paths that an expression looks at."""
    assert {" ".join(path) for path in Expression(text).fields} == fields


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        ("a && 'x' || b && 'y' || 'z'", {"x", "y", "z"}),
        ("a == 'b' && 'x'", {"x"}),
        ("'x' || a", {"x"}),
        ("a || 'x'", None),
        ("a == 'x' || 'y'", None),
        ("upper(a && 'x' || 'y')", {"X", "Y"}),
        ("default(a && 'x', 'y')", {"x", "y"}),
        ("not_null(a && 'x', b)", None),
        ("''", set()),
        ("`null`", set()),
        ("`7`", None),
        ("a | 'x'", {"x"}),
    ],
)
def test_outcomes(text: str, outcomes: set[str] | None) -> None:
    """The texts that an expression can give, where they all stand in it."""
    assert Expression(text).outcomes == outcomes


@pytest.mark.parametrize(
    ("text", "constant"),
    [
        *(
            (text, True)
            for text in ("'x'", "`1` == `2`", "lower('X')", "a | 'x'", "`[1]`[*].['x']", "['a', 'b']")
        ),
        *((text, False) for text in ("a", "@", "[a, 'x']", "'x' || a", "a[?'x']", "map(&'x', a)")),
    ],
)
def test_constants(text: str, constant: bool) -> None:
    """Whether an expression is the same of each document."""
    assert Expression(text).constant is constant


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a == 'x' && b && a == 'y'", "never holds: `a` cannot be 'x' and 'y' at once"),
        ("c[?a.b == 'x' && a.b == `1`]", "never holds: `a.b` cannot be 'x' and `1` at once"),
        ("'x' == a && a != 'x'", "never holds: `a` cannot be 'x' and not be it"),
        ("a != 'x' || a != 'y'", "always holds: `a` always differs from 'x' or from 'y'"),
        ("a != 'x' || a == 'x'", "always holds: `a` is 'x' or is not"),
        ("a < '5'", "`a < '5'` compares texts letter by letter, and is null of a number"),
        ("a >= `true`", "`a >= `true`` is always null"),
        ("'a' == 'b'", "`'a' == 'b'` compares values that are the same of every document"),
        ("a.b == a.b", "`a.b == a.b` compares a value with itself"),
        ("a || 'x' || b", "`'x'` always holds in `a || 'x' || b`: what follows is never looked at"),
        ("a && 'x' && b", "`'x'` always holds in `a && 'x' && b`: it changes nothing"),
        ("a && '' && b", "`''` never holds in `a && '' && b`: what follows is never looked at"),
        ("a[?'x']", "the filter `'x'` is the same of every element"),
        ("!'x' || a", "`!'x'` is the same of every document"),
        ('a == "x"', "`\"x\"` is a field, as it is in double quotes; a text is in single ones: `'x'`"),
        ("!body.draft", "`(!body).draft` is always null, as `!` binds first; write `!(body.draft)`"),
    ],
)
def test_contradictions(text: str, told: str) -> None:
    """What can never hold, or always does, or is meant otherwise."""
    assert any(told in sentence for sentence in Expression(text).contradictions())


@pytest.mark.parametrize(
    "text",
    [
        "a == 'x' && 'one' || a == 'y' && 'two' || 'three'",
        "(a == 'x' || a == 'y') && b != 'x' && b != 'y'",
        "a > `1` && a < `5`",
        "a == 'x' && b == 'y'",
        "!(a.b) && !c && !contains(d, 'x')",
        "labels[?name == 'x' || name == 'y'] | [0]",
        """a."b c" == 'x' && a == "b c".d""",
    ],
)
def test_what_is_sound_is_not_talked_about(text: str) -> None:
    """Conditions as people write them."""
    assert list(Expression(text).contradictions()) == []


def test_parts_tell_why() -> None:
    """What was looked at, with its value, and nothing that was not."""
    expression = Expression("n == `7` && !yes && sha || labels[0].name == 'bug' && 'x'")
    assert expression.parts(DOCUMENT) == [
        ("n == `7`", True),
        ("n", 7),
        ("!yes", False),
        ("yes", True),
        ("labels[0].name == 'bug'", True),
        ("labels[0].name", "bug"),
    ]
    assert Expression("n && length(n) && yes").parts(DOCUMENT) == [("n", 7)]


# --- texts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("x", ["x"]),
        ("", [""]),
        (None, []),
        (7, []),
        (["x", 7, None, {"a": ["y"], "b": "z"}], ["x", "y", "z"]),
    ],
)
def test_texts_at_any_depth(value: object, texts: list[str]) -> None:
    """Lists and objects are walked in their order; what is no text is left out."""
    assert Expression("x").texts({"x": value}) == texts


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (None, False),
        (False, False),
        ("", False),
        ([], False),
        ({}, False),
        (0, True),
        (0.0, True),
        ("x", True),
    ],
)
def test_truth(value: object, truth: bool) -> None:
    """JMESPath's own rule: a number always holds."""
    for text in ("x", "!(!x)", "x || x", "x && x", "[x] | [0]"):
        assert Expression(text).is_true({"x": value}) is truth


def test_templates() -> None:
    """A text with expressions in it; numbers and truths are written plainly."""
    template = Template("{short_sha(sha)}: {n}/{part} {yes}{no}.")
    assert template.text(DOCUMENT) == "0123456: 7/1.5 true."
    assert [each.text for each in template.expressions] == ["short_sha(sha)", "n", "part", "yes", "no"]
    with pytest.raises(BadBody, match="`no` is missing"):
        template.text(DOCUMENT, whole=True)
    with pytest.raises(BadBody, match="`labels` is not a text"):
        Template("{labels}").text(DOCUMENT)
    with pytest.raises(ValueError, match="a brace without its partner"):
        Template("{a")
