"""The simulated Jira, behaviour by behaviour."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from bridge.simulator.issues import Stored
from bridge.simulator.jira_model import JiraModel, Permission, Request
from bridge.simulator.reply import Reply

ROOT = "https://acme.example.net/rest/api/3"
GLOBAL_ID = "system=http://www.mycompany.com/support&id=1"
THING = {"url": "https://example.com/1", "title": "One"}
EMPTY_PARTS: dict[str, Any] = {"icon": {}, "status": {"icon": {}}}


def link(global_id: str | None = GLOBAL_ID, **thing: Any) -> dict[str, Any]:
    """A request body whose object is the usual one with some fields different."""
    return {"globalId": global_id, "object": {**THING, **thing}}


def ask(
    jira: JiraModel,
    method: str,
    link_id: int | str | None = None,
    *,
    issue: str = "DEMO-1",
    global_id: str | None = None,
    body: Any = None,
    now: float = 0.0,
) -> Reply:
    """Send one request, with its body as JSON unless it is bytes already."""
    data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
    text = None if link_id is None else str(link_id)
    return jira.answer(Request(method, issue, text, global_id, data, ROOT), now)


def errors(reply: Reply) -> set[str]:
    """The fields that an ErrorCollection names."""
    assert set(reply.body) == {"errorMessages", "errors"}
    return set(reply.body["errors"])


@pytest.fixture
def jira() -> JiraModel:
    """A Jira with one project and one issue beside it."""
    return JiraModel(issues=["OPS-7"], projects=["DEMO"])


# --- create, update, read ------------------------------------------------------------------


def test_a_first_post_creates(jira: JiraModel) -> None:
    """A new link is 201 with a Location and a body of exactly id and self."""
    reply = ask(jira, "POST", body=link())
    number = reply.body["id"]
    url = f"{ROOT}/issue/DEMO-1/remotelink/{number}"
    assert reply == Reply(201, {"Location": url}, {"id": number, "self": url})


def test_a_second_post_updates(jira: JiraModel) -> None:
    """The same globalId again is 200 without a Location, and the id stays."""
    first = ask(jira, "POST", body=link())
    assert ask(jira, "POST", body=link(title="Two")) == Reply(200, {}, first.body)


def test_a_post_replaces_the_whole_record(jira: JiraModel) -> None:
    """Fields that the second request leaves out are gone."""
    ask(jira, "POST", body={**link(summary="long"), "relationship": "tests", "application": {"name": "CI"}})
    ask(jira, "POST", body=link())
    assert jira.links()[0]["body"] == {
        "globalId": GLOBAL_ID,
        "application": {},
        "object": {**THING, **EMPTY_PARTS},
    }


def test_without_a_global_id_each_post_adds_one(jira: JiraModel) -> None:
    """Null and empty globalIds are none, and such links are never looked up."""
    statuses = [ask(jira, "POST", body=link(global_id)).status for global_id in (None, None, "")]
    assert statuses == [201, 201, 201]
    assert [standing["globalId"] for standing in jira.links()] == [None, None, None]


def test_one_global_id_on_two_issues_is_two_links(jira: JiraModel) -> None:
    """A globalId counts within its issue only."""
    first = ask(jira, "POST", body=link())
    second = ask(jira, "POST", issue="OPS-7", body=link())
    assert second.status == 201
    assert first.body["id"] != second.body["id"]


def test_a_link_read_back_has_its_known_fields_only(jira: JiraModel) -> None:
    """Unknown keys and nulls are gone; the object's icon has no link, the status's icon keeps it."""
    icon = {"url16x16": "http://example.com/i.png", "title": "icon", "link": "http://example.com/"}
    thing: dict[str, Any] = {
        "summary": None,
        "icon": icon,
        "status": {"resolved": False, "icon": icon},
        "more": 1,
    }
    body = {**link(**thing), "application": {"type": "ci", "name": None}, "relationship": "tests", "x": {}}
    number = ask(jira, "POST", body=body).body["id"]
    kept = {key: icon[key] for key in ("url16x16", "title")}
    assert ask(jira, "GET", number).body == {
        "id": number,
        "self": f"{ROOT}/issue/DEMO-1/remotelink/{number}",
        "globalId": GLOBAL_ID,
        "application": {"type": "ci"},
        "relationship": "tests",
        "object": {**THING, "icon": kept, "status": {"resolved": False, "icon": icon}},
    }


def test_null_parts_are_read_as_empty(jira: JiraModel) -> None:
    """Where a part is null the answer has an empty object."""
    ask(jira, "POST", body={**link(icon=None, status=None), "application": None})
    assert jira.links()[0]["body"]["object"] == {**THING, **EMPTY_PARTS}
    assert jira.links()[0]["body"]["application"] == {}


def test_get_gives_an_array_or_one_object(jira: JiraModel) -> None:
    """Without a globalId all links come, with one the link itself."""
    one = ask(jira, "POST", body=link()).body["id"]
    two = ask(jira, "POST", body=link("other")).body["id"]
    assert [found["id"] for found in ask(jira, "GET").body] == [one, two]
    assert ask(jira, "GET", global_id="other").body["id"] == two
    assert ask(jira, "GET", issue="DEMO-2") == Reply(200, {}, [])


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_global_id_is_not_found(jira: JiraModel, method: str) -> None:
    """Unknown and empty globalIds are 404, also where a link without one stands."""
    ask(jira, "POST", body=link(None))
    assert [ask(jira, method, global_id=text).status for text in ("unknown", "")] == [404, 404]


# --- PUT and DELETE ------------------------------------------------------------------------


def test_put_replaces_the_global_id_too(jira: JiraModel) -> None:
    """A PUT without a globalId leaves a link that no globalId reaches."""
    number = ask(jira, "POST", body=link()).body["id"]
    assert ask(jira, "PUT", number, body=link(None, title="Two")) == Reply(204)
    assert ask(jira, "GET", global_id=GLOBAL_ID).status == 404
    assert ask(jira, "GET", number).body["object"]["title"] == "Two"


def test_put_onto_anothers_global_id_is_refused(jira: JiraModel) -> None:
    """Only the link's own globalId and a free one may be written."""
    number = ask(jira, "POST", body=link()).body["id"]
    ask(jira, "POST", body=link("other"))
    reply = ask(jira, "PUT", number, body=link("other"))
    assert (reply.status, errors(reply)) == (400, {"globalId"})
    assert [ask(jira, "PUT", number, body=link(text)).status for text in (GLOBAL_ID, "free")] == [204, 204]


def test_delete_by_id(jira: JiraModel) -> None:
    """The link is gone, and a second delete does not find it."""
    number = ask(jira, "POST", body=link()).body["id"]
    assert ask(jira, "DELETE", number) == Reply(204)
    assert ask(jira, "DELETE", number).status == 404
    assert jira.links() == []


def test_delete_by_global_id_removes_all_that_have_it(jira: JiraModel) -> None:
    """Where two links came to share a globalId, both go; others stay."""
    for _ in range(2):
        ask(jira, "POST", body=link(None))
    ask(jira, "POST", body=link("other"))
    held = jira.find("DEMO-1")
    assert held
    for number, stored in list(held.links.items())[:2]:  # no request leads there any more
        held.put(number, Stored({**stored.record, "globalId": GLOBAL_ID}, stored.created_at))
    assert ask(jira, "DELETE", global_id=GLOBAL_ID) == Reply(204)
    assert [standing["globalId"] for standing in jira.links()] == ["other"]


def test_delete_without_a_global_id_is_refused(jira: JiraModel) -> None:
    """A DELETE of the whole list names no link."""
    ask(jira, "POST", body=link())
    assert ask(jira, "DELETE").status == 400
    assert len(jira.links()) == 1


@pytest.mark.parametrize(("method", "link_id"), [("PUT", None), ("POST", 1), ("PATCH", 1), ("PATCH", None)])
def test_other_methods_are_not_allowed(jira: JiraModel, method: str, link_id: int | None) -> None:
    """There are six operations and no more."""
    assert ask(jira, method, link_id, body=link()).status == 405


# --- fields --------------------------------------------------------------------------------


def test_title_and_url_are_required(jira: JiraModel) -> None:
    """Absent, null, empty and blank are all refused, both fields in one answer."""
    bodies = [{}, {"object": {}}, *(link(title=text, url=text) for text in (None, "", " \t"))]
    replies = [ask(jira, "POST", body=body) for body in bodies]
    assert {reply.status for reply in replies} == {400}
    assert [errors(reply) for reply in replies] == [{"title", "url"}] * len(bodies)


@pytest.mark.parametrize(
    "url", ["ftp://example.com/", "example.com", "http://", "http:///x", "http://[x", "javascript:x"]
)
def test_urls_are_of_the_web(jira: JiraModel, url: str) -> None:
    """All four must be http or https with a host; they are refused together, under flat names."""
    icon = {"url16x16": url, "link": url}
    reply = ask(jira, "POST", body=link(url=url, icon=icon, status={"icon": icon}))
    assert (reply.status, errors(reply)) == (400, {"url", "iconUrl", "statusIconUrl", "statusIconLink"})


@pytest.mark.parametrize(("letter", "most"), [("x", 255), ("ä", 255), ("\N{CHERRIES}", 127)])
def test_lengths_count_utf16_units(jira: JiraModel, letter: str, most: int) -> None:
    """255 units fit and 256 do not; a character beyond U+FFFF has two."""

    def body(text: str) -> dict[str, Any]:
        application = {"type": text, "name": text}
        return {**link(text, title=text, summary="x" * 999), "relationship": text, "application": application}

    assert ask(jira, "POST", body=body(letter * most)).status == 201
    reply = ask(jira, "POST", body=body(letter * (most + 1)))
    limited = {"globalId", "title", "relationship", "applicationType", "applicationName"}
    assert (reply.status, errors(reply)) == (400, limited)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"{",
        b"\xff",
        b'"text"',
        b"[]",
        b'{"object": []}',
        link(title=["One"]),
        link(status={"resolved": "yes"}),
        link(icon="http://example.com/i.png"),
        {**link(), "globalId": {}},
    ],
)
def test_what_has_not_the_form_of_a_link_is_refused(jira: JiraModel, body: Any) -> None:
    """It is 400 before the issue or the link is looked at, in words alone, and changes nothing."""
    for method, link_id in (("POST", None), ("PUT", 1), ("PUT", "99a")):
        for issue in ("DEMO-1", "NONE-1"):
            reply = ask(jira, method, link_id, issue=issue, body=body)
            assert (reply.status, set(reply.body)) == (400, {"errorMessages"})
    assert jira.links() == []


@pytest.mark.parametrize(("value", "text"), [(7, "7"), (1.5, "1.5"), (True, "true")])
def test_numbers_are_taken_for_texts(jira: JiraModel, value: float, text: str) -> None:
    """Where a text belongs a scalar is read as one."""
    assert ask(jira, "POST", body=link(title=value)).status == 201
    assert jira.links()[0]["body"]["object"]["title"] == text


def test_an_issue_takes_so_many_links_and_no_more(jira: JiraModel) -> None:
    """The 2,001st link is 413; updates go on, and a deleted link makes room."""
    for number in range(2000):
        ask(jira, "POST", body=link(str(number)))
    assert ask(jira, "POST", body=link("one more")).status == 413
    assert ask(jira, "POST", body=link("7", title="Two")).status == 200
    ask(jira, "DELETE", global_id="7")
    assert ask(jira, "POST", body=link("one more")).status == 201


# --- which check comes first ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("link_id", "status"),
    [
        ("99a", 400),
        ("", 400),
        ("-1", 404),
        ("٣", 400),
        (str(2**63), 400),
        (str(2**63 - 1), 404),
        ("9" * 5000, 400),
    ],
)
def test_link_ids(jira: JiraModel, link_id: str, status: int) -> None:
    """A number that fits 64 bits may name a link; all else is a bad request."""
    assert [ask(jira, method, link_id, body=link()).status for method in ("GET", "PUT", "DELETE")] == [
        status
    ] * 3


def test_the_order_of_checks_by_link_id(jira: JiraModel) -> None:
    """Each fault shows only when those before it are put right."""
    mine = ask(jira, "POST", body=link()).body["id"]
    foreign = ask(jira, "POST", issue="OPS-7", body=link()).body["id"]
    jira.knobs.is_linking_enabled = False
    jira.denied["DEMO"] = {Permission.LINK}
    assert ask(jira, "PUT", "99a", issue="NONE-1", body={}).status == 404
    assert ask(jira, "PUT", "99a", body={}).status == 400
    assert ask(jira, "PUT", 1, body={}).status == 403
    jira.knobs.is_linking_enabled = True
    assert ask(jira, "PUT", 1, body={}).status == 404
    assert ask(jira, "PUT", foreign, body={}).status == 400
    assert ask(jira, "PUT", mine, body={}).status == 403
    jira.denied.clear()
    assert ask(jira, "PUT", mine, body={}).status == 400
    assert ask(jira, "PUT", mine, body=link()).status == 204


def test_the_order_of_checks_of_a_post(jira: JiraModel) -> None:
    """Issue, linking, permission, fields."""
    jira.knobs.is_linking_enabled = False
    jira.denied["DEMO"] = {Permission.LINK}
    assert ask(jira, "POST", issue="NONE-1", body={}).status == 404
    off = ask(jira, "POST", body={})
    jira.knobs.is_linking_enabled = True
    denied = ask(jira, "POST", body={})
    assert (off.status, denied.status) == (403, 403)
    assert off.body != denied.body
    jira.denied.clear()
    assert ask(jira, "POST", body={}).status == 400


def test_the_order_of_checks_of_a_delete_by_global_id(jira: JiraModel) -> None:
    """Issue, linking, globalId absent, no such link, permission."""
    ask(jira, "POST", body=link())
    jira.knobs.is_linking_enabled = False
    jira.denied["DEMO"] = {Permission.LINK}
    assert ask(jira, "DELETE", issue="NONE-1").status == 404
    assert ask(jira, "DELETE").status == 403
    jira.knobs.is_linking_enabled = True
    assert ask(jira, "DELETE").status == 400
    assert ask(jira, "DELETE", global_id="unknown").status == 404
    assert ask(jira, "DELETE", global_id=GLOBAL_ID).status == 403
    jira.denied.clear()
    assert ask(jira, "DELETE", global_id=GLOBAL_ID).status == 204


def test_a_project_that_may_not_be_browsed_is_not_found(jira: JiraModel) -> None:
    """An issue that may not be seen answers as one that does not exist; other projects stay."""
    missing = ask(jira, "GET", issue="NONE-1")
    jira.denied["DEMO"] = {Permission.BROWSE}
    assert ask(jira, "GET") == missing
    assert missing.body["errorMessages"] == ["Issue does not exist or you do not have permission to see it."]
    assert ask(jira, "GET", issue="OPS-7").status == 200


def test_links_may_be_read_without_permission_to_link(jira: JiraModel) -> None:
    """Only writes need Link Issues, and a delete by id Edit Issues as well."""
    number = ask(jira, "POST", body=link()).body["id"]
    jira.denied["DEMO"] = {Permission.LINK}
    assert [ask(jira, "GET").status, ask(jira, "GET", number).status] == [200, 200]
    jira.denied["DEMO"] = {Permission.EDIT}
    assert ask(jira, "DELETE", number).status == 403
    assert ask(jira, "DELETE", global_id=GLOBAL_ID).status == 204


# --- issues --------------------------------------------------------------------------------


def test_an_issue_answers_to_its_key_in_any_case_and_to_its_id(jira: JiraModel) -> None:
    """`self` has the key, whatever the call used."""
    url = ask(jira, "POST", issue="demo-1", body=link()).body["self"]
    issue = jira.find("DEMO-1")
    assert issue
    assert "/issue/DEMO-1/" in url
    assert ask(jira, "GET", issue=str(issue.id)).body[0]["self"] == url


@pytest.mark.parametrize(
    "key", ["OPS-8", "DEMO-0", "DEMO-01", "DEMO", "DEMO-", "DEMO-1/x", "1", "", "DEMO-٣"]
)
def test_other_issues_do_not_exist(jira: JiraModel, key: str) -> None:
    """Neither what was not named nor what is no key."""
    assert ask(jira, "GET", issue=key).status == 404


def test_a_moved_issue_answers_under_both_keys(jira: JiraModel) -> None:
    """Its links stand as before, and `self` shows the new key."""
    number = ask(jira, "POST", issue="OPS-7", body=link()).body["id"]
    jira.move_issue("OPS-7", "NEW-1")
    answers = [ask(jira, "GET", number, issue=key) for key in ("OPS-7", "NEW-1")]
    assert [answer.body["self"] for answer in answers] == [f"{ROOT}/issue/NEW-1/remotelink/{number}"] * 2
    assert ask(jira, "POST", issue="OPS-7", body=link()).status == 200
    assert [standing["issue"] for standing in jira.links("OPS-7")] == ["NEW-1"]


def test_an_issue_moves_only_to_a_free_key(jira: JiraModel) -> None:
    """Two issues cannot have one key."""
    ask(jira, "GET")
    with pytest.raises(ValueError, match="taken"):
        jira.move_issue("OPS-7", "DEMO-1")


@pytest.mark.parametrize("key", ["ops-7", "DEMO-0", "no key"])
def test_an_issue_is_made_once_and_under_a_key(jira: JiraModel, key: str) -> None:
    """A taken key, in any case, and what is no key are refused; naming one twice at the start is not."""
    with pytest.raises(ValueError, match="is no issue key, or is taken"):
        jira.add(key)
    assert [issue.key for issue in JiraModel(issues=["OPS-7", "ops-7"]).issues] == ["OPS-7"]


def test_a_deleted_issue_stays_away(jira: JiraModel) -> None:
    """Its links go with it, and a whole project does not make it up again."""
    number = ask(jira, "POST", body=link()).body["id"]
    jira.delete_issue("DEMO-1")
    assert ask(jira, "POST", body=link()).status == 404
    assert ask(jira, "GET", number, issue="DEMO-2").status == 404
    assert jira.links() == []


# --- what is left behind -------------------------------------------------------------------


def test_each_accepted_write_leaves_a_line(jira: JiraModel) -> None:
    """An upsert that changes nothing leaves one too, marked as needless; refusals and reads none."""
    number = ask(jira, "POST", body=link(), now=1).body["id"]
    ask(jira, "POST", body=link(summary=None), now=2)
    ask(jira, "PUT", number, body=link("other"), now=3)
    ask(jira, "PUT", number, body=link("other"), now=4)
    ask(jira, "POST", body={}, now=5)
    ask(jira, "GET", number, now=6)
    ask(jira, "DELETE", number, now=7)
    assert [(line.at, line.action, line.global_id, line.needless) for line in jira.history] == [
        (1, "created", GLOBAL_ID, False),
        (2, "updated", GLOBAL_ID, True),
        (3, "updated", "other", False),
        (4, "updated", "other", True),
        (7, "deleted", "other", False),
    ]
    assert {(line.issue, line.link_id) for line in jira.history} == {("DEMO-1", number)}


def test_links_are_listed_by_id(jira: JiraModel) -> None:
    """All of them, or those of one issue, as data that nobody can change the Jira with."""
    for issue in ("DEMO-2", "DEMO-1", "DEMO-2"):
        ask(jira, "POST", issue=issue, body=link(None))
    assert [standing["issue"] for standing in jira.links()] == ["DEMO-2", "DEMO-1", "DEMO-2"]
    assert [standing["id"] for standing in jira.links()] == sorted(
        standing["id"] for standing in jira.links()
    )
    jira.links("demo-1")[0]["body"]["object"]["title"] = "Two"
    assert [standing["body"]["object"]["title"] for standing in jira.links("DEMO-1")] == ["One"]
    assert jira.links("NONE-1") == []


def test_a_new_link_may_lag(jira: JiraModel) -> None:
    """For that time it is found by its globalId and not by its id."""
    jira.knobs.lag = 1.0
    number = ask(jira, "POST", body=link(), now=10).body["id"]
    assert [ask(jira, "GET", number, now=now).status for now in (10.9, 11)] == [404, 200]
    assert ask(jira, "GET", global_id=GLOBAL_ID, now=10).status == 200
