"""The simulated Jira in front of its links: who asks, what is there, what is allowed."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.simulator.faults import Deployment, Fate, Knobs, Limits, Login
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.oauth import CLOUD_ID
from bridge.simulator.paths import HttpRequest
from bridge.simulator.reply import Reply
from bridge.simulator.script import Rule, Script
from bridge.simulator.simulation import Simulation
from bridge.simulator.users import ANONYMOUS, User

BASE = "http://jira.example"
LINKS = "/rest/api/3/issue/DEMO-1/remotelink"
LINK = {"globalId": "g", "object": {"url": "https://example.com/1", "title": "One"}}
USERS = {
    "ada@example.com": User(token="a-token"),
    "bob@example.com": User(token="b-token", denied={"DEMO": {Permission.LINK}}),
    "eve@example.com": User(token="e-token", denied={"DEMO": {Permission.BROWSE}}),
    "app": User(token="s3cret", is_app=True, refresh_token="first"),
}
ADA, BOB, EVE = (
    f"Basic {b64encode(f'{name}:{USERS[name].token}'.encode()).decode()}" for name in list(USERS)[:3]
)
SERVER = Knobs(deployment=Deployment.SERVER)


@pytest.fixture
def jira() -> Simulation:
    """A Jira with three people and an app."""
    return Simulation(JiraModel(projects=["DEMO", "OPS"]), users=USERS)


def ask(
    jira: Simulation,
    method: str,
    target: str = LINKS,
    authorization: str | None = ADA,
    *,
    body: Any = None,
    content_type: str = "application/json",
    now: float = 0.0,
) -> Reply:
    """Send one request, all its way but for the network."""
    data = b"" if body is None else orjson.dumps(body)
    turn = jira.begin(HttpRequest(method, target, BASE, authorization, content_type, data), now)
    answer = jira.instead(turn) or jira.apply(turn, now)
    jira.end(turn, answer, is_sent=True)
    return jira.sign(answer.reply, turn)


def status(*arguments: Any, **more: Any) -> int:
    """As `ask`, the status alone."""
    return ask(*arguments, **more).status


# --- users and permissions -----------------------------------------------------------------


def test_each_user_has_permissions_of_their_own(jira: Simulation) -> None:
    """One may link, one may only read, one sees nothing; in another project all may."""
    assert [status(jira, "POST", LINKS, who, body=LINK) for who in (ADA, BOB, EVE)] == [201, 403, 404]
    assert [status(jira, "GET", LINKS, who) for who in (ADA, BOB, EVE)] == [200, 200, 404]
    other = LINKS.replace("DEMO", "OPS")
    assert [status(jira, "POST", other, who, body=LINK) for who in (ADA, BOB, EVE)] == [201, 200, 200]


def test_what_everybody_lacks_each_lacks(jira: Simulation) -> None:
    """A permission may be missing for all at once."""
    jira.site.model.denied["DEMO"] = {Permission.LINK}
    assert [status(jira, "POST", LINKS, who, body=LINK) for who in (ADA, BOB, EVE)] == [403, 403, 404]


def test_basic_and_bearer_name_the_same_user(jira: Simulation) -> None:
    """Cloud's e-mail with API token, and Data Center's personal access token."""
    jira.knobs = SERVER
    for authorization in (ADA, ADA.replace("Basic", "bAsIc"), "Bearer a-token"):
        assert ask(jira, "GET", "/rest/api/2/myself", authorization).body["emailAddress"] == "ada@example.com"
    assert {call.user for call in jira.calls} == {"ada@example.com"}


def test_anonymous_is_a_user_where_it_exists(jira: Simulation) -> None:
    """Without it requests without credentials are 401; with it they have its permissions."""
    refused = ask(jira, "GET", LINKS, None)
    assert (refused.status, refused.headers["WWW-Authenticate"]) == (
        401,
        'OAuth realm="http%3A%2F%2Fjira.example"',
    )
    jira.site.users.put(ANONYMOUS, User(denied={"DEMO": {Permission.LINK}}))
    assert [status(jira, method, LINKS, None, body=LINK) for method in ("GET", "POST")] == [200, 403]
    assert status(jira, "GET", LINKS, "Basic wrong") == 401, "wrong credentials are not none"
    assert status(jira, "GET", "/rest/api/3/myself", None) == 401, "nobody is nobody"


@pytest.mark.parametrize(
    ("login", "answer", "header"),
    [
        (Login.FAILED, 401, ("X-Seraph-LoginReason", "AUTHENTICATED_FAILED")),
        (Login.HIDDEN, 404, ("X-Seraph-LoginReason", "AUTHENTICATED_FAILED")),
        (Login.DENIED, 403, ("X-Authentication-Denied-Reason", "CAPTCHA_CHALLENGE")),
        (Login.UNSCOPED, 401, ("X-Seraph-LoginReason", None)),
    ],
)
def test_a_token_may_die_in_several_ways(
    jira: Simulation, login: Login, answer: int, header: tuple[str, str | None]
) -> None:
    """Of one user or of all; nothing is done, and the way shows in status and header."""
    jira.site.users.put("bob@example.com", User(token="b-token", login=login))
    reply = ask(jira, "POST", LINKS, BOB, body=LINK)
    assert (reply.status, reply.headers.get(header[0])) == (answer, header[1])
    assert status(jira, "GET", LINKS, ADA) == 200
    jira.knobs = Knobs(login=login)
    assert ask(jira, "POST", LINKS, ADA, body=LINK).status == answer
    assert jira.site.model.history == []


def test_clouds_401_is_a_line_whatever_its_type_says(jira: Simulation) -> None:
    """The content type is the one that was asked for; the body is the same text, and no JSON."""
    for accept, media in {
        "application/json": "application/json",
        "application/json, text/plain, */*": "application/json",
        "*/*": "text/html;charset=UTF-8",
        "": "text/plain",
    }.items():
        for who in (None, "Basic wrong"):
            asked = HttpRequest("GET", LINKS, BASE, who, accept=accept)
            reply = jira.apply(jira.begin(asked, 0.0), 0.0).reply
            assert (reply.status, reply.headers["Content-Type"]) == (401, media)
            assert reply.body == b"Client must be authenticated to access this resource."


def test_a_bearers_token_is_none_at_a_cloud_site(jira: Simulation) -> None:
    """It is refused before anything else is looked at; Data Center and the gateway take it."""
    for target in (LINKS, "/rest/api/3/nope", "/rest/api/3/serverInfo"):
        for who in ("Bearer a-token", "bearer wrong", "Bearer"):
            reply = ask(jira, "GET", target, who)
            assert (reply.status, reply.body) == (
                403,
                {"error": "Failed to parse Connect Session Auth Token"},
            )
    jira.knobs = SERVER
    assert [status(jira, "GET", LINKS, who) for who in ("Bearer a-token", "Bearer wrong")] == [200, 401]


def test_wrong_credentials_hide_nothing_that_anybody_may_read(jira: Simulation) -> None:
    """Cloud takes who sends them for nobody; Data Center refuses them with a page."""
    assert status(jira, "GET", "/rest/api/3/serverInfo", "Basic wrong") == 200
    jira.knobs = SERVER
    reply = ask(jira, "GET", "/rest/api/3/serverInfo", "Basic wrong")
    assert (reply.status, isinstance(reply.body, bytes)) == (401, True)
    assert reply.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "ä"])
def test_a_users_name_must_fit_into_headers(jira: Simulation, name: str) -> None:
    """What could not be sent as credentials is no user, and only anonymous is without a token."""
    for user, other in ((User(token="t"), name), (User(), "ada"), (User(token="t"), ANONYMOUS)):
        with pytest.raises(ValueError, match="user"):
            jira.site.users.put(other, user)


def test_who_was_taken_for_whom_shows_in_headers(jira: Simulation) -> None:
    """Cloud tells an opaque account id, Data Center the name and that the login was right."""
    cloud = ask(jira, "GET")
    assert cloud.headers["X-AACCOUNTID"] == ask(jira, "GET", "/rest/api/3/myself").body["accountId"]
    assert "ada" not in cloud.headers["X-AACCOUNTID"]
    jira.knobs = SERVER
    server = ask(jira, "GET")
    assert (server.headers["X-AUSERNAME"], server.headers["X-Seraph-LoginReason"]) == (
        "ada@example.com",
        "OK",
    )
    assert ask(jira, "GET", LINKS, None).headers["X-AUSERNAME"] == "anonymous"


def test_each_answer_can_be_traced(jira: Simulation) -> None:
    """Two answers have two names, which a simulator with the same seed gives again."""
    again = Simulation(JiraModel(projects=["DEMO"]), users=USERS)
    one = ask(Simulation(JiraModel(projects=["DEMO"]), users=USERS), "GET").headers
    assert one["ATL-Request-Id"].replace("-", "") == one["ATL-TraceId"]
    names = [
        [(ask(each, "GET").headers["ATL-TraceId"], each.last) for _ in range(2)] for each in (jira, again)
    ]
    assert names[0] == names[1]
    assert names[0][0][0] != names[0][1][0]
    jira.knobs = SERVER
    assert re.fullmatch(r"[0-9]+x[0-9]+x1", ask(jira, "GET").headers["X-AREQUESTID"])


# --- what is there -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2", "3", "latest"])
def test_self_carries_the_version_that_was_called(jira: Simulation, version: str) -> None:
    """`latest` is another name of the API, and stays in the addresses."""
    at = ask(jira, "POST", LINKS.replace("/3/", f"/{version}/"), body=LINK).body["self"]
    assert at.startswith(f"{BASE}/rest/api/{version}/issue/DEMO-1/remotelink/")
    assert status(jira, "GET", at.removeprefix(BASE)) == 200


@pytest.mark.parametrize(
    "target",
    [
        "/rest/api/3/nope",
        "/rest/api/4/myself",
        "/rest/api/serverInfo",
        "/rest/oauth/token",
        "/rest/nope",
        f"{LINKS}/1/2",
        "/rest/api/3/issue",
    ],
)
def test_unknown_paths_of_the_api(jira: Simulation, target: str) -> None:
    """They are 404 in the words of Jira's REST framework, for every method; Cloud asks nobody's name."""
    for method in ("GET", "POST", "OPTIONS"):
        for who in (ADA, None, "Basic wrong"):
            reply = ask(jira, method, f"{target}?a=1", who)
            assert reply.headers["Content-Type"] == "application/problem+json;charset=UTF-8"
            assert reply.body == {
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": f"No endpoint {method} {target}.",
                "instance": target,
            }
    jira.knobs = SERVER
    assert ask(jira, "GET", target).body == {"message": f"null for uri: {BASE}{target}", "status-code": 404}
    assert status(jira, "GET", target, None) == 401


def test_pages_for_people_are_no_json(jira: Simulation) -> None:
    """Beside the API there is a login page and nothing else."""
    assert [status(jira, "GET", path, None) for path in ("/login.jsp", "/browse/DEMO-1", "/")] == [
        200,
        404,
        404,
    ]
    assert isinstance(ask(jira, "GET", "/login.jsp").body, bytes)


@pytest.mark.parametrize(
    ("target", "method", "allow"),
    [
        (LINKS, "PUT", "GET,POST,DELETE,HEAD,OPTIONS"),
        (f"{LINKS}/1", "POST", "GET,PUT,DELETE,HEAD,OPTIONS"),
        (f"{LINKS}/1", "PATCH", "GET,PUT,DELETE,HEAD,OPTIONS"),
        ("/rest/api/3/myself", "DELETE", "GET,HEAD,OPTIONS"),
    ],
)
def test_methods_that_are_not_allowed(jira: Simulation, target: str, method: str, allow: str) -> None:
    """They are 405, and both they and OPTIONS tell those that are; Cloud in two ways."""
    refused, asked = ask(jira, method, target), ask(jira, "OPTIONS", target)
    assert (refused.status, refused.body["title"]) == (405, "Method Not Allowed")
    assert refused.headers["Allow"] == allow.removesuffix(",HEAD,OPTIONS").replace(",", ", ")
    assert (asked.status, asked.headers["Allow"], asked.body) == (200, allow, None)
    assert status(jira, "OPTIONS", target, None) == 401
    jira.knobs = SERVER
    assert ask(jira, method, target).headers["Allow"] == allow


@pytest.mark.parametrize(
    ("content_type", "answer"),
    [
        ("application/json", 201),
        ("application/json;charset=UTF-8", 201),
        ("Application/JSON ; charset=utf-8", 201),
        ("", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
def test_content_types(jira: Simulation, content_type: str, answer: int) -> None:
    """Only JSON is taken, with whatever parameters, and before anything else is looked at."""
    reply = ask(jira, "POST", content_type=content_type, body=LINK)
    assert reply.status == answer
    nowhere = LINKS.replace("DEMO-1", "NONE-1")
    other = 404 if answer == 201 else 415
    assert status(jira, "POST", nowhere, content_type=content_type, body=LINK) == other
    if other == 415:
        assert (reply.headers["Accept"], reply.body["status"]) == ("application/json", 415)
        assert status(jira, "POST", authorization=None, content_type=content_type, body=LINK) == 415
        jira.knobs = SERVER
        assert set(ask(jira, "POST", content_type=content_type).body) == {"errorMessages", "errors"}


def test_what_clients_ask_first(jira: Simulation) -> None:
    """Which Jira this is, who asks, its fields, an issue, and that nothing is linked to it."""
    info = ask(jira, "GET", "/rest/api/2/serverInfo", None).body
    assert (info["baseUrl"], info["deploymentType"], list(info["versionNumbers"])) == (
        BASE,
        "Cloud",
        [1001, 0, 0],
    )
    assert {field["id"] for field in ask(jira, "GET", "/rest/api/2/field", None).body} >= {
        "summary",
        "status",
    }
    issue = ask(jira, "GET", "/rest/api/2/issue/demo-1").body
    assert (issue["key"], issue["fields"]["project"]["key"]) == ("DEMO-1", "DEMO")
    assert ask(jira, "GET", f"/rest/api/2/issue/{issue['id']}").body == issue
    assert set(issue["fields"]) == {"summary", "project", "issuetype", "status"}
    assert [status(jira, "GET", "/rest/api/2/issue/DEMO-1", who) for who in (BOB, EVE)] == [200, 404]
    assert ask(jira, "GET", "/rest/applinks/latest/applicationlink").body == {"list": []}


def test_a_session_is_data_centers(jira: Simulation) -> None:
    """Cloud has no such resource; Data Center tells who is logged in."""
    assert status(jira, "GET", "/rest/auth/1/session") == 404
    jira.knobs = SERVER
    assert ask(jira, "GET", "/rest/auth/1/session").body["name"] == "ada@example.com"
    assert ask(jira, "GET", "/rest/api/2/myself").body["name"] == "ada@example.com"
    assert ask(jira, "GET", "/rest/api/2/serverInfo").body["deploymentType"] == "Server"


# --- rate limits ---------------------------------------------------------------------------


def test_cloud_limits_hold_when_they_are_asked_for(jira: Simulation) -> None:
    """The 21st write to an issue is 429, under a former key too; without limits nothing is refused."""
    assert {status(jira, "POST", body=LINK) for _ in range(30)} == {200, 201}
    jira.knobs.limits = Limits.CLOUD
    jira.site.model.move_issue("DEMO-1", "OPS-7")
    moved = LINKS.replace("DEMO-1", "OPS-7")
    paths = [LINKS, moved] * 10
    assert {status(jira, "POST", path, body=LINK) for path in paths} == {200}
    refused = ask(jira, "POST", body=LINK)
    assert (refused.status, refused.headers["RateLimit-Reason"]) == (429, "jira-per-issue-on-write")
    assert jira.calls[-1].reason == "jira-per-issue-on-write"
    assert ask(jira, "GET").headers["X-RateLimit-Remaining"] == "99"


def test_a_data_centers_429_is_its_containers_page(jira: Simulation) -> None:
    """The headers are on every answer to a user, and the refusal is HTML."""
    jira.knobs = Knobs(limits=Limits.DATACENTER, bucket_size=2, bucket_fill=1, bucket_interval=5)
    assert [ask(jira, "GET").headers["X-RateLimit-Remaining"] for _ in range(2)] == ["1", "0"]
    refused = ask(jira, "GET")
    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    assert isinstance(refused.body, bytes)
    assert status(jira, "GET", LINKS, BOB) == 200
    jira.knobs.bucket_size = 3
    assert status(jira, "GET") == 200, "new figures begin a new count"


# --- OAuth ---------------------------------------------------------------------------------


def grant(jira: Simulation, **form: str) -> Reply:
    """Ask for a token as the app."""
    fields = {"client_id": "app", "client_secret": "s3cret", **form}
    return ask(jira, "POST", "/oauth/token", None, body=fields)


def test_client_credentials_open_the_gateway_for_a_time(jira: Simulation) -> None:
    """The token is good through the gateway, not at the site, and dies; `self` names the gateway."""
    jira.knobs.token_seconds = 60
    given = grant(jira, grant_type="client_credentials")
    assert (given.status, given.body["expires_in"], given.body["token_type"]) == (200, 60, "Bearer")
    bearer, through = f"Bearer {given.body['access_token']}", f"/ex/jira/{CLOUD_ID}{LINKS}"
    made = ask(jira, "POST", through, bearer, body=LINK, now=59)
    assert (made.status, made.body["self"].startswith(f"{BASE}{through}/")) == (201, True)
    assert jira.calls[-1].user == "app"
    assert status(jira, "GET", LINKS, bearer, now=59) == 403
    late = ask(jira, "GET", through, bearer, now=60)
    assert (late.status, late.body) == (401, {"code": 401, "message": "Unauthorized"})
    for who in (ADA, "Bearer a-token"):
        assert status(jira, "GET", through, who) == 200, "API tokens go through it too"
    assert ask(jira, "GET", through, None).body == late.body


def test_the_gateway_knows_one_site(jira: Simulation) -> None:
    """Another cloud id is 404 in the gateway's own words, whoever asks."""
    for who in (ADA, None):
        reply = ask(jira, "GET", f"/ex/jira/other{LINKS}?globalId=g", who, now=86_400.5)
        assert (reply.status, reply.body) == (
            404,
            {
                "timestamp": "1970-01-02T00:00:00.500000Z",
                "status": 404,
                "error": "Not Found",
                "message": "No message available",
                "path": f"/ex/jira/other{LINKS}",
            },
        )
    stray = ask(jira, "GET", f"/ex/jira/{CLOUD_ID}/rest/api/3/nope")
    assert stray.body["instance"] == "/rest/api/3/nope", "Jira does not see the gateway's part"


def test_refresh_tokens_rotate(jira: Simulation) -> None:
    """Each is good once and gives the next."""
    first = grant(jira, grant_type="refresh_token", refresh_token="first").body
    again = grant(jira, grant_type="refresh_token", refresh_token="first")
    assert (again.status, again.body["error"]) == (403, "unauthorized_client")
    second = grant(jira, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status == 200
    assert second.body["refresh_token"] != first["refresh_token"]
    jira.site.users.put("app", User(token="s3cret", is_app=True, refresh_token="anew"))
    assert grant(jira, grant_type="refresh_token", refresh_token="anew").status == 200


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ({"client_secret": "wrong", "grant_type": "client_credentials"}, 401),
        (
            {"client_id": "ada@example.com", "client_secret": "a-token", "grant_type": "client_credentials"},
            401,
        ),
        ({"client_id": ANONYMOUS, "grant_type": "client_credentials"}, 401),
        ({"grant_type": "password"}, 400),
        ({"client_secret": "wrong", "grant_type": "password"}, 400),
        ({}, 400),
        ({"grant_type": "refresh_token"}, 403),
    ],
)
def test_no_token_is_given_for_less(jira: Simulation, form: dict[str, str], answer: int) -> None:
    """A wrong secret, one who is no app, another grant, no refresh token."""
    assert grant(jira, **form).status == answer


def test_a_form_will_do_and_the_cloud_id_is_told(jira: Simulation) -> None:
    """Data Center's token endpoint takes a form; both ways to the cloud id name the same."""
    body = b"grant_type=client_credentials&client_id=app&client_secret=s3cret"
    asked = HttpRequest(
        "POST", "/rest/oauth2/latest/token", BASE, None, "application/x-www-form-urlencoded", body
    )
    token = jira.apply(jira.begin(asked, 0.0), 0.0).reply.body["access_token"]
    (site,) = ask(jira, "GET", "/oauth/token/accessible-resources", f"Bearer {token}").body
    assert site["id"] == ask(jira, "GET", "/_edge/tenant_info", None).body["cloudId"] == CLOUD_ID


def test_points_are_an_apps(jira: Simulation) -> None:
    """An app's quota ends with the hour's points; who has an API token goes on."""
    jira.knobs = Knobs(limits=Limits.CLOUD, points_per_hour=3)
    bearer = f"Bearer {grant(jira, grant_type='client_credentials').body['access_token']}"
    through = f"/ex/jira/{CLOUD_ID}{LINKS}"
    assert [status(jira, "POST", through, bearer, body=LINK), status(jira, "GET", through, bearer)] == [
        201,
        200,
    ]
    refused = ask(jira, "GET", through, bearer)
    assert (refused.status, refused.headers["RateLimit-Reason"]) == (429, "jira-quota-tenant-based")
    assert status(jira, "GET", through, ADA) == 200


# --- outside bytes -------------------------------------------------------------------------


@given(
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"]),
    st.sampled_from(
        [LINKS, f"{LINKS}/", f"/ex/jira/{CLOUD_ID}{LINKS}", "/rest/", "/oauth/token", "/_edge/", "/"]
    ),
    st.text(max_size=20),
    st.sampled_from([ADA, "Basic", "", None]) | st.text(max_size=20),
    st.binary(max_size=60) | st.just(orjson.dumps(LINK)),
    st.sampled_from(Limits),
)
def test_nothing_that_is_sent_is_an_error(
    method: str, target: str, tail: str, authorization: str | None, body: bytes, limits: Limits
) -> None:
    """Whatever the octets, the answer is one of Jira's, and JSON can be made of it."""
    jira = Simulation(JiraModel(projects=["DEMO"]), users=USERS)
    jira.knobs.limits = limits
    asked = HttpRequest(method, target + quote(tail), BASE, authorization, "application/json", body)
    reply = jira.apply(jira.begin(asked, 0.0), 0.0).reply
    assert reply.status < 500
    assert isinstance(reply.body, bytes) or orjson.dumps(reply.body)


# --- faults --------------------------------------------------------------------------------


def test_the_lost_side_of_a_race(jira: Simulation) -> None:
    """A POST that makes a link is answered with a blank 400; one that updates is not."""
    jira.script = Script([Rule(Fate.RACED, method="POST", times=2)])
    lost = ask(jira, "POST", body=LINK)
    assert (lost.status, lost.body) == (400, {"errorMessages": [], "errors": {}})
    assert [link["globalId"] for link in jira.site.model.links()] == ["g"]
    assert status(jira, "POST", body=LINK) == 200


def test_a_script_goes_before_chance_and_a_timeline_turns_knobs(jira: Simulation) -> None:
    """Rules decide where they strike, knobs elsewhere; the log tells the fate."""
    jira.knobs = Knobs(rate_502=1)
    jira.script = Script([Rule(Fate.ANSWERED, by_id=True, times=None), Rule(Fate.LIMITED, skip=1)])
    assert [status(jira, "GET"), status(jira, "GET"), status(jira, "GET", f"{LINKS}/1")] == [502, 429, 404]
    assert [call.fate for call in jira.calls] == [Fate.PROXIED, Fate.LIMITED, None]


def test_being_down_spares_nobody_but_by_script(jira: Simulation) -> None:
    """Every request is 503 with Retry-After, and nothing is done."""
    jira.knobs = Knobs(is_down=True, retry_after=7)
    reply = ask(jira, "POST", body=LINK)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "7")
    assert jira.site.model.links() == []
