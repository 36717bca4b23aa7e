"""HTML in which no text from outside can become markup, since whatever is put in is escaped. Pure."""

from __future__ import annotations

from html import escape


class Html(str):
    """Text that is HTML already; any other is escaped where it is put in."""

    __slots__ = ()


def element(name: str, *content: object, **attributes: object) -> Html:
    """An element with its content; None is left out. The attributes are those of `start_tag`."""
    return Html(f"{start_tag(name, **attributes)}{join(*content)}</{name}>")


def start_tag(name: str, **attributes: object) -> Html:
    """A start tag; `class_` and `data_last` name `class` and `data-last`. None leaves an attribute out."""
    given = (
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{''.join(given)}>")


def join(*content: object) -> Html:
    """The content as HTML, in its order; None is left out."""
    return Html("".join(_escaped(part) for part in content if part is not None))


def _escaped(value: object) -> str:
    """The value as text of a page in UTF-8; octets that are no text become question marks."""
    if isinstance(value, Html):
        return value
    return escape(str(value).encode("utf-8", "replace").decode())
