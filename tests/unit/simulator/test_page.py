"""The simulator's page: what a person reads in it, and that nothing from outside becomes markup."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.page import CALLS_SHOWN, LINKS_SHOWN, render

AT = 1_764_064_800.25
HISTORY = {"created": 0, "updated": 0, "deleted": 0, "needless": 0}
PICTURE = "https://icons.example/16.png"
VOID = {"meta", "input", "img"}
ATTRIBUTES = {
    "html": {"lang"},
    "meta": {"charset", "name", "content"},
    "script": {"type", "src"},
    "input": {"id", "type", "placeholder", "aria-label", "hidden"},
    "p": {"id", "role"},
    "main": {"data-last"},
    "aside": {"tabindex", "aria-label"},
    "section": {"id"},
    "a": {"id", "href", "target", "rel"},
    "img": {"src", "alt", "loading"},
    "span": {"class", "title", "role", "aria-label"},
    "time": {"datetime", "title"},
}
PLAIN = {
    "head",
    "title",
    "style",
    "body",
    "header",
    "h1",
    "h2",
    "h3",
    "h4",
    "article",
    "ul",
    "ol",
    "li",
    "div",
}
PLAIN |= {"dl", "dt", "dd", "small", "strong", "s", "code", "pre"}


@dataclass
class Element:
    """An element of a page; its parts are elements and texts."""

    name: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All the text in it."""
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, name: str, **attributes: str) -> list[Element]:
        """The elements in it of that name and with those attributes, in the page's order."""
        found = []
        for part in self.parts:
            if isinstance(part, Element):
                if part.name == name and attributes.items() <= part.attributes.items():
                    found.append(part)
                found += part.all(name, **attributes)
        return found

    def texts(self, name: str, **attributes: str) -> list[str]:
        """The texts of those elements."""
        return [element.text for element in self.all(name, **attributes)]


class Page(HTMLParser):
    """Reads a page into elements, and takes nothing that the page is not made of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("root")
        self._open = [self.root]
        self.feed(html)
        self.close()
        assert self._open == [self.root], "each element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Every element and attribute is one of the page's own."""
        assert {name for name, _ in attrs} <= ATTRIBUTES.get(tag, set()), tag
        assert tag in ATTRIBUTES or tag in PLAIN
        element = Element(tag, dict(attrs))
        self._open[-1].parts.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """The innermost element is the one that ends."""
        assert self._open.pop().name == tag

    def handle_data(self, data: str) -> None:
        """Text belongs to the innermost element."""
        self._open[-1].parts.append(data)

    def handle_comment(self, data: str) -> None:
        """The page has no comments."""
        pytest.fail(data)


def link(number: int = 10_000, issue: str = "DEMO-1", **parts: Any) -> dict[str, Any]:
    """A link as the simulator tells it; `parts` are of the object, but for the words of the body."""
    above = {name: parts.pop(name) for name in ("application", "relationship") if name in parts}
    global_id = parts.pop("globalId", f"id={number}")
    thing = {"url": "https://example.com/1", "title": "One", "icon": {}, "status": {"icon": {}}, **parts}
    return {
        "issue": issue,
        "id": number,
        "globalId": global_id,
        "body": {"application": {}, **above, "object": thing},
    }


def call(status: int | None = 200, **fields: Any) -> dict[str, Any]:
    """A call as the simulator tells it."""
    return {
        "method": "GET",
        "path": "/rest/api/2/issue/DEMO-1/remotelink",
        "status": status,
        "at": AT,
        **fields,
    }


def page(*links: Any, calls: Any = (), counts: Any = None, history: Any = None) -> Element:
    """The page of that state, read."""
    state = {
        "links": list(links),
        "calls": list(calls),
        "counts": counts or {},
        "history": history or HISTORY,
    }
    return Page(render(state)).root


# --- issues and links ----------------------------------------------------------------------


def test_a_panel_an_issue() -> None:
    """Issues stand in the order in which people count, each once, with its links."""
    shown = page(
        *(link(number, f"DEMO-{number}") for number in (10, 9)), link(11, "ABC-1"), link(12, "DEMO-9")
    )
    assert shown.texts("h3") == ["ABC-1", "DEMO-9", "DEMO-10"]
    assert [len(panel.all("li")) for panel in shown.all("article")] == [1, 2, 1]


def test_links_are_grouped_by_relationship() -> None:
    """A relationship is told once, and Jira's own words stand for none."""
    first, second = (link(number, relationship="is built by", title=str(number)) for number in (1, 3))
    shown = page(first, link(2, title="2"), second)
    assert shown.texts("h4") == ["is built by", "links to"]
    assert [group.texts("a") for group in shown.all("article")[0].all("ul")] == [["1", "3"], ["2"]]


def test_a_link_tells_what_it_has() -> None:
    """Title to its URL, then summary, application, globalId and id."""
    shown = page(link(7, url="https://x.example/?a=1&b=2", summary="Sum", application={"name": "App"}))
    (anchor,) = shown.all("a")
    assert anchor.attributes == {
        "id": "link-7",
        "href": "https://x.example/?a=1&b=2",
        "target": "_blank",
        "rel": "noreferrer noopener",
    }
    (item,) = shown.all("article")[0].all("li")
    assert item.text == "One SumApp · id=7 · id 7"
    assert page(link(8, globalId=None)).all("article")[0].all("li")[0].text == "One no globalId · id 8"


@pytest.mark.parametrize(
    ("status", "struck"), [({"resolved": True}, ["One"]), ({"resolved": False}, []), ({}, [])]
)
def test_what_is_resolved_is_struck_through(status: dict[str, bool], struck: list[str]) -> None:
    """Only `resolved: true` strikes the title through."""
    assert page(link(status={**status, "icon": {}})).texts("s") == struck


@pytest.mark.parametrize(
    ("application", "icon", "tooltip"),
    [
        ({"name": "App"}, {"title": "Build"}, "[App] Build"),
        ({"name": "App"}, {}, "[App]"),
        ({}, {"title": "Build"}, "Build"),
        ({}, {}, "Web Link"),
    ],
)
def test_the_tooltip_of_an_icon(application: Any, icon: Any, tooltip: str) -> None:
    """It is made of the application's name and the icon's title, as Atlassian documents it."""
    shown = page(link(application=application, icon=icon))
    assert len(shown.all("span", **{"class": "icon", "title": tooltip})) == 1


def test_the_pictures() -> None:
    """The object's and the status's icons are shown where there are any, the status's with its link."""
    status = {"icon": {"url16x16": PICTURE + "?s", "title": "failed", "link": "https://x.example/why"}}
    shown = page(link(5, icon={"url16x16": PICTURE}, status=status))
    assert [image.attributes["src"] for image in shown.all("img")] == [PICTURE, PICTURE + "?s"]
    (why,) = shown.all("a", id="status-5")
    assert why.attributes["href"] == "https://x.example/why"
    assert len(why.all("span", role="img", title="failed")) == 1
    assert page(link(status={"icon": {"title": "failed"}})).all("span", role="img") == []


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", " javascript:alert(1)", "JaVaScRiPt:1", "data:text/html,x", "//x", "https:x", ""],
)
def test_only_the_web_is_linked_to(url: str) -> None:
    """What is no http or https URL is neither link nor picture, and its title is still read."""
    icon = {"url16x16": url, "link": url, "title": "Icon"}
    shown = page(link(url=url, icon=icon, status={"icon": icon}))
    assert shown.all("a") + shown.all("img") == []
    assert "One" in shown.all("article")[0].text
    picture = {**icon, "url16x16": PICTURE}
    assert [anchor.attributes["id"] for anchor in page(link(1, status={"icon": picture})).all("a")] == [
        "link-1"
    ]


def test_many_links() -> None:
    """The newest are shown, with a word on how many there are."""
    shown = page(*(link(number) for number in range(LINKS_SHOWN + 5)))
    assert len(shown.all("a")) == LINKS_SHOWN
    assert shown.all("a", id="link-4") == []
    assert "the last 500 of 505" in shown.texts("h2")[0]


def test_an_empty_page_says_how_to_begin() -> None:
    """Where no link is, a command makes the first one."""
    assert page().texts("pre")[0].startswith("curl -u demo@example.com:demo ")
    assert page(link()).all("pre") == []


# --- what was done -------------------------------------------------------------------------


def test_counters() -> None:
    """History and answers are counted, answers by method and status in the colour of its class."""
    history = {"created": 1200, "updated": 3, "deleted": 0, "needless": 2}
    shown = page(counts={"POST 201": 3, "GET None": 1}, history=history)
    assert shown.texts("dt") == ["created", "updated", "deleted", "needless", "GET closed", "POST 201"]
    assert shown.texts("dd") == ["1,200", "3", "0", "2", "1", "3"]
    assert shown.texts("span", **{"class": "s2"}) == ["201"]


@pytest.mark.parametrize(("number", "standing_out"), [(0, []), (1, ["needless"])])
def test_needless_entries_stand_out(number: int, standing_out: list[str]) -> None:
    """They are marked where there are any."""
    assert (
        page(history={**HISTORY, "needless": number}).texts("span", **{"class": "needless"}) == standing_out
    )


def test_the_newest_call_stands_first() -> None:
    """Of many calls the last are shown, and the page knows the number of the very last."""
    shown = page(calls=[call(number=number, path=f"/{number}") for number in range(1, CALLS_SHOWN + 6)])
    paths = shown.texts("span", **{"class": "path"})
    assert (len(paths), paths[0], paths[-1]) == (CALLS_SHOWN, f"/{CALLS_SHOWN + 5}", "/6")
    assert "the last 200 of 205" in shown.texts("h2")[-1]
    assert shown.all("main")[0].attributes["data-last"] == str(CALLS_SHOWN + 5)


def test_a_call_tells_when_and_what() -> None:
    """The path is decoded for reading, the time exact; what went wrong is told with its reason."""
    raw = "/rest/api/2/issue/A%2D1/remotelink?globalId=a%2Bb+c%3Dd"
    shown = page(calls=[call(429, path=raw, user="ann", fate="limited", reason="jira-burst-based")])
    (path,) = shown.all("span", **{"class": "path"})
    assert (path.text, path.attributes["title"]) == ("/rest/api/2/issue/A-1/remotelink?globalId=a+b c=d", raw)
    (time,) = shown.all("time")
    assert time.attributes == {
        "datetime": "2025-11-25T10:00:00.250+00:00",
        "title": "2025-11-25 10:00:00.250 UTC",
    }
    assert shown.texts("small")[-1] == f"{time.text} · ann · limited · jira-burst-based"
    assert page(calls=[call(fate=None, user=None)]).texts("small")[-1] == time.text


@pytest.mark.parametrize(
    ("status", "word", "colour"),
    [(204, "204", "s2"), (404, "404", "s4"), (503, "503", "s5"), (None, "closed", "sN")],
)
def test_a_status_has_the_colour_of_its_class(status: int | None, word: str, colour: str) -> None:
    """A connection that was closed unanswered is told as such."""
    assert page(calls=[call(status)]).texts("span", **{"class": colour}) == [word]


# --- texts from outside --------------------------------------------------------------------

TEXTS = st.text(min_size=1) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onclick='x",
        "&lt;&amp;",
        "</main><!--",
        "]]>",
    ]
)
WEB = TEXTS.map(lambda text: "https://x.example/" + text)


@given(text=TEXTS, url=WEB)
def test_every_text_survives_as_text(text: str, url: str) -> None:
    """Whatever stands in a link or a call is read as it is, and makes no element or attribute."""
    icon = {"url16x16": url, "title": text, "link": url}
    made = link(
        globalId=text,
        relationship=text,
        application={"name": text},
        url=url,
        title=text,
        summary=text,
        icon=icon,
        status={"resolved": True, "icon": icon},
    )
    made_by = call(method=text, path="/" + quote(text), user=text, fate=text, reason=text)
    shown = page(made, calls=[made_by], counts={f"{text} 200": 1})
    assert (shown.texts("h4"), shown.texts("s"), shown.texts("code"), shown.texts("strong")) == ([text],) * 4
    assert shown.texts("span", **{"class": "muted"}) == [text]
    assert [anchor.attributes["href"] for anchor in shown.all("a")] == [url, url]
    assert [image.attributes["src"] for image in shown.all("img")] == [url, url]
    assert [icon.attributes["title"] for icon in shown.all("span", **{"class": "icon"})] == [
        f"[{text}] {text}"
    ]
    assert len(shown.all("span", role="img", title=text)) == 1
    assert shown.texts("span", **{"class": "path"}) == ["/" + text]
    assert shown.texts("small")[-1].endswith(f" · {text} · {text} · {text}")
    assert shown.texts("dt")[-1] == f"{text} 200"


@given(texts=st.lists(TEXTS, min_size=4, max_size=4))
def test_no_text_becomes_another_link(texts: list[str]) -> None:
    """Of URLs of any kind only those of the web are taken, unchanged."""
    url, picture, why, seen = texts
    shown = page(link(url=url, icon={"url16x16": picture}, status={"icon": {"url16x16": seen, "link": why}}))
    taken = [anchor.attributes["href"] for anchor in shown.all("a")]
    taken += [image.attributes["src"] for image in shown.all("img")]
    assert all(address in texts for address in taken)
    assert all(re.match("https?://", address or "", re.IGNORECASE) for address in taken)


def test_octets_that_are_no_text() -> None:
    """A path that came in no known encoding is shown, and the page is UTF-8 all the same."""
    html = render({"links": [], "calls": [call(path="/\udcff%FF")], "counts": {}, "history": HISTORY})
    assert "/?\N{REPLACEMENT CHARACTER}</span>" in html.encode().decode()


# --- the script ----------------------------------------------------------------------------


def test_the_script_finds_what_it_looks_for() -> None:
    """Each element that the script names by id, tag or class is in the page."""
    script = files("bridge.simulator").joinpath("page.js").read_text("utf-8")
    full, empty = page(link(), calls=[call()]), page()
    ids = re.findall(r'getElementById\("(\w+)"\)', script)
    assert len(ids) == 2
    assert all(any(full.all(name, id=one) for name in ("p", "input")) for one in ids)
    assert empty.all("span", **{"class": "origin"})
    assert all(full.all(name) for name in ("main", "section", "article", "time"))
    assert full.all("section", id="calls")[0].all("li")


def test_the_page_loads_nothing_of_others() -> None:
    """The one script is the simulator's own, and no script stands in the page itself."""
    (script,) = page(link()).all("script")
    assert (script.attributes["src"], script.text) == ("/_simulator/page.js", "")
    assert "url(" not in page().all("style")[0].text
