"""The format of mapping files: what it can say, and how it tells what is wrong with one."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest

from bridge.errors import BadBody, ConfigError
from bridge.mapping.examples import failures
from bridge.mapping.expressions import MAX_LENGTH, Expression, Template
from bridge.mapping.mapper import Mapped, Mapper, Site
from bridge.mapping.rules import MAX_SEQUENCE, parse_mapping
from bridge.model import EPOCH, Action, Event

FILE = """
source: harbor
application: {type: com.example.harbor, name: Harbor}
icon: {url: "https://harbor.example.com/icon.png", title: Harbor}
skip:
  - {reason: test_only, types: [ship], when: dry}
rules:
  - types: [ship]
    when: docked
    each: crates
    action: upsert
    object: crate
    id: "{port}/{item.n}"
    keys: {texts: [item.note], branches: [item.lane]}
    sequence: [voyage, leg]
    state: item.state
    states:
      sealed: {title: sealed, resolved: true, rank: 9, icon: "https://harbor.example.com/ok.png"}
    link:
      url: "https://harbor.example.com/{quote(item.lane)}"
      title: "{first_line(item.note)} is {state_title}"
      summary: "{short_sha(item.sha)} at {port}"
      relationship: holds
  - types: [sunk]
    action: delete
    object: crate
    id: "{port}/{n}"
    keys: {texts: [note]}
tests:
  - name: a sealed crate is resolved
    type: ship
    data: &ship
      docked: true
      port: 4
      voyage: 3
      leg: 2
      crates: [{n: 1, note: "ABC-1 in\\nhere", lane: fix/def-2 x, sha: 0123456789, state: sealed}]
    expect:
      wishes:
        - {issues: [ABC-1], sequence: 30002, rank: 9, link: {object: {title: ABC-1 in is sealed}}}
        - {issues: [DEF-2]}
  - {name: dry ships are skipped, type: ship, data: {<<: *ship, dry: true}, expect: {skipped: test_only}}
"""
SHIP: dict[str, Any] = {
    "docked": True,
    "port": 4,
    "voyage": 3,
    "leg": 2,
    "crates": [
        {"n": 1, "note": "ABC-1 in\nhere", "lane": "fix/def-2 x", "sha": "0123456789", "state": "sealed"}
    ],
}


def mapped(data: object, type_: str = "ship", source: str = "https://u@Harbor.example.com:8443/x") -> Mapped:
    """What the file makes of an event."""
    event = Event("1", source, type_, EPOCH, data, "harbor")
    return Mapper([parse_mapping(FILE, "harbor.yaml")], [Site("main", None)]).map(event)


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
            "summary": "0123456 at 4",
            "icon": {"url16x16": "https://harbor.example.com/icon.png", "title": "Harbor"},
            "status": {
                "resolved": True,
                "icon": {"url16x16": "https://harbor.example.com/ok.png", "title": "sealed"},
            },
        },
    }


def test_a_delete_rule_has_no_link() -> None:
    """A rule may take links off."""
    (wish,) = mapped({"port": 4, "n": 1, "note": "ABC-1"}, "sunk").wishes
    assert (wish.action, wish.issues, wish.link) == (Action.DELETE, ("ABC-1",), None)


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


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("source: harbor", "source: Harbor!", "source: "),
        ("source: harbor", "sauce: harbor", "sauce: Extra inputs"),
        ("when: docked", "when: '||'", "rules.0.when: "),
        ("when: docked", "when: [1]", "rules.0.when: Value error, expected a text"),
        ("when: docked", f"when: {'a' * (MAX_LENGTH + 1)}", "more than 500 characters"),
        ("when: docked", f"when: '{'(' * 400}a{')' * 99}'", "rules.0.when: "),
        ("when: docked", "wenn: docked", "rules.0.wenn: "),
        ("texts: [note]", "texts: [note, 'a b']", "rules.1.keys.texts.1: "),
        ("action: delete", "action: remove", "rules.1.action: "),
        ("action: delete", "action: upsert", "rules.1: Value error, a rule has a `link`"),
        ("action: upsert", "action: delete", "rules.0: Value error, a rule has a `link`"),
        ("{quote(item.lane)}", "{quote(item.lane}", "rules.0.link.url: "),
        ("{port}/{n}", "{port/{n}", "rules.1.id: Value error, a brace without its partner"),
        ("relationship: holds", "relationship: 7", "rules.0.link.relationship: "),
        ("rank: 9", "rank: 256", "rules.0.states.sealed.rank: "),
        ("https://harbor.example.com/ok.png", "ok.png", "rules.0.states.sealed.icon: "),
        ("https://harbor.example.com/icon.png", "javascript:1", "icon.url: "),
        ("name: Harbor}", f"name: {'x' * 256}}}", "application.name: "),
        ("reason: test_only", "reason: Test Only", "skip.0.reason: "),
        ("expect: {skipped: test_only}", "expect: {}", "tests.1.expect: "),
        ("source: harbor", "source: {", "not YAML"),
        ("source: harbor", "source: !!python/object:os.system x", "not YAML"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_key(old: str, new: str, told: str) -> None:
    """A mistake in a mapping file is told with the file and the path of the key."""
    assert old in FILE
    with pytest.raises(ConfigError) as refused:
        parse_mapping(FILE.replace(old, new), "harbor.yaml")
    assert str(refused.value).startswith("harbor.yaml: ")
    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "7", "tests: []", "[" * 3000])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    """Any other text is an error of configuration."""
    with pytest.raises(ConfigError, match=r"^own\.yaml: "):
        parse_mapping(text, "own.yaml")


def test_all_mistakes_are_told_at_once() -> None:
    """Each wrong key has its own line."""
    with pytest.raises(ConfigError) as refused:
        parse_mapping(FILE.replace("when: docked", "when: ''").replace("rank: 9", "rank: x"), "harbor.yaml")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "title: ABC-1 in is sealed}",
            "title: Another}",
            "wishes.0.link.object.title: 'ABC-1 in is sealed', ",
        ),
        ("sequence: 30002", "sequence: 1", "wishes.0.sequence: 30002, expected 1"),
        ("        - {issues: [DEF-2]}\n", "", "2 wishes, expected 1"),
        ("expect: {skipped: test_only}", "expect: {skipped: ping}", "skipped: test_only, expected ping"),
        ("voyage: 3", "voyage: none", "bad_body: "),
    ],
)
def test_a_files_own_tests_can_fail(old: str, new: str, told: str) -> None:
    """The tests in a file tell what differs."""
    assert list(failures(parse_mapping(FILE, "harbor.yaml"))) == []
    (line,) = failures(parse_mapping(FILE.replace(old, new), "harbor.yaml"))
    assert line.startswith("harbor.yaml: ")
    assert told in line


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("first_line(a)", "x y"),
        ("first_line(none)", ""),
        ("short_sha(sha)", "0123456"),
        ("branch(ref)", "a/b"),
        ("branch('refs/tags/v1')", "refs/tags/v1"),
        ("quote('a b#c/d')", "a%20b%23c/d"),
        ("join(', ', list)", "p, q"),
        ("ref", "refs/heads/a/b"),
        ("deep.er.still", None),
        ("list.x", None),
        ("none || 'other'", "other"),
    ],
)
def test_expressions(expression: str, value: object) -> None:
    """JMESPath's own functions and those for texts; what is not there is null."""
    data = {
        "a": "\n x y \nz",
        "sha": "0123456789",
        "ref": "refs/heads/a/b",
        "list": ["p", "q"],
        "deep": {"er": 1},
    }
    assert Expression(expression).value(data) == value


def test_an_expression_of_the_wrong_type_is_a_bad_body() -> None:
    """A function that meets another type names the expression."""
    with pytest.raises(BadBody, match="`first_line\\(n\\)`"):
        Expression("first_line(n)").value({"n": 7})


def test_deep_expressions_are_refused_or_rejected() -> None:
    """An expression too deep to read is no expression, and one too deep to follow is a bad body."""
    with pytest.raises(ValueError, match="nested too deeply"):
        Expression("!" * (MAX_LENGTH - 1) + "a")
    expression = Expression("!" * 201 + "a")

    def below(frames: int) -> object:
        return below(frames - 1) if frames else expression.value({})

    assert below(1) is True
    with pytest.raises(BadBody, match="nested too deeply"):
        below(sys.getrecursionlimit() - len(inspect.stack(0)) - 100)


@pytest.mark.parametrize(
    ("value", "texts"), [("a", ["a"]), (["a", None, "b"], ["a", "b"]), (None, []), ([], [])]
)
def test_texts_are_one_or_a_list(value: object, texts: list[str]) -> None:
    """Where keys are looked for, a text and a list of texts are the same; nulls say nothing."""
    assert Expression("x").texts({"x": value}) == texts


@pytest.mark.parametrize("value", [7, True, {}, ["a", 7], [["a"]]])
def test_texts_are_texts(value: object) -> None:
    """Anything else is a bad body."""
    with pytest.raises(BadBody, match="`x`"):
        Expression("x").texts({"x": value})


@pytest.mark.parametrize(
    ("value", "truth"),
    [(None, False), (False, False), ("", False), ([], False), ({}, False), (0, True), ("x", True)],
)
def test_truth_is_jmespaths(value: object, truth: bool) -> None:
    """Null, false and what is empty are false; zero is true."""
    assert Expression("x").is_true({"x": value}) is truth


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{n}", "7"),
        ("#{n}: {s}!", "#7: x!"),
        ("{yes}{none}", "true"),
        ("{n || s}", "7"),
        ("", ""),
    ],
)
def test_templates(template: str, text: str) -> None:
    """Texts, numbers and truths are written; null is nothing."""
    assert Template(template).text({"n": 7, "s": "x", "yes": True, "none": None}) == text


def test_a_whole_template_has_no_gaps() -> None:
    """An identity with a part missing would be another object's."""
    with pytest.raises(BadBody, match="`b` is missing"):
        Template("{a}/{b}").text({"a": 1}, whole=True)
    with pytest.raises(BadBody, match="`a` is not a text"):
        Template("{a}").text({"a": []})
