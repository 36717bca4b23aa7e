"""The simulator's page for people: issues with their links as Jira shows them, and the calls. Pure.

How Jira shows a link stands in the schemas RemoteIssueLink, RemoteObject, Icon and Status of
https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-remote-links/. The page is whole
without script; `page.js` keeps it up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import unquote, unquote_plus

from bridge.simulator.markup import Html, element, join, start_tag

CALLS_SHOWN = 200
LINKS_SHOWN = 500
"""Of each the newest; the JSON has them all."""

_NO_RELATIONSHIP = "links to"
_NO_TOOLTIP = "Web Link"

_STYLE = """
:root {
  color-scheme: light dark;
  --page: light-dark(#f7f8f9, #161a1d); --panel: light-dark(#fff, #1f2428);
  --line: light-dark(#dcdfe4, #3a4147); --link: light-dark(#0c66e4, #85b8ff);
  --text: light-dark(#172b4d, #dee4ea); --muted: light-dark(#596773, #9fadbc);
  --good: light-dark(#1f6f4a, #7ee2b8); --odd: light-dark(#8f4f00, #f5cd47);
  --bad: light-dark(#b3261e, #fd9891);
}
* { box-sizing: border-box; margin: 0; padding: 0 }
[hidden] { display: none !important }
body { background: var(--page); color: var(--text); font: 14px/1.45 system-ui, sans-serif;
  overflow-wrap: anywhere }
header { align-items: center; background: var(--panel); border-bottom: 1px solid var(--line); display: flex;
  flex-wrap: wrap; gap: .5rem 1rem; padding: .7rem 1.2rem }
h1 { font-size: 1.15rem; margin-right: auto }
h2 { font-size: 1rem; margin-bottom: .5rem }
h3 { font-size: 1rem }
h4 { color: var(--muted); font-size: .8rem; margin-top: .6rem }
ul, ol { list-style: none }
a { color: var(--link); text-decoration: none }
a:hover { text-decoration: underline }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px }
a, code, span, strong { unicode-bidi: isolate }
code, pre, .path { font-family: ui-monospace, monospace; font-size: .85em }
input { background: var(--page); border: 1px solid var(--line); border-radius: 4px; color: inherit;
  font: inherit; max-width: 100%; padding: .25rem .6rem; width: 16rem }
#connection { color: var(--good) }
#connection.away { background: var(--bad); border-radius: 4px; color: var(--panel); padding: .2rem .6rem }
main { display: grid; gap: 1.5rem; grid-template-columns: minmax(0, 1fr); margin: auto; max-width: 90rem;
  padding: 1.2rem }
section + section { margin-top: 1.2rem }
article, dl div { background: var(--panel); border: 1px solid var(--line); border-radius: 6px }
article { margin-bottom: .8rem; padding: .8rem 1rem }
pre { margin-top: .5rem; white-space: pre-wrap }
article li { display: grid; gap: 0 .6rem; grid-template-columns: 16px minmax(0, 1fr) 16px; padding: .3rem 0 }
.icon { display: grid; height: 16px; margin-top: 2px; place-items: center; width: 16px }
.icon::before { color: var(--muted); content: "\\2197" / ""; grid-area: 1 / 1 }
.status::before { content: "\\25cf" / "" }
.icon img { background: #fff; border-radius: 2px; grid-area: 1 / 1; max-height: 16px; max-width: 16px }
.muted, small { color: var(--muted) }
small { display: block; font-size: .8rem; font-weight: normal; margin-top: .15rem }
h2 small { display: inline; margin-left: .4rem }
dl { display: flex; flex-wrap: wrap; gap: .4rem }
dl div { display: flex; gap: .5rem; padding: .15rem .55rem }
dd { font-weight: 600 }
ol li { align-items: baseline; border-top: 1px solid var(--line); display: grid; gap: 0 .6rem;
  grid-template-columns: 3rem 4rem minmax(0, 1fr); padding: .35rem 0 }
ol small { grid-column: 3 }
dl:empty::before, ol:empty::before { color: var(--muted); content: "None yet" }
.path { -webkit-box-orient: vertical; display: -webkit-box; -webkit-line-clamp: 4; overflow: hidden }
.s2 { color: var(--good) }
.s4, .sN { color: var(--odd) }
.s5, .needless { color: var(--bad); font-weight: 600 }
@media (min-width: 60rem) {
  main { align-items: start; grid-template-columns: minmax(0, 1fr) 30rem }
  aside { max-height: 100vh; overflow: auto; position: sticky; top: 0 }
}
"""


def render(state: Mapping[str, Any]) -> str:
    """The page for what `GET /_simulator` tells as JSON.

    Args:
        state: `links` in the order of their ids, `calls` in the order in which they came, `counts` of
            answers by "METHOD STATUS", `history`: counts of entries by action, and of needless ones.
    """
    calls = state["calls"]
    last = calls[-1].get("number", 0) if calls else 0
    done = (_history(state["history"]), _answers(state["counts"]), _calls(calls))
    aside = element("aside", *done, tabindex=0, aria_label="What was done")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Jira simulator</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer">'
        f'<style>{_STYLE}</style><script type="module" src="/_simulator/page.js"></script></head>'
        '<body><header><h1>Jira simulator</h1><p id="connection" role="status"></p>'
        '<input id="filter" type="search" placeholder="Filter issues and calls" aria-label="Filter" hidden>'
        f"</header>{element('main', _links(state['links']), aside, data_last=last)}</body></html>"
    )


# --- issues and links ----------------------------------------------------------------------


def _links(links: Sequence[Mapping[str, Any]]) -> Html:
    shown = sorted(links[-LINKS_SHOWN:], key=_order)
    panels = [_panel(issue, list(some)) for issue, some in groupby(shown, lambda link: str(link["issue"]))]
    return _section("links", "Remote links", _share(shown, links), *(panels or [_first_link()]))


def _order(link: Mapping[str, Any]) -> tuple[str, int, str]:
    """By issue as people count, DEMO-9 before DEMO-10."""
    project, _, number = link["issue"].rpartition("-")
    return project, int(number), _relationship(link)


def _relationship(link: Mapping[str, Any]) -> str:
    return str(link["body"].get("relationship", _NO_RELATIONSHIP))


def _first_link() -> Html:
    curl = (
        "curl -u demo@example.com:demo -H 'Content-Type: application/json' \\\n"
        """  -d '{"globalId": "1", "object": {"title": "My first", "url": "https://example.com"}}' \\\n  """
    )
    origin = element("span", "http://127.0.0.1:8090", class_="origin")
    command = element("pre", curl, origin, "/rest/api/3/issue/DEMO-1/remotelink")
    return element("article", element("p", "This makes the first one, if the issue exists:"), command)


def _panel(issue: str, links: Iterable[Mapping[str, Any]]) -> Html:
    groups = (
        part
        for relationship, some in groupby(links, _relationship)
        for part in (element("h4", relationship), element("ul", *map(_link, some)))
    )
    return element("article", element("h3", issue), *groups)


def _link(link: Mapping[str, Any]) -> Html:
    thing, application = link["body"]["object"], link["body"]["application"].get("name")
    title = element("s", thing["title"]) if thing["status"].get("resolved") else thing["title"]
    known = "no globalId" if link["globalId"] is None else element("code", link["globalId"])
    told = element(
        "div",
        _anchor(thing["url"], title, id=f"link-{link['id']}"),
        " ",
        element("span", thing.get("summary"), class_="muted"),
        element("small", application, application and " · ", known, f" · id {link['id']}"),
    )
    return element("li", _icon(thing["icon"], application), told, _status_icon(link))


def _icon(icon: Mapping[str, Any], application: str | None) -> Html:
    """The object's icon with Jira's tooltip."""
    words = (f"[{application}]" if application else None, icon.get("title"))
    tooltip = " ".join(filter(None, words)) or _NO_TOOLTIP
    return element("span", _picture(icon), class_="icon", title=tooltip)


def _status_icon(link: Mapping[str, Any]) -> Html | None:
    """The status's icon; nothing where it has no picture, as in Jira."""
    icon = link["body"]["object"]["status"]["icon"]
    picture, title = _picture(icon), icon.get("title")
    if picture is None:
        return None
    shown = element(
        "span", picture, class_="status icon", role="img", title=title, aria_label=title or "Status"
    )
    return _anchor(icon.get("link"), shown, id=f"status-{link['id']}")


def _picture(icon: Mapping[str, Any]) -> Html | None:
    """Stands before a neutral glyph, which is seen where there is none or it does not load."""
    url = icon.get("url16x16")
    return start_tag("img", src=url, alt="", loading="lazy") if _is_web(url) else None


def _anchor(url: str | None, content: str, **attributes: object) -> Html:
    """A link that opens elsewhere; the bare content where the URL is none of the web's."""
    if not _is_web(url):
        return element("span", content)
    return element("a", content, href=url, target="_blank", rel="noreferrer noopener", **attributes)


def _is_web(url: str | None) -> bool:
    return url is not None and url.lower().startswith(("http://", "https://"))


# --- what was done -------------------------------------------------------------------------


def _history(history: Mapping[str, int]) -> Html:
    entries = [
        (element("span", action, class_=action if number else None), number)
        for action, number in history.items()
    ]
    meaning = element("small", "Needless: an entry was written although nothing changed.")
    return _section("history", "Histories of the issues", None, _counters(entries), meaning)


def _answers(counts: Mapping[str, int]) -> Html:
    named = [(*name.rpartition(" ")[::2], number) for name, number in sorted(counts.items())]
    entries = [(join(method, " ", _status(status)), number) for method, status, number in named]
    return _section("answers", "Answers", None, _counters(entries))


def _counters(entries: Iterable[tuple[Html, int]]) -> Html:
    pairs = (element("div", element("dt", name), element("dd", f"{number:,}")) for name, number in entries)
    return element("dl", *pairs)


def _calls(calls: Sequence[Mapping[str, Any]]) -> Html:
    shown = calls[-CALLS_SHOWN:]
    items = map(_call, reversed(shown))
    return _section("calls", "Calls, the newest first", _share(shown, calls), element("ol", *items))


def _call(call: Mapping[str, Any]) -> Html:
    notes = filter(None, (call.get("user"), call.get("fate"), call.get("reason")))
    return element(
        "li",
        _status(str(call["status"])),
        " ",
        element("strong", call["method"]),
        " ",
        element("span", _readable(call["path"]), class_="path", title=call["path"]),
        element("small", _time(call["at"]), *(f" · {note}" for note in notes)),
    )


def _status(status: str) -> Html:
    """In the colour of its class; "None" is that of a connection that was closed unanswered."""
    word = "closed" if status == "None" else status
    return element("span", word, class_=f"s{status[:1]}")


def _readable(path: str) -> str:
    place, mark, query = path.partition("?")
    return unquote(place) + mark + unquote_plus(query)


def _time(at: float) -> Html:
    iso = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    exact = f"{iso[:10]} {iso[11:23]} UTC"
    return element("time", exact, datetime=iso, title=exact)


# --- both ----------------------------------------------------------------------------------


def _section(name: str, heading: str, note: Html | None, *content: Html) -> Html:
    return element("section", element("h2", heading, note), *content, id=name)


def _share(shown: Sequence[object], of: Sequence[object]) -> Html:
    """How many there are, and how many of them are shown if not all."""
    part = f"the last {len(shown):,} of " if len(shown) < len(of) else ""
    return element("small", f"{part}{len(of):,}")
