"""What a mapping computes: JMESPath expressions, and texts with such expressions in braces.

https://jmespath.org/specification.html, with the functions of `bridge.mapping.functions` beside its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from bridge.errors import BadBody
from bridge.mapping import reading
from bridge.mapping.bounds import Scope, TooMuch, Work, measure, texts
from bridge.mapping.functions import Compiled, Node, written
from bridge.mapping.jmes import compiled, condition
from bridge.mapping.syntax import is_spending, misquoted, parse

MAX_LENGTH = 500
"""Characters in an expression: JMESPath has no loops, so its length bounds its depth and its steps."""

MAX_TEMPLATE = 5_000
"""Characters in a text, its expressions included."""

_MAX_COPIES = 64
"""How often a value may stand in what an expression makes, uncounted."""

_FAILURES = (BadBody, ArithmeticError, RecursionError, ValueError)
"""What functions raise; Python's own are for infinite numbers, and for what is nested too deeply."""

_UNCOUNTED = Work()
"""For what spends nothing."""


def _allowed(data: object) -> Work:
    return data.work if isinstance(data, Scope) else Work()


class Expression:
    """One JMESPath expression, compiled once. Raises ValueError when it is none, or does too much."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"the expression has more than {MAX_LENGTH} characters")
        self.text = text
        self._node = parse(text)
        self._run = self._bounded(compiled(self._node))
        self._test = condition(self._node)
        self._spends = is_spending(self._node)
        if self._spends or reading.copies(self._node) > _MAX_COPIES:
            self._try_out()

    def _bounded(self, run: Compiled) -> Compiled:
        """`run`, its value measured where it may hold one part of the document very often."""
        if reading.copies(self._node) <= _MAX_COPIES:
            return run

        def measured(data: Any, _work: Work) -> Any:  # noqa: ANN401 - JSON in, JSON out
            counted = _allowed(data)
            value = run(data, counted)
            measure(value, counted)
            return value

        return measured

    def _try_out(self) -> None:
        """Refuse what does too much even with next to no document. Raises ValueError."""
        for probe in reading.probes(self._node):
            try:
                self.value(probe)
            except TooMuch:
                raise ValueError("the expression does more work than is allowed") from None
            except BadBody:
                continue

    def value(self, data: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """What the expression is of `data`; null where it leads nowhere. Raises BadBody."""
        try:
            return self._run(data, _allowed(data) if self._spends else _UNCOUNTED)
        except _FAILURES as error:
            raise self._failed(error) from None

    def is_true(self, data: object) -> bool:
        """Whether the value is neither false, null nor empty (JMESPath's own rule). Raises BadBody."""
        try:
            return bool(self._test(data, _allowed(data) if self._spends else _UNCOUNTED))
        except _FAILURES as error:
            raise self._failed(error) from None

    def texts(self, data: object) -> list[str]:
        """The value's texts at any depth; what is no text is left out. Raises BadBody."""
        value = self.value(data)
        try:
            return texts(value, _allowed(data))
        except (BadBody, RecursionError) as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> BadBody:
        """What is told of an error; Python's own texts may hold a value."""
        if isinstance(error, TooMuch):
            return TooMuch(f"`{self.text}` {error}.")
        if isinstance(error, BadBody):
            return BadBody(f"`{self.text}`: {error}.")
        if isinstance(error, RecursionError):
            return BadBody(f"`{self.text}` is of values that are nested too deeply.")
        return BadBody(f"`{self.text}` is of a value that it cannot be computed of.")

    # --- what can be said of it without a document -----------------------------------------

    @cached_property
    def fields(self) -> frozenset[tuple[str, ...]]:
        """The paths in the document that it looks at, as far as they can be told.

        The elements of a list count for the list: `commits[].id` is of `commits`, `id`.
        """
        return reading.fields(self._node)

    @cached_property
    def outcomes(self) -> frozenset[str] | None:
        """The texts that it can give, null and the like aside; None where it may give others."""
        return reading.outcomes(self._node)

    @cached_property
    def constant(self) -> bool:
        """Whether it is the same of each document; `value({})` is then what it is."""
        return reading.is_constant(self._node)

    @cached_property
    def misquoted(self) -> tuple[str, ...]:
        """The names in double quotes that something is compared with: no doubt meant as texts."""
        return tuple(misquoted(self.text))

    def contradictions(self) -> Iterator[str]:
        """What in it can never hold, or always does, or is no doubt meant otherwise: a sentence each."""
        yield from reading.contradictions(self._node)
        for name in self.misquoted:
            yield f"`\"{name}\"` is a field, as it is in double quotes; a text is in single ones: `'{name}'`"

    def parts(self, data: object) -> list[tuple[str, Any]]:
        """Why it is what it is: the conditions in it and what they compare, each with its value.

        Operands that were not looked at are left out; where one cannot be computed, it ends.
        """

        def value_of(node: Node) -> Any:  # noqa: ANN401
            return compiled(node)(data, Work())

        told: list[tuple[str, Any]] = []
        try:
            told.extend(reading.parts(self._node, value_of))
        except _FAILURES:
            return told
        return told


class Template:
    """A text with expressions in braces: `{repository.full_name} #{number}`.

    Raises ValueError when one of them is none. An expression in it holds no braces.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEMPLATE:
            raise ValueError(f"the text has more than {MAX_TEMPLATE} characters")
        self.source = text
        *pieces, self._end = re.split(r"\{([^{}]*)\}", text)
        if any(brace in piece for piece in (*pieces[::2], self._end) for brace in "{}"):
            hint = "; braces stand single: `{body.name}`" if "{{" in text else ""
            raise ValueError(f"a brace without its partner{hint}")
        self._pieces = [
            (before, Expression(inner)) for before, inner in zip(pieces[::2], pieces[1::2], strict=True)
        ]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Those in braces, from left to right."""
        return tuple(expression for _, expression in self._pieces)

    def text(self, data: object, *, whole: bool = False) -> str:
        """The text for `data`; null is an empty text, unless the text must be `whole`.

        Raises BadBody for a list or an object, and for an empty piece of a whole text.
        """
        filled: list[str] = []
        for before, expression in self._pieces:
            piece = expression.value(data)
            if not isinstance(piece, str):
                if isinstance(piece, list | dict):
                    raise BadBody(f"`{expression.text}` is not a text.")
                piece = written(piece)
            if whole and not piece:
                raise BadBody(f"`{expression.text}` is missing.")
            filled += (before, piece)
        return "".join(filled) + self._end
