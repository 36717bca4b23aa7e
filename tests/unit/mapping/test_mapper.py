"""Events to wishes: which mapping speaks, and which issue goes to which site."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import BadBody, BadLink, UnknownSite, UnknownSource, Unmappable
from bridge.mapping.builtin import builtin_mappings
from bridge.mapping.expressions import Expression
from bridge.mapping.mapper import MAX_ISSUES, Mapped, Mapper, Route, Site
from bridge.mapping.rules import parse_mapping
from bridge.model import EPOCH, Action, Event
from bridge.sources.github import SOURCE
from tests.deliveries import Delivery, deliveries, delivery
from tests.documents import JSON, damaged

ANY = [Site("main", None)]
MAPPER = Mapper(builtin_mappings(), ANY)
SAMPLES = {sample.name: sample for sample in deliveries("github")}


def github(name: str, sites: list[Site] = ANY, **data: Any) -> Mapped:
    """What comes of the sample, its data changed in that."""
    event = SOURCE.event(delivery("github", name).webhook)
    event.data.update(data)
    return Mapper(builtin_mappings(), sites).map(event)


def requests(title: str, sites: list[Site]) -> dict[str, tuple[str, ...]]:
    """The issues by site of a pull request with that title."""
    event = SOURCE.event(delivery("github", "pull_request.edited_without_key").webhook)
    event.data["pull_request"]["title"] = title
    return {wish.site: wish.issues for wish in Mapper(builtin_mappings(), sites).map(event).wishes}


def test_a_pull_request_sets_its_links() -> None:
    """The title's and the branch's issues together are the whole set; the state is its status."""
    (wish,) = github("pull_request.merged").wishes
    assert (wish.action, wish.issues, wish.rank) == (Action.SET, ("DOCK-12", "DOCK-13"), 3)
    assert wish.global_id == "system=github:github.com&type=pull_request&id=7301/21"
    assert wish.time.isoformat() == "2026-03-02T09:40:00+00:00"
    assert wish.link is not None
    assert wish.link.object.title == "aurora-labs/harbor #21: DOCK-12: Keep the session alive"


def test_a_pull_request_without_keys_takes_its_links_off() -> None:
    """A key that left the title leaves an empty set, which is no skip."""
    (wish,) = github("pull_request.edited_without_key").wishes
    assert (wish.action, wish.issues, wish.link) == (Action.SET, (), None)


@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("push.commits", ["commit DOCK-12", "branch DOCK-12 exists"]),
        ("push.branch_deleted", ["branch DOCK-12 deleted resolved"]),
        ("workflow_run.in_progress", ["workflow DOCK-12 running", "workflow DOCK-14 running"]),
        ("workflow_run.failure", ["workflow DOCK-12 failed", "workflow DOCK-14 failed"]),
        ("workflow_run.success", ["workflow DOCK-12 passed resolved", "workflow DOCK-14 passed resolved"]),
        ("check_run.queued", ["check_run DOCK-12 queued"]),
        ("check_run.completed", ["check_run DOCK-12 failed"]),
        ("check_suite.completed", ["check_suite DOCK-12 passed resolved"]),
        ("deployment_status.success", ["deployment DOCK-12 deployed resolved"]),
        ("deployment_status.inactive", ["deployment DOCK-12 no longer active resolved"]),
        ("release.prereleased", ["release DOCK-12,DOCK-14 pre-release"]),
        ("release.published", ["release DOCK-12,DOCK-14 released resolved"]),
        ("status.success", ["status DOCK-14 passed resolved", "status DOCK-12 passed resolved"]),
        ("pull_request.opened", ["pull_request DOCK-12,DOCK-13 open"]),
        ("pull_request.draft", ["pull_request DOCK-12,DOCK-13 draft"]),
        ("pull_request.closed", ["pull_request DOCK-12,DOCK-13 closed resolved"]),
    ],
)
def test_each_sample_comes_to_its_links(name: str, wishes: list[str]) -> None:
    """Object, issues, state and whether it is resolved, for each type and state."""
    found = []
    for wish in github(name).wishes:
        assert wish.link is not None
        status = wish.link.object.status
        words = [wish.global_id.partition("&type=")[2].partition("&")[0], ",".join(wish.issues)]
        words += [status.icon.title or ""] if status and status.icon else []
        words += ["resolved"] if status and status.resolved else []
        found.append(" ".join(words))
    assert found == wishes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ping.repository", "ping"),
        ("push.tag", "tag"),
        ("check_run.actions", "actions_check"),
        ("check_suite.actions", "actions_check"),
        ("issues.opened", "not_of_interest"),
    ],
)
def test_skips_have_their_reasons(name: str, reason: str) -> None:
    """What asks for nothing says why."""
    assert github(name) == Mapped(skipped=reason)


def test_an_upsert_without_keys_is_skipped() -> None:
    """A push that names no issue asks for nothing."""
    assert github("push.commits", ref="refs/heads/main", commits=[]) == Mapped(skipped="no_issue_key")


def test_a_rerun_is_newer_than_its_run_and_older_than_the_next() -> None:
    """The run's number and attempt order the events of a workflow, whatever their times."""

    def sequence(number: int, attempt: int) -> int:
        run = SAMPLES["workflow_run.success"]
        body = orjson.loads(run.body)
        body["workflow_run"] |= {"run_number": number, "run_attempt": attempt}
        return github("workflow_run.success", **body).wishes[0].sequence

    assert sequence(314, 1) < sequence(314, 2) < sequence(314, 99_999) < sequence(315, 1)


def test_a_new_deployment_outlives_what_github_makes_inactive() -> None:
    """A later event of an older deployment has a lower sequence than the newer deployment."""
    (newer,), (older,) = (
        github("deployment_status.success").wishes,
        github("deployment_status.inactive").wishes,
    )
    assert newer.global_id == older.global_id
    assert older.time > newer.time
    assert older.sequence < newer.sequence


def test_an_issue_goes_to_the_sites_that_have_its_project() -> None:
    """Each key goes to every site with its project, and what nobody claims to the open ones."""
    sites = [Site("one", frozenset({"DOCK"})), Site("two", frozenset({"DOCK", "OPS"})), Site("rest", None)]
    issues = requests("DOCK-1 OPS-2 XYZ-3", sites)
    assert issues == {"one": ("DOCK-1",), "two": ("DOCK-1", "OPS-2"), "rest": ("XYZ-3",)}


def test_a_set_is_told_to_every_site() -> None:
    """A site whose keys have all left the title is told so."""
    sites = [Site("one", frozenset({"DOCK"})), Site("rest", None)]
    assert requests("DOCK-1", sites) == {"one": ("DOCK-1",), "rest": ()}
    assert requests("nothing", sites) == {"one": (), "rest": ()}


def test_a_site_takes_the_events_of_its_endpoints() -> None:
    """The same project key on two sites is told apart by where the events come in."""
    dock = frozenset({"DOCK"})
    sites = [
        Site("one", dock, frozenset({"main"})),
        Site("two", dock, frozenset({"other"})),
        Site("all", None),
    ]
    assert requests("DOCK-1 XYZ-3", sites) == {"one": ("DOCK-1",), "all": ("XYZ-3",)}


def routed(title: str, sites: list[Site], route: Route, **data: Any) -> dict[str, tuple[str, ...]]:
    """The issues by site of a pull request with that title, whose endpoint has a route."""
    event = SOURCE.event(delivery("github", "pull_request.edited_without_key").webhook)
    event.data.update(data)
    event.data["pull_request"]["title"] = title
    mapped = Mapper(builtin_mappings(), sites, {"OLD": "DOCK"}, {"main": route}).map(event)
    return {wish.site: wish.issues for wish in mapped.wishes}


def test_a_project_that_was_moved_is_known_by_its_former_key() -> None:
    """Both keys name the same issue, once, where the project is known and where any is."""
    for site in (Site("one", frozenset({"DOCK"})), Site("rest", None)):
        assert routed("OLD-1 DOCK-1 OLD-2", [site], Route()) == {site.name: ("DOCK-1", "DOCK-2")}


def test_a_payload_may_name_its_site() -> None:
    """The same project key on two sites is told apart by a path into the body; null goes by the key."""
    dock = frozenset({"DOCK"})
    sites = [Site("one", dock), Site("two", dock)]
    route = Route(site=Expression("body.tenant").value)
    assert routed("DOCK-1", sites, route, tenant="two") == {"one": (), "two": ("DOCK-1",)}
    assert routed("DOCK-1", sites, route) == {"one": ("DOCK-1",), "two": ("DOCK-1",)}
    strange: Any
    for strange in ("three", 7, {}):
        with pytest.raises(UnknownSite, match="names a site"):
            routed("DOCK-1", sites, route, tenant=strange)
        assert routed("no key", sites, route, tenant=strange) == {"one": (), "two": ()}


def test_keys_of_unknown_projects_name_nothing() -> None:
    """Where all projects are known, others are no issues."""
    assert requests("XYZ-3 UTF-8", [Site("one", frozenset({"DOCK"}))]) == {"one": ()}


def test_too_many_issues_are_a_bad_body() -> None:
    """An event that names a whole project is rejected and not spread."""
    some, more = (
        " ".join(f"DOCK-{n}" for n in range(1, count + 1)) for count in (MAX_ISSUES, MAX_ISSUES + 1)
    )
    assert len(requests(some, ANY)["main"]) == MAX_ISSUES
    with pytest.raises(BadBody, match="501 issues"):
        requests(more, ANY)


def test_a_kind_without_a_mapping_is_unknown() -> None:
    """A source that nobody maps is rejected by its name."""
    with pytest.raises(UnknownSource, match="gitanchor"):
        Mapper(builtin_mappings(), ANY).map(Event("1", "x", "push", EPOCH, {}, "gitanchor"))


OWN = """
source: github
application: {type: com.github, name: GitHub}
skip_when: {no_releases: {type: release}}
rules:
  issue:
    match: {type: issues}
    action: upsert
    subject: {type: issue, id: "{body.issue.number}"}
    issues: {texts: [body.issue.title]}
    link: {url: "{body.repository.html_url}/issues/{body.issue.number}", title: "{body.issue.title}"}
tests: [{name: a skip, type: release, payload: {}, skipped: no_releases}]
"""


def test_a_users_mapping_speaks_first() -> None:
    """A mapping given later replaces what it speaks of; the rest stays with the built-in one."""
    mapper = Mapper([*builtin_mappings(), parse_mapping(OWN, "own.yaml")], ANY)

    def mapped(name: str) -> Mapped:
        return mapper.map(SOURCE.event(delivery("github", name).webhook))

    assert mapped("release.published").skipped == "no_releases"
    assert mapped("issues.opened").wishes[0].issues == ("DOCK-12",)
    assert mapped("pull_request.opened").wishes[0].action is Action.SET
    assert mapped("ping.repository").skipped == "ping"


@pytest.mark.parametrize(
    ("name", "data", "error", "told"),
    [
        ("pull_request.opened", {"pull_request": {"title": "DOCK-1"}}, BadBody, "pull_request.number"),
        (
            "pull_request.opened",
            {"pull_request": {"title": {}, "number": []}},
            BadBody,
            "pull_request.number",
        ),
        ("push.commits", {"ref": None}, BadBody, "starts_with"),
        ("push.commits", {"commits": {}}, BadBody, "commits"),
        ("push.commits", {"commits": [{}] * 2049}, BadBody, "2049 items"),
        ("status.success", {"target_url": "ftp://x.com/"}, BadLink, "url: "),
        ("status.success", {"state": 7}, BadBody, "state"),
    ],
)
def test_what_is_wrong_is_named(name: str, data: dict[str, Any], error: type[Unmappable], told: str) -> None:
    """A body of another shape is rejected by the place in it."""
    with pytest.raises(error, match=told):
        github(name, **data)


@given(data=st.data())
def test_any_damage_comes_to_a_result_or_a_named_error(data: st.DataObject) -> None:
    """Whatever stands where in a body, the mapping gives wishes, a reason or its own error."""
    sample: Delivery = data.draw(st.sampled_from(list(SAMPLES.values())))
    body = data.draw(JSON | damaged(orjson.loads(sample.body)))
    event = Event("1", "https://github.com/a/b", sample.headers["x-github-event"], EPOCH, body, "github")
    try:
        mapped, told = MAPPER.map(event), ""
    except Unmappable as error:
        mapped, told = Mapped(), str(error)
    assert [bool(mapped.wishes), bool(mapped.skipped), bool(told)].count(True) == 1
