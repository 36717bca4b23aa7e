"""/_simulator: what is turned, made and asked while the simulator runs."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest

from bridge.simulator.admin import Admin
from bridge.simulator.faults import KNOBS, Fate, Knobs
from bridge.simulator.jira_model import JiraModel, Permission
from bridge.simulator.paths import HttpRequest
from bridge.simulator.simulation import Simulation
from bridge.simulator.users import User

AUTHORIZATION = f"Basic {b64encode(b'ada@example.com:t0ken').decode()}"
LINKS = "/rest/api/3/issue/OPS-7/remotelink"
LINK = {"globalId": "g", "object": {"url": "https://example.com/1", "title": "One"}}


@pytest.fixture
def jira() -> Simulation:
    """A Jira with an issue and a user."""
    return Simulation(JiraModel(issues=["OPS-7"]), users={"ada@example.com": User(token="t0ken")})


def tell(
    jira: Simulation, method: str, path: str = "", body: Any = None, now: float = 0.0
) -> tuple[int, Any]:
    """Status and body of one request to /_simulator."""
    data = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    reply = Admin(jira).answer(method, f"/_simulator{path}", data, now)
    return reply.status, orjson.loads(orjson.dumps(reply.body))


def use(jira: Simulation, method: str = "POST", *, now: float = 0.0, is_sent: bool = True) -> int:
    """The status of one request to Jira."""
    body = orjson.dumps(LINK)
    turn = jira.begin(HttpRequest(method, LINKS, "http://x", AUTHORIZATION, "application/json", body), now)
    answer = jira.instead(turn) or jira.apply(turn, now)
    jira.end(turn, answer, is_sent=is_sent)
    return answer.reply.status


def test_knobs_are_put_whole_and_patched_in_part(jira: Simulation) -> None:
    """PUT sets those left out to their defaults; PATCH leaves them; GET tells all."""
    assert tell(jira, "PUT", "/knobs", {"latency": 0.5})[0] == 200
    status, told = tell(jira, "PATCH", "/knobs", {"login": "hidden"})
    assert (status, told["latency"], told["login"]) == (200, 0.5, "hidden")
    assert tell(jira, "GET", "/knobs") == (200, told)
    tell(jira, "PUT", "/knobs", {})
    assert jira.knobs == Knobs()


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"rate_lost": 2}', "rate_lost"),
        (b'{"rate_lost": "0.5"}', "rate_lost"),
        (b'{"latency": -1}', "latency"),
        (b'{"is_down": 1}', "is_down"),
        (b'{"login": "maybe"}', "login"),
        (b'{"is_up": true}', "is_up"),
        (b'{"rate_lost": 0.6, "rate_dropped": 0.6}', "knobs"),
        (b"{", "knobs"),
        (b"[1]", "knobs"),
        (b"", "knobs"),
    ],
)
def test_wrong_knobs_are_refused(jira: Simulation, method: str, body: bytes, named: str) -> None:
    """The answer names what is wrong, and nothing is turned."""
    status, told = tell(jira, method, "/knobs", body)
    assert (status, list(told["errors"])) == (400, [named])
    assert jira.knobs == Knobs()


def test_issues_are_made_moved_and_deleted(jira: Simulation) -> None:
    """Each with its path; what cannot be is refused with a sentence."""
    assert tell(jira, "PUT", "/issues/NEW-1") == (201, {"id": 10001, "key": "NEW-1"})
    assert tell(jira, "PATCH", "/issues/NEW-1", {"key": "NEW-2"})[0] == 204
    assert [issue["key"] for issue in tell(jira, "GET", "/issues")[1]] == ["OPS-7", "NEW-2"]
    assert tell(jira, "DELETE", "/issues/NEW-1")[0] == 204
    assert [issue["key"] for issue in tell(jira, "GET", "/issues")[1]] == ["OPS-7"]
    for method, path, body in (
        ("PUT", "/issues/OPS-7", None),
        ("PUT", "/issues/no-key", None),
        ("PATCH", "/issues/NONE-1", {"key": "X-1"}),
        ("PATCH", "/issues/OPS-7", {"key": "X-1", "id": "1"}),
        ("PATCH", "/issues/OPS-7", {}),
        ("DELETE", "/issues/NONE-1", None),
    ):
        status, told = tell(jira, method, path, body)
        assert (status, told["errorMessages"][0].endswith("nothing was changed.")) == (400, True)


def test_users_come_change_and_go_and_tell_no_secret(jira: Simulation) -> None:
    """A user has a token and permissions; the token is in no answer."""
    assert (
        tell(jira, "PUT", "/users/bob%40example.com", {"token": "s3cret", "denied": {"ops": ["link"]}})[0]
        == 204
    )
    status, told = tell(jira, "GET", "/users")
    assert (status, list(told)) == (200, ["ada@example.com", "bob@example.com"])
    assert told["bob@example.com"] == {"denied": {"OPS": ["link"]}, "login": "checked", "is_app": False}
    assert "s3cret" not in repr(jira.site.users["bob@example.com"])
    assert tell(jira, "PUT", "/users/anonymous", {})[0] == 204
    assert tell(jira, "DELETE", "/users/ada%40example.com")[0] == 204
    assert use(jira) == 401
    assert tell(jira, "PUT", "/users/eve", {})[0] == 400
    assert tell(jira, "PUT", "/users/eve", {"token": "t", "admin": True})[1]["errors"].keys() == {"admin"}
    assert "eve" not in tell(jira, "GET", "/users")[1]


def test_what_everybody_lacks_is_put_whole(jira: Simulation) -> None:
    """By project, in any case; an unknown permission is refused."""
    assert tell(jira, "PUT", "/denied", {"ops": ["link", "edit"]})[0] == 204
    assert tell(jira, "GET", "/denied") == (200, {"OPS": ["edit", "link"]})
    assert use(jira) == 403
    assert tell(jira, "PUT", "/denied", {"OPS": ["fly"]})[0] == 400
    assert jira.site.model.denied == {"OPS": {Permission.EDIT, Permission.LINK}}


def test_a_script_is_put_and_read(jira: Simulation) -> None:
    """Rules stand in for those before them; a wrong one is refused with its place."""
    rules = [{"fate": "limited", "method": "POST", "skip": 1}]
    assert tell(jira, "PUT", "/script", rules)[0] == 204
    assert [use(jira) for _ in range(3)] == [201, 429, 200]
    assert tell(jira, "GET", "/script")[1][0]["fate"] == "limited"
    status, told = tell(jira, "PUT", "/script", [{"fate": "eaten"}])
    assert (status, list(told["errors"])) == (400, ["0.fate"])
    assert len(jira.script.rules) == 1


def test_a_timeline_is_put_and_comes_to_pass(jira: Simulation) -> None:
    """A dead token from minute two on; a step that could not be done is refused at once."""
    assert tell(jira, "PUT", "/timeline", [{"after": 120, "knobs": {"login": "failed"}}], now=1000)[0] == 204
    assert [use(jira, now=now) for now in (1000, 1119, 1120)] == [201, 200, 401]
    assert tell(jira, "GET", "/timeline") == (200, [])
    tell(jira, "PUT", "/timeline", [{"after": 5, "knobs": {"login": "checked"}}], now=1200)
    assert tell(jira, "GET", "/knobs", now=1205)[1]["login"] == "checked"
    tell(jira, "PUT", "/timeline", [{"after": 5, "knobs": {"rate_lost": 1}}], now=1300)
    tell(jira, "PUT", "/knobs", {"rate_dropped": 1}, now=1301)
    assert tell(jira, "GET", "/knobs", now=1305)[1]["rate_lost"] == 0, "it does not fit any more"
    wrong = [{"after": 5, "knobs": {"is_up": True}}]
    assert tell(jira, "PUT", "/timeline", wrong)[1]["errors"].keys() == {"is_up"}


def test_history_tells_each_write(jira: Simulation) -> None:
    """Issue, globalId, action, content, whether it was needless; a refused request leaves nothing."""
    use(jira, now=1)
    use(jira, now=2)
    use(jira, "PATCH", now=3)
    status, told = tell(jira, "GET", "/history")
    assert (status, len(told["history"])) == (200, 2)
    assert told["history"][1] == {
        "at": 2,
        "issue": "OPS-7",
        "action": "updated",
        "id": 10000,
        "globalId": "g",
        "needless": True,
        "answered": False,
        "body": jira.site.model.links()[0]["body"],
    }


def test_calls_are_fed_from_a_number_on(jira: Simulation) -> None:
    """Each has a number, who asked, its fate and what a header said; clearing keeps the numbers."""
    tell(jira, "PUT", "/script", [{"fate": "lost", "skip": 1}, {"fate": "limited", "skip": 2}])
    use(jira, now=1)
    use(jira, now=2, is_sent=False)
    use(jira, now=3)
    status, told = tell(jira, "GET", "/calls?after=1")
    assert (status, told["last"], [call["number"] for call in told["calls"]]) == (200, 3, [2, 3])
    assert told["calls"][0] == {
        "number": 2,
        "at": 2,
        "method": "POST",
        "path": LINKS,
        "status": None,
        "user": "ada@example.com",
        "fate": "lost",
        "reason": None,
    }
    assert (told["calls"][1]["fate"], told["calls"][1]["reason"]) == ("limited", "jira-burst-based")
    assert tell(jira, "DELETE", "/calls")[0] == 204
    assert tell(jira, "GET", "/calls") == (200, {"calls": [], "last": 3})
    assert tell(jira, "GET", "/calls?after=x")[0] == 400


def test_a_reset_gives_back_the_start(jira: Simulation) -> None:
    """Issues, users, knobs, script, timeline, history, calls and chance are as they were; numbers go on."""
    before = tell(jira, "GET")[1]
    trace = jira.begin(HttpRequest("GET", "/x"), 0.0).throw
    use(jira)
    tell(jira, "PUT", "/issues/NEW-1")
    tell(jira, "DELETE", "/users/ada%40example.com")
    tell(jira, "PUT", "/denied", {"OPS": ["browse"]})
    tell(jira, "PUT", "/knobs", {"is_down": True})
    tell(jira, "PUT", "/script", [{"fate": "lost", "times": None}])
    tell(jira, "PUT", "/timeline", [{"after": 0, "knobs": {"is_down": True}}])
    assert tell(jira, "POST", "/reset")[0] == 204
    assert tell(jira, "GET")[1] == before
    assert jira.begin(HttpRequest("GET", "/x"), 0.0).throw == trace
    assert (use(jira), jira.calls[-1].number, jira.calls[-1].fate) == (201, 2, None)


def test_knobs_at_the_start_are_those_of_a_reset() -> None:
    """What a model was given before counts as the start."""
    model = JiraModel()
    model.knobs = Knobs(latency=0.25)
    jira = Simulation(model)
    jira.knobs.latency = 3.0
    jira.reset()
    assert jira.knobs == Knobs(latency=0.25)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/issues/A-1/x", 405),
        ("POST", "/knobs", 405),
        ("DELETE", "", 405),
        ("PUT", "/issues", 405),
        ("GET", "/", 200),
        ("GET", "/knobs/", 200),
    ],
)
def test_other_paths_and_methods(jira: Simulation, method: str, path: str, status: int) -> None:
    """What is not there is 404, what cannot be done there is 405, and a slash at the end says nothing."""
    assert tell(jira, method, path)[0] == status


def test_every_fate_can_be_scripted(jira: Simulation) -> None:
    """The words of a script are those of the log."""
    assert tell(jira, "PUT", "/script", [{"fate": fate} for fate in Fate])[0] == 204
    assert {KNOBS.dump_python(jira.knobs, mode="json")["is_down"]} == {False}
