"""What a configuration's routing, mappings and endpoints come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.errors import ConfigError
from bridge.mapping.mapper import Mapped
from bridge.parts import endpoints, mapped_sites, mapper
from bridge.settings import Settings, load
from bridge.sources.github import SOURCE
from tests.deliveries import delivery

BASE = """
ingress:
  endpoints:
    main: {source: github, open: true}
sites:
  one: {url: https://one.example.com, auth: anonymous, projects: [DOCK], endpoints: [main]}
  two: {url: https://two.example.com, auth: anonymous, projects: [DOCK], endpoints: [main]}
"""
SITE = "routing: {endpoints: {main: {site: body.repository.owner.login}}}\n"
EXTENDS = """
extends: github
application: {name: OUR}
tests: [{name: x, type: ping, payload: {}, skipped: ping}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the configuration is."""
    return tmp_path


def settings(folder: Path, text: str) -> Settings:
    """The configuration of a text."""
    path = folder / "bridge.yaml"
    path.write_text(text)
    return load(path, {}, {})


def mapped(folder: Path, text: str, sample: str = "pull_request.opened", owner: str = "one") -> Mapped:
    """What comes of a sample whose repository has that owner."""
    chosen = settings(folder, text)
    event = SOURCE.event(delivery("github", sample).webhook)
    event.data["repository"]["owner"]["login"] = owner
    return mapper(chosen, mapped_sites(chosen)).map(event)


def test_two_sites_of_one_project_need_something_to_tell_them_apart(folder: Path) -> None:
    """One endpoint is enough where its payloads name the site."""
    with pytest.raises(ConfigError, match="may take the same event as the site one"):
        settings(folder, BASE)
    found = mapped(folder, BASE + SITE, owner="two")
    assert {wish.site: wish.issues for wish in found.wishes} == {"one": (), "two": ("DOCK-12", "DOCK-13")}


@pytest.mark.parametrize(
    ("route", "sample", "issues"),
    [
        ("ignore: {drafts: true}", "pull_request.draft", []),
        ("ignore: {drafts: true}", "pull_request.opened", ["DOCK-12", "DOCK-13"]),
        ("ignore: {branches: [dock-*]}", "pull_request.opened", []),
        (
            "issues: {texts: [body.pull_request.body]}",
            "pull_request.opened",
            ["DOCK-12", "DOCK-1", "DOCK-13"],
        ),
    ],
)
def test_an_endpoint_has_its_route(folder: Path, route: str, sample: str, issues: list[str]) -> None:
    """What is ignored names no issue, and further places are looked through."""
    text = BASE + f"routing: {{endpoints: {{main: {{site: body.repository.owner.login, {route}}}}}}}\n"
    (one, _) = mapped(folder, text, sample).wishes
    assert list(one.issues) == issues


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            SITE.replace("body.repository.owner.login", "'body['"),
            "routing.endpoints.main.site: not a JMESPath",
        ),
        (
            SITE.replace("site: body", "issues: {tags: [body.x, 'y(']}, site: body"),
            "routing.endpoints.main.issues.tags.1: ",
        ),
        (
            SITE.replace("site: body", "issues: {texts: [repository.name]}, site: body"),
            "routing.endpoints.main.issues.texts.0: `repository` is not known here: there are body, event",
        ),
        (
            SITE.replace("body.repository", "repository"),
            "routing.endpoints.main.site: `repository` is not known here",
        ),
        (
            SITE.replace("body.repository.owner.login", "\"body.a && 'one' || 'three'\""),
            "routing.endpoints.main.site: no site is called three; there are one, two",
        ),
    ],
)
def test_a_wrong_expression_is_told_with_its_key(folder: Path, text: str, told: str) -> None:
    """When the bridge starts, not when an event comes."""
    with pytest.raises(ConfigError) as refused:
        mapped(folder, BASE + text)
    assert told in str(refused.value)


def test_a_users_mapping_is_laid_over_the_built_in_one(folder: Path) -> None:
    """The part that it says, for all events of the source."""
    (folder / "own.yaml").write_text(EXTENDS)
    found = mapped(folder, BASE + SITE + f"mappings: ['{folder}/own.yaml']\n")
    link = found.wishes[0].link
    assert link is not None
    assert link.normal["application"] == {"type": "com.github", "name": "OUR"}


def test_two_mappings_do_not_extend_the_same(folder: Path) -> None:
    """The first would never be asked."""
    for name in ("a", "b"):
        (folder / f"{name}.yaml").write_text(EXTENDS)
    text = BASE + SITE + f"mappings: ['{folder}/a.yaml', '{folder}/b.yaml']\n"
    with pytest.raises(ConfigError, match=r"b\.yaml: extends github as .*a\.yaml does"):
        mapped(folder, text)


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        (
            "{source: gitbub, open: true}",
            "ingress.endpoints.main: there is no source gitbub; did you mean github",
        ),
        ("{source: xyzzy, open: true}", "`jira-bridge sources` lists them"),
        (
            "{source: github, open: true, options: {header: x}}",
            "ingress.endpoints.main: the source github has no options; found header",
        ),
        (
            "{source: standard-webhooks, secrets: ['whsec_!']}",
            "endpoint main: a secret that begins with whsec_",
        ),
    ],
)
def test_an_endpoint_at_fault_is_named(folder: Path, endpoint: str, told: str) -> None:
    """What the source does not know is said with the endpoint's name."""
    text = BASE.replace("{source: github, open: true}", endpoint) + SITE
    with pytest.raises(ConfigError) as refused:
        endpoints(settings(folder, text))
    assert told in str(refused.value)
