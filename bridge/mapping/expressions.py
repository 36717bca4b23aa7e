"""What a mapping computes: JMESPath expressions, and texts with such expressions in braces.

https://jmespath.org/specification.html, with the functions of `_Functions` beside its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import jmespath
from jmespath import functions
from jmespath.exceptions import JMESPathError
from jmespath.visitor import Options, TreeInterpreter

from bridge.errors import BadBody

MAX_LENGTH = 500
"""Characters in an expression: JMESPath has no loops, so its length bounds its work and depth."""

_TEXT: Any = {"types": ["string", "null"]}


class _Functions(functions.Functions):
    """What JMESPath lacks for texts. Each takes a text or null, which is an empty text."""

    @functions.signature(_TEXT)
    def _func_first_line(self, text: str | None) -> str:
        return (text or "").strip().partition("\n")[0].strip()

    @functions.signature(_TEXT)
    def _func_short_sha(self, text: str | None) -> str:
        return (text or "")[:7]

    @functions.signature(_TEXT)
    def _func_branch(self, text: str | None) -> str:
        return (text or "").removeprefix("refs/heads/")

    @functions.signature(_TEXT)
    def _func_quote(self, text: str | None) -> str:
        return quote(text or "", safe="/", errors="replace")


_INTERPRETER = TreeInterpreter(Options(custom_functions=_Functions()))
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)


class Expression:
    """One JMESPath expression, compiled once. Raises ValueError when it is none."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_LENGTH:
            raise ValueError(f"the expression has more than {MAX_LENGTH} characters")
        try:
            self._parsed = jmespath.compile(text).parsed
        except JMESPathError as error:
            raise ValueError(f"not a JMESPath expression: {error}") from None
        except RecursionError:
            raise ValueError("the expression is nested too deeply") from None
        self.text = text
        # A plain path, which most are, is walked here: the interpreter takes four times as long.
        self._path = tuple(text.split(".")) if _PATH.fullmatch(text) else None

    def value(self, data: Any) -> Any:  # noqa: ANN401 - JSON in, JSON out
        """What the expression is of `data`; null where it leads nowhere. Raises BadBody."""
        if self._path is None:
            return self._interpreted(data)
        for name in self._path:
            if not isinstance(data, Mapping):
                return None
            data = data.get(name)
        return data

    def _interpreted(self, data: Any) -> Any:  # noqa: ANN401
        try:
            return _INTERPRETER.visit(self._parsed, data)
        except JMESPathError as error:
            raise BadBody(f"`{self.text}`: {error}") from None
        except RecursionError:
            raise BadBody(f"`{self.text}` is nested too deeply.") from None

    def is_true(self, data: object) -> bool:
        """Whether the value is neither false, null nor empty (JMESPath's own rule)."""
        value = self.value(data)
        return value is not None and value is not False and value not in ("", [], {})

    def texts(self, data: object) -> list[str]:
        """The value's texts at any depth; what is no text is left out. Raises BadBody."""
        return list(_texts(self.value(data)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


class Template:
    """A text with expressions in braces: `{repository.full_name} #{number}`.

    Raises ValueError when one of them is none. An expression in it holds no braces.
    """

    def __init__(self, text: str) -> None:
        *pieces, self._end = re.split(r"\{([^{}]*)\}", text)
        if any(brace in piece for piece in (*pieces[::2], self._end) for brace in "{}"):
            raise ValueError("a brace without its partner")
        self._pieces = [
            (before, Expression(inner)) for before, inner in zip(pieces[::2], pieces[1::2], strict=True)
        ]

    def text(self, data: object, *, whole: bool = False) -> str:
        """The text for `data`; null is an empty text, unless the text must be `whole`.

        Raises BadBody for a list or an object, and for an empty piece of a whole text.
        """
        filled: list[str] = []
        for before, expression in self._pieces:
            piece = _written(expression, data)
            if whole and not piece:
                raise BadBody(f"`{expression.text}` is missing.")
            filled += (before, piece)
        return "".join(filled) + self._end


def _written(expression: Expression, data: object) -> str:
    value = expression.value(data)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value).lower()
    raise BadBody(f"`{expression.text}` is not a text.")
