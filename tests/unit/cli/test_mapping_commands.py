"""`mapping test`, `lint`, `try` and `schema`: what a user sees of a mapping of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from bridge.mapping.builtin import builtin_files, lint_own
from tests.deliveries import SOURCES
from tests.unit.cli.test_commands import run

OWN = """\
extends: github
rules:
  pull_request:
    link: {title: "PR {body.pull_request.number}: {state.title}"}
tests:
  - name: the title is short
    type: pull_request
    payload:
      repository: {id: 7, full_name: o/h}
      pull_request: {number: 12, title: "ABC-1: x", html_url: "https://github.com/o/h/pull/12"}
    changes: [{link: {object: {title: "PR 12: open"}}}]
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A mapping that is right."""
    path = tmp_path / "own.yaml"
    path.write_text(OWN)
    return path


def test_the_tests_of_a_file_are_run(own: Path) -> None:
    """Each is told, and what differs; a failure is an exit code."""
    done = run("mapping", "test", str(own))
    assert (done.returncode, "1 passed, 0 failed." in done.stdout) == (0, True)
    own.write_text(OWN.replace("PR 12: open", "PR 13: open"))
    failed = run("mapping", "test", str(own), "--json")
    assert failed.returncode == 1
    told = json.loads(failed.stdout)
    assert told["failure"] == "changes.0.link.object.title: 'PR 12: open', expected 'PR 13: open'"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("rules:", "rule:", "own.yaml:2:1: rule: is not known; did you mean `rules`?"),
        ("extends: github", "extends: [github]", "own.yaml:1:1: extends: there is no built-in mapping"),
        ("    link:", "    draft: abs('x')\n    link:", "`abs('x')` can never be computed"),
        ("extends: github", "extends: githib", "own.yaml:1:1: extends: there is no built-in mapping"),
        ("extends: github", "extends: githib", "did you mean `github`?"),
        ("{title:", "{titel: x, title:", "own.yaml:4:12: rules.pull_request.link.titel: is not known; did"),
        ("{body.pull_request.number}", "{pull_request.number}", "did you mean `body.pull_request.number`?"),
        ("{body.pull_request.number}", "{item.number}", "`item` is there with `each`"),
        ("{body.pull_request.number}", "{event.kind}", "`event` has no `kind`"),
        (
            "    link:",
            "    resolved_when: body.a == 'x' && body.a == 'y'\n    link:",
            "own.yaml:4:5: rules.pull_request.resolved_when: ",
        ),
        ("    link:", "    resolved_when: body.a > '3'\n    link:", "rules.pull_request.resolved_when: "),
        ("    link:", "    resolved_when: '!`true`'\n    link:", "never holds"),
        (
            "    link:",
            "    states: {opened: {title: x}}\n    link:",
            "rules.pull_request.states.opened: is never met: `state` gives closed, draft, merged, open",
        ),
        (
            "rules:",
            "skip_when: {quiet: {type: pull_request}}\nrules:",
            "own.yaml:2:13: skip_when.quiet: has all types of rules.pull_request",
        ),
        (
            "    link:",
            "    match: {type: pull_reqest}\n    link:",
            "own.yaml:4:13: rules.pull_request.match.type: `pull_reqest` is no type",
        ),
        ("PR 12: open", "PR 13: open", "own.yaml:6:5: tests.0: 'the title is short' fails: "),
        (
            '"PR {body.pull_request.number}: {state.title}"',
            "body.pull_request.title",
            "written as it is; in a",
        ),
        ("PR {body", "PR ${body", "`$` before a brace is written as it is"),
        ("    link:", "    each: body.commits\n    link:", "rules.pull_request.each: is never used"),
        ("    link:", "    draft: body.a == true\n    link:", "literally it is written in backticks"),
        ("    link:", "    draft: Body.a\n    link:", "did you mean `body.a`?"),
        ("    link:", "    subject: {id: all}\n    link:", "subject.id: is the same of all events"),
        (
            "  pull_request:\n    link",
            "  pull_requests:\n    link",
            "is no rule of github; did you mean `pull_request`?",
        ),
        ("    changes: [{link", "    changes: [{links", "`links` is not known; there are action, globalId"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, told: str) -> None:
    """Line, column, key, what is wrong, and what was probably meant."""
    assert old in OWN
    found = lint_own(OWN.replace(old, new, 1), "own.yaml", SOURCES)
    assert any(told in str(each) for each in found), found


def test_a_text_in_double_quotes_is_told_once() -> None:
    """That it is no field of the document either needs no line of its own."""
    text = OWN.replace("    link:", '    draft: body.a == "yes"\n    link:')
    (found,) = lint_own(text, "own.yaml", SOURCES)
    assert "a text is in single ones: `'yes'`" in str(found)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    link:", "\tlink:", "own.yaml:4:1: not YAML: a tab; indent with spaces"),
        ("    link:", "    draft: !body.a\n    link:", "`!body.a` is taken for a tag of YAML's; put quotes"),
        ("    link:", "    draft: `true`\n    link:", "a text that begins with ` stands in quotes"),
        ("    link:", "    draft: *\n    link:", "a text that begins with * or & stands in quotes"),
        ("    link:", "    draft: *a\n    link:", "no anchor `&a` stands before it"),
        ("    link:", "    draft: 'a' == body.a\n    link:", "a text goes on behind its closing quote"),
        ("    link:", "    draft: body.a\n     link:", "not YAML: a key out of line, or `: ` within a text"),
        ('"PR {body', '"PR" {body', "a comma or a closing bracket is missing"),
        ('title: "PR {body.pull_request.number}: {state.title}"', "title: {body.a}", "begins with a brace"),
        ("{body.pull_request.number}", "{{ body.pull_request.number }}", "braces stand single"),
        ("    link:", "    draft: '{body.a}'\n    link:", "an expression stands without braces"),
        ("    link:", "    draft: body.a = 'x'\n    link:", "equal is written `==`"),
        ("    link:", "    draft: body.a and body.b\n    link:", "`and` is written `&&`"),
        ("    link:", "    draft: body.a or body.b\n    link:", "`or` is written `||`"),
        ("    link:", "    draft: not body.a\n    link:", "`not` is written `!(…)`"),
        ("    link:", "    draft: body.a > 3\n    link:", "numbers stand in backticks"),
        ("    link:", "    draft: body.my-name\n    link:", 'stands in double quotes: `body."my-name"`'),
        ("    link:", "    draft: $.body.a\n    link:", "begins with `body`, and there is no `$`"),
        ("    link:", "    draft: \"body.a ? 'x' : 'y'\"\n    link:", "is written `a && b || c`"),
        ("    link:", "    draft: body.a + body.b\n    link:", "there is no arithmetic"),
        ("    link:", "    issues: {texts: body.a}\n    link:", "issues.texts: expected a list, as `[…]`"),
        ("    link:", "    states: [a]\n    link:", "states: expected keys with values, as `{name: …}`"),
        ("    link:", "    match: x\n    link:", "match: expected keys with values, as `{type: …}`"),
        ("    link:", "    action: create\n    link:", "action: expected `set` or `upsert`"),
        ("    link:", "    states: {a: {title: x, resolved: no way}}\n    link:", "expected true or false"),
        ("    link:", "    states: {a: {title: x, rank: high}}\n    link:", "expected a whole number"),
        ("    link:", "    states: {a: {title: x, rank: 300}}\n    link:", "expected a value less than or"),
        ("  pull_request:\n    link", "  Pull-Request:\n    link", "expected small letters and digits"),
        ("type: pull_request\n", "type: 5\n", "tests.0.type: expected a text; a number or true"),
    ],
)
def test_what_cannot_be_read_is_told_in_words_of_the_format(old: str, new: str, told: str) -> None:
    """Neither PyYAML's words nor pydantic's, and what was probably meant."""
    assert old in OWN
    found = "\n".join(map(str, lint_own(OWN.replace(old, new, 1), "own.yaml", SOURCES)))
    assert told in found
    assert "Input should" not in found


def test_a_faulty_test_is_told_alone() -> None:
    """Not that there are no tests, as the faulty one does not count."""
    found = lint_own(OWN.replace("    changes:", "    change:"), "own.yaml", SOURCES)
    assert [each.text for each in found] == ["tests.0.change: is not known; did you mean `changes`?"]


def test_a_file_that_cannot_be_read_is_not_a_configuration(own: Path, tmp_path: Path) -> None:
    """The advice names the command that tells more of it; a payload that is no event is an exit code."""
    payload = tmp_path / "body.json"
    payload.write_text("[1,")
    failed = run("mapping", "try", str(own), str(payload), "--event", "push")
    assert (failed.returncode, "The payload is no event" in failed.stdout) == (1, True)
    own.write_text(OWN.replace("rules:", "rule:"))
    wrong = run("mapping", "test", str(own))
    assert wrong.returncode == 2
    assert "jira-bridge mapping lint FILE" in wrong.stderr


def test_a_type_that_no_header_tells_may_be_given(tmp_path: Path) -> None:
    """What a source reads in the body, or at a place that an option names, can be said outright."""
    payload = tmp_path / "body.json"
    payload.write_text('{"id": 7}')
    done = run("map", str(payload), "--source", "hmac", "--event", "report.made", "--json")
    assert json.loads(done.stdout)["event"] == "report.made", done.stderr


def test_an_endpoints_options_are_heeded(tmp_path: Path) -> None:
    """What the type of an event is may be said by the endpoint: in the configuration, or by a flag."""
    payload, config = tmp_path / "body.json", tmp_path / "bridge.yaml"
    payload.write_text('{"kind": "deploy.done"}')
    config.write_text(
        "kafka: {bootstrap_servers: 'localhost:9092'}\n"
        "ingress: {endpoints: {own: {source: token, open: true, options: {type: kind}}}}\n"
    )
    by_file = ("--endpoint", "own", "--config", str(config))
    for options in (by_file, ("--option", "type=kind")):
        done = run("map", str(payload), "--source", "token", "--json", *options)
        assert json.loads(done.stdout)["event"] == "deploy.done", done.stderr


def test_lint_tells_all_and_fails(own: Path) -> None:
    """A line a mistake, and an exit code; a right file is said to be so."""
    wrong = own.with_name("wrong.yaml")
    wrong.write_text(OWN.replace("rules:", "rule:").replace("extends", "extend"))
    failed = run("mapping", "lint", str(wrong))
    assert failed.returncode == 1
    assert all(line.startswith(f"{wrong}:") for line in failed.stdout.splitlines())
    assert len(failed.stdout.splitlines()) > 2
    done = run("mapping", "lint", str(own))
    assert (done.returncode, done.stdout.strip()) == (0, "Nothing to say against it.")


def test_a_payload_is_tried_step_by_step(own: Path, tmp_path: Path) -> None:
    """Which rule speaks and why, why others do not, and what comes of it."""
    payload = tmp_path / "body.json"
    payload.write_text(json.dumps(yaml.safe_load(OWN)["tests"][0]["payload"]))
    done = run("mapping", "try", str(own), str(payload), "--event", "pull_request")
    assert done.returncode == 0, done.stderr
    for told in (
        "rule pull_request\n  it is meant",
        "rule release\n  not meant: the type pull_request is not release",
        'issues in texts `body.pull_request.title`: ["ABC-1: x"]',
        "names on site default: ABC-1",
        "subject: system=github:github.com&type=pull_request&id=7/12",
        "open: open, not resolved, rank 0",
        "What comes of it\n  set ABC-1 on site default: system=github",
        "    object.title: PR 12: open",
    ):
        assert told in done.stdout, done.stdout
    payload.write_text('{"ref": null}')
    failed = run("mapping", "try", str(own), str(payload), "--event", "push")
    assert failed.returncode == 0
    assert "rejected (bad_body): `starts_with" in failed.stdout


def test_the_schema_takes_what_the_bridge_takes(own: Path) -> None:
    """Editors judge a file as the bridge does: all built-in files, and one that extends."""
    validator = Draft202012Validator(json.loads(run("mapping", "schema").stdout))
    folder = Path(__file__).parents[3] / "bridge/mapping/builtin"
    for mapping in builtin_files():
        assert list(validator.iter_errors(yaml.safe_load((folder / mapping.name).read_text("utf-8")))) == []
    assert list(validator.iter_errors(yaml.safe_load(own.read_text()))) == []
    for wrong in ("rule: {}", "icon: 7", "rules: {pull_request: {link: {titel: x}}}"):
        assert list(validator.iter_errors({**yaml.safe_load(OWN), **yaml.safe_load(wrong)}))
    assert list(validator.iter_errors({"rules": {}}))
