"""The simulator's page for people: its calls and the links that stand. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
caption { font-size: 1.2rem; font-weight: 600; padding: 1rem 0 .3rem; text-align: left }
th, td { border-bottom: 1px solid #ccc; overflow-wrap: anywhere; padding: .2rem .6rem; text-align: left }
"""


def render(state: Mapping[str, Any]) -> str:
    """The page for what `GET /_simulator` tells as JSON; every text in it is escaped."""
    links = [
        (link["issue"], link["id"], link["globalId"], thing["title"], thing["url"], _resolved(thing))
        for link in state["links"]
        for thing in (link["body"]["object"],)
    ]
    calls = [(call["at"], call["method"], call["path"], call["status"]) for call in reversed(state["calls"])]
    tables = [
        _table("Remote links", ("Issue", "Id", "globalId", "Title", "URL", "Resolved"), links),
        _table("History", ("Entry", "Count"), state["history"].items()),
        _table("Answers", ("Method and status", "Count"), state["counts"].items()),
        _table("Calls, the last one first", ("At", "Method", "Path", "Status"), calls),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Jira simulator</title>'
        f"<style>{_STYLE}</style></head><body><h1>Jira simulator</h1>{''.join(tables)}</body></html>"
    )


def _resolved(thing: Mapping[str, Any]) -> str | None:
    return {True: "yes", False: "no", None: None}[thing["status"].get("resolved")]


def _table(caption: str, names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value: object) -> str:
    return f"<td>{'' if value is None else escape(str(value))}</td>"
