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
        ("extends: github", "extends: githib", "own.yaml:1:1: extends: there is no built-in mapping"),
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
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, told: str) -> None:
    """Line, column, key, what is wrong, and what was probably meant."""
    assert old in OWN
    found = lint_own(OWN.replace(old, new, 1), "own.yaml", SOURCES)
    assert any(told in str(each) for each in found), found


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
