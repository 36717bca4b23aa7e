"""The format of mapping files: what it can say, and how it tells what is wrong with one."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from bridge.errors import BadBody, ConfigError
from bridge.mapping.document import Document, merge_patch
from bridge.mapping.examples import failures
from bridge.mapping.expressions import MAX_LENGTH
from bridge.mapping.mapper import Mapped, Mapper, Route, Site
from bridge.mapping.rules import MAX_SEQUENCE, mentions, parse_mapping
from bridge.mapping.schema import Issues
from bridge.model import EPOCH, Action, Event

FILE = """
source: harbor
application: {type: com.example.harbor, name: Harbor}
icon: {url: "https://harbor.example.com/icon.png", title: Harbor}
skip_when:
  test_only: {type: ship, when: body.dry}
rules:
  crate:
    match: {type: [ship, ferry*], when: body.docked}
    each: body.crates
    action: upsert
    subject: {type: crate, id: "{body.port}/{item.n}"}
    issues: {texts: [item.note], branches: [item.lane], tags: [item.labels]}
    version: {time: item.at, sequence: [body.voyage, body.leg]}
    delete_when: item.lost
    state: item.state
    states:
      sealed: {title: sealed, resolved: true, rank: 9, icon: "https://harbor.example.com/ok.png"}
    draft: item.draft
    bot: item.by == 'crane'
    link:
      url: "https://harbor.example.com/{quote(item.lane)}"
      title: "{first_line(item.note)} is {state.title}"
      summary: "{short_sha(item.sha)} at {body.port} ({event.type})"
      relationship: holds
  voyage:
    match: {type: sunk}
    action: set
    subject: {type: voyage, id: "{body.n}", system: "{body.sea}"}
    issues: {texts: [body.note]}
    delete_when: body.forgotten
    resolved_when: body.raised
    link: {url: "https://harbor.example.com/{body.n}", title: "Voyage {body.n}"}
tests:
  - name: a sealed crate is resolved
    type: ship
    payload: &ship
      docked: true
      port: 4
      voyage: 3
      leg: 2
      crates: [{n: 1, note: "ABC-1 in\\nhere", lane: fix/def-2 x, sha: 0123456789, state: sealed}]
    changes:
      - {issues: [ABC-1], sequence: 30002, rank: 9, link: {object: {title: ABC-1 in is sealed}}}
      - {issues: [DEF-2]}
  - {name: dry ships are skipped, type: ship, payload: {<<: *ship, dry: true}, skipped: test_only}
  - name: a crate has a state
    type: ship
    payload: {<<: *ship, crates: [{n: 1, note: ABC-1}]}
    rejected: bad_body
"""
BASES = {"harbor": Document(FILE, "harbor.yaml").data}
SHIP: dict[str, Any] = {
    "docked": True,
    "port": 4,
    "voyage": 3,
    "leg": 2,
    "crates": [
        {"n": 1, "note": "ABC-1 in\nhere", "lane": "fix/def-2 x", "sha": "0123456789", "state": "sealed"}
    ],
}


def mapped(
    data: object,
    type_: str = "ship",
    source: str = "https://u@Harbor.example.com:8443/x",
    *,
    text: str = FILE,
    route: Route | None = None,
    projects: frozenset[str] | None = None,
) -> Mapped:
    """What the file makes of an event."""
    event = Event("1", source, type_, EPOCH, data, "harbor", endpoint="quay")
    mapping = parse_mapping(text, "harbor.yaml", BASES)
    return Mapper([mapping], [Site("main", projects)], routes={"quay": route} if route else {}).map(event)


def crate(**parts: object) -> dict[str, Any]:
    """A ship with one crate, which differs so."""
    return {**SHIP, "crates": [{**SHIP["crates"][0], **parts}]}


def test_a_rule_says_all_of_a_link() -> None:
    """Every part of a rule stands in the wish."""
    first, second = mapped(SHIP).wishes
    assert (first.issues, second.issues) == (("ABC-1",), ("DEF-2",))
    assert first.global_id == second.global_id == "system=harbor:harbor.example.com:8443&type=crate&id=4/1"
    assert (first.action, first.sequence, first.rank, first.time) == (Action.UPSERT, 30002, 9, EPOCH)
    assert first.link is not None
    assert first.link.normal == {
        "application": {"type": "com.example.harbor", "name": "Harbor"},
        "relationship": "holds",
        "object": {
            "url": "https://harbor.example.com/fix/def-2%20x",
            "title": "ABC-1 in is sealed",
            "summary": "0123456 at 4 (ship)",
            "icon": {"url16x16": "https://harbor.example.com/icon.png", "title": "Harbor"},
            "status": {
                "resolved": True,
                "icon": {"url16x16": "https://harbor.example.com/ok.png", "title": "sealed"},
            },
        },
    }


def test_what_is_gone_has_no_link() -> None:
    """Of what adds, the issues that are named lose it; of what sets, all issues do."""
    gone = mapped(crate(lost=True)).wishes
    assert [(wish.action, wish.issues, wish.link) for wish in gone] == [
        (Action.DELETE, ("ABC-1",), None),
        (Action.DELETE, ("DEF-2",), None),
    ]
    (wish,) = mapped({"n": 1, "sea": "north", "note": "ABC-1", "forgotten": True}, "sunk").wishes
    assert (wish.action, wish.issues, wish.link) == (Action.SET, (), None)


@pytest.mark.parametrize("raised", [True, False])
def test_a_condition_resolves_without_a_state(raised: bool) -> None:
    """`resolved_when` needs no states, and a system may be named apart from the source."""
    (wish,) = mapped({"n": 1, "sea": "North Sea", "note": "ABC-1", "raised": raised}, "sunk").wishes
    assert wish.global_id == "system=harbor:North Sea&type=voyage&id=1"
    assert wish.link is not None
    assert wish.link.normal["object"]["status"] == {"resolved": raised}


def test_a_condition_beats_the_states_resolved() -> None:
    """The state gives the icon and the title, the condition says whether it is struck through."""
    text = FILE.replace("    draft: item.draft", "    resolved_when: item.done\n    draft: item.draft")
    wish = mapped(SHIP, text=text).wishes[0]
    assert wish.link is not None
    assert wish.link.normal["object"]["status"]["resolved"] is False
    assert wish.link.normal["object"]["status"]["icon"]["title"] == "sealed"


def test_an_item_has_a_time_of_its_own() -> None:
    """`version.time` may be of each item; what is no time leaves the event's."""
    assert mapped(crate(at="2026-03-02T09:00:00Z")).wishes[0].time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert mapped(crate(at="soon")).wishes[0].time == EPOCH


def test_types_may_have_any_ending() -> None:
    """A * at the end of a type is any ending, also none."""
    assert mapped(SHIP, "ferry.large").wishes
    assert mapped(SHIP, "ferry").wishes
    assert mapped(SHIP, "shipping").skipped == "not_of_interest"


def test_tags_name_issues_in_any_case() -> None:
    """Of known projects, and of any behind `jira`."""
    tags = crate(note="", lane="", labels={"a": ["def-7", 3], "jira_key": "jira:abc-9"})
    assert [wish.issues for wish in mapped(tags).wishes] == [("ABC-9",)]
    known = mapped(tags, projects=frozenset({"DEF", "ABC"}))
    assert [wish.issues for wish in known.wishes] == [("DEF-7",), ("ABC-9",)]


@pytest.mark.parametrize(
    ("data", "type_", "reason"),
    [
        ({**SHIP, "dry": True}, "ship", "test_only"),
        ({**SHIP, "docked": False}, "ship", "not_of_interest"),
        ({**SHIP, "crates": []}, "ship", "no_issue_key"),
        ({**SHIP, "crates": None}, "ship", "no_issue_key"),
        (SHIP, "sail", "not_of_interest"),
    ],
)
def test_why_nothing_is_asked_for(data: dict[str, Any], type_: str, reason: str) -> None:
    """A skip's reason, no rule that speaks of it, or no key in it."""
    assert mapped(data, type_) == Mapped(skipped=reason)


def test_a_state_that_is_not_in_the_table_is_shown_by_its_name() -> None:
    """A vendor's new state is not resolved and outranks nothing."""
    wish = mapped({**SHIP, "crates": [{**SHIP["crates"][0], "state": "half_open"}]}).wishes[0]
    assert wish.rank == 0
    assert wish.link is not None
    assert wish.link.object.status is not None
    assert wish.link.object.status.model_dump(exclude_none=True) == {
        "resolved": False,
        "icon": {"title": "half open"},
    }


def test_a_source_without_a_host_is_the_system_itself() -> None:
    """A source that is no URL stands whole in the globalId."""
    assert mapped(SHIP, source="north&south").wishes[0].global_id.startswith("system=harbor:north%26south&")


@pytest.mark.parametrize("value", [None, "3", -1, 1.0, True, MAX_SEQUENCE])
def test_a_sequence_is_a_number(value: object) -> None:
    """What does not count is rejected: it would win or lose against all others."""
    with pytest.raises(BadBody, match="sequence"):
        mapped({**SHIP, "voyage": value})


@pytest.mark.parametrize("type_", ["ship", "sunk"])
def test_data_is_an_object(type_: str) -> None:
    """An event of interest has an object for its data."""
    with pytest.raises(BadBody, match="not an object"):
        mapped([1], type_)


# --- what a route adds ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "route", "reason"),
    [
        ({"draft": True}, Route(ignored=frozenset({"draft"})), "ignored_draft"),
        ({"by": "crane"}, Route(ignored=frozenset({"bot", "draft"})), "ignored_bot"),
        ({}, Route(branches=("fix/*",)), "ignored_branch"),
    ],
)
def test_what_is_ignored_names_no_issue(parts: dict[str, object], route: Route, reason: str) -> None:
    """An endpoint may leave out drafts, bots and branches, and the skip says which."""
    assert mapped(crate(**parts), route=route) == Mapped(skipped=reason)


@pytest.mark.parametrize(
    "route", [Route(ignored=frozenset({"draft", "bot"})), Route(branches=("feature/*", "fix/def-2"))]
)
def test_what_is_not_ignored_is_linked(route: Route) -> None:
    """A crate that is neither goes its way."""
    assert len(mapped(SHIP, route=route).wishes) == 2


def test_a_route_names_further_places() -> None:
    """An endpoint's own paths are looked through beside the mapping's."""
    places = Issues.model_validate({"texts": ["body.manifest"], "tags": ["item.extra"]})
    route = Route(mentions=partial(mentions, places))
    found = mapped({**crate(extra=["jira:xyz-3"]), "manifest": "for ABC-4"}, route=route).wishes
    assert [wish.issues for wish in found] == [("ABC-1",), ("ABC-4",), ("DEF-2",), ("XYZ-3",)]


# --- what is wrong with a file -------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("source: harbor", "source: Harbor!", "2:1: source.0: "),
        ("source: harbor", "sauce: harbor", "2:1: sauce: "),
        ("when: body.docked", "when: '||'", "9:35: rules.crate.match.when: "),
        ("when: body.docked", "when: [1]", "rules.crate.match.when: expected a text"),
        ("when: body.docked", f"when: {'a' * (MAX_LENGTH + 1)}", "more than 500 characters"),
        ("when: body.docked", f"when: '{'(' * 400}a{')' * 99}'", "rules.crate.match.when: "),
        ("when: body.docked", "wenn: body.docked", "9:35: rules.crate.match.wenn: "),
        ("texts: [body.note]", "texts: [body.note, 'a b']", "rules.voyage.issues.texts.1: "),
        ("action: set", "action: delete", "rules.voyage.action: "),
        ("{quote(item.lane)}", "{quote(item.lane}", "rules.crate.link.url: "),
        ("{body.port}/{item.n}", "{body.port/{n}", "rules.crate.subject.id: a brace without"),
        ("relationship: holds", f"relationship: {'x' * 5001}", "the text has more than 5000 characters"),
        ("relationship: holds", "relationship: 7", "rules.crate.link.relationship: "),
        ("rank: 9", "rank: 256", "rules.crate.states.sealed.rank: "),
        ("https://harbor.example.com/ok.png", "ok.png", "rules.crate.states.sealed.icon: "),
        ("https://harbor.example.com/icon.png", "javascript:1", "icon.url: "),
        ("name: Harbor}", f"name: {'x' * 256}}}", "application.name: "),
        ("test_only: {type", "Test Only: {type", "skip_when.Test Only"),
        ("skipped: test_only}", "}", "tests.1: expected one of"),
        ("source: harbor", "source: {", "not YAML"),
        ("source: harbor", "source: !!python/object:os.system x", "not YAML"),
        ("source: harbor", "source: harbor\nsource: other", "3:1: not YAML: `source` is given twice"),
        ("source: harbor", "source: &a [*a]", "an alias stands within what it names"),
        ("source: harbor", "extends: quay", "2:1: extends: there is no built-in mapping of that name"),
        ("source: harbor", "extends: harbor\nsource: x", "3:1: source: is that of the mapping"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(old: str, new: str, told: str) -> None:
    """A mistake in a mapping file is told with the file and the path of the key."""
    assert old in FILE
    with pytest.raises(ConfigError) as refused:
        parse_mapping(FILE.replace(old, new, 1), "harbor.yaml", BASES)
    assert str(refused.value).startswith("harbor.yaml:")
    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "7", "tests: []", "[" * 3000])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    """Any other text is an error of configuration."""
    with pytest.raises(ConfigError, match=r"^own\.yaml:"):
        parse_mapping(text, "own.yaml")


def test_aliases_cannot_grow_without_bounds() -> None:
    """A few lines of aliases that stand for a billion values are refused at once."""
    lines = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))]
    with pytest.raises(ConfigError, match="more than 100000 values"):
        parse_mapping("\n".join(lines), "own.yaml")


def test_an_event_cannot_keep_the_worker_busy() -> None:
    """Each expression may be cheap, and all of them for all items too much: the event is rejected."""
    text = FILE.replace("texts: [item.note]", "texts: ['body.crates[?n > `3`].note']")
    crates = [{"n": n, "note": f"ABC-{n}", "lane": "x", "state": "sealed"} for n in range(2000)]
    with pytest.raises(BadBody, match="does more work than is allowed"):
        mapped({**SHIP, "crates": crates}, text=text)


def test_one_text_is_not_searched_for_each_item_for_ever() -> None:
    """To find keys in a text takes longest where they stand close together, and each item may look there."""
    text = FILE.replace("texts: [item.note]", "texts: [body.note]")
    crates = [{"n": n, "lane": "x", "state": "sealed"} for n in range(2000)]
    with pytest.raises(BadBody, match="does more work than is allowed"):
        mapped({**SHIP, "crates": crates, "note": "AB-1 " * 80_000}, text=text)


def test_long_types_are_not_remembered() -> None:
    """Types are the senders' to choose."""
    mapping = parse_mapping(FILE, "harbor.yaml", BASES)
    mapper = Mapper([mapping], [Site("main", None)])
    tracemalloc.start()
    for number in range(100):
        mapper.map(Event("1", "x", f"{number}" + "x" * 100_000, EPOCH, SHIP, "harbor"))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 1_000_000


def test_texts_of_json_stay_texts() -> None:
    """A payload is JSON: a date and `on` are texts in it."""
    document = Document("a: 2026-03-02T09:00:00Z\nb: on\nc: no\nd: true\ne: 1", "x")
    assert document.data == {"a": "2026-03-02T09:00:00Z", "b": "on", "c": "no", "d": True, "e": 1}
    texts = ["12:30", "010", "0x1F", "1_000", "12e45", "1e5", ".5", "+1", "tru", ".inf", "1:1" * 300_000]
    numbers = [0, -1, 12, 1.5, -0.25, 1.5e-7, None, True, False]
    written = ["0", "-1", "12", "1.5", "-0.25", "1.5e-7", "null", "true", "false"]
    items = "".join(f"\n- {each}" for each in (*texts, *written))
    assert Document(f"a:{items}", "x").data == {"a": [*texts, *numbers]}


@pytest.mark.parametrize(
    "value",
    ["!!bool 'abc'", "!!int ''", "!!int '1:30'", "!!timestamp 'abc'", "!!binary 'YQ=='", "!!set {x, y}"],
)
def test_other_tags_of_yaml_are_refused(value: str) -> None:
    """JSON has no other types, and none has a wrong value."""
    with pytest.raises(ConfigError, match="not YAML"):
        Document(f"a: {value}", "x")


def test_all_mistakes_are_told_at_once() -> None:
    """Each wrong key has its own line."""
    text = FILE.replace("when: body.docked", "when: ''").replace("rank: 9", "rank: x")
    with pytest.raises(ConfigError) as refused:
        parse_mapping(text, "harbor.yaml")
    assert len(str(refused.value).splitlines()) == 2


# --- laid over another ---------------------------------------------------------------------

OWN = """
extends: harbor
icon: null
rules:
  crate:
    states: {sealed: {title: closed}}
    link: {title: "Crate {item.n}", relationship: null}
tests: [{name: x, type: ship, payload: {dry: true}, skipped: test_only}]
"""


def test_a_file_may_change_parts_of_another() -> None:
    """What it says is laid over, null takes away, and all else is as it was."""
    (first, _), (own, _) = mapped(SHIP).wishes, mapped(SHIP, text=OWN).wishes
    assert first.link is not None
    assert own.link is not None
    expected = {**first.link.normal, "object": {**first.link.normal["object"], "title": "Crate 1"}}
    del expected["relationship"], expected["object"]["icon"]
    expected["object"]["status"] = {
        "resolved": True,
        "icon": {"url16x16": "https://harbor.example.com/ok.png", "title": "closed"},
    }
    assert own.link.normal == expected


def test_a_fault_in_what_is_laid_over_has_its_place() -> None:
    """The place is that of the nearest key in the user's own file."""
    with pytest.raises(ConfigError, match=r"^own\.yaml:6:31: rules\.crate\.states\.open\.rank: "):
        parse_mapping(OWN.replace("{sealed:", "{open: {title: x, rank: -1}, sealed:"), "own.yaml", BASES)


@pytest.mark.parametrize(
    ("patch", "merged"),
    [
        ({}, {"a": {"b": 1, "c": [1]}}),
        ({"a": None}, {}),
        ({"a": {"b": None}}, {"a": {"c": [1]}}),
        ({"a": {"c": [2]}, "d": 3}, {"a": {"b": 1, "c": [2]}, "d": 3}),
        ({"a": 1}, {"a": 1}),
        ({"d": {"e": None}}, {"a": {"b": 1, "c": [1]}, "d": {}}),
    ],
)
def test_a_merge_patch(patch: Any, merged: Any) -> None:
    """RFC 7396: members are merged, lists replaced, null takes away."""
    assert merge_patch({"a": {"b": 1, "c": [1]}}, patch) == merged


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "title: ABC-1 in is sealed}",
            "title: Another}",
            "changes.0.link.object.title: 'ABC-1 in is sealed', ",
        ),
        ("sequence: 30002", "sequence: 1", "changes.0.sequence: 30002, expected 1"),
        ("      - {issues: [DEF-2]}\n", "", "2 changes, expected 1"),
        ("skipped: test_only}", "skipped: ping}", "skipped: test_only, expected ping"),
        ("rejected: bad_body", "rejected: bad_link", "rejected: bad_body: "),
        ("rejected: bad_body", "skipped: test_only", "rejected: bad_body: "),
    ],
)
def test_a_files_own_tests_can_fail(old: str, new: str, told: str) -> None:
    """The tests in a file tell what differs."""
    assert list(failures(parse_mapping(FILE, "harbor.yaml"))) == []
    (line,) = failures(parse_mapping(FILE.replace(old, new), "harbor.yaml"))
    assert line.startswith("harbor.yaml: ")
    assert told in line
