"""The canonical event: what it promises, and that nothing else gets through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadBody, BadLink, Unmappable
from bridge.mapping.canonical import CanonicalMapping
from bridge.mapping.mapper import Mapped, Mapper, Site
from bridge.model import Action, Event, Link
from tests.documents import JSON, damaged

TIME = datetime(2026, 1, 1, 0, 0, 30, 71000, tzinfo=UTC)
GLOBAL_ID = "system=http://ci.example.com/build&id=71"
DATA: dict[str, Any] = {
    "issue": "PROJ-123",
    "globalId": GLOBAL_ID,
    "application": {"type": "com.example.ci", "name": "CI"},
    "relationship": "is built by",
    "object": {
        "url": "http://ci.example.com/build?id=71",
        "title": "build #71 passed",
        "summary": "All green\nin 3 s",
        "icon": {"url16x16": "http://ci.example.com/favicon.ico", "title": "CI"},
        "status": {
            "resolved": True,
            "icon": {
                "url16x16": "http://ci.example.com/ok.png",
                "title": "passed",
                "link": "http://ci.example.com/",
            },
        },
    },
}
ONE = [Site("main", None)]


def mapped(data: object, type_: str = "remotelink.upsert", sites: list[Site] = ONE) -> Mapped:
    """What comes of a canonical event with that data."""
    event = Event("71-3", "//ci.example.com", type_, TIME, data, "cloudevents", subject=GLOBAL_ID)
    return Mapper([CanonicalMapping()], sites).map(event)


def upsert(sites: list[Site] = ONE, **changes: object) -> Mapped:
    """What comes of an upsert whose data differs in that."""
    return mapped({**DATA, **changes}, sites=sites)


def upsert_object(**changes: object) -> Link:
    """The link of an upsert whose object differs in that."""
    (wish,) = upsert(object={**DATA["object"], **changes}).wishes
    assert wish.link is not None
    return wish.link


def test_an_upsert_is_taken_as_it_is() -> None:
    """The link, the issue and the globalId are those of the event; its time is the version."""
    (wish,) = mapped(DATA).wishes
    assert (wish.action, wish.site, wish.issues) == (Action.UPSERT, "main", ("PROJ-123",))
    assert (wish.global_id, wish.sequence, wish.time, wish.rank) == (GLOBAL_ID, 0, TIME, 0)
    assert wish.link is not None
    assert wish.link.normal == {name: DATA[name] for name in ("application", "relationship", "object")}


def test_a_delete_needs_no_object() -> None:
    """A delete names the issue and the globalId only."""
    (wish,) = mapped({"issue": "PROJ-123", "globalId": GLOBAL_ID}, "remotelink.delete").wishes
    assert (wish.action, wish.issues, wish.link) == (Action.DELETE, ("PROJ-123",), None)


def test_a_link_of_title_and_url_is_enough() -> None:
    """Everything else may be missing, null, empty or unknown."""
    thin: dict[str, Any] = {
        "url": "https://x.com/a",
        "title": "T",
        "icon": None,
        "status": {},
        "summary": "",
        "more": 1,
    }
    (wish,) = upsert(object=thin, application={}, relationship=None).wishes
    assert wish.link is not None
    assert wish.link.normal == {"object": {"url": "https://x.com/a", "title": "T"}}


@pytest.mark.parametrize(
    "type_", ["remotelink.update", "remotelink", "dev.cdevents.build.finished.0.2.0", ""]
)
def test_other_types_are_of_no_interest(type_: str) -> None:
    """Only the two types of the canonical event are read."""
    assert mapped(DATA, type_) == Mapped(skipped="not_of_interest")


@pytest.mark.parametrize(
    ("given", "issue"),
    [("proj-123", "PROJ-123"), ("A_B2-1", "A_B2-1"), ("10042", "10042"), (10042, "10042")],
)
def test_issues_are_named_by_key_or_id(given: object, issue: str) -> None:
    """A key is upper-cased; a numeric id is Jira's own."""
    (wish,) = upsert(issue=given).wishes
    assert wish.issues == (issue,)


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "PROJ",
        "PROJ-0",
        "PROJ-1/../../myself",
        "PROJ-1\n",
        " PROJ-1",
        "PROJ-1,PROJ-2",
        "P-1",
        "\u017fab-1",
        "\uff10\uff11",
        "0",
        0,
        -1,
        1.5,
        True,
        [],
        {},
        "9" * 30,
    ],
)
def test_what_names_no_issue_is_refused(given: object) -> None:
    """Nothing that could change a path gets near a URL."""
    with pytest.raises(BadLink, match=r"data\.issue"):
        upsert(issue=given)


@pytest.mark.parametrize("given", [None, "", " ", 7, [], "x" * 256, "😀" * 128])
def test_global_ids_are_judged(given: object) -> None:
    """A globalId has 1 to 255 UTF-16 units, and is never changed."""
    with pytest.raises(BadLink, match=r"data\.globalId"):
        upsert(globalId=given)
    (wish,) = upsert(globalId="😀" * 127 + "x").wishes
    assert wish.global_id == "😀" * 127 + "x"


def test_texts_are_clipped() -> None:
    """Title, relationship and names have 255 units on one line; the summary stays."""
    link = upsert_object(title="a\nb" + "x" * 300, summary="y" * 3000)
    assert link.object.title == "a b" + "x" * 251 + "…"
    assert link.object.summary == "y" * 3000
    (wish,) = upsert(relationship="r" * 300, application={"type": "t" * 300, "name": "n" * 300}).wishes
    assert wish.link is not None
    assert wish.link.application is not None
    texts = wish.link.relationship, wish.link.application.type, wish.link.application.name
    assert [len(text or "") for text in texts] == [255, 255, 255]


@pytest.mark.parametrize("title", [None, "", "  \n", "\x00", 7])
def test_a_title_is_needed(title: object) -> None:
    """Jira refuses a blank title, so it is refused here with its name."""
    with pytest.raises(BadLink, match=r"data\.object\.title"):
        upsert_object(title=title)


BAD_URL = "javascript:alert(1)"


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"url": BAD_URL}, "url"),
        ({"url": None}, "url"),
        ({"icon": {"url16x16": BAD_URL}}, "icon.url16x16"),
        ({"icon": {"url16x16": 1}}, "icon.url16x16"),
        ({"icon": "https://x.com/"}, "icon"),
        ({"status": {"icon": {"url16x16": "https://u:p@x.com/"}}}, "status.icon.url16x16"),
        ({"status": {"icon": {"link": "//x.com"}}}, "status.icon.link"),
        ({"status": {"resolved": "yes"}}, "status.resolved"),
        ({"status": []}, "status"),
        ({"summary": 1}, "summary"),
    ],
)
def test_bad_fields_are_named(part: dict[str, object], field: str) -> None:
    """The error names the field as the producer wrote it."""
    with pytest.raises(BadLink) as refused:
        upsert_object(**part)
    assert str(refused.value).startswith(f"data.object.{field}: ")


@pytest.mark.parametrize("data", [None, [], "x", 1, True])
def test_data_is_an_object(data: object) -> None:
    """Data of another shape is a bad body."""
    with pytest.raises(BadBody):
        mapped(data)


SITES = [Site("one", frozenset({"PROJ"})), Site("two", frozenset({"PROJ", "OPS"})), Site("rest", None)]


@pytest.mark.parametrize(
    ("issue", "site", "names"),
    [
        ("PROJ-1", None, ["one", "two"]),
        ("OPS-1", None, ["two"]),
        ("XYZ-1", None, ["rest"]),
        ("PROJ-1", "two", ["two"]),
        ("10042", "one", ["one"]),
    ],
)
def test_an_issue_goes_to_its_sites(issue: str, site: str | None, names: list[str]) -> None:
    """The project tells the site, unless the event names it."""
    assert [wish.site for wish in upsert(SITES, issue=issue, site=site).wishes] == names


@pytest.mark.parametrize(
    ("issue", "site", "sites", "told"),
    [
        ("PROJ-1", "nowhere", SITES, "data.site"),
        ("PROJ-1", 7, SITES, "data.site"),
        ("10042", None, SITES, "data.site"),
        ("XYZ-1", None, SITES[:2], "data.issue"),
    ],
)
def test_an_issue_without_a_site_is_refused(issue: str, site: object, sites: list[Site], told: str) -> None:
    """What goes nowhere says why."""
    with pytest.raises(BadLink, match=told):
        upsert(sites, issue=issue, site=site)


@given(data=JSON | damaged(DATA), type_=st.sampled_from(["remotelink.upsert", "remotelink.delete"]))
def test_any_json_comes_to_a_link_or_a_named_error(data: object, type_: str) -> None:
    """Whatever the data, a link that Jira would take comes out, or the error says what is wrong."""
    try:
        wishes, told = mapped(data, type_).wishes, ""
    except Unmappable as error:
        wishes, told = (), str(error)
    assert bool(wishes) != bool(told)
    for wish in wishes:
        assert wish.link is None or (wish.link.object.title.strip() and wish.link.object.url[:4] == "http")
